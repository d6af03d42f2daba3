"""Waking the loop from other threads: at once, but not for every event of a burst."""

import asyncio
from collections.abc import Callable

_LEAST_REST = 0.05  # seconds between two wakings: a turn of the loop costs the same for 1 path or 1,000


class Waker:
    """`wake` may be called from any thread and any number of times; `work` is called in the loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop, work: Callable[[], object]) -> None:
        self._loop, self._work = loop, work
        self._next = float("-inf")
        self._is_due = False

    def wake(self) -> None:
        """Call `work` soon: the first time at once, then at most every so often."""
        try:
            self._loop.call_soon_threadsafe(self._awake)
        except RuntimeError:
            return  # the loop has ended: nobody is to be woken any more

    def _awake(self) -> None:
        if self._is_due:
            return
        self._is_due = True
        self._loop.call_at(max(self._loop.time(), self._next), self._call)

    def _call(self) -> None:
        self._is_due = False
        self._next = self._loop.time() + _LEAST_REST
        self._work()
