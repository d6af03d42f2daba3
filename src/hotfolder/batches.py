"""Short calls of one kind, many to a hop: to a thread and back costs more than a small file itself.

The loop's side gathers what is asked for; a call in a thread takes one after the other from what
waits, and answers are handed back together. So a file that hangs keeps back no other: what waits
behind it is taken by the next call, and what was done before it is handed out meanwhile.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import AbstractContextManager
from functools import partial
from typing import Generic, TypeVar

from hotfolder.threads import Threads, about

A = TypeVar("A")
R = TypeVar("R")

_MOST = 32  # in one hop: others want the thread, too
_LOOK = 0.05  # seconds between two looks at what threads are at
_SLOW = 20  # answers between two looks; with fewer than that it is the disk that takes its time


class _Call(asyncio.Future[R], Generic[A, R]):
    """One call that was asked for, and its answer."""

    def __init__(self, asked: A) -> None:
        super().__init__()
        self.asked, self.about = asked, about()
        self.result_or_error: tuple[R | None, BaseException | None] = (None, None)

    def cancel(self, msg: object = None) -> bool:  # noqa: ARG002 - the signature of a future
        """Not: the thread may be using what the caller is about to close. It is cancelled afterwards."""
        return False

    def answer(self) -> None:
        """Hand out what the thread has left. Raises nothing: others wait behind it."""
        result, error = self.result_or_error
        if error is None:
            self.set_result(result)  # type: ignore[arg-type]  # R may be Optional
        elif isinstance(error, StopIteration):  # which no future takes
            self.set_exception(RuntimeError(repr(error)))
        else:
            self.set_exception(error)


class Batches(Generic[A, R]):
    """`together` gives what does the work, in a context that one hop's calls have in common.

    Where entering or leaving that context raises, the next call gets the error. Owned by the event loop.
    """

    def __init__(
        self, threads: Threads, together: Callable[[], AbstractContextManager[Callable[[A], R]]]
    ) -> None:
        self._threads, self._together = threads, together
        self._waiting: deque[_Call[A, R]] = deque()  # a thread takes from the left
        self._done: deque[_Call[A, R]] = deque()
        self._hops, self._allowed, self._answered = 0, 1, 0
        self._is_to_begin = False
        self._looking: asyncio.TimerHandle | None = None

    async def run(self, asked: A) -> R:
        """Do the work for `asked` in a thread; returns its result or raises what it raised.

        If the caller is cancelled, the work is waited for all the same, as in `Threads.run`.
        """
        call: _Call[A, R] = _Call(asked)
        self._waiting.append(call)
        if not self._is_to_begin:  # once for all that are asked for in this turn of the loop
            self._is_to_begin = True
            call.get_loop().call_soon(self._begin)
        try:
            return await call
        except asyncio.CancelledError:
            if call.done():
                call.exception()  # looked at, so that nobody is told it was not
            raise

    # -- on the loop -------------------------------------------------------------------------------

    def _begin(self) -> None:
        self._is_to_begin = False
        self._hand_out()
        loop = asyncio.get_running_loop()
        while self._waiting and self._hops < self._allowed:
            try:
                hop = self._threads.begin(self._hop)
            except RuntimeError as closed:
                while self._waiting:
                    self._waiting.popleft().set_exception(closed)
                return
            self._hops += 1
            # Also told where the hop is given up before it began, because the threads are closed.
            hop.add_done_callback(partial(_tell, loop, self._ended))
        if self._hops and self._looking is None:
            self._looking = loop.call_later(_LOOK, self._look)

    def _look(self) -> None:
        """One thread is enough where the processor is all it takes; a slow disk serves many at once, and
        behind one that hangs others go on."""
        self._looking = None
        if self._waiting and self._answered < _SLOW:
            self._allowed = min(self._hops + 1, self._threads.size)
        self._answered = 0
        self._begin()

    def _hand_out(self) -> None:
        while self._done:
            call = self._done.popleft()
            self._answered += 1
            call.answer()

    def _ended(self, hop: "Future[None]") -> None:
        self._hops -= 1
        if not self._waiting:
            self._allowed = min(self._hops + 1, self._threads.size)
        self._begin()
        if not hop.cancelled():
            hop.result()  # raises what is a defect of ours

    # -- in a thread -------------------------------------------------------------------------------

    def _hop(self) -> None:
        try:
            with self._threads.noted() as step, self._together() as work:
                for _ in range(_MOST):
                    if (call := self._next()) is None:
                        return
                    step.is_about(call.about)
                    try:
                        call.result_or_error = work(call.asked), None
                    except BaseException as error:  # noqa: BLE001 - it is the caller's
                        call.result_or_error = None, error
                    self._done.append(call)
        except BaseException as error:  # of the context: hop after hop would fail, and nobody hear of it
            if (call := self._next()) is None:
                raise
            call.result_or_error = None, error
            self._done.append(call)

    def _next(self) -> _Call[A, R] | None:
        try:
            return self._waiting.popleft()
        except IndexError:  # another hop took the last one
            return None


def _tell(
    loop: asyncio.AbstractEventLoop, ended: Callable[["Future[None]"], None], hop: "Future[None]"
) -> None:
    loop.call_soon_threadsafe(ended, hop)
