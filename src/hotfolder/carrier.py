"""Copies of whole files, made in threads of their own, one each.

completed/ may be on another file system: a copy may take an hour, and the group commit of all other
files must not wait for it.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from hotfolder.core.errors import HotfolderError
from hotfolder.threads import Threads, sign_of_life

T = TypeVar("T")

_TELL_EVERY = 1.0  # seconds


class Stopped(HotfolderError):
    """The daemon ends: the next start makes the copy."""


@dataclass(slots=True)
class _Gone:
    """Bytes that a copy has behind it; written by its thread, read by the loop."""

    bytes: int = 0


class Carrier:
    """Makes copies. Owned by the event loop."""

    def __init__(self, threads: Threads) -> None:
        self._threads = threads
        self._stopping = False

    async def run(
        self, copy: Callable[[Callable[[int], None]], T], on_bytes: Callable[[int], None]
    ) -> T:
        """Call `copy` in a thread with a function that it tells of the bytes that it copies.

        `on_bytes` hears how many there are by now, as long as there are more: silence shows a copy that
        is stuck. Raises as `copy` does, and `Stopped`.
        """
        gone, told = _Gone(), -1
        work = asyncio.ensure_future(self._threads.run(copy, self._counter(gone)))
        while not work.done():
            if gone.bytes != told:
                told = gone.bytes
                on_bytes(told)
            await asyncio.wait({work}, timeout=_TELL_EVERY)
        return work.result()

    def stop(self) -> None:
        """End all copies soon."""
        self._stopping = True

    def _counter(self, gone: _Gone) -> Callable[[int], None]:
        def count(size: int) -> None:
            if self._stopping:
                raise Stopped("hotfolder stops")
            gone.bytes += size
            sign_of_life()

        return count
