"""Places for what goes on at the same time: as many as there are now, first come, first served."""

import asyncio
import time
from collections.abc import Callable
from types import TracebackType

from hotfolder.core.breadth import Breadth


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

    `first`: how many there are before it is known that it takes more.
    """

    def __init__(
        self, most: int, *, first: int | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        super().__init__(lambda: int(self._breadth.allowed))
        self._breadth, self._clock = Breadth(most, float(first or most)), clock

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self._breadth = self._breadth.taken(self._taken)
        self._leave()

    def throttled(self) -> None:
        """The store asks for fewer."""
        self._breadth = self._breadth.throttled(self._taken, self._clock())
