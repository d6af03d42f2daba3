"""Places for what goes on at the same time: as many as there are now, first come, first served."""

import asyncio
import math
import time
from collections.abc import Callable
from types import TracebackType

import structlog

from hotfolder.core.breadth import Breadth

log = structlog.get_logger()

_TOLD_EVERY = 60.0  # seconds: a store that says SlowDown again and again fills no log


class Places:
    """`async with places:` waits for one and keeps it; use it from one event loop.

    `most` says how many there are now. Call `admit` when there may be more.
    """

    def __init__(self, most: Callable[[], float]) -> None:
        self._most = most
        self._taken = 0
        self._waiting: dict[asyncio.Future[None], None] = {}  # in order

    async def __aenter__(self) -> None:
        if not self._waiting and self._taken < self._most():
            self._taken += 1
            return
        turn = asyncio.get_running_loop().create_future()
        self._waiting[turn] = None
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self._leave()  # it was given in this very moment
            else:
                self._waiting.pop(turn, None)
            raise

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._leave()

    def admit(self) -> None:
        """Let those go on for whom there is a place."""
        while self._waiting and self._taken < self._most():
            turn = next(iter(self._waiting))
            del self._waiting[turn]
            if not turn.done():  # cancelled just now: who waited does not know yet
                self._taken += 1
                turn.set_result(None)

    def _leave(self) -> None:
        self._taken -= 1
        if self._waiting:
            self.admit()


class RequestPlaces(Places):
    """Places for the requests to one store: up to `most`, and fewer after it has said SlowDown.

    `name` is the destination's, and `kind` which of its requests these are, as the log tells them.
    `clock`: monotonic seconds.
    """

    def __init__(
        self,
        most: int,
        *,
        name: str = "",
        kind: str = "any",
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(lambda: int(self._breadth.allowed))
        self._breadth, self._clock = Breadth(most, float(most)), clock
        self._of = {"destination": name, "requests": kind}
        self._narrowed_from: float | None = None  # that was told, and its end was not
        self._told_at = -math.inf

    @property
    def taken(self) -> int:
        """The requests under way."""
        return self._taken

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self._breadth = self._breadth.taken(self._taken)
            if self._narrowed_from is not None and self._breadth.allowed >= self._narrowed_from:
                self._narrowed_from = None
                log.info("requests.widened", **self._of, allowed=int(self._breadth.allowed))
        self._leave()

    def throttled(self, under_way: int) -> None:
        """The store asks for fewer than the `under_way` of all kinds."""
        before, now = self._breadth, self._clock()
        self._breadth = before.throttled(under_way, now)
        is_over = self._narrowed_from is None
        if self._breadth.allowed < before.allowed and is_over and now - self._told_at >= _TOLD_EVERY:
            self._narrowed_from, self._told_at = before.allowed, now
            log.info(
                "requests.narrowed",
                **self._of,
                allowed=int(self._breadth.allowed),
                before=int(before.allowed),
            )
