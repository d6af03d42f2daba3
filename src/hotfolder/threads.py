"""Blocking work in threads, as awaited results; and what each of them is about, should it hang."""

import asyncio
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextvars import ContextVar
from dataclasses import dataclass
from types import TracebackType
from typing import ParamSpec, TypeVar

from hotfolder.core.pulse import Step

P = ParamSpec("P")
T = TypeVar("T")

_ABOUT: ContextVar[str] = ContextVar("about", default="")


class concerning:  # noqa: N801 - it reads as a statement, as those of contextlib do
    """What runs in here, and the tasks begun in here, are about `path`."""

    __slots__ = ("_path", "_token")

    def __init__(self, path: str) -> None:
        self._path = path

    def __enter__(self) -> None:
        self._token = _ABOUT.set(self._path)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        _ABOUT.reset(self._token)


@dataclass(slots=True, eq=False)
class _Work:
    """One call in its thread. `alive_at`: monotonic seconds."""

    about: str
    alive_at: float


class _Here(threading.local):
    work: _Work | None = None


_HERE = _Here()


def sign_of_life() -> None:
    """Work that rightly takes long says so, from its thread, that it goes on."""
    if _HERE.work is not None:
        _HERE.work.alive_at = time.monotonic()


class Threads:
    """A pool of `size` threads named `name-N`."""

    def __init__(self, name: str, size: int) -> None:
        self.name, self.size = name, size
        self._pool = ThreadPoolExecutor(size, thread_name_prefix=name)
        self._running: set[_Work] = set()

    async def run(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Call `work` in a thread and return its result.

        If the caller is cancelled, the work is waited for all the same: it may be using a
        descriptor that the caller is about to close.
        """
        about = _ABOUT.get()
        future = asyncio.get_running_loop().run_in_executor(
            self._pool, lambda: self._noted(about, lambda: work(*args, **kwargs))
        )
        try:
            return await asyncio.shield(future)
        except asyncio.CancelledError:
            await asyncio.wait([future])
            if not future.cancelled():
                future.exception()  # looked at, so that nobody is told it was not
            raise

    def steps(self) -> list[Step]:
        """What runs now; what waits for a thread has not begun."""
        # A set is copied in one go: threads add to it meanwhile.
        return [Step(self.name, work.about, work.alive_at) for work in tuple(self._running)]

    def _noted(self, about: str, work: Callable[[], T]) -> T:
        noted = _HERE.work = _Work(about, time.monotonic())
        self._running.add(noted)
        try:
            return work()
        finally:
            self._running.discard(noted)
            _HERE.work = None

    def close(self) -> None:
        """Wait for running work and end the threads."""
        self._pool.shutdown(wait=True, cancel_futures=True)
