"""The marker of a file goes where its file goes, killed anywhere, and nothing else does."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from itertools import islice
from pathlib import Path

import pytest

from hotfolder.adapters.finishing import Finisher
from hotfolder.core.entries import recorded
from hotfolder.core.errors import AnotherFileSystem
from hotfolder.core.naming import clash_name
from hotfolder.core.records import Disposition, JournalRow, Marker
from hotfolder.recorder import Recorder
from hotfolder.threads import Threads
from tests.support.folders import Folders, other_file_system
from tests.support.memory_journal import MemoryJournal
from tests.support.memory_ledger import MemoryLedger
from tests.support.samples import MOMENT, fingerprint_at


@pytest.fixture(params=["here", "across"])
def folders(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Folders]:
    """completed/ and failed/ beside the inbox, and on another file system."""
    if request.param == "here":
        yield Folders(tmp_path)
        return
    with other_file_system(tmp_path) as elsewhere:
        yield Folders(tmp_path, elsewhere)


class Desk:
    """A recorder on real folders."""

    def __init__(self, folders: Folders) -> None:
        self.folders, self.journal, self.ledger = folders, MemoryJournal(), MemoryLedger()
        self.threads = Threads("test-record", 1)

    def recorder(self, mover: Finisher | None = None) -> Recorder:
        return Recorder(
            journal=self.journal,
            ledger=self.ledger,
            mover=mover or self.folders.finisher(),
            threads=self.threads,
            clock=lambda: MOMENT,
        )

    @asynccontextmanager
    async def at_work(self, mover: Finisher | None = None) -> AsyncIterator[Recorder]:
        recorder = self.recorder(mover)
        running = asyncio.create_task(recorder.run())
        try:
            yield recorder
        finally:
            recorder.close()
            await running

    def marked(self, relpath: str, disposition: Disposition = Disposition.COMPLETED) -> JournalRow:
        """The decided end of a file that is dropped with its marker."""
        self.folders.drop(relpath)
        path = self.folders.drop(f"{relpath}.done", b"sum")
        made = self.folders.proven(relpath, disposition=disposition)
        entry = {**made.entry, "checksum_original": None}
        return replace(made, marker=Marker(f"{relpath}.done", fingerprint_at(path)), entry=entry)


@pytest.fixture
def desk(folders: Folders) -> Iterator[Desk]:
    made = Desk(folders)
    yield made
    made.threads.close()


@pytest.mark.parametrize("disposition", [Disposition.COMPLETED, Disposition.FAILED, Disposition.DELETE])
async def test_a_marker_goes_where_its_file_goes(desk: Desk, disposition: Disposition) -> None:
    row = desk.marked("reels/clip.mp4", disposition)
    async with desk.at_work() as recorder:
        await recorder.finish(row, lambda _: None)
    place = f"{disposition.value}/reels/clip.mp4"
    gone = disposition is Disposition.DELETE
    assert desk.folders.files() == ({} if gone else {place: b"data", f"{place}.done": b"sum"})


async def test_a_marker_stays_beside_its_file_under_the_name_that_the_file_got(desk: Desk) -> None:
    for name in ("clip.mp4", "clip.mp4.done"):
        (desk.folders.completed / name).write_bytes(b"of yesterday")
    row = desk.marked("clip.mp4")
    async with desk.at_work() as recorder:
        await recorder.finish(row, lambda _: None)
    name = clash_name("clip.mp4", row.operation_id)
    assert (desk.folders.completed / f"{name}.done").read_bytes() == b"sum"
    assert (desk.folders.completed / "clip.mp4.done").read_bytes() == b"of yesterday"


async def test_a_marker_that_was_still_being_made_goes_along(desk: Desk) -> None:
    row = desk.marked("clip.mp4")
    (desk.folders.inbox / "clip.mp4.done").write_bytes(b"written after it was seen")
    async with desk.at_work() as recorder:
        await recorder.finish(row, lambda _: None)
    assert desk.folders.files() == {
        "completed/clip.mp4": b"data",
        "completed/clip.mp4.done": b"written after it was seen",
    }


async def test_another_marker_stays_for_the_file_to_come(desk: Desk) -> None:
    row = desk.marked("clip.mp4")
    other = desk.folders.drop("other", b"of the next one")
    other.rename(desk.folders.inbox / "clip.mp4.done")
    async with desk.at_work() as recorder:
        await recorder.finish(row, lambda _: None)
    assert desk.folders.files() == {
        "completed/clip.mp4": b"data",
        "inbox/clip.mp4.done": b"of the next one",
    }


async def test_a_marker_that_is_gone_is_no_trouble(desk: Desk) -> None:
    row = desk.marked("clip.mp4")
    (desk.folders.inbox / "clip.mp4.done").unlink()
    async with desk.at_work() as recorder:
        await recorder.finish(row, lambda _: None)
        assert recorder.trouble is None
    assert desk.folders.files() == {"completed/clip.mp4": b"data"}


def act(desk: Desk, mover: Finisher, row: JournalRow) -> Iterator[str]:
    """What the recorder does with one row, one durable step after the other."""
    desk.journal.commit([row])
    yield "journaled"
    moved_to = None
    if row.disposition.moves:
        try:
            moved_to = mover.move(row)
        except AnotherFileSystem:
            row = replace(row, copy=mover.copy(row, lambda _: None))
            desk.journal.commit([row])
            yield "copied"
            moved_to = mover.move(row)
        mover.sync()
        yield "moved"
    if row.removes_source:
        mover.remove(row)
        mover.sync()
        yield "removed"
    mover.take_marker(row, moved_to)
    mover.sync()
    yield "marker taken"
    desk.ledger.append([recorded(row, moved_to, MOMENT)])
    yield "recorded"


@pytest.mark.parametrize("steps", range(1, 7))
@pytest.mark.parametrize("disposition", [Disposition.COMPLETED, Disposition.FAILED, Disposition.DELETE])
async def test_killed_anywhere_the_next_start_takes_the_marker_along_once(
    desk: Desk, disposition: Disposition, steps: int
) -> None:
    row = desk.marked("clip.mp4", disposition)
    for _ in islice(act(desk, desk.folders.finisher(), row), steps):
        pass
    for _ in range(2):  # and killed again after that
        async with desk.at_work() as recorder:
            await recorder.recover()
            await recorder.recovered()
    place = f"{disposition.value}/clip.mp4"
    gone = disposition is Disposition.DELETE
    assert desk.folders.files() == ({} if gone else {place: b"data", f"{place}.done": b"sum"})
    assert [line["operation_id"] for line in desk.ledger.newest_first()] == [row.operation_id]
    assert desk.journal.rows() == []


async def test_a_file_that_somebody_took_away_leaves_its_marker_to_be_seen(desk: Desk) -> None:
    row = desk.marked("clip.mp4")
    desk.journal.commit([row])
    (desk.folders.inbox / "clip.mp4").unlink()
    async with desk.at_work() as recorder:
        await recorder.recover()
    assert desk.folders.files() == {"inbox/clip.mp4.done": b"sum"}


async def test_a_file_that_stays_keeps_its_marker(desk: Desk) -> None:
    row = desk.marked("clip.mp4", Disposition.KEEP)
    async with desk.at_work() as recorder:
        await recorder.finish(row, lambda _: None)
    assert desk.folders.files() == {"inbox/clip.mp4": b"data", "inbox/clip.mp4.done": b"sum"}
