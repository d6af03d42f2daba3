"""Packed files on their way to completed/, beside the batches of the recorder.

completed/ may be on another file system, and the group commit of all other files must not wait for a
copy of many gigabytes.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from hotfolder.carrier import Stopped
from hotfolder.core.ports import Keeper
from hotfolder.core.records import JournalRow
from hotfolder.threads import Threads

_TELL_EVERY = 1.0  # seconds


@dataclass(slots=True)
class _Gone:
    """Bytes that are copied; written by the thread, read by the loop."""

    bytes: int = 0


class Keeping:
    """Keeps packed files, each in a thread. Owned by the event loop."""

    def __init__(self, keeper: Keeper, threads: Threads) -> None:
        self._keeper, self._threads = keeper, threads
        self._stopping = False

    async def keep(
        self, row: JournalRow, moved_to: str | None, on_stage: Callable[[str], None]
    ) -> str | None:
        """`Keeper.keep`, told of through `on_stage` as it goes on. Raises `LocalError`, `Stopped`."""
        gone, told = _Gone(), -1
        keep = self._threads.run(self._keeper.keep, row, moved_to, self._counter(gone))
        work = asyncio.ensure_future(keep)
        while not work.done():
            if gone.bytes != told:  # silence shows a copy that is stuck
                told = gone.bytes
                on_stage("keeping the compressed file")
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
