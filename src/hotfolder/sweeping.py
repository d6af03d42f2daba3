"""Takes back multipart uploads that nobody will go on with: an open upload is stored, and paid for."""

import asyncio
import os
from collections.abc import Callable, Collection
from dataclasses import dataclass

import structlog

from hotfolder.core.errors import HotfolderError, LocalError
from hotfolder.core.records import UploadNote
from hotfolder.gate import Gate
from hotfolder.resuming import Notebook, Resumer
from hotfolder.threads import Threads
from hotfolder.trees import look_as
from hotfolder.wire import Wire

log = structlog.get_logger()

_DAY = 86_400.0
_AGE = 7 * _DAY  # another machine, or an `upload`, may be sending over a slow line
_PAUSE = _DAY / 4
_RETRY = 600.0


@dataclass(frozen=True, slots=True)
class Territory:
    """Where in one bucket uploads may be ours: below `prefixes`, and of files below `inboxes`."""

    prefixes: Collection[str]
    inboxes: Collection[str]


class Sweeper:
    """Sweeps one destination, at the start and every few hours. `clock` is monotonic seconds.

    `is_flying` tells of an operation id whether its file is on its way now.
    """

    def __init__(
        self,
        wire: Wire,
        resumer: Resumer,
        notebook: Notebook,
        territory: Territory,
        *,
        gate: Gate,
        threads: Threads,
        is_flying: Callable[[str], bool],
        clock: Callable[[], float],
    ) -> None:
        self._wire, self._resumer, self._notebook = wire, resumer, notebook
        self._territory = territory
        self._gate, self._threads = gate, threads
        self._is_flying = is_flying
        self._clock = clock
        self._next = 0.0
        self._task: asyncio.Task[None] | None = None

    def turn(self) -> None:
        """Begin a sweep if it is time and the store answers."""
        if self._gate.is_open() and self._clock() >= self._next and self.is_idle():
            self._next = self._clock() + _PAUSE
            self._task = asyncio.create_task(self._run())

    def is_idle(self) -> bool:
        return self._task is None or self._task.done()

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self) -> None:
        try:
            await self.sweep()
        except HotfolderError as error:
            self._next = self._clock() + _RETRY
            log.warning("uploads.not_swept", bucket=self._resumer.bucket, reason=error.sentence)

    async def sweep(self) -> None:
        """Take back what is over, then what is old. Raises what the store raises."""
        await self.sweep_noted()
        for prefix in self._territory.prefixes:
            async for upload in self._wire.list_uploads(prefix):
                age = self._notebook.wall() - upload.initiated
                noted = (note.upload_id for note in self._notebook.all())
                if age > _AGE and upload.upload_id not in noted:
                    log.info("upload.orphan_aborted", key=upload.key, upload_id=upload.upload_id)
                    await self._wire.abort(upload.key, upload.upload_id)

    async def sweep_noted(self) -> None:
        """Take back the uploads that were noted and are over. Raises what the store raises."""
        for note in self._notebook.all():
            if note.bucket == self._resumer.bucket and await self._is_over(note):
                log.info("upload.taken_back", key=note.key, upload_id=note.upload_id)
                await self._resumer.take_back(note)

    async def _is_over(self, note: UploadNote) -> bool:
        """Whether no next try will go on with it: its file is gone, or is another by now."""
        if self._is_flying(note.operation_id):
            return False
        if note.root not in self._territory.inboxes:
            return self._notebook.wall() - note.begun_at > _AGE
        if not await self._threads.run(os.path.isdir, note.root):
            return False  # not mounted
        try:
            seen = await self._threads.run(look_as, note.root, note.relpath, note.fingerprint)
        except LocalError:
            return False  # it cannot be told now; the next sweep asks again
        if self._is_flying(note.operation_id):
            return False
        return seen is None or self._notebook.remembered(note.root, note.relpath, seen) is None
