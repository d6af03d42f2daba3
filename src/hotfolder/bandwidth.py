"""The line to all stores: what the timetable allows now, and whose turn it is to send.

It outlives the lives of a daemon, so that another limit holds at once, also for what is in flight.
"""

import asyncio
import math
import threading
import time
from collections.abc import Callable
from datetime import datetime

import structlog

from hotfolder.core.allowance import Allowance
from hotfolder.core.bandwidth import NO_LIMIT, Limit, LocalTime, Timetable, why_closed

log = structlog.get_logger()

_LOOK = 1.0  # seconds between two looks at the clock
_VALID = 60.0  # seconds that a look is believed: the wall clock may be set


class Bandwidth:
    """Owned by the event loop; `limited`, `piece`, `ask` and `wait` may be called from any thread.

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
        self._opened.set()
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
        if self.limit.is_closed:
            self._opened.clear()  # what is on its way goes on as it was: a few parts, and no new ones
            return
        with self._lock:
            self._allowance.set_rate(self.limit.rate or math.inf, self._clock())
        self._opened.set()

    # -- what may begin ----------------------------------------------------------------------------

    async def opened(self) -> None:
        """Wait until uploads may begin."""
        if self.limit.is_closed:
            await self._opened.wait()

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

    def ask(self, size: int) -> float:
        """Take the next `size` bytes of the line; returns their place for `wait`."""
        if self.rate == math.inf:
            return 0.0
        with self._lock:
            return self._allowance.ask(size, self._clock())

    def wait(self, place: float) -> float:
        """Seconds until what has this place may go, as it looks now; 0: go."""
        if self.rate == math.inf:
            return 0.0
        with self._lock:
            return self._allowance.wait(place, self._clock())
