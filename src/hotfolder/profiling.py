"""What is known of one store: looked at beside the work at each start, and where it may be another.

Behind one address another store may stand after an outage, or since the last run.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import asdict

import structlog

from hotfolder.core.errors import ConfigError, DestinationError, HotfolderError, LocalError
from hotfolder.core.ports import Profiles
from hotfolder.core.profile import UNKNOWN, Profile, Seen
from hotfolder.core.records import Receipt
from hotfolder.core.store_survey import Answers, profile_of
from hotfolder.gate import Gate
from hotfolder.threads import Threads

log = structlog.get_logger()

_RETRY = 600.0  # seconds after a look that the store did not answer to its end


class Profiler:
    """Knows one destination's store. `wall`: seconds since the epoch; `clock`: monotonic seconds.

    `survey` asks the store, with a line and threads of its own, and tells the clock's error. `key` is
    where `notes` keep what was seen; `seen` is what they had at the start.
    """

    def __init__(
        self,
        survey: Callable[[], Awaitable[tuple[Answers, float | None]]],
        notes: Profiles,
        *,
        key: str,
        seen: Seen | None,
        gate: Gate,
        threads: Threads,
        clock: Callable[[], float],
        wall: Callable[[], float],
    ) -> None:
        self._survey, self._notes, self._key = survey, notes, key
        self._seen = seen
        self._gate, self._threads = gate, threads
        self._clock, self._wall = clock, wall
        self._next = 0.0
        self._looked_at: int | None = None  # the gate's reopenings by then; None: not in this run
        self._task: asyncio.Task[HotfolderError | None] | None = None

    def profile(self) -> Profile:
        """What is known by now."""
        return UNKNOWN if self._seen is None else self._seen.profile

    def turn(self) -> None:
        """Begin to look if it is time and the store answers."""
        if self._gate.is_open() and self._clock() >= self._next and self._is_due() and self.is_idle():
            self._begin()

    def is_idle(self) -> bool:
        return self._task is None or self._task.done()

    async def learn(self) -> None:
        """Wait until all is known that can be, where nothing is: for what cannot go the careful way.

        Raises the `DestinationError` of a store that does not answer: the file could only fail for it.
        """
        if self._seen is not None:
            return
        looking = self._task
        if looking is None or (looking.done() and _outage(looking) is not None):
            looking = self._begin()
        await asyncio.wait({looking})
        outage = _outage(looking)
        if outage is not None:
            raise outage

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    def _begin(self) -> asyncio.Task[HotfolderError | None]:
        self._next = self._clock() + _RETRY
        self._task = asyncio.create_task(self._look())
        return self._task

    def _is_due(self) -> bool:
        is_known = self._seen is not None and not self._seen.is_due(self._wall())
        return not is_known or self._looked_at != self._gate.reopenings

    async def _look(self) -> HotfolderError | None:
        """Returns why nothing is known now, or None."""
        reopenings = self._gate.reopenings
        try:
            answers, skew = await self._survey()
        except ConfigError as error:  # the gate's own probe says so, too, and to whom it matters
            answers, skew = Answers(listed=error), None
        silent = answers.listed or answers.cut_short or _refusal(answers.stored)
        if silent is not None:
            log.info("store.not_profiled", destination=self._gate.name, reason=silent.sentence)
            return silent
        profile = profile_of(answers, skew=skew)
        self._seen, self._looked_at = Seen(profile, self._wall()), reopenings
        log.info(
            "store.profiled",
            destination=self._gate.name,
            small_files=profile.put_proof or "unknown",
            large_files=profile.upload_proof or "unknown",
            unknown=list(profile.unknown()),
            left=list(answers.left),
        )
        log.debug("store.profile", destination=self._gate.name, **asdict(profile))
        try:
            await self._threads.run(self._notes.keep, self._key, self._seen)
        except LocalError as error:  # the next start looks again
            log.info("store.profile_not_kept", reason=error.sentence)
        return None


def _outage(look: "asyncio.Task[HotfolderError | None]") -> DestinationError | None:
    """What a look that is over ran into, where that holds whatever has to know."""
    why = None if look.cancelled() else look.result()
    return why if isinstance(why, DestinationError) else None


def _refusal(stored: Receipt | HotfolderError | None) -> HotfolderError | None:
    """Where not even an honest request got through nothing is seen of the store."""
    return stored if isinstance(stored, HotfolderError) else None
