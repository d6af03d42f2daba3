"""A packing process without one: it answers in the event loop, at once or when it is told to."""

import asyncio
from collections import deque
from collections.abc import Callable

from hotfolder import packing_child


class MemoryProcess:
    """`packing_process.Process`. With `holds` it answers only to `answer`."""

    def __init__(
        self,
        on_answer: Callable[[bytes], object],
        on_end: Callable[[str], object],
        *,
        holds: bool = False,
    ) -> None:
        self._on_answer, self.on_end, self.holds = on_answer, on_end, holds
        self.questions: deque[bytes] = deque()
        self.asked, self._over = 0, False

    @property
    def is_over(self) -> bool:
        return self._over

    def send(self, message: bytes) -> None:
        self.asked += 1
        self.questions.append(message)
        if not self.holds:
            asyncio.get_running_loop().call_soon(self.answer)

    def answer(self) -> None:
        """Answer the oldest question."""
        question = self.questions.popleft()
        if not self._over:
            self._on_answer(packing_child.answered(question))

    def say(self, message: bytes) -> None:
        """Answer with just this."""
        self._on_answer(message)

    def kill(self) -> None:
        self._over = True

    async def end(self) -> None:
        self._over = True
