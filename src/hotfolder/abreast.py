"""Bodies on their way side by side under a limit: as many of each sender as it takes to use the line."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from hotfolder.core.allowance import Owner

#: Seconds' worth of a sender's bodies that are under way at once: what a far store's answer takes, and
#: more. With more bodies than that each would only be slower, and a stop would cut them all.
_AHEAD = 1.0
_FEWEST = 2  # the next begins to be sent while the last waits for its answer


@dataclass(slots=True)
class _Row:
    """Of one sender: how many bodies of how many bytes are under way, and who waits, in order."""

    count: int = 0
    size: int = 0
    waiting: deque[tuple[asyncio.Future[None], int]] = field(default_factory=deque)

    def take(self, size: int, count: int = 1) -> None:
        self.count += count
        self.size += count * size


class Abreast:
    """Owned by the event loop. `rate` in bytes a second; `inf`: no limit, 0: nothing begins."""

    def __init__(self, rate: Callable[[], float]) -> None:
        self._rate = rate
        self._rows: dict[Owner, _Row] = {}

    @asynccontextmanager
    async def place(self, sender: Owner, size: int) -> AsyncIterator[None]:
        """Wait for the sender's turn to begin one more body of `size` bytes, and keep its place."""
        row = self._rows.setdefault(sender, _Row())
        if row.waiting or not self._has_room(row):
            await self._turn(row, size)
        else:
            row.take(size)
        try:
            yield
        finally:
            row.take(size, -1)
            self._admit(row)

    def admit(self) -> None:
        """Let those begin for whom there is room: there may be more than before."""
        for row in self._rows.values():
            self._admit(row)

    async def _turn(self, row: _Row, size: int) -> None:
        turn = asyncio.get_running_loop().create_future()
        row.waiting.append((turn, size))
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():  # it was given in this very moment
                row.take(size, -1)
            self._admit(row)
            raise

    def _has_room(self, row: _Row) -> bool:
        rate = self._rate()
        return rate > 0 and (row.count < _FEWEST or row.size < rate * _AHEAD)

    def _admit(self, row: _Row) -> None:
        while row.waiting and (row.waiting[0][0].done() or self._has_room(row)):
            turn, size = row.waiting.popleft()
            if not turn.done():  # cancelled just now: who waited does not know yet
                row.take(size)
                turn.set_result(None)
