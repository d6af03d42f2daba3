"""The daemon: start order, the one loop, the heartbeat that beats from it, drain and signals."""

import asyncio
import signal
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import structlog

from hotfolder.activity import Activity, Waiting
from hotfolder.core.errors import ConfigError, DiskFull, HotfolderError, LocalError
from hotfolder.gate import Gate
from hotfolder.intake import Intake
from hotfolder.recorder import Recorder
from hotfolder.sweeping import Sweeper
from hotfolder.threads import Threads
from hotfolder.upkeep import Upkeep

log = structlog.get_logger()

_STOPS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_LONGEST_TURN = 1.0  # seconds between two looks at everything
_DRAIN = 20.0  # seconds that flights get to land when asked to stop
_INBOX_HINT = "make it, mount it, or let this user read it"
_STUCK = 900.0  # seconds without any progress of the files in flight


class Watcher(Protocol):
    """Hints from one inbox; `start` and `stop` block a moment."""

    def start(self) -> None: ...
    def stop(self) -> None: ...
    def take(self) -> list[tuple[str, bool]]: ...
    def lost_some(self) -> bool: ...


class Notifier(Protocol):
    """The service manager's ear."""

    def ready(self) -> None: ...
    def status(self, text: str) -> None: ...
    def watchdog(self) -> None: ...
    def stopping(self) -> None: ...


@dataclass(slots=True)
class Watched:
    """An intake with its inbox: `identity` is (device, inode) while the inbox is there."""

    intake: Intake
    make_watcher: Callable[[], Watcher]
    prepare: Callable[[], None]  # makes the outputs of an inbox that is there; raises ConfigError
    identity: tuple[int, int] | None = None
    watcher: Watcher | None = None
    complained: bool = False

    def pass_hints(self) -> None:
        """Hand what the watcher heard to the intake."""
        if self.watcher is None:
            return
        for relpath, is_directory in self.watcher.take():
            self.intake.hint(relpath, is_directory)
        if self.watcher.lost_some():
            self.intake.finder.walk_now()


@dataclass(slots=True)
class Parts:
    """What a daemon is made of; `app` makes it. `interval` in seconds."""

    folders: list[Watched]
    gates: list[Gate]
    recorder: Recorder
    upkeep: Upkeep
    activity: Activity
    threads: Threads
    beat: Callable[[dict[str, Any]], None]
    notifier: Notifier
    find_inbox: Callable[[str], tuple[int, int] | None]
    clock: Callable[[], float]
    interval: float
    most_flights: int
    sweepers: Sequence[Sweeper] = ()
    wake: asyncio.Event = field(default_factory=asyncio.Event)


class Daemon:
    """Runs until it is told to stop, or with `once` until the inboxes are done."""

    def __init__(self, parts: Parts, *, once: bool = False) -> None:
        self._parts = parts
        self._once = once
        self._stop = asyncio.Event()
        self._hurry = asyncio.Event()
        self._next_beat = 0.0
        self._next_visit = 0.0
        self._stuck = False

    def stop(self) -> None:
        """Ask for a clean end; asked a second time, flights are interrupted (files stay)."""
        (self._hurry if self._stop.is_set() else self._stop).set()
        self._parts.wake.set()

    async def run(self) -> None:
        """The whole life: recover, watch, deliver, drain. Raises what no waiting can cure."""
        loop = asyncio.get_running_loop()
        for number in _STOPS:
            loop.add_signal_handler(number, self.stop)
        try:
            await self._parts.recorder.recover()
            async with asyncio.TaskGroup() as group:
                group.create_task(self._parts.recorder.run())
                group.create_task(self._parts.upkeep.run())
                try:
                    await self._live()
                finally:
                    await self._wind_down()
                    self._parts.recorder.close()
                    self._parts.upkeep.close()
        finally:
            for number in _STOPS:
                loop.remove_signal_handler(number)
        self._parts.activity.phase = "stopped"
        self._write_heartbeat()
        log.info("daemon.stopped")

    async def _live(self) -> None:
        parts = self._parts
        probes = [self._start_probe(gate) for gate in parts.gates]
        if self._once:
            await asyncio.gather(*probes)  # whether there is a store at all decides the exit code
        await self._visit_inboxes()
        parts.notifier.ready()
        parts.upkeep.begin()
        log.info("daemon.ready", folders=[folder.intake.inbox for folder in parts.folders])
        while not self._stop.is_set():
            if parts.clock() >= self._next_visit:
                await self._visit_inboxes()
            self._pass_freed()
            for folder in parts.folders:
                if folder.identity is not None:
                    folder.pass_hints()
                    await folder.intake.turn(parts.most_flights // len(parts.folders) or 1)
            for gate in parts.gates:
                if gate.probing is not None and gate.probing.done():
                    gate.probing.result()  # what no waiting can cure, such as a faulty configuration
                if gate.due():
                    self._start_probe(gate)
            for sweeper in parts.sweepers:
                sweeper.turn()
            self._beat()
            if self._once and self._is_done():
                return
            await self._rest()

    def _is_done(self) -> bool:
        """`once` ends when all is done, or when nothing can be done (the caller sees why)."""
        parts = self._parts
        if parts.recorder.trouble is not None:
            return True
        if parts.recorder.is_busy or not all(sweeper.is_idle() for sweeper in parts.sweepers):
            return False
        return all(f.identity is None or f.intake.is_at_its_end() for f in parts.folders)

    def _pass_freed(self) -> None:
        """What a former run proved and somebody changed since is delivered anew."""
        for name, relpath in self._parts.recorder.take_freed():
            for folder in self._parts.folders:
                if folder.intake.plan.name == name:
                    folder.intake.hint(relpath, is_directory=False)

    async def _rest(self) -> None:
        """Sleep until something happens, or may."""
        parts = self._parts
        moments = [f.intake.next_turn() for f in parts.folders if f.identity is not None]
        moments += [gate.next_probe for gate in parts.gates if gate.held is not None]
        soonest = min(moments, default=float("inf")) - parts.clock()
        await wait_for(parts.wake, max(0.0, min(soonest, _LONGEST_TURN)))
        parts.wake.clear()

    def _start_probe(self, gate: Gate) -> "asyncio.Task[None]":
        if gate.probing is None or gate.probing.done():
            gate.probing = asyncio.create_task(self._ask_store(gate))
        return gate.probing

    async def _ask_store(self, gate: Gate) -> None:
        await gate.probe()
        self._parts.wake.set()

    async def _visit_inboxes(self) -> None:
        """Notice inboxes that came, went or were remade, and keep a watch on those that are there."""
        self._next_visit = self._parts.clock() + _LONGEST_TURN
        for folder in self._parts.folders:
            identity = await self._parts.threads.run(self._parts.find_inbox, folder.intake.inbox)
            if identity == folder.identity and (identity is not None or folder.complained):
                continue
            folder.identity = identity
            if folder.watcher is not None:
                await self._parts.threads.run(folder.watcher.stop)
                folder.watcher = None
            if identity is None:
                folder.complained = True
                log.error(
                    "inbox.missing",
                    path=folder.intake.inbox,
                    hint=f"{_INBOX_HINT}; hotfolder waits for it",
                )
                continue
            await self._prepare(folder)
            await self._recover_rest()
            if folder.complained:
                folder.complained = False
                log.info("inbox.back", path=folder.intake.inbox)
                folder.intake.finder.walk_now()
            if not self._once:
                await self._watch(folder)

    async def _prepare(self, folder: Watched) -> None:
        """Make completed/ and failed/: only now, as they may stand on the volume of the inbox."""
        try:
            await self._parts.threads.run(folder.prepare)
        except ConfigError as error:
            if not folder.complained:
                raise  # the operator is looking: it was just started
            log.error("folder.unprepared", path=folder.intake.inbox, reason=error.sentence)

    async def _recover_rest(self) -> None:
        """Finish what could not be told at the start, before a scan takes its files for new ones."""
        if self._parts.recorder.put_off:
            try:
                await self._parts.recorder.recover()
            except LocalError as error:
                log.error("recovery.failed", reason=str(error), hint=error.hint)

    async def _watch(self, folder: Watched) -> None:
        folder.watcher = folder.make_watcher()
        try:
            await self._parts.threads.run(folder.watcher.start)
        except LocalError as error:
            log.warning("watcher.failed", path=folder.intake.inbox, reason=str(error), hint=error.hint)
            folder.watcher = None

    # -- the heartbeat -------------------------------------------------------------------------

    def _beat(self) -> None:
        """Beat if it is time. Called from the loop that does the work, so a stuck loop falls silent."""
        parts = self._parts
        if parts.clock() < self._next_beat:
            return
        self._next_beat = parts.clock() + parts.interval
        parts.activity.phase = self._phase()
        walks = [folder.intake.finder.last_walk for folder in parts.folders]
        parts.activity.last_scan = max((walk for walk in walks if walk is not None), default=None)
        parts.activity.kept = sum(folder.intake.finder.kept() for folder in parts.folders)
        if self._is_stuck():
            return
        self._write_heartbeat()
        totals = parts.activity.totals
        parts.notifier.status(
            f"{parts.activity.phase}: {totals.uploaded} uploaded, {totals.skipped} skipped, "
            f"{totals.failed} failed, {len(parts.activity.flights)} in flight, "
            f"{self._waiting().count} waiting"
        )
        parts.notifier.watchdog()

    def _is_stuck(self) -> bool:
        activity = self._parts.activity
        stuck = bool(activity.flights) and activity.idle_seconds() > _STUCK
        if stuck and not self._stuck:
            log.error("daemon.stuck", seconds=_STUCK, hint="the heartbeat stops until something moves")
        self._stuck = stuck
        return stuck

    def _write_heartbeat(self) -> None:
        try:
            self._parts.beat(
                self._parts.activity.snapshot(self._waiting(), self._waiting_groups(), self.left())
            )
        except LocalError as error:
            log.error("heartbeat.unwritable", reason=str(error), hint=error.hint)

    def _phase(self) -> str:
        parts = self._parts
        holds = [folder.intake.hold for folder in parts.folders if folder.intake.hold]
        trouble = parts.recorder.trouble or next(iter(holds), None)
        gone = [folder.intake.inbox for folder in parts.folders if folder.identity is None]
        parts.activity.hold = trouble.sentence if trouble else None
        if gone:
            parts.activity.hold = f"{', '.join(gone)} is not there or not readable; {_INBOX_HINT}"
        if self._stop.is_set():
            return "draining"
        if gone:
            return "inbox-missing"
        if isinstance(trouble, DiskFull):
            return "disk-full"
        if any(gate.held is not None for gate in parts.gates):
            return "destination-unreachable"
        if parts.activity.flights:
            return "uploading"
        walked = all(folder.intake.finder.last_walk for folder in parts.folders)
        return "idle" if walked else "scanning"

    def _waiting_groups(self) -> Counter[str]:
        return sum((f.intake.waiting_groups() for f in self._parts.folders), Counter[str]())

    def left(self) -> dict[str, str]:
        """Path -> why it stays in the inbox for good."""
        return {
            f"{folder.intake.inbox}/{relpath}": why
            for folder in self._parts.folders
            for relpath, why in folder.intake.left_behind().items()
        }

    def _waiting(self) -> Waiting:
        """The sum over all folders; the oldest of the first folder that has one."""
        each = [folder.intake.waiting() for folder in self._parts.folders]
        first = next((waiting for waiting in each if waiting.oldest is not None), Waiting())
        return Waiting(
            sum(w.count for w in each), sum(w.bytes for w in each), first.oldest, first.since, first.why
        )

    # -- the end -------------------------------------------------------------------------------

    async def _wind_down(self) -> None:
        """No new files; what flies gets a moment to land; then it is interrupted and stays."""
        parts = self._parts
        parts.notifier.stopping()
        log.info("daemon.stopping", in_flight=len(parts.activity.flights))
        self._stop.set()
        for gate in parts.gates:
            if gate.probing is not None:
                gate.probing.cancel()
        for sweeper in parts.sweepers:
            await sweeper.stop()
        for folder in parts.folders:
            if folder.watcher is not None:
                await parts.threads.run(folder.watcher.stop)
        # What waits for its move waits in the journal just as well.
        grace = _DRAIN if parts.recorder.trouble is None else 1.0
        drains = [folder.intake.drain(grace, self._hurry) for folder in parts.folders]
        await self._beating(asyncio.gather(*drains))

    async def _beating(self, work: Awaitable[Any]) -> None:
        """Wait for `work` while the heartbeat goes on."""
        task = asyncio.ensure_future(work)
        while not task.done():
            self._beat()
            await asyncio.wait({task}, timeout=self._parts.interval)
        task.result()


async def wait_for(event: asyncio.Event, seconds: float) -> None:
    """Wait for `event`, but no longer than `seconds`."""
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        return


def trouble_of(parts: Parts) -> HotfolderError | None:
    """Why a `once` run could not do its work at all, or None."""
    for folder in parts.folders:
        if folder.identity is None:
            return LocalError(
                f"the inbox {folder.intake.inbox} is not there or not readable",
                hint=_INBOX_HINT,
            )
        if folder.intake.hold is not None:
            return folder.intake.hold
    held = (gate.held for gate in parts.gates if gate.held is not None)
    return parts.recorder.trouble or next(held, None)
