"""One life of the daemon: start order, the one loop, drain."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import structlog

from hotfolder.activity import Activity
from hotfolder.core.errors import HotfolderError, LocalError
from hotfolder.gate import Gate
from hotfolder.heart import Heart, Notifier
from hotfolder.inboxes import Inboxes, Watched
from hotfolder.profiling import Profiler
from hotfolder.recorder import Recorder
from hotfolder.reserve import Reserve
from hotfolder.sweeping import Sweeper
from hotfolder.threads import concerning
from hotfolder.upkeep import Upkeep

log = structlog.get_logger()

_LONGEST_TURN = 1.0  # seconds between two looks at everything
_WORTH_A_LOOK = 100  # files at once in a single run: each costs three questions where nothing is known
_DRAIN = 20.0  # seconds that flights get to land when asked to stop


@dataclass(slots=True)
class Parts:
    """What a daemon is made of; `service` makes it."""

    inboxes: Inboxes
    gates: list[Gate]
    recorder: Recorder
    reserve: Reserve
    upkeep: Upkeep
    activity: Activity
    heart: Heart
    notifier: Notifier
    clock: Callable[[], float]
    most_flights: int
    sweepers: Sequence[Sweeper] = ()
    profilers: Sequence[Profiler] = ()
    wake: asyncio.Event = field(default_factory=asyncio.Event)


class Daemon:
    """Runs until it is told to stop, or with `once` until the inboxes are done.

    `on_ready` is called when the inboxes are watched.
    """

    def __init__(
        self, parts: Parts, *, once: bool = False, on_ready: Callable[[], None] = lambda: None
    ) -> None:
        self.parts = parts
        self._once = once
        self._on_ready = on_ready
        self._stop = asyncio.Event()
        self._hurry = asyncio.Event()
        self._reloading = False
        self._next_visit = 0.0
        self._first = 0  # which folder has the first turn

    def stop(self, *, reloading: bool = False) -> None:
        """Ask for a clean end. `reloading`: another daemon takes over in this very process."""
        self._reloading = reloading
        self._stop.set()
        for folder in self.parts.inboxes.folders:
            folder.intake.begin_no_more()
        self.parts.wake.set()

    def hurry(self) -> None:
        """End now: flights are interrupted, their files stay."""
        self._hurry.set()
        self.stop()

    async def run(self) -> None:
        """The whole life: recover, watch, deliver, drain. Raises what no waiting can cure."""
        parts = self.parts
        await parts.recorder.recover()
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(parts.recorder.run())
                group.create_task(parts.upkeep.run())
                group.create_task(parts.heart.watch())
                try:
                    await self._live()
                finally:
                    await self._wind_down()
                    parts.recorder.close()
                    parts.upkeep.close()
                    parts.heart.close()
        except BaseExceptionGroup as failed:
            typed = failed.subgroup(HotfolderError)
            raise (typed or failed).exceptions[0] from failed
        parts.heart.last("draining" if self._reloading else "stopped")
        if not self._reloading:
            log.info("daemon.stopped")

    async def _live(self) -> None:
        parts = self.parts
        probes = [self._start_probe(gate) for gate in parts.gates]
        if self._once:
            await asyncio.gather(*probes)  # whether there is a store at all decides the exit code
        await self._visit_inboxes()
        await parts.reserve.begin()
        parts.notifier.ready()
        parts.upkeep.begin()
        log.info("daemon.ready", folders=[folder.intake.inbox for folder in parts.inboxes.folders])
        self._on_ready()
        while not self._stop.is_set():
            if parts.clock() >= self._next_visit:
                await self._visit_inboxes()
            self._pass_freed()
            parts.reserve.turn()
            most = parts.most_flights // len(parts.inboxes.folders) or 1
            for folder in self._in_turn():
                folder.watching.pass_hints(folder.intake.hint)
                with concerning(folder.intake.inbox):
                    await folder.intake.turn(most)
            for gate in parts.gates:
                if gate.probing is not None and gate.probing.done():
                    gate.probing.result()  # what no waiting can cure, such as a faulty configuration
                if gate.due():
                    self._start_probe(gate)
            for sweeper in parts.sweepers:
                sweeper.turn()
            # A single run of few files is over by the time that all is known of the store.
            if not self._once or len(parts.activity.flights) >= _WORTH_A_LOOK:
                for profiler in parts.profilers:
                    profiler.turn()
            parts.heart.beat()
            if self._once and self._is_done():
                return
            await self._rest()

    def _in_turn(self) -> list[Watched]:
        """Those that are there, another one first each time: where places are scarce, each gets some."""
        present = self.parts.inboxes.present()
        self._first = (self._first + 1) % max(1, len(present))
        return present[self._first :] + present[: self._first]

    def _is_done(self) -> bool:
        """`once` ends when all is done, or when nothing can be done (the caller sees why)."""
        if self.parts.recorder.trouble is not None:
            return True
        if self.parts.recorder.is_busy:
            return False
        if not all(sweeper.is_idle() for sweeper in self.parts.sweepers):
            return False
        return all(folder.intake.is_at_its_end() for folder in self.parts.inboxes.present())

    def _pass_freed(self) -> None:
        """What a former run proved and somebody changed since is delivered anew."""
        for name, relpath in self.parts.recorder.take_freed():
            for folder in self.parts.inboxes.folders:
                if folder.intake.plan.name == name:
                    folder.intake.hint(relpath)

    async def _rest(self) -> None:
        """Sleep until something happens, or may."""
        parts = self.parts
        moments = [folder.intake.next_turn() for folder in parts.inboxes.present()]
        moments += [gate.next_turn() for gate in parts.gates]
        soonest = min(moments, default=float("inf")) - parts.clock()
        await wait_for(parts.wake, max(0.0, min(soonest, _LONGEST_TURN)))
        parts.wake.clear()

    def _start_probe(self, gate: Gate) -> "asyncio.Task[None]":
        if gate.probing is None or gate.probing.done():
            gate.probing = asyncio.create_task(self._ask_store(gate))
        return gate.probing

    async def _ask_store(self, gate: Gate) -> None:
        await gate.probe()
        self.parts.wake.set()

    async def _visit_inboxes(self) -> None:
        self._next_visit = self.parts.clock() + _LONGEST_TURN
        await self.parts.inboxes.visit()

    async def _wind_down(self) -> None:
        """No new files; what flies gets a moment to land; then it is interrupted and stays."""
        parts = self.parts
        if not self._reloading:
            parts.notifier.stopping()
            log.info("daemon.stopping", in_flight=len(parts.activity.flights))
        self._stop.set()
        parts.heart.draining = True
        for gate in parts.gates:
            if gate.probing is not None:
                gate.probing.cancel()
        parts.reserve.stop()
        for sweeper in parts.sweepers:
            await sweeper.stop()
        for profiler in parts.profilers:
            await profiler.stop()
        await parts.inboxes.close()
        # What waits for its move waits in the journal just as well.
        grace = _DRAIN if parts.recorder.trouble is None else 1.0
        drains = [folder.intake.drain(grace, self._hurry) for folder in parts.inboxes.folders]
        await self._beating(asyncio.gather(*drains))

    async def _beating(self, work: Awaitable[Any]) -> None:
        """Wait for `work` while the heartbeat goes on."""
        task = asyncio.ensure_future(work)
        while not task.done():
            self.parts.heart.beat()
            await asyncio.wait({task}, timeout=self.parts.heart.interval)
        task.result()


async def wait_for(event: asyncio.Event, seconds: float) -> None:
    """Wait for `event`, but no longer than `seconds`."""
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        return  # it was time


def trouble_of(parts: Parts) -> HotfolderError | None:
    """Why a `once` run could not do its work at all, or None."""
    for folder in parts.inboxes.folders:
        if folder.identity is None:
            return LocalError(f"the inbox {folder.intake.inbox} cannot be used", hint=folder.absence)
        if folder.intake.hold is not None:
            return folder.intake.hold
    held = (gate.held for gate in parts.gates if gate.held is not None)
    return parts.recorder.trouble or next(held, None)
