"""The watching of one inbox: where it listens and where it polls, and that it does so."""

from collections.abc import Callable, Mapping
from typing import Protocol

import structlog

from hotfolder.core.errors import LocalError
from hotfolder.core.hints import Heard
from hotfolder.core.watching import (
    CANARY_EVERY,
    HINTS,
    RETRY,
    SILENCE,
    Hearing,
    Kind,
    Mount,
    Plan,
    Polled,
    PolledPart,
    PolledParts,
    Report,
    Wanted,
    apart,
    changed,
    plan_of,
    poll_period,
    rest_before,
)
from hotfolder.threads import Threads

log = structlog.get_logger()

_MOST_TOLD = 20  # polled parts that the heartbeat names; the count is whole


class Watcher(Protocol):
    """Hints from one inbox (`adapters.watching`); `start` and `stop` block a moment."""

    def start(self, deaf: frozenset[str]) -> None: ...
    def stop(self) -> None: ...
    def take(self) -> list[tuple[str, Heard]]: ...
    def lost_some(self) -> bool: ...
    def hearing(self) -> Hearing: ...
    def sing(self, number: int) -> None: ...
    def replant(self, relpaths: list[str], deaf: frozenset[str]) -> None: ...
    def retry(self) -> None: ...


class Walks(Protocol):
    """What finds whatever no event told of (`walking`)."""

    @property
    def took(self) -> Mapping[str, float]: ...
    def walk_now(self) -> None: ...
    def plan_tree(self, relpath: str) -> bool: ...
    def poll(self, relpath: str) -> None: ...


class Watching:
    """Owned by the event loop. `begin` once the inbox is there, `visit` every second, `end`."""

    def __init__(
        self,
        inbox: str,
        *,
        wanted: Wanted,
        make: Callable[[], Watcher],
        mounts: Callable[[str], tuple[Mount, ...]],
        walks: Walks,
        threads: Threads,
        clock: Callable[[], float],
        wall: Callable[[], float],
    ) -> None:
        """`mounts` blocks; `clock` is monotonic seconds, `wall` since the epoch."""
        self._inbox, self._wanted = inbox, wanted
        self._make, self._mounts = make, mounts
        self._walks, self._threads = walks, threads
        self._clock, self._wall = clock, wall
        self._begun = False
        self._plan = Plan(frozenset(), ())
        self._watcher: Watcher | None = None
        self._hearing = Hearing()
        self._past = {"overflows": 0, "lost": 0, "restarts": 0, "faults": 0}  # of former watchers
        self._restarts: list[float] = []
        self._start_at = 0.0
        self._walked = 0  # surveys of this watcher that were made up for by a walk
        self._asked, self._asked_at = 0, 0.0
        self._retry_at = 0.0
        self._waited = 0  # visits since the canary was asked, or anything was heard
        self._polled: tuple[Polled, ...] = ()
        self._polled_at: dict[str, float] = {}
        self._troubles: dict[Kind, tuple[str, float]] = {}  # what, and when it was last seen
        self._last_event: float | None = None
        self._last_canary: float | None = None

    async def begin(self) -> None:
        """Watch an inbox that is there. What cannot be watched is polled."""
        self._begun, self._start_at = True, self._clock()
        self._plan = plan_of(await self._threads.run(self._mounts, self._inbox), self._wanted)
        await self._start()
        self._walks.walk_now()
        self._look_at_parts()

    async def end(self) -> None:
        """Watch it no more."""
        self._begun, self._polled = False, ()
        await self._stop()

    async def visit(self) -> None:
        """Notice what changed, and what is wrong."""
        if not self._begun:
            return
        await self._follow_mounts()
        if self._watcher is not None:
            await self._tend(self._watcher)
        elif self._plan.listens and self._clock() >= self._start_at:
            await self._start()
        self._look_at_parts()
        self._poll()

    def pass_hints(self, hint: Callable[[str, Heard], None]) -> None:
        """Hand over what was heard."""
        if self._watcher is None:
            return
        hints = self._watcher.take()
        if hints:
            self._last_event = self._wall()
        for relpath, heard in hints:
            hint(relpath, heard)
        if self._watcher.lost_some():
            self._past["lost"] += 1
            self._walks.walk_now()

    def told(self) -> Report:
        """What the heartbeat says of it."""
        hearing = self._hearing
        first = [
            PolledPart(part.relpath, part.why, self._period(part)) for part in self._polled[:_MOST_TOLD]
        ]
        return Report(
            mode=self._mode(),
            directories=hearing.directories,
            polled=PolledParts(len(self._polled), first),
            overflows=self._past["overflows"] + hearing.overflows,
            lost=self._past["lost"],
            restarts=self._past["restarts"],
            faults=self._past["faults"] + hearing.faults,
            last_event=self._last_event,
            last_canary=self._last_canary,
            trouble=next((what for what, _ in self._troubles.values()), None),
        )

    def _mode(self) -> str:
        if not self._begun:
            return "off"
        if self._watcher is None:
            return "polling"
        return "both" if self._polled else "inotify"

    # -- the watcher -------------------------------------------------------------------------------

    async def _start(self) -> None:
        if not self._plan.listens:
            return
        watcher = self._make()
        try:
            await self._threads.run(watcher.start, self._plan.deaf)
        except LocalError as error:
            self._complain(Kind.UNSTARTED, str(error), error.hint)
            self._start_at = self._clock() + RETRY
            return
        self._watcher, self._hearing = watcher, watcher.hearing()
        self._walked = self._hearing.surveys
        self._waited = 0
        self._retry_at = self._clock() + RETRY
        self._asked, self._asked_at = 0, 0.0
        if Kind.UNSTARTED in self._troubles or Kind.DEAD in self._troubles:
            self._walks.walk_now()
        self._recovered(Kind.UNSTARTED)
        self._recovered(Kind.DEAD)

    async def _stop(self) -> None:
        if self._watcher is not None:
            watcher, self._watcher = self._watcher, None
            await self._threads.run(watcher.stop)
            for counter in ("overflows", "faults"):
                self._past[counter] += getattr(self._hearing, counter)
            self._hearing = Hearing()

    async def _tend(self, watcher: Watcher) -> None:
        """See to it that the watcher lives, and hears all."""
        before, self._hearing, now = self._hearing, watcher.hearing(), self._clock()
        hearing = self._hearing
        waits = self._asked != hearing.answered and hearing.events == before.events
        self._waited = self._waited + 1 if waits else 0
        if hearing.answered != before.answered:
            self._last_canary = self._wall()
        self._note_losses(before, hearing)
        if hearing.surveys > self._walked:
            self._walked = hearing.surveys
            self._walks.walk_now()
        dead = hearing.dead or ("no event arrives any more" if self._waited > SILENCE else None)
        if dead is not None:
            await self._restart(dead)
            return
        self._tend_canary(watcher, now)
        if hearing.unwatched and now >= self._retry_at:
            self._retry_at = now + RETRY
            watcher.retry()

    def _note_losses(self, before: Hearing, hearing: Hearing) -> None:
        if hearing.overflows > before.overflows:
            self._complain(Kind.OVERFLOW, "the kernel's queue of events ran over: some are lost")
        if hearing.faults > before.faults:
            self._complain(Kind.FAULT, f"an event could not be dealt with: {hearing.fault}")
        for kind in (Kind.OVERFLOW, Kind.FAULT):
            if kind in self._troubles and self._clock() - self._troubles[kind][1] > RETRY:
                self._recovered(kind)
        if hearing.unwatched:
            what = hearing.unwatched[0] or "a part of the inbox"
            more = f", nor {len(hearing.unwatched) - 1} more" if len(hearing.unwatched) > 1 else ""
            self._complain(Kind.LIMIT, f"{what} cannot be watched{more}: {hearing.obstacle}")
        elif before.unwatched or Kind.LIMIT in self._troubles:
            self._recovered(Kind.LIMIT)

    def _tend_canary(self, watcher: Watcher, now: float) -> None:
        if self._asked != self._hearing.answered or (
            self._asked and now - self._asked_at < CANARY_EVERY
        ):
            return
        self._asked, self._asked_at = self._asked + 1, now
        watcher.sing(self._asked)

    async def _restart(self, why: str) -> None:
        now = self._clock()
        self._complain(Kind.DEAD, why)
        await self._stop()
        self._past["restarts"] += 1
        rest = rest_before(self._restarts, now)
        self._restarts = [*self._restarts[-9:], now]
        self._start_at = now + rest
        if not rest:
            await self._start()

    # -- what is polled ----------------------------------------------------------------------------

    async def _follow_mounts(self) -> None:
        mounts = await self._threads.run(self._mounts, self._inbox)
        if mounts == self._plan.mounts:
            return
        places = changed(self._plan.mounts, mounts)
        self._plan = plan_of(mounts, self._wanted)
        if "" in places or not self._plan.listens:
            await self._stop()
            await self._start()
            self._walks.walk_now()
            return
        if self._watcher is not None:
            self._watcher.replant(places, self._plan.deaf)
        for place in places:
            self._walks.plan_tree(place)

    def _look_at_parts(self) -> None:
        """Which parts are polled now."""
        parts = [*self._plan.polled]
        if self._plan.listens and self._watcher is None:
            parts.append(Polled("", "it cannot be watched now"))
        obstacle = f"it cannot be watched: {self._hearing.obstacle}"
        parts += [Polled(relpath, obstacle) for relpath in self._hearing.unwatched]
        polled = apart(parts)
        if polled == self._polled:
            return
        for part in set(self._plan.polled) & set(polled) - set(self._polled):  # troubles tell of others
            log.info(
                "watcher.polling", path=f"{self._inbox}/{part.relpath}".rstrip("/"), reason=part.why
            )
        self._polled = polled
        self._polled_at = {
            part.relpath: self._polled_at.get(part.relpath, float("-inf")) for part in polled
        }

    def _poll(self) -> None:
        for part in self._polled:
            if self._clock() - self._polled_at[part.relpath] >= self._period(part):
                self._polled_at[part.relpath] = self._clock()
                self._walks.poll(part.relpath)

    def _period(self, part: Polled) -> float:
        return poll_period(self._walks.took.get(part.relpath))

    # -- telling -----------------------------------------------------------------------------------

    def _complain(self, kind: Kind, what: str, hint: str | None = None) -> None:
        """Tell of a trouble once, until it is over."""
        if kind not in self._troubles:
            log.warning(
                "watcher.troubled", path=self._inbox, kind=kind, reason=what, hint=hint or HINTS[kind]
            )
        self._troubles[kind] = what, self._clock()

    def _recovered(self, kind: Kind) -> None:
        if self._troubles.pop(kind, None) is not None:
            log.info("watcher.recovered", path=self._inbox, kind=kind)
