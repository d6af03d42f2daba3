"""Threads that really hang, and what the heartbeat and the log make of them."""

import asyncio
import os
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import ExitStack, asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from hotfolder.activity import Activity
from hotfolder.adapters.finishing import Finisher
from hotfolder.adapters.inbox_locks import InboxLocks
from hotfolder.adapters.ledger import FileLedger
from hotfolder.adapters.state.journal import SqliteJournal
from hotfolder.alarm import Alarm
from hotfolder.bandwidth import Bandwidth
from hotfolder.carrier import Carrier
from hotfolder.heart import Heart
from hotfolder.inboxes import Inboxes
from hotfolder.recorder import Recorder
from hotfolder.threads import Threads, concerning
from tests.support.folders import Folders
from tests.support.memory_journal import MemoryJournal
from tests.support.memory_ledger import MemoryLedger
from tests.support.samples import job

LONG = 700.0  # seconds


class Silent:
    """A service manager's ear that counts."""

    watchdogs = 0

    def ready(self) -> None: ...
    def reloading(self) -> None: ...
    def status(self, text: str) -> None: ...
    def stopping(self) -> None: ...

    def watchdog(self) -> None:
        self.watchdogs += 1


class Ditch:
    """A FIFO: whoever opens it to write hangs in the kernel until it is bridged, as on a dead mount."""

    def __init__(self, path: Path) -> None:
        self.path = path
        os.mkfifo(path)

    def fall_in(self, *_: object) -> None:
        os.close(os.open(self.path, os.O_WRONLY))

    def bridge(self) -> None:
        """From now on nobody hangs: the reader stays."""
        os.open(self.path, os.O_RDONLY | os.O_NONBLOCK)


class Ward:
    """A heart over real threads, and a clock that can be put forward."""

    def __init__(self, recorder: Recorder, pools: Sequence[Threads]) -> None:
        self.ahead = 0.0
        self.beats: list[dict[str, Any]] = []
        self.notifier = Silent()
        self.activity = Activity(version="0", pid=1, host="nas", clock=time.time)
        self.inboxes = Inboxes(
            [],
            find=lambda _: None,
            locks=InboxLocks(),
            threads=pools[0],
            recorder=recorder,
            watching=False,
            clock=self.clock,
        )
        alarm = Alarm(
            lambda: [step for pool in pools for step in pool.steps()], self.activity, clock=self.clock
        )
        self.heart = Heart(
            self.inboxes,
            gates=[],
            recorder=recorder,
            activity=self.activity,
            alarm=alarm,
            write=self.beats.append,
            notifier=self.notifier,
            clock=self.clock,
            interval=0.01,
            bandwidth=Bandwidth(),
        )

    def clock(self) -> float:
        return time.monotonic() + self.ahead

    def beat_after(self, seconds: float) -> list[Any]:
        """Let time pass, beat; returns what is stuck as the last beat says."""
        self.ahead += seconds
        self.heart.beat()
        return list(self.beats[-1]["stuck"])


def idle_recorder(threads: Threads) -> Recorder:
    return Recorder(
        journal=MemoryJournal(),
        ledger=MemoryLedger(),
        mover=Finisher({}),
        threads=threads,
        clock=time.time,
    )


@contextmanager
def bridged(ditch: Ditch) -> Iterator[None]:
    """Whatever a test finds, its thread comes back."""
    try:
        yield
    finally:
        ditch.bridge()


async def begun(is_so: Callable[[], object]) -> None:
    async with asyncio.timeout(150):
        while not is_so():  # noqa: ASYNC110 - threads set no events of the loop's
            await asyncio.sleep(0.001)


@pytest.fixture
def ditch(tmp_path: Path) -> Ditch:
    return Ditch(tmp_path / "ditch")


class HungLedger(FileLedger):
    """A ledger on a disk that does not come back from a write."""

    ditch: Ditch

    def append(self, entries: Sequence[Any]) -> None:
        self.ditch.fall_in()
        super().append(entries)


@asynccontextmanager
async def recording(tmp_path: Path, ditch: Ditch) -> AsyncIterator[tuple[Recorder, Threads, Folders]]:
    folders = Folders(tmp_path)
    ledger = HungLedger(tmp_path / "ledger.jsonl")
    ledger.ditch = ditch
    threads = Threads("record", 1)
    with SqliteJournal(tmp_path / "state.db") as journal:
        recorder = Recorder(
            journal=journal,
            ledger=ledger,
            mover=Finisher({"media": folders.roots}),
            threads=threads,
            clock=time.time,
        )
        running = asyncio.create_task(recorder.run())
        yield recorder, threads, folders
        recorder.close()
        await running
    threads.close()


async def test_a_recorder_that_hangs_ends_the_heartbeat_though_others_go_on(
    tmp_path: Path, ditch: Ditch
) -> None:
    async with recording(tmp_path, ditch) as (recorder, threads, folders):
        ward = Ward(recorder, [threads])
        with bridged(ditch), capture_logs() as logs:
            folders.drop("a.mov")
            finishing = asyncio.create_task(recorder.finish(folders.proven("a.mov"), lambda _: None))
            await begun(threads.steps)
            assert ward.beat_after(500.0) == []
            flight = ward.activity.begin(job("b.mov"))
            flight.read(1)  # another file gets on
            (stuck,) = ward.beat_after(LONG - 500.0)
            assert stuck["about"].endswith("a.mov")
            assert stuck["at"] == "record"
            beats, watchdogs = len(ward.beats), ward.notifier.watchdogs
            ward.beat_after(LONG)
            assert (len(ward.beats), ward.notifier.watchdogs) == (beats, watchdogs)
            (told,) = [log for log in logs if log["event"] == "daemon.stuck"]
            assert told["about"] == stuck["about"]
        await finishing
        ward.activity.end(job("b.mov"), None)
        assert ward.beat_after(1.0) == []
        assert ward.notifier.watchdogs == watchdogs + 1


async def test_a_mount_that_hangs_is_named_though_the_loop_waits_for_it(ditch: Ditch) -> None:
    io = Threads("io", 1)
    ward = Ward(idle_recorder(io), [io])

    async def visit() -> None:  # as the loop does, which then comes by no more
        with concerning("/srv/inbox"):
            await io.run(ditch.fall_in)

    with bridged(ditch):
        loop = asyncio.create_task(visit())
        watching = asyncio.create_task(ward.heart.watch())
        await begun(io.steps)
        ward.ahead += 61.0
        await begun(lambda: ward.beats)
        (beat,) = ward.beats
        assert [stuck["about"] for stuck in beat["stuck"]] == ["/srv/inbox"]
        assert ward.notifier.watchdogs == 0
    await loop
    ward.heart.close()
    await watching
    io.close()


async def test_a_copy_that_gets_on_may_take_hours_and_one_that_does_not_is_stuck(ditch: Ditch) -> None:
    copiers = Threads("copy", 1)
    ward = Ward(idle_recorder(copiers), [copiers])
    steps = [Ditch(ditch.path.with_name(f"chunk{number}")) for number in range(3)]
    reached: list[int] = []

    def copy(progress: Callable[[int], None]) -> None:
        for number, chunk in enumerate(steps):
            reached.append(number)
            chunk.fall_in()
            progress(1)

    with ExitStack() as stack:
        copying = asyncio.create_task(Carrier(copiers).run(copy, lambda _: None))
        for number, chunk in enumerate(steps):
            await begun(lambda: number in reached)  # noqa: B023 - asked at once
            (alive,) = [step.alive_at for step in copiers.steps()]
            ward.ahead = alive + 1700.0 - time.monotonic()
            ward.heart.beat()
            assert ward.beats[-1]["stuck"] == []
            if number < 2:
                chunk.bridge()
            else:
                stack.enter_context(bridged(chunk))
        assert ward.beat_after(200.0)
    await copying
    copiers.close()
