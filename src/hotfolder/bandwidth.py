"""The line to all stores: what the timetable allows now, and whose turn it is to send.

It outlives the lives of a daemon, so that another limit holds at once, also for what is in flight.
"""

import asyncio
import math
import threading
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import (
    AbstractAsyncContextManager,
    AsyncExitStack,
    asynccontextmanager,
    contextmanager,
    nullcontext,
)
from datetime import datetime

import structlog

from hotfolder.abreast import Abreast
from hotfolder.core.allowance import Allowance, Owner, Place
from hotfolder.core.bandwidth import NO_LIMIT, Limit, LocalTime, Timetable, why_closed
from hotfolder.core.order import lane_of
from hotfolder.threads import about, job_in_hand

log = structlog.get_logger()

_LOOK = 1.0  # seconds between two looks at the clock
_LARGE = 1024 * 1024  # bytes of a body that needs a place while there is no limit
#: Under a limit smaller ones do, too, but those of which so many take less than a second together.
_MANY = 256
_AT_ONCE = nullcontext()
_NOBODY = Owner()
_RECENT = 10.0  # seconds for which what was asked for still goes
_VALID = 60.0  # seconds that a look is believed: the wall clock may be set


class Bandwidth:
    """Owned by the event loop; `rate`, `piece`, `ask` and `wait` may be called from any thread.

    `clock` is monotonic seconds, `wall` seconds since the epoch, `local` what its clocks show then.
    """

    def __init__(
        self,
        timetable: Timetable = NO_LIMIT,
        *,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
        local: LocalTime = datetime.fromtimestamp,
    ) -> None:
        self._timetable = timetable
        self._clock, self._wall, self._local = clock, wall, local
        self._allowance = Allowance()
        self._lock = threading.Lock()  # around a few sums: requests ask from their threads
        self._opened = asyncio.Event()
        self._valid = (math.inf, -math.inf)  # the moments (epoch) for which `limit` was looked up
        self.limit = Limit()
        self._at_once: float = _LARGE  # bytes of a body that waits for nobody to begin
        self._opened.set()
        self._abreast = Abreast(lambda: 0 if self.limit.is_closed else self.rate)
        self._begun, self._waiting = Counter[str](), Counter[str]()  # bodies of each file, if any
        self._asked_at = -math.inf  # when somebody last wanted to send under a limit
        self._look()

    def follow(self, timetable: Timetable) -> None:
        """Another timetable, from now on."""
        self._timetable = timetable
        self._look()

    def look(self) -> None:
        """Keep to the timetable; call it every second or so."""
        begin, end = self._valid
        if not begin <= self._wall() < end:
            self._look()

    async def keep(self) -> None:
        """Look, as long as nobody cancels it."""
        while True:
            self.look()
            await asyncio.sleep(_LOOK)

    def _look(self) -> None:
        now, before = self._wall(), self.limit
        self.limit = self._timetable.limit_at(now, self._local)
        self._valid = (now, min(now + _VALID, self.limit.until or math.inf))
        if self.limit.rate == before.rate:
            return
        log.info("bandwidth.changed", limit=self.limit.rate, until=self.limit.until)
        self._at_once = _LARGE if self.limit.rate is None else min(_LARGE, self.limit.rate // _MANY)
        if self.limit.is_closed:
            self._at_once = -1
            self._opened.clear()  # what is on its way goes on as it was: a few parts, and no new ones
            return
        with self._lock:
            self._allowance.set_rate(self.limit.rate or math.inf, self._clock())
        self._opened.set()
        self._abreast.admit()

    # -- what may begin ----------------------------------------------------------------------------

    async def opened(self) -> None:
        """Wait until uploads may begin."""
        if self.limit.is_closed:
            with _counted(self._waiting):
                await self._opened.wait()

    def place_for(self, size: int) -> AbstractAsyncContextManager[None]:
        """Enter it to begin a body of `size` bytes, and leave it when it is sent.

        Under a limit few bodies of each folder suffice to use it, and more would only be sent more
        slowly, and all be cut by a stop.
        """
        if size <= self._at_once:
            return _AT_ONCE  # for many thousands of files: nothing is made
        return self._place_for(size)

    @asynccontextmanager
    async def _place_for(self, size: int) -> AsyncIterator[None]:
        async with AsyncExitStack() as place:
            place.enter_context(_counted(self._begun))
            with _counted(self._waiting):
                await self._opened.wait()
                await place.enter_async_context(self._abreast.place(self.sender(), size))
            yield

    def is_shut_out(self, path: str) -> bool:
        """Whether all that is still to be sent of the file at `path` waits for its window."""
        waiting = self._waiting[path] if self.limit.is_closed else 0
        return 0 < waiting >= self._begun[path]

    def delays(self) -> bool:
        """Whether it is the limit that requests wait for now, and no store."""
        return self.limit.is_closed or self._clock() - self._asked_at < _RECENT

    def why_closed(self) -> str | None:
        """Why no upload begins, as a reason for one file; None where they do."""
        return why_closed(self.limit, self._wall(), self._local)

    # -- what may be sent --------------------------------------------------------------------------

    @property
    def rate(self) -> float:
        """Bytes a second for what is on its way; `inf` where there is no limit."""
        return self._allowance.rate

    def piece(self) -> int:
        """How many bytes are best sent at once."""
        return self._allowance.piece()

    def sender(self) -> Owner:
        """Whose bytes those are that the running task sends."""
        job = job_in_hand()
        return _NOBODY if job is None else Owner(job.folder, lane_of(job.fingerprint.size))

    def ask(self, size: int, sender: Owner) -> Place:
        """Take the next `size` bytes of the sender's share; returns their place for `wait`."""
        if self.rate == math.inf:
            return Place(sender, 0.0)
        with self._lock:
            self._asked_at = self._clock()
            return self._allowance.ask(size, sender, self._asked_at)

    def wait(self, place: Place) -> float:
        """Seconds until what has this place may go, as it looks now; 0: go."""
        if self.rate == math.inf:
            return 0.0
        with self._lock:
            return self._allowance.wait(place, self._clock())


@contextmanager
def _counted(counts: "Counter[str]") -> Iterator[None]:
    """Count one more for the file that the running task is about."""
    path = about()
    counts[path] += 1
    try:
        yield
    finally:
        counts[path] -= 1
        if not counts[path]:
            del counts[path]
