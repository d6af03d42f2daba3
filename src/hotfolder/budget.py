"""The byte budget: one bound on all buffers, shared by every file in flight."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field


@dataclass(slots=True, eq=False)
class _Waiter:
    least: int
    most: int
    granted: "asyncio.Future[int]" = field(
        default_factory=lambda: asyncio.get_running_loop().create_future()
    )


class ByteBudget:
    """Leases of bytes, first come first served. A lease is taken whole and never grows, so that
    files cannot wait for each other in a ring.

    A lease that does not fit yet lets up to `patience` smaller ones pass; then it is next.
    """

    def __init__(self, total: int, *, patience: int = 256) -> None:
        self.total = total
        self.free = total
        self._patience = patience
        self._passed = 0
        self._waiting: deque[_Waiter] = deque()

    @asynccontextmanager
    async def lease(self, least: int, most: int) -> AsyncIterator[int]:
        """Wait for at least `least` bytes and get up to `most`; they are given back at the end.

        Raises `ValueError` if `least` can never fit.
        """
        if least > self.total:
            raise ValueError(f"a lease of {least} bytes can never fit into {self.total}")
        waiter = _Waiter(least, most)
        self._waiting.append(waiter)
        self._grant()
        try:
            granted = await waiter.granted
            yield granted
        finally:
            if waiter in self._waiting:
                self._waiting.remove(waiter)
            if waiter.granted.done() and not waiter.granted.cancelled():
                self.free += waiter.granted.result()
            self._grant()

    def _grant(self) -> None:
        """Serve the waiting in order; behind one that does not fit, at most `patience` may pass."""
        passing = False
        for waiter in list(self._waiting):
            if waiter.least > self.free:
                if self._passed >= self._patience:
                    return
                passing = True
                continue
            self._waiting.remove(waiter)
            self._passed = self._passed + 1 if passing else 0
            if not waiter.granted.cancelled():
                share = min(waiter.most, self.free)
                self.free -= share
                waiter.granted.set_result(share)
