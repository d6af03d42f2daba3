"""Many files at once between inbox and journey: none stands in the way of the others."""

import asyncio
import errno
import itertools
import math
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, cast

import pytest
from structlog.testing import capture_logs

from hotfolder.activity import Activity
from hotfolder.adapters.filters import ignore_filter
from hotfolder.adapters.scan import walk
from hotfolder.bandwidth import Bandwidth
from hotfolder.core.bandwidth import CLOSED, Timetable, Window
from hotfolder.core.blame import Blame
from hotfolder.core.errors import DestinationError, DestinationTrouble, LocalError
from hotfolder.core.grouping import Grouping
from hotfolder.core.holding import Cadence
from hotfolder.core.records import Job
from hotfolder.core.retry import Deferred, Hold, Policy, decide
from hotfolder.core.settle import OPEN
from hotfolder.core.timeline import Waits
from hotfolder.courier import Courier, Ended, NotNow
from hotfolder.durable import local_error
from hotfolder.gate import Gate
from hotfolder.intake import FolderPlan, Intake
from hotfolder.threads import Threads, concerning
from hotfolder.tidying import Tidier
from hotfolder.walking import Search
from tests.support.refusing_store import RefusingStore
from tests.support.samples import operation_id

MOST_FLIGHTS = 8


@pytest.fixture
def threads() -> Iterator[Threads]:
    made = Threads("test-intake", 1)
    yield made
    made.close()


class PolicyOnKeys:
    """A courier to a store that denies every key that begins with "deny"."""

    def __init__(self) -> None:
        self.delivered: list[str] = []
        self.given_up: set[str] = set()

    async def carry(
        self,
        job: Job,
        *,
        whose: Callable[[DestinationError], Blame],
        on_decided: Callable[[str], None] = lambda _: None,
        **_: object,
    ) -> Ended | NotNow:
        await asyncio.sleep(0)
        if not job.relpath.startswith("deny"):
            self.delivered.append(job.relpath)
            on_decided("recording")
            return Ended({"status": "success"})
        error = DestinationError(DestinationTrouble.DENIED, "AccessDenied", may_be_one_keys=True)
        decision = decide(
            error,
            job.attempt,
            now=time.monotonic(),
            policy=Policy(file_attempts=2, first_delay=0.01),
            jitter=0.0,
            whose=whose(error),
        )
        if isinstance(decision, Hold | Deferred):
            return NotNow(error, decision)
        self.given_up.add(job.relpath)
        return Ended({"status": "failed"})


class Outages:
    """A courier that meets each of some errors, and then delivers."""

    def __init__(self, *errors: Exception) -> None:
        self.errors = list(errors)
        self.attempts: list[int] = []

    async def carry(
        self,
        job: Job,
        *,
        whose: Callable[[DestinationError], Blame],
        on_decided: Callable[[str], None] = lambda _: None,
        **_: object,
    ) -> Ended | NotNow:
        await asyncio.sleep(0)
        if self.errors:
            error = self.errors.pop()
            policy = Policy(file_attempts=1)
            decision = decide(
                error,
                job.attempt,
                now=time.monotonic(),
                policy=policy,
                jitter=0.0,
                whose=whose(error) if isinstance(error, DestinationError) else Blame.STORE,
            )
            assert isinstance(decision, Hold), f"{error!r} costs no attempt"
            return NotNow(error, decision)
        self.attempts.append(job.attempt)
        on_decided("recording")
        return Ended({"status": "success"})


class World:
    """One folder with its intake, and a store that answers every probe."""

    def __init__(
        self,
        inbox: Path,
        courier: object,
        threads: Threads,
        *,
        clock: Callable[[], float] = time.monotonic,
        patience: int | None = None,
        bandwidth: Bandwidth | None = None,
    ) -> None:
        activity = Activity(version="0", pid=1, host="nas", clock=time.time)
        self.inbox = inbox
        self.gate = Gate(
            RefusingStore(),
            activity,
            name="bucket",
            paces=dict.fromkeys(DestinationTrouble, Cadence(0.01, 0.05)),
            clock=time.monotonic,
            wall=time.time,
            jitter=lambda: 0.0,
        )
        self.threads = threads
        self.refusal: LocalError | None = None
        self.paused = False
        numbers = itertools.count(1)
        search = Search(
            inbox=str(inbox),
            settle=0.0,
            rescan=None,
            ignored=ignore_filter([]),
            refusal=Grouping("box").refusal,
            walk=walk,
            clock=clock,
            wall=time.time,
        )
        self.intake = Intake(
            FolderPlan(
                name="box",
                search=search,
                new_operation_id=lambda: operation_id(next(numbers)),
                batch=operation_id(0),
                grouping=Grouping("box"),
                patience=patience,
                is_paused=lambda: self.paused,
                is_shut_out=(bandwidth or Bandwidth()).is_shut_out,
            ),
            courier=cast(Courier, courier),
            gate=self.gate,
            threads=self.threads,
            wake=lambda: None,
            refusal=lambda: self.refusal,
        )

    def drop(self, name: str) -> None:
        (self.inbox / name).write_bytes(b"data")

    async def turn(self) -> None:
        await self.intake.turn(MOST_FLIGHTS)
        if self.gate.due():
            await self.gate.probe()
        await asyncio.sleep(0.001)


@pytest.mark.parametrize("denied", [MOST_FLIGHTS, 40])
async def test_files_that_a_policy_denies_do_not_starve_the_others(
    tmp_path: Path, threads: Threads, denied: int
) -> None:
    courier = PolicyOnKeys()
    world = World(tmp_path, courier, threads)
    for number in range(denied):
        world.drop(f"deny{number}")
    world.drop("good")
    dropped = {"good"}
    async with asyncio.timeout(150):
        while len(courier.given_up) < denied or dropped != set(courier.delivered):
            await world.turn()
            if dropped == set(courier.delivered) and len(courier.given_up) < denied:  # life goes on
                name = f"good{len(dropped)}"
                world.drop(name)
                dropped.add(name)
                world.intake.hint(name)
    assert len(courier.delivered) == len(dropped), "none twice"


FAULTS = [
    *(errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO, errno.EACCES, errno.EPERM, errno.ENOENT),
    *(errno.ESTALE, errno.EMFILE, errno.ENFILE, errno.ENOTDIR, errno.EFBIG, errno.ETIMEDOUT),
]
TROUBLES = [DestinationError(trouble, trouble.value, hint="wait") for trouble in DestinationTrouble]


@pytest.mark.parametrize("error", TROUBLES, ids=str)
async def test_no_outage_uses_up_an_attempt(tmp_path: Path, threads: Threads, error: Exception) -> None:
    courier = Outages(*[error] * 20)
    world = World(tmp_path, courier, threads)
    for number in range(10):
        world.drop(f"file{number}")
    with capture_logs() as logs:
        async with asyncio.timeout(150):
            while len(courier.attempts) < 10:
                await world.turn()
    assert set(courier.attempts) == {1}
    assert [line["event"] for line in logs] == ["destination.held", "destination.back"]


@pytest.mark.parametrize(
    "error", [local_error("write", "/srv", OSError(n, os.strerror(n))) for n in FAULTS], ids=str
)
async def test_no_trouble_of_this_machine_uses_up_an_attempt(
    tmp_path: Path, threads: Threads, error: LocalError, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hotfolder.folder_hold.LOCAL_CADENCE", Cadence(0.001, 0.002))
    courier = Outages(*[error] * 5)
    world = World(tmp_path, courier, threads)
    for number in range(3):
        world.drop(f"file{number}")
    with capture_logs() as logs:
        async with asyncio.timeout(150):
            while len(courier.attempts) < 3:
                await world.turn()
                if courier.errors and len(courier.errors) < 5:
                    assert world.intake.hold is error
    assert set(courier.attempts) == {1}
    assert world.intake.hold is None
    assert [line["event"] for line in logs] == ["folder.held", "folder.resumed"]


async def test_what_refuses_new_files_holds_the_start_and_nothing_else(
    tmp_path: Path, threads: Threads
) -> None:
    courier = Outages()
    world = World(tmp_path, courier, threads)
    world.refusal = LocalError("the disk has no room", hint="make some")
    world.drop("file")
    for _ in range(20):
        await world.turn()
    assert courier.attempts == []
    assert world.intake.hold is world.refusal
    assert world.intake.told.waiting().count == 1
    assert world.intake.told.waiting().why == "the disk has no room; make some"
    assert world.intake.is_at_its_end(), "`once` ends and says why"
    world.refusal = None
    async with asyncio.timeout(150):
        while not courier.attempts:
            await world.turn()


async def test_a_file_given_up_that_cannot_be_moved_is_left_until_it_changes(
    tmp_path: Path, threads: Threads
) -> None:
    world = World(tmp_path, Immovable(), threads)
    world.drop("shut")
    async with asyncio.timeout(150):
        while not world.intake.told.left_behind():
            await world.turn()
        assert world.intake.told.left_behind() == {"shut": "it may not be read"}
        world.intake.hint("shut")
        for _ in range(10):
            await world.turn()
        assert world.intake.told.left_behind(), "a hint alone is no change"
        (tmp_path / "shut").write_bytes(b"changed")
        world.intake.hint("shut")
        while (tmp_path / "shut").exists():
            await world.turn()


class Immovable:
    """A courier that gives a file up where it stands, and delivers it when it has changed."""

    async def carry(self, job: Job, **_: object) -> Ended | NotNow:
        await asyncio.sleep(0)
        if job.fingerprint.size == len(b"data"):
            return Ended({"status": "failed"}, stays="it may not be read")
        os.unlink(job.path)
        return Ended({"status": "success"})


class Defective:
    """A courier that breaks its promise once, and raises."""

    def __init__(self) -> None:
        self.delivered: list[str] = []
        self.errors = [RuntimeError("a defect"), asyncio.CancelledError()]

    async def carry(self, job: Job, **_: object) -> Ended | NotNow:
        await asyncio.sleep(0)
        if self.errors:
            raise self.errors.pop()
        self.delivered.append(job.relpath)
        return Ended({"status": "success"})


async def test_a_defect_of_ours_is_told_and_loses_no_file(tmp_path: Path, threads: Threads) -> None:
    courier = Defective()
    world = World(tmp_path, courier, threads)
    world.drop("file")
    with capture_logs() as logs:
        async with asyncio.timeout(150):
            while not courier.delivered:
                await world.turn()
                assert courier.delivered or not world.intake.is_empty(), "`once` would end without it"
    told = [(line["event"], line["log_level"], line["file"]) for line in logs]
    assert told == [("delivery.broken", "error", str(tmp_path / "file"))] * 2
    assert world.gate.has_room()
    assert world.intake.asked.jobs() == []


# -- open for writing --------------------------------------------------------------------------


async def test_a_run_that_is_to_end_leaves_what_stays_open_and_a_daemon_never_does(
    tmp_path: Path, threads: Threads
) -> None:
    now = 1000.0
    descriptor = os.open(tmp_path / "open", os.O_WRONLY | os.O_CREAT)
    worlds = {
        patience: World(tmp_path, PolicyOnKeys(), threads, clock=lambda: now, patience=patience)
        for patience in (3, None)
    }
    for _ in range(200):
        for world in worlds.values():
            await world.turn()
        now += 1.0
    os.close(descriptor)
    once, daemon = worlds[3].intake, worlds[None].intake
    assert once.is_empty()
    assert once.told.left_behind() == {"open": OPEN}
    assert not daemon.is_empty()
    assert daemon.told.left_behind() == {}
    told = daemon.told.waiting()
    assert (told.count, told.oldest, told.why) == (1, f"{tmp_path}/open", OPEN)
    assert daemon.told.why_waiting("open") == Waits(OPEN)
    assert once.told.why_waiting("open") == Waits(OPEN, for_good=True)
    assert daemon.told.why_waiting("other") is None


class Slow:
    """A courier with which large files are on their way for ever."""

    def __init__(self) -> None:
        self.begun: list[str] = []
        self.delivered: list[str] = []

    async def carry(self, job: Job, **_: object) -> Ended:
        self.begun.append(job.relpath)
        if job.fingerprint.size >= 64 * 1024 * 1024:
            await asyncio.Event().wait()
        self.delivered.append(job.relpath)
        return Ended({"status": "success"})


async def test_small_files_pass_any_number_of_large_ones_on_their_way(
    tmp_path: Path, threads: Threads
) -> None:
    courier = Slow()
    world = World(tmp_path, courier, threads)
    for number in range(MOST_FLIGHTS):
        world.drop(f"large{number}")
        os.truncate(tmp_path / f"large{number}", 10**9)
    async with asyncio.timeout(150):
        while len(courier.begun) < MOST_FLIGHTS // 2:
            await world.turn()
        for number in range(5):
            world.drop(f"small{number}")
            world.intake.hint(f"small{number}")
        while len(courier.delivered) < 5:
            await world.turn()
    assert sorted(courier.delivered) == [f"small{number}" for number in range(5)]
    assert len(courier.begun) == 5 + MOST_FLIGHTS // 2, "half of the places are the most for them"
    await world.intake.drain(0.0, asyncio.Event())


class InParts:
    """A courier that sends each file in as many parts, side by side, as its name says."""

    def __init__(self, bandwidth: Bandwidth) -> None:
        self._bandwidth = bandwidth
        self.in_flight: set[str] = set()
        self.sending = self.sent = 0
        self.answer = asyncio.Event()  # of the store, to all parts

    async def carry(self, job: Job, **_: object) -> Ended:
        self.in_flight.add(job.relpath)
        try:
            with concerning(job.path):
                async with asyncio.TaskGroup() as parts:
                    for _number in range(int(job.relpath)):
                        parts.create_task(self._send())
        finally:
            self.in_flight.discard(job.relpath)
        return Ended({"status": "success"})

    async def _send(self) -> None:
        async with self._bandwidth.place_for(8 * 1024 * 1024):
            self.sending += 1
            await self.answer.wait()
            self.sent += 1


def always(limit: int) -> Timetable:
    return Timetable((Window(frozenset(range(7)), 0, 1440, limit),))


async def test_a_stop_waits_for_what_is_being_sent_and_not_for_the_upload_window(
    tmp_path: Path, threads: Threads
) -> None:
    bandwidth = Bandwidth(always(1))  # two parts at a time
    courier = InParts(bandwidth)
    world = World(tmp_path, courier, threads, bandwidth=bandwidth)

    async def drop(name: str) -> None:
        world.drop(name)
        world.intake.hint(name)
        while name not in courier.in_flight:
            await world.turn()

    async with asyncio.timeout(150):
        await drop("3")
        while courier.sending < 2:
            await world.turn()
        bandwidth.follow(always(CLOSED))
        await drop("1")
        stopping = asyncio.create_task(world.intake.drain(math.inf, asyncio.Event()))
        while courier.in_flight != {"3"}:
            await asyncio.wait({stopping}, timeout=0.001)
        courier.answer.set()
        await stopping
    assert (courier.sending, courier.sent) == (2, 2)
    assert courier.in_flight == set()


class FailsOnce:
    """A tidier whose notes cannot be read at first."""

    def __init__(self) -> None:
        self._fails = True

    async def turn(self) -> None:
        if self._fails:
            self._fails = False
            raise LocalError("cannot read state.db", hint="wait")

    def next_turn(self) -> float:
        return math.inf

    def over(self, *_: object) -> None: ...


async def test_what_has_settled_is_not_forgotten_where_something_else_of_the_turn_fails(
    tmp_path: Path, threads: Threads
) -> None:
    courier = PolicyOnKeys()
    world = World(tmp_path, courier, threads)
    world.intake.finder.walks._planned.clear()  # nothing finds it a second time
    world.drop("good")
    world.intake.hint("good")
    world.intake._tidier = cast(Tidier, FailsOnce())
    async with asyncio.timeout(150):
        while not courier.delivered:
            await world.turn()
    assert courier.delivered == ["good"]


class WalksMeanwhile:
    """A tidier during whose turn a walk comes past a file."""

    def __init__(self, world: World) -> None:
        self._world = world

    async def turn(self) -> None:
        await self._world.intake.finder._look_at_new(["good"])

    def next_turn(self) -> float:
        return math.inf

    def taken(self, _: str) -> None: ...


class WaitsOnce(PolicyOnKeys):
    """A courier whose first flight takes until it may land."""

    def __init__(self) -> None:
        super().__init__()
        self.may_land = asyncio.Event()

    async def carry(self, job: Job, **more: Any) -> Ended | NotNow:
        await self.may_land.wait()
        return await super().carry(job, **more)


async def test_a_name_that_comes_again_is_found_whatever_walk_came_past_the_first_one(
    tmp_path: Path, threads: Threads
) -> None:
    """It stood in the tracker for ever, where no walk looks at it, and no hint told of the second."""
    courier = WaitsOnce()
    world = World(tmp_path, courier, threads)
    world.intake.finder.walks._planned.clear()
    world.intake._tidier = world.intake._endings._tidier = cast(Tidier, WalksMeanwhile(world))
    world.drop("good")
    world.intake.hint("good")
    for _ in range(5):
        await world.turn()
    courier.may_land.set()
    async with asyncio.timeout(150):
        while not courier.delivered:
            await world.turn()
    assert not world.intake.has_work()
    (tmp_path / "good").unlink()
    world.intake._tidier = None
    await world.turn()
    world.drop("good")
    world.intake.finder.walks.walk_now()
    async with asyncio.timeout(150):
        while len(courier.delivered) < 2:
            await world.turn()


class Patient:
    """A courier that delivers a file when it is told to."""

    def __init__(self) -> None:
        self.begun: list[str] = []
        self.may_end = asyncio.Semaphore(0)
        self.has_begun = asyncio.Semaphore(0)

    async def carry(
        self, job: Job, *, on_decided: Callable[[str], None] = lambda _: None, **_: object
    ) -> Ended:
        self.begun.append(job.relpath)
        self.has_begun.release()
        await self.may_end.acquire()
        on_decided("recording")
        return Ended({"status": "success"})


async def test_what_is_whole_starts_while_a_turn_looks_at_others(
    tmp_path: Path, threads: Threads, monkeypatch: pytest.MonkeyPatch
) -> None:
    courier = Patient()
    world = World(tmp_path, courier, threads)
    for name in ("a", "b", "c"):
        world.drop(name)
    async with asyncio.timeout(30):
        while len(courier.begun) < 1:
            await world.intake.turn(1)
            await asyncio.sleep(0)
        await courier.has_begun.acquire()
        hangs = asyncio.Event()

        async def looks() -> list[object]:
            await hangs.wait()
            return []

        monkeypatch.setattr(world.intake.finder, "turn", looks)
        turn = asyncio.create_task(world.intake.turn(1))
        courier.may_end.release()
        await courier.has_begun.acquire()
        assert (len(courier.begun), turn.done()) == (2, False)
        world.refusal = LocalError("no room")  # what holds the folder holds these, too
        courier.may_end.release()
        hangs.set()
        await turn
        await asyncio.sleep(0.001)
        assert len(courier.begun) == 2
        world.refusal = None
        await world.intake.turn(1)
        await courier.has_begun.acquire()
        courier.may_end.release()
        await world.intake.drain(30.0, asyncio.Event())
    assert sorted(courier.begun) == ["a", "b", "c"]


@pytest.mark.parametrize("how", ["paused", "ending", "held"])
async def test_nothing_starts_in_the_middle_of_a_turn_that_may_not_at_its_end(
    tmp_path: Path, threads: Threads, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    courier = Patient()
    now = 0.0
    world = World(tmp_path, courier, threads, clock=lambda: now)
    world.drop("a")
    world.drop("b")
    async with asyncio.timeout(30):
        while len(courier.begun) < 1:
            await world.intake.turn(1)
            await asyncio.sleep(0)
        await courier.has_begun.acquire()
        looks = asyncio.Event()

        async def fails() -> list[object]:
            raise LocalError("the inbox cannot be looked into")

        async def hangs() -> list[object]:
            await looks.wait()
            return []

        if how == "held":
            monkeypatch.setattr(world.intake.finder, "turn", fails)
            await world.intake.turn(1)
            now += 60.0  # it is tried again
        monkeypatch.setattr(world.intake.finder, "turn", hangs)
        turn = asyncio.create_task(world.intake.turn(1))
        await asyncio.sleep(0)
        if how == "paused":
            world.paused = True
        elif how == "ending":
            world.intake.begin_no_more()
        courier.may_end.release()
        await until_it_landed(world, courier.begun[0])
        assert (len(courier.begun), turn.done()) == (1, False)
        looks.set()
        await turn
        await asyncio.sleep(0)
        assert len(courier.begun) == (2 if how == "held" else 1)
        courier.may_end.release()
        await world.intake.drain(30.0, asyncio.Event())


async def until_it_landed(world: World, relpath: str) -> None:
    """And whatever follows at once has followed."""
    flight = world.intake._flights.get(relpath)
    assert flight is not None
    await asyncio.wait({flight.task})
    for _ in range(5):
        await asyncio.sleep(0)
