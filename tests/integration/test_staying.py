"""Files that stay in the inbox: forgotten when they are gone, known again from the ledger."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hotfolder import staying
from hotfolder.beneath import digest_of
from hotfolder.core.entries import finished
from hotfolder.staying import Staying
from hotfolder.threads import Threads
from tests.support.memory_kept import MemoryKept
from tests.support.memory_ledger import MemoryLedger
from tests.support.samples import MOMENT, entry, fingerprint_at, job_at


class World:
    """One inbox and what is kept of it."""

    def __init__(self, inbox: Path) -> None:
        self.inbox, self.kept, self.threads = inbox, MemoryKept(), Threads("kept", 1)
        inbox.mkdir()
        self._lines = 0
        self.staying = Staying(self.kept, self.threads, folder="media", inbox=str(inbox))

    def drop(self, *names: str) -> None:
        for name in names:
            (self.inbox / name).parent.mkdir(parents=True, exist_ok=True)
            (self.inbox / name).write_bytes(b"data")

    def keep(self, *names: str) -> None:
        self.kept.add("media", [(name, fingerprint_at(self.inbox / name)) for name in names])

    def names(self) -> list[str]:
        return [name for name, _ in self.kept.page("media", "", 10_000)]

    def line(self, name: str) -> dict[str, Any]:
        self._lines += 1
        made = entry(job_at(self.inbox, name, number=self._lines))
        line = finished(made, completed_at=MOMENT, result_path=None, completed_dir_path=None)
        return {**line, "checksum_original": digest_of(str(self.inbox), name)}


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = World(tmp_path / "inbox")
    yield made
    made.threads.close()


async def test_what_is_gone_is_forgotten_some_at_a_time(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(staying, "_BATCH", 2)
    monkeypatch.setattr(staying, "_LOOKED_AT", 4)
    names = [f"reels/{number}" for number in range(6)]
    world.drop(*names)
    world.keep(*names)
    for name in ("reels/0", "reels/3", "reels/5"):
        (world.inbox / name).unlink()
    await world.staying.tidy()
    assert world.names() == ["reels/1", "reels/2", "reels/4", "reels/5"]
    await world.staying.tidy()
    assert world.names() == ["reels/1", "reels/2", "reels/4"]
    (world.inbox / "reels/1").unlink()
    await world.staying.tidy()
    assert world.names() == ["reels/2", "reels/4"]


async def test_an_inbox_without_its_volume_makes_nobody_forget(world: World) -> None:
    world.drop("a")
    world.keep("a")
    world.inbox.rename(world.inbox.with_name("volume"))
    world.inbox.symlink_to("/proc")  # another device
    await world.staying.tidy()
    assert world.names() == ["a"]
    world.inbox.unlink()
    await world.staying.tidy()
    assert world.names() == ["a"]


async def test_what_stands_as_it_was_delivered_is_known_again(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(staying, "_BATCH", 2)
    names = ["same", "touched", "grown", "gone", "failed", "reels/\udcff", "twice"]
    world.drop(*names)
    ledger = MemoryLedger()
    ledger.append([world.line(name) for name in names if name != "failed"])
    ledger.append([{**world.line("failed"), "status": "failed"}, {"note": "by another hand"}])
    ledger.append(
        [{**world.line("twice"), "original_size": 1}, {**world.line("same"), "target_path": 7}]
    )
    os.utime(world.inbox / "touched", ns=(5, 5))
    (world.inbox / "grown").write_bytes(b"data and more")
    (world.inbox / "gone").unlink()
    other = world.inbox / "other"
    other.write_bytes(b"DATA")  # as long and as old, but not what was delivered
    os.utime(other, ns=(5, world.line("same")["modified_at_ns"]))
    ledger.append([{**world.line("same"), "target_path": str(other)}])
    await world.staying.rebuild(ledger)
    assert world.names() == ["reels/\udcff", "same", "twice"]
    seen = [(name, fingerprint_at(world.inbox / name)) for name in world.names()]
    assert await world.staying.delivered(seen) == set(world.names())
