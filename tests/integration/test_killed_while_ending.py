"""A real process, killed at any line between proof and ledger: the next one ends every file once."""

import asyncio
import hashlib
import itertools
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from hotfolder.adapters.ledger import FileLedger, verify_chain
from hotfolder.core.records import Disposition
from hotfolder.threads import Threads
from tests.support.folders import Folders, other_file_system
from tests.support.killing import record_until_killed, recorder

DATA = b"the only copy " * 1000
_STRIDE = 9  # every line takes a minute


@pytest.fixture
def elsewhere(tmp_path: Path) -> Iterator[Path]:
    with other_file_system(tmp_path) as place:
        yield place


@pytest.mark.parametrize(
    ("relpath", "disposition", "across"),
    [
        ("reels/clip.mp4", Disposition.COMPLETED, False),
        ("reels/clip.mp4", Disposition.COMPLETED, True),
        ("reels/clip.mp4", Disposition.FAILED, True),
        ("reels/clip.mp4", Disposition.DELETE, False),
        ("reels/clip.mp4", Disposition.KEEP, False),
        ("reels", Disposition.COMPLETED, False),  # the directory as one
        ("reels", Disposition.KEEP, False),
    ],
)
async def test_killed_at_any_line(
    tmp_path: Path, elsewhere: Path, relpath: str, disposition: Disposition, across: bool
) -> None:
    for line in itertools.count(1, _STRIDE):
        world, outputs = tmp_path / str(line), elsewhere / str(line)
        world.mkdir()
        outputs.mkdir()
        folders = Folders(world, outputs if across else None)
        folders.drop("reels/clip.mp4", DATA)
        row = folders.proven(relpath, disposition=disposition)
        if disposition is not Disposition.FAILED:
            digest = hashlib.sha256(DATA).hexdigest()
            row = replace(row, entry={**row.entry, "checksum_original": f"sha256:{digest}"})
        lines = await asyncio.to_thread(record_until_killed, world, folders.roots, row, line)
        began = await end_what_was_begun(world, folders)
        judge(world, folders, disposition, began=began, story=f"killed at line {line}")
        shutil.rmtree(world)
        shutil.rmtree(outputs)
        if lines is not None:
            assert began
            return


async def end_what_was_begun(world: Path, folders: Folders) -> bool:
    """The next start; returns whether there was anything to end."""
    threads = Threads("restarted", 1)
    made, journal = recorder(world, folders.roots, threads)
    with journal:
        begun = bool(journal.rows())
        running = asyncio.create_task(made.run())
        await made.recover()
        while made.is_busy:  # noqa: ASYNC110 - what is waited for is seen from outside
            await asyncio.sleep(0.001)
        made.close()
        await running
        assert journal.rows() == []
    threads.close()
    return begun or (world / "ledger.jsonl").exists()


def judge(world: Path, folders: Folders, disposition: Disposition, *, began: bool, story: str) -> None:
    verify_chain(world / "ledger.jsonl")
    lines = list(FileLedger(world / "ledger.jsonl").newest_first())
    files = {name: data for name, data in folders.files().items() if name.endswith(".mp4")}
    hidden = [name for name in folders.files() if "/.hotfolder-" in name]
    assert not hidden, f"{story}: {hidden}"
    assert len(lines) == (1 if began else 0), story
    place = {
        Disposition.COMPLETED: "completed",
        Disposition.FAILED: "failed",
        Disposition.KEEP: "inbox",
        Disposition.DELETE: None,
    }[disposition]
    if not began:
        place = "inbox"
    assert files == ({f"{place}/reels/clip.mp4": DATA} if place else {}), story
