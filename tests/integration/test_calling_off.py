"""Stopping one delivery, and asking for it again: an intake over real files and a courier of ours."""

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any, cast

import pytest

from hotfolder.activity import Activity
from hotfolder.adapters.filters import ignore_filter
from hotfolder.adapters.scan import walk
from hotfolder.calling_off import CallOffs
from hotfolder.core.errors import DestinationError, DestinationTrouble, LocalError, ObjectRefused
from hotfolder.core.grouping import Grouping
from hotfolder.core.records import CalledOff, Job
from hotfolder.core.retry import Deferred, Hold
from hotfolder.courier import Courier, Ended, NotNow
from hotfolder.gate import Gate
from hotfolder.intake import FolderPlan, Intake
from hotfolder.threads import Threads
from hotfolder.walking import Search
from tests.support.memory_call_offs import MemoryCallOffs
from tests.support.memory_store import MemoryStore
from tests.support.refusing_store import RefusingStore
from tests.support.samples import operation_id
from tests.support.works import Works


class Carrier:
    """A courier whose flights hang, are put off for an hour, or land, as `then` says."""

    def __init__(self) -> None:
        self.then = "land"
        self.decided = False
        self.begun: list[str] = []
        self.lines: list[tuple[str, str]] = []
        self.let_land = asyncio.Event()

    async def carry(self, job: Job, **_: bool) -> Ended | NotNow:
        self.begun.append(job.relpath)
        if self.then == "put off":
            return NotNow(ObjectRefused("no"), Deferred(3600.0, 2, "the store said no"))
        if self.then == "hang":
            try:
                await self.let_land.wait()
            except asyncio.CancelledError:
                if self.then == "held when cut":
                    self.then = "land"
                    denied = DestinationError(DestinationTrouble.DENIED, "no", may_be_one_keys=True)
                    return NotNow(denied, Hold("no"))
                if not self.decided:
                    raise
        self.lines.append((job.relpath, "success"))
        return Ended({"status": "success"})

    def is_decided(self, _: Job) -> bool:
        return self.decided

    async def call_off(self, job: Job, why: str, line_id: str) -> dict[str, Any]:
        assert line_id != job.operation_id
        self.lines.append((job.relpath, why))
        return {"operation_id": line_id}


class Folder:
    """One folder with its intake; `now` is its clock."""

    def __init__(self, root: Path, notes: MemoryCallOffs) -> None:
        self.root, self.now, self.paused = root, 0.0, False
        self.wake = asyncio.Event()
        self.carrier, self.threads = Carrier(), Threads("test-intake", 1)
        activity = Activity(version="0", pid=1, host="nas", clock=self.clock)
        gate = Gate(
            RefusingStore(),
            activity,
            name="bucket",
            clock=self.clock,
            wall=self.clock,
            jitter=lambda: 0.0,
        )
        numbers = itertools.count(1)
        plan = FolderPlan(
            name="box",
            search=Search(
                inbox=str(root),
                settle=0.0,
                rescan=1000.0,
                ignored=ignore_filter([]),
                refusal=Grouping("box").refusal,
                walk=walk,
                clock=self.clock,
                wall=self.clock,
            ),
            new_operation_id=lambda: operation_id(next(numbers)),
            batch=operation_id(0),
            grouping=Grouping("box"),
            called_off=CallOffs(self.threads, notes, notes.all()),
            is_paused=lambda: self.paused,
        )
        self.intake = Intake(
            plan,
            courier=cast(Courier, self.carrier),
            gate=gate,
            threads=self.threads,
            wake=self.wake.set,
        )

    def clock(self) -> float:
        return self.now

    def drop(self, name: str, data: bytes = b"data") -> None:
        (self.root / name).write_bytes(data)
        self.intake.hint(name)

    async def until(self, condition: Callable[[], object], *, paused: bool = False) -> None:
        self.paused = paused
        async with asyncio.timeout(150):
            while not condition():
                await self.intake.turn(8)
                await asyncio.sleep(0)
                self.now += 0.01

    async def rescan(self) -> None:
        """Walk, and some turns more."""
        self.intake.finder.walks.walk_now()
        walked = self.intake.finder.walks.last_walk
        await self.until(lambda: self.intake.finder.walks.last_walk != walked)
        until = self.now + 0.1
        await self.until(lambda: self.now > until)


@pytest.fixture
def notes() -> MemoryCallOffs:
    return MemoryCallOffs()


@pytest.fixture
async def folder(tmp_path: Path, notes: MemoryCallOffs) -> AsyncIterator[Folder]:
    made = Folder(tmp_path, notes)
    yield made
    made.carrier.let_land.set()
    await made.intake.drain(1.0, asyncio.Event())
    made.threads.close()


async def in_flight(folder: Folder, name: str) -> None:
    folder.carrier.then = "hang"
    folder.drop(name)
    await folder.until(lambda: folder.carrier.begun)


async def test_a_flight_that_is_called_off_ends_and_is_not_begun_again(
    folder: Folder, notes: MemoryCallOffs
) -> None:
    await in_flight(folder, "a")
    folder.intake.hint("a")  # stirred while it flies
    assert await folder.intake.asked.call_off("a", "by alice") is not None
    await folder.rescan()
    assert folder.carrier.begun == ["a"]
    assert folder.carrier.lines == [("a", "by alice")]
    assert [called.relpath for called in notes.all()] == ["a"]
    assert folder.intake.told.left_behind() == {"a": "by alice"}
    assert await folder.intake.asked.call_off("a", "by bob") is None


async def test_it_is_too_late_once_the_end_is_decided(folder: Folder, notes: MemoryCallOffs) -> None:
    await in_flight(folder, "a")
    folder.carrier.decided = True
    assert await folder.intake.asked.call_off("a", "by alice") is None
    folder.carrier.let_land.set()
    await folder.until(lambda: folder.carrier.lines)
    assert folder.carrier.lines == [("a", "success")]
    assert notes.all() == []


async def test_it_is_too_late_where_the_flight_lands_all_the_same(
    folder: Folder, notes: MemoryCallOffs
) -> None:
    await in_flight(folder, "a")
    cutting = asyncio.create_task(folder.intake.asked.call_off("a", "by alice"))
    folder.carrier.is_decided = lambda _: False  # type: ignore[method-assign] # decided right after
    folder.carrier.decided = True
    assert await cutting is None
    await folder.rescan()
    assert folder.carrier.lines == [("a", "success")]
    assert notes.all() == []


async def test_a_flight_that_is_held_when_it_is_cut_is_not_begun_again(folder: Folder) -> None:
    await in_flight(folder, "a")
    folder.carrier.then = "held when cut"
    folder.intake.gate.took(folder.now)  # so that one refusal holds nobody
    (folder.root / "b").write_bytes(b"b")
    await folder.intake.asked.call_off("b", "by alice")
    await folder.rescan()  # so that the next turn has nothing to look at first
    folder.wake.clear()

    async def turn_when_woken() -> None:
        await folder.wake.wait()
        await folder.intake.turn(8)

    turning = asyncio.create_task(turn_when_woken())
    assert await folder.intake.asked.call_off("a", "by alice") is not None
    await turning
    await folder.rescan()
    assert folder.carrier.begun == ["a"]
    assert folder.carrier.lines == [("b", "by alice"), ("a", "by alice")]


@pytest.mark.parametrize("state", ["queued", "settling", "put off"])
async def test_what_is_not_in_flight_is_called_off_too(folder: Folder, state: str) -> None:
    folder.carrier.then = "put off"
    folder.drop("a")
    if state == "queued":
        await folder.until(folder.intake.asked.jobs, paused=True)
    elif state == "put off":
        await folder.until(lambda: folder.carrier.begun and folder.intake.asked.jobs())
    assert await folder.intake.asked.call_off("a", "by alice") is not None
    begun = list(folder.carrier.begun)
    await folder.rescan()
    assert folder.carrier.begun == begun
    assert folder.carrier.lines == [("a", "by alice")]


async def test_nothing_is_called_off_that_cannot_be_noted(
    folder: Folder, notes: MemoryCallOffs, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: CalledOff) -> None:
        raise LocalError("the disk is full")

    monkeypatch.setattr(notes, "add", full)
    await in_flight(folder, "a")
    with pytest.raises(LocalError, match="full"):
        await folder.intake.asked.call_off("a", "by alice")
    folder.carrier.let_land.set()
    await folder.until(lambda: folder.carrier.lines)
    assert folder.carrier.lines == [("a", "success")]


@pytest.mark.parametrize("hinted", [True, False])
async def test_a_changed_file_is_delivered(
    folder: Folder, notes: MemoryCallOffs, *, hinted: bool
) -> None:
    await in_flight(folder, "a")
    await folder.intake.asked.call_off("a", "by alice")
    folder.carrier.then = "land"
    if hinted:
        folder.drop("a", b"another version")
    else:
        (folder.root / "a").write_bytes(b"another version")
        folder.intake.finder.walks.walk_now()
    await folder.until(lambda: ("a", "success") in folder.carrier.lines)
    await folder.rescan()
    assert notes.all() == []
    assert folder.intake.told.left_behind() == {}


@pytest.mark.parametrize("state", ["in flight", "queued"])
async def test_what_took_its_place_before_it_was_called_off_is_delivered(
    folder: Folder, state: str
) -> None:
    folder.drop("b")  # what is called off already was looked at after the last walk
    await folder.until(folder.intake.asked.jobs, paused=True)
    await folder.intake.asked.call_off("b", "by alice")
    await folder.rescan()
    if state == "in flight":
        await in_flight(folder, "a")
    else:
        folder.drop("a")
        await folder.until(folder.intake.asked.jobs, paused=True)
    folder.drop("a", b"another version")
    await folder.intake.asked.call_off("a", "by alice")
    folder.carrier.then = "land"
    soon = folder.now + 0.2
    await folder.until(lambda: folder.now > soon)
    assert ("a", "success") in folder.carrier.lines


async def test_a_file_that_is_gone_is_forgotten(folder: Folder, notes: MemoryCallOffs) -> None:
    await in_flight(folder, "a")
    await folder.intake.asked.call_off("a", "by alice")
    (folder.root / "a").unlink()
    await folder.rescan()
    await folder.rescan()
    assert folder.intake.told.left_behind() == {}
    assert notes.all() == []


async def test_an_inbox_that_is_not_mounted_calls_nobody_back(
    folder: Folder, notes: MemoryCallOffs
) -> None:
    await in_flight(folder, "a")
    await folder.intake.asked.call_off("a", "by alice")
    assert await folder.intake.called_off.end_changed("/proc") == []
    assert len(notes.all()) == 1


async def test_the_next_run_leaves_it_until_it_is_asked_for(
    folder: Folder, notes: MemoryCallOffs
) -> None:
    await in_flight(folder, "a")
    await folder.intake.asked.call_off("a", "by alice")
    later = Folder(folder.root, notes)
    await later.rescan()
    assert later.carrier.begun == []
    assert later.intake.asked.try_now("a")
    await later.until(lambda: later.carrier.lines)
    assert later.carrier.lines == [("a", "success")]
    assert not later.intake.asked.try_now("a")
    later.threads.close()


async def test_what_was_put_off_is_tried_now_if_asked_for(folder: Folder) -> None:
    folder.carrier.then = "put off"
    folder.drop("a")
    await folder.until(lambda: folder.carrier.begun and folder.intake.asked.jobs())
    folder.carrier.then = "land"
    await folder.rescan()
    assert folder.carrier.lines == []
    assert folder.intake.asked.try_now("a")
    await folder.until(lambda: folder.carrier.lines)
    assert folder.carrier.begun == ["a", "a"]


async def test_a_pause_starts_nothing_and_says_so(folder: Folder) -> None:
    folder.drop("a")
    await folder.until(folder.intake.asked.jobs, paused=True)
    until = folder.now + 0.1
    await folder.until(lambda: folder.now > until, paused=True)
    assert folder.carrier.begun == []
    assert "paused" in (folder.intake.told.waiting().why or "")
    await folder.until(lambda: folder.carrier.lines)


async def test_an_upload_whose_operation_is_over_is_not_gone_on_with(tmp_path: Path) -> None:
    works = Works(tmp_path, MemoryStore())
    job = works.drop(b"data")
    await works.notebook.begin(job, bucket="bucket", key="k", recipe="r")
    await works.notebook.name(job.operation_id, "open")
    assert works.notebook.remembered(job.root, job.relpath, job.fingerprint) is not None
    await works.notebook.disown(job.operation_id)
    assert works.notebook.remembered(job.root, job.relpath, job.fingerprint) is None
    (note,) = works.notes.all()  # for the sweep
    assert (note.upload_id, note.root) == ("open", "")
    await works.close()
