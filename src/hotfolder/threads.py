"""Blocking work in threads, as awaited results; and what each of them is about, should it hang."""

import asyncio
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass
from types import TracebackType
from typing import Any, NamedTuple, ParamSpec, TypeVar

from hotfolder.core.pulse import Step
from hotfolder.core.records import Job

P = ParamSpec("P")
T = TypeVar("T")

_ABOUT: ContextVar[tuple[str, Job | None]] = ContextVar("about", default=("", None))


class concerning:  # noqa: N801 - it reads as a statement, as those of contextlib do
    """What runs in here, and the tasks begun in here, are about `path`; it may be that of a `job`."""

    __slots__ = ("_about", "_token")

    def __init__(self, path: str, job: Job | None = None) -> None:
        self._about = path, job

    def __enter__(self) -> None:
        self._token = _ABOUT.set(self._about)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        _ABOUT.reset(self._token)


def about() -> str:
    """What the running task is about."""
    return _ABOUT.get()[0]


def job_in_hand() -> Job | None:
    """The file on its way that the running task is about, if it is."""
    return _ABOUT.get()[1]


@dataclass(slots=True, eq=False)
class Work:
    """One call in its thread. `alive_at`: monotonic seconds."""

    about: str
    alive_at: float

    def is_about(self, path: str) -> None:
        """The call goes on with another path."""
        self.about, self.alive_at = path, time.monotonic()


class _Here(threading.local):
    work: Work | None = None


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
        self._running: set[Work] = set()

    async def run(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Call `work` in a thread and return its result.

        If the caller is cancelled, however often, the work is waited for all the same: it may be
        using a descriptor that the caller is about to close.
        """
        future = asyncio.get_running_loop().run_in_executor(
            self._pool, self._call, about(), lambda: work(*args, **kwargs)
        )
        try:
            return await asyncio.shield(future)
        except asyncio.CancelledError:
            await _over(future)
            raise

    def steps(self) -> list[Step]:
        """What runs now; what waits for a thread has not begun."""
        # A set is copied in one go: threads add to it meanwhile.
        return [Step(self.name, work.about, work.alive_at) for work in tuple(self._running)]

    def begin(self, work: Callable[[], T]) -> Future[T]:
        """Call `work` in a thread; nobody awaits it here. Raises `RuntimeError` after `close`."""
        return self._pool.submit(work)

    @contextmanager
    def noted(self, about: str = "") -> Iterator[Work]:
        """In a thread: what runs in here is one of `steps`."""
        noted = _HERE.work = Work(about, time.monotonic())
        self._running.add(noted)
        try:
            yield noted
        finally:
            self._running.discard(noted)
            _HERE.work = None

    def _call(self, about: str, work: Callable[[], T]) -> T:
        with self.noted(about):
            return work()

    def close(self) -> None:
        """Wait for running work and end the threads."""
        self._pool.shutdown(wait=True, cancel_futures=True)


async def _over(call: "asyncio.Future[Any]") -> None:
    """Wait for the end of a call, also where the task that waits is cancelled once more.

    A part that fails cancels a file's reading, and a stop comes in that moment.
    """
    while not call.done():
        with suppress(asyncio.CancelledError):  # its caller raises the one that it caught
            await asyncio.wait([call])
    if not call.cancelled():
        call.exception()  # looked at, so that nobody is told it was not


class _Call(NamedTuple):
    about: str
    work: Callable[[], Any]
    result: "Future[Any]"


class OneByOne:
    """Calls one behind the other, in the order in which they are asked for, in threads of a pool.

    The thread of one goes on with the next. A detour over the event loop, which may be sending for some
    milliseconds, would let all wait that depends on the row.
    """

    def __init__(self, threads: Threads) -> None:
        self._threads = threads
        self._waiting: deque[_Call] = deque()
        self._moving = threading.Lock()  # held while a thread goes along the row

    async def run(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """As `Threads.run`; but what has not begun when its caller is cancelled never will."""
        result: Future[T] = Future()
        future = asyncio.wrap_future(result)
        self._waiting.append(_Call(about(), lambda: work(*args, **kwargs), result))
        if self._moving.acquire(blocking=False):
            try:
                self._threads.begin(self._move)
            except BaseException:
                self._moving.release()
                raise
        try:
            return await asyncio.shield(future)
        except asyncio.CancelledError:
            if not result.cancel():
                await _over(future)
            raise

    def _move(self) -> None:
        """In a thread that has the row: until nothing waits any more."""
        while True:
            while self._waiting:
                self._serve(self._waiting.popleft())
            self._moving.release()
            # What was asked for just before that found the row taken: then it is ours to take again.
            if not self._waiting or not self._moving.acquire(blocking=False):
                return

    def _serve(self, call: _Call) -> None:
        if not call.result.set_running_or_notify_cancel():
            return
        with self._threads.noted(call.about):
            try:
                call.result.set_result(call.work())
            except BaseException as error:  # noqa: BLE001 - whatever it is, it is for who asked
                call.result.set_exception(error)
