"""Small files packed in a process of their own, as long as there are many: they need the processor, and
in threads of the daemon they would wait for its interpreter, and the event loop for them.

It is there to be fast, and nothing rests on it: what it does not do (it ended, hangs, is slow, finds a
file other than it was) is done in threads, which also say what is wrong.
"""

import asyncio
import math
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Protocol

import structlog

from hotfolder.core.records import Job
from hotfolder.core.segments import KIB, MIB
from hotfolder.formats import Format
from hotfolder.packed_file import PackedFile
from hotfolder.packing_words import Wanted, question, read_answer
from hotfolder.whole import SmallFiles

log = structlog.get_logger()

_LARGEST = 64 * KIB  # bytes of a file that is worth its way to the process and back
MANY = 32  # files in the making at once for which a process is begun
_MOST, _BYTES = 32, MIB  # files, and bytes of theirs, in one question
_AHEAD = 2  # questions on their way: one is worked at, the next is there when it is done
_LOOK = 0.25  # seconds between two looks at it
_SLOW = 0.25  # seconds for one answer after which what waits goes to the threads: these are many
_SILENT = 5.0  # seconds without an answer: a file hangs, and those with it must not
_REST = 60.0  # seconds without a file after which it is ended: it has 30 MB
_PAUSE, _LONGEST_PAUSE = 1.0, 300.0  # seconds before the next one is begun, doubled with each that ended
_FORGIVEN = 600.0  # seconds after the last that ended in which one that answers is no trouble any more


class Process(Protocol):
    """A process that answers each message with one, in their order."""

    def send(self, message: bytes) -> None: ...

    def kill(self) -> None:
        """End it at once; nothing more is heard of it."""
        ...

    async def end(self) -> None: ...


#: Starts a process, told whom to tell of each answer and of its end. Raises OSError.
Start = Callable[[Callable[[bytes], object], Callable[[str], object]], Awaitable[Process]]


@dataclass(slots=True, eq=False)
class _Call:
    """`packed` becomes None where the threads are to do it."""

    wanted: Wanted
    packed: "asyncio.Future[PackedFile | None]"

    def ends(self, packed: PackedFile | None) -> None:
        if not self.packed.done():  # its flight may have been cut off
            self.packed.set_result(packed)


@dataclass(slots=True, eq=False)
class _Running:
    """A process, the questions on their way to it, and when it was last given or gave something."""

    process: Process
    heard_at: float
    asked: deque[list[_Call]] = field(default_factory=deque)


class PackingProcess:
    """`SmallFiles`: most of them of a process, which comes and goes, the others `in_threads`.

    Owned by the event loop; `clock` is monotonic seconds.
    """

    def __init__(self, in_threads: SmallFiles, start: Start, *, clock: Callable[[], float]) -> None:
        self._in_threads, self._start, self._clock = in_threads, start, clock
        self._running: _Running | None = None
        self._starting: asyncio.Task[None] | None = None
        self._waiting: deque[_Call] = deque()
        self._making = 0
        self._is_to_ask = False
        self._pause, self._not_before = _PAUSE, 0.0
        self._lost_at = -math.inf
        self._timer: asyncio.TimerHandle | None = None

    async def pack(self, job: Job, form: Format, mtime_ns: int) -> PackedFile:
        """See `SmallFiles`."""
        self._making += 1
        try:
            packed = None
            if self._running is None:
                self._start_if_many()
            elif job.fingerprint.size <= _LARGEST:
                packed = await self._wanted(Wanted(job, form, mtime_ns))
            return packed or await self._in_threads.pack(job, form, mtime_ns)
        finally:
            self._making -= 1

    @property
    def is_running(self) -> bool:
        """Whether there is a process now."""
        return self._running is not None

    async def hash(self, job: Job) -> bytes:
        """See `SmallFiles`."""
        return await self._in_threads.hash(job)

    async def close(self) -> None:
        """End the process; files that are asked for from here on are packed in threads."""
        self._not_before = float("inf")
        if self._starting is not None:
            self._starting.cancel()
            await asyncio.wait([self._starting])
        running = self._let_go()
        if running is not None:
            await running.process.end()

    def look(self) -> None:
        """See how it gets on. Called by a timer of its own while there is a process."""
        self._timer = None
        running = self._running
        if running is None:
            return
        quiet = self._clock() - running.heard_at
        if running.asked and quiet >= _SILENT:
            running.process.kill()
            self._lost(f"no answer for {quiet:.1f} s")
            return
        if running.asked and quiet >= _SLOW:
            self._give_up(self._waiting)
        if not running.asked and quiet >= _REST:
            self._let_go()
            self._starting = asyncio.create_task(running.process.end())
            return
        self._look_later()

    # -- coming and going ----------------------------------------------------------------------------

    def _start_if_many(self) -> None:
        idle = self._starting is None or self._starting.done()
        if idle and self._making >= MANY and self._clock() >= self._not_before:
            self._starting = asyncio.create_task(self._begin())

    async def _begin(self) -> None:
        try:
            process = await self._start(self._answered, self._lost)
        except Exception as error:  # noqa: BLE001 - whatever it is (no thread to wait for it): not at once again
            self._lost(str(error) or type(error).__name__)
            return
        self._running = _Running(process, self._clock())
        self._look_later()

    def _lost(self, why: str) -> None:
        """It has ended by itself, or never came."""
        log.warning("packing.process_lost", reason=why, again_in=self._pause)
        self._let_go()
        self._lost_at = self._clock()
        self._not_before = self._lost_at + self._pause
        self._pause = min(2 * self._pause, _LONGEST_PAUSE)

    def _let_go(self) -> _Running | None:
        """Go on without it."""
        running, self._running = self._running, None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if running is not None:
            for asked in running.asked:
                self._give_up(asked)
        self._give_up(self._waiting)
        return running

    def _look_later(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(_LOOK, self.look)

    # -- questions and answers -----------------------------------------------------------------------

    def _wanted(self, wanted: Wanted) -> "asyncio.Future[PackedFile | None]":
        loop = asyncio.get_running_loop()
        call = _Call(wanted, loop.create_future())
        self._waiting.append(call)
        if not self._is_to_ask:  # once for all that are asked for in this turn of the loop
            self._is_to_ask = True
            loop.call_soon(self._ask)
        return call.packed

    def _ask(self) -> None:
        self._is_to_ask = False
        running = self._running
        while running is not None and self._waiting and len(running.asked) < _AHEAD:
            if not running.asked:
                running.heard_at = self._clock()
            calls = self._next()
            running.asked.append(calls)
            running.process.send(question([call.wanted for call in calls]))

    def _next(self) -> list[_Call]:
        """What goes into one question: it takes memory, in the process and on the way."""
        calls: list[_Call] = []
        size = 0
        while self._waiting and len(calls) < _MOST and size < _BYTES:
            calls.append(self._waiting.popleft())
            size += calls[-1].wanted.job.fingerprint.size
        return calls

    def _answered(self, message: bytes) -> None:
        running = self._running
        if running is None or not running.asked:
            return  # killed meanwhile
        calls = running.asked.popleft()
        try:
            answers = read_answer(message, [call.wanted for call in calls])
        except ValueError as error:
            running.asked.appendleft(calls)
            running.process.kill()
            self._lost(str(error))
            return
        running.heard_at = self._clock()
        if running.heard_at - self._lost_at >= _FORGIVEN:
            self._pause = _PAUSE
        for call, packed in zip(calls, answers, strict=True):
            call.ends(packed)
        self._ask()

    @staticmethod
    def _give_up(calls: "deque[_Call] | list[_Call]") -> None:
        """To the threads."""
        for call in calls:
            call.ends(None)
        calls.clear()
