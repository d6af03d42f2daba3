"""What comes before the first turn of a folder: begun once it may, and waited for without blocking."""

import asyncio
from collections.abc import Awaitable, Callable


class Beforehand:
    """`work`, if any, until it succeeds; `wake` is called at its end. Owned by the event loop."""

    def __init__(self, work: Callable[[], Awaitable[None]] | None, wake: Callable[[], None]) -> None:
        self._work, self._wake = work, wake
        self._task: asyncio.Task[None] | None = None

    @property
    def is_under_way(self) -> bool:
        return self._task is not None and not self._task.done()

    def is_over(self) -> bool:
        """Begin it, if it is not under way. Raises what it raised; the next call begins it anew."""
        if self._work is None:
            return True
        if self._task is None:
            self._task = asyncio.ensure_future(self._work())
            self._task.add_done_callback(lambda _: self._wake())
        if not self._task.done():
            return False
        task, self._task = self._task, None
        task.result()
        self._work = None
        return True

    async def stop(self) -> None:
        """Interrupt it."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
