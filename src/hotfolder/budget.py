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

    A lease that does not fit yet lets up to `patience` smaller ones pass; then it is next. Some bytes
    are for small files alone, so that these never wait for hours until a large one is done.
    """

    def __init__(self, total: int, *, patience: int = 256, kept: int = 0, small: int = 0) -> None:
        """`kept` bytes are for leases of up to `small`, unless one lease needs nearly all there is."""
        self.total = total
        self.free = total
        self._kept, self._small = kept, small
        self._small_taken = 0
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
                self._take(waiter, -waiter.granted.result())
            self._grant()

    def _grant(self) -> None:
        """Serve the waiting in order; behind one that does not fit, at most `patience` may pass."""
        first: _Waiter | None = None  # of those that do not fit
        for waiter in list(self._waiting):
            room = self._room_for(waiter, first if self._passed >= self._patience else None)
            if waiter.least > room:
                first = first or waiter
                continue
            self._waiting.remove(waiter)
            self._passed = 0 if first is None else self._passed + 1
            if not waiter.granted.cancelled():
                share = min(waiter.most, room)
                self._take(waiter, share)
                waiter.granted.set_result(share)

    def _room_for(self, waiter: _Waiter, next_one: _Waiter | None) -> int:
        """How many bytes it may have; -1 for none. `next_one`: who lets no more others pass."""
        unused = max(0, self._kept - self._small_taken)
        if next_one is not None:
            if self._is_small(waiter) and not self._needs_kept(next_one):
                return min(unused, self.free) if unused else -1
            return -1
        if self._is_small(waiter) or self._needs_kept(waiter):
            return self.free
        return self.free - unused

    def _is_small(self, waiter: _Waiter) -> bool:
        return waiter.least <= self._small and self._kept > 0

    def _needs_kept(self, waiter: _Waiter) -> bool:
        return waiter.least > self.total - self._kept

    def _take(self, waiter: _Waiter, share: int) -> None:
        self.free -= share
        if self._is_small(waiter):
            self._small_taken += share
