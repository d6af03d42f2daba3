"""Originals on their way to another file system: copied in threads of their own, one row each.

A copy may take an hour, and the group commit of all other files must not wait for it.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from hotfolder.core.errors import HotfolderError
from hotfolder.core.ports import Mover
from hotfolder.core.records import Fingerprint, JournalRow
from hotfolder.threads import Threads

_TELL_EVERY = 1.0  # seconds


class Stopped(HotfolderError):
    """The daemon ends: the next start makes the copy."""


@dataclass(slots=True)
class _Gone:
    """Bytes that a copy has behind it; written by its thread, read by the loop."""

    bytes: int = 0


class Carrier:
    """Makes copies. Owned by the event loop."""

    def __init__(self, mover: Mover, threads: Threads) -> None:
        self._mover, self._threads = mover, threads
        self._stopping = False

    async def copy(self, row: JournalRow, on_stage: Callable[[str], None]) -> Fingerprint:
        """`Mover.copy`, told of through `on_stage` as it goes on. Raises as that does, and `Stopped`."""
        gone = _Gone()
        work = asyncio.ensure_future(self._threads.run(self._mover.copy, row, self._counter(gone)))
        told = -1
        while not work.done():
            if gone.bytes != told:  # silence shows a copy that is stuck
                told = gone.bytes
                share = 50 * told // max(1, row.fingerprint.size)  # written, and read back
                on_stage(f"moving to another file system: {share}%")
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

        return count
