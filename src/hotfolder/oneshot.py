"""Delivering named files once: the same journey, with the originals left where they are."""

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import islice

from hotfolder.beneath import look
from hotfolder.core.blame import MOST_UNSURE, Blame, Evidence, blame
from hotfolder.core.errors import DestinationError, HotfolderError, LocalError
from hotfolder.core.grouping import Grouping
from hotfolder.core.records import Fingerprint, Job, PassedOver, UploadNote
from hotfolder.core.retry import Deferred, Hold, Resettle
from hotfolder.courier import Courier, Ended
from hotfolder.threads import Threads

_BATCH = 500
_RESTLESS_TRIES = 5
_RESTLESS_WAIT = 1.0  # seconds


class OneShot:
    """Carries a stream of files, `most_flights` at a time. `left`: path -> why it was not delivered.

    `wall` fixes {timestamp} and {date}.
    """

    def __init__(
        self,
        courier: Courier,
        *,
        grouping: Grouping,
        batch: str,
        new_operation_id: Callable[[], str],
        remembered: Callable[[str, str, Fingerprint], UploadNote | None],
        threads: Threads,
        most_flights: int,
        size_refusal: Callable[[int], str | None],
        wall: Callable[[], float],
    ) -> None:
        self._courier = courier
        self._folder, self._grouping, self._batch = grouping.folder, grouping, batch
        self._new_operation_id = new_operation_id
        self._remembered = remembered
        self._threads = threads
        self._wall, self._size_refusal = wall, size_refusal
        self._free = asyncio.Semaphore(most_flights)
        self._trouble: HotfolderError | None = None
        self._unsure = MOST_UNSURE  # refusals since the store took a file; too many, until it took one
        self.left: dict[str, str] = {}

    async def deliver(self, files: Iterator[tuple[str, str | PassedOver]]) -> HotfolderError | None:
        """Deliver every (root, relative path); returns what made all further tries pointless, if so."""
        async with asyncio.TaskGroup() as group:
            while batch := await self._listed(files):
                for root, relpath in batch:
                    refused = self._refusal(relpath)
                    if refused is not None:
                        self.left[f"{root}/{refused.relpath}"] = refused.why
                        continue
                    assert isinstance(relpath, str)  # noqa: S101 - what is passed over was refused
                    await self._free.acquire()
                    if self._trouble is not None:
                        self._free.release()
                        return self._trouble
                    group.create_task(self._carry(root, relpath))
        return self._trouble

    def _refusal(self, entry: str | PassedOver) -> PassedOver | None:
        if isinstance(entry, PassedOver):
            return entry
        why = self._grouping.refusal(entry)
        return PassedOver(entry, f"{why}; or name its group with --group") if why is not None else None

    async def _listed(
        self, files: Iterator[tuple[str, str | PassedOver]]
    ) -> list[tuple[str, str | PassedOver]]:
        try:
            return await self._threads.run(lambda: list(islice(files, _BATCH)))
        except OSError as error:  # a folder that was named may not be read
            self.left[str(error.filename or "")] = f"cannot be listed: {error.strerror}"
            return []

    async def _carry(self, root: str, relpath: str) -> None:
        try:
            await self._to_its_end(root, relpath)
        finally:
            self._free.release()

    async def _to_its_end(self, root: str, relpath: str) -> None:
        path, restless, attempt = f"{root}/{relpath}", 0, 1
        operation_id = self._new_operation_id()
        while self._trouble is None:
            # One id for one content: by it a later try tells an object of its own.
            try:
                job = await self._job(root, relpath, operation_id)
            except LocalError as error:  # its folder may not be entered
                self.left[path] = error.sentence
                return
            why = None if job is None else self._size_refusal(job.fingerprint.size)
            if why is not None:
                self.left[path] = why
                return
            if job is None:
                self.left[path] = (
                    "there is no such file, or it is a link or a device: name a regular file"
                )
                return
            ending = await self._courier.carry(replace(job, attempt=attempt))
            if isinstance(ending, Ended):
                if ending.entry["status"] == "success":
                    self._unsure = 0
                return
            match ending.decision:
                case Resettle(reason):
                    restless += 1
                    operation_id = self._new_operation_id()
                    if restless >= _RESTLESS_TRIES:
                        self.left[path] = reason
                        return
                    await asyncio.sleep(_RESTLESS_WAIT)
                case Deferred(_, next_attempt, _):
                    attempt = next_attempt
                    await asyncio.sleep(_RESTLESS_WAIT)
                case Hold(reason):
                    self.left[path] = reason
                    self._note(ending.error)
                    return

    def _note(self, error: BaseException) -> None:
        """What held one file: all others too, unless it may be a matter of this one alone."""
        own = isinstance(error, DestinationError) and (
            blame(error, Evidence(unsure=self._unsure)) is not Blame.STORE
        )
        self._unsure += 1
        if isinstance(error, DestinationError | LocalError) and not own:
            self._trouble = error

    async def _job(self, root: str, relpath: str, operation_id: str) -> Job | None:
        seen = await self._threads.run(look, root, relpath)
        if seen is None:
            return None
        begun = self._remembered(root, relpath, seen)
        return Job(
            operation_id=begun.operation_id if begun else operation_id,
            batch=self._batch,
            folder=self._folder,
            root=root,
            relpath=relpath,
            group=self._grouping.group_of(relpath),
            fingerprint=seen,
            made_at=begun.made_at if begun else self._wall(),
        )
