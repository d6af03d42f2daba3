"""One request and its repetitions, as tenacity counts and judges them."""

from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

from hotfolder.core.answers import Verdict

T = TypeVar("T")


class Failed(Exception):
    """One try failed; the verdict says whether to repeat it and what to raise in the end."""

    def __init__(self, verdict: Verdict, requests: int = 1) -> None:
        super().__init__(str(verdict.error))
        self.verdict = verdict
        self.requests = requests


class Tries(Generic[T]):
    """One request, sent as often as it is asked for; counts what was really sent.

    `shut_out`: seconds in which it was not to be sent again, as the upload window was closed.
    """

    def __init__(self, send: Callable[[], Awaitable[T]], failed: Failed | None) -> None:
        self._send = send
        self._unheard = failed  # a failure that the retrying has yet to judge
        self.requests = failed.requests if failed else 0
        self.shut_out = 0.0

    async def first(self) -> T:
        try:
            return await self.next()
        except Failed as failed:
            self._unheard = failed
            raise

    async def next(self) -> T:
        if self._unheard is not None:
            failed, self._unheard = self._unheard, None
            raise failed
        self.requests += 1
        return await self._send()
