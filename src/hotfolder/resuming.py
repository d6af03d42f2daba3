"""Multipart uploads across retries and restarts: noted when begun, gone on with, or taken back.

The note is durable before the store is asked for the upload, so that one that nobody will go on with
can always be found and aborted. What a note says of parts is a hint: a part is sent again unless the
store lists it just as it was sent.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import structlog

from hotfolder.core import digest
from hotfolder.core.errors import HotfolderError, UploadLost, VerificationFailed
from hotfolder.core.ports import UploadNotes
from hotfolder.core.records import Fingerprint, Job, PartDigest, PartReceipt, SentPart, UploadNote
from hotfolder.threads import Threads
from hotfolder.wire import Wire

log = structlog.get_logger()

_CREATION = 900.0  # seconds between noting an upload and the store's beginning it, clocks apart


@dataclass(frozen=True, slots=True)
class Known:
    """An upload that is open, with the parts that the store lists and those that were noted."""

    upload_id: str
    listed: Mapping[int, PartReceipt] = field(default_factory=dict)
    noted: Mapping[int, SentPart] = field(default_factory=dict)

    def has(self, ours: PartDigest) -> SentPart | None:
        """The part as the store has it, if it is just the one that would be sent."""
        listed, noted = self.listed.get(ours.number), self.noted.get(ours.number)
        if listed is None or listed.size != ours.size:
            return None
        if noted is not None and (noted.ours.sha256, noted.receipt.etag) == (ours.sha256, listed.etag):
            return noted
        try:
            proven = digest.prove_part(listed, ours)
        except VerificationFailed:
            return None  # other bytes stand there: ours are sent over them
        return SentPart(ours, replace(listed, attempts=0)) if proven is not None else None


class Notebook:
    """The notes of this process: in memory for the event loop, on disk for the next run.

    `wall`: seconds since the epoch. Errors of the disk are `LocalError`.
    """

    def __init__(self, notes: UploadNotes, threads: Threads, wall: Callable[[], float]) -> None:
        self._disk, self._threads, self.wall = notes, threads, wall
        self._notes: dict[str, UploadNote] = {}
        self._by_path: dict[tuple[str, str], str] = {}
        self._completed: set[str] = set()
        #: Since when the notes begin, where older ones were lost: what stands open from before is ours.
        self.lost_before: float | None = None

    async def load(self, *, is_new: bool) -> None:
        """Read what a former run noted. `is_new`: the file was lost, or never was."""
        for note in await self._threads.run(self._disk.all):
            self._keep(note)
        self.lost_before = self.wall() if is_new else None

    def all(self) -> Sequence[UploadNote]:
        return tuple(self._notes.values())

    def note_of(self, operation_id: str) -> UploadNote | None:
        return self._notes.get(operation_id)

    def remembered(self, root: str, relpath: str, seen: Fingerprint) -> UploadNote | None:
        """The upload that was begun of this very version of a file."""
        note = self._notes.get(self._by_path.get((root, relpath), ""))
        if note is None or replace(note.fingerprint, device=seen.device) != seen:
            return None  # a device's number may be another after every mount
        return note

    async def begin(self, job: Job, *, bucket: str, key: str, recipe: str) -> None:
        note = UploadNote(
            operation_id=job.operation_id,
            folder=job.folder,
            root=job.root,
            relpath=job.relpath,
            fingerprint=job.fingerprint,
            made_at=job.made_at,
            begun_at=self.wall(),
            bucket=bucket,
            key=key,
            recipe=recipe,
        )
        self._completed.discard(note.operation_id)
        self._keep(note)  # first: whoever ends the operation at this very moment finds it, and drops it
        await self._threads.run(self._disk.begin, note)

    async def name(self, operation_id: str, upload_id: str) -> None:
        self._keep(replace(self._notes[operation_id], upload_id=upload_id))
        await self._threads.run(self._disk.name, operation_id, upload_id)

    async def add(self, operation_id: str, part: SentPart) -> None:
        await self._threads.run(self._disk.add, operation_id, part)

    async def parts(self, operation_id: str) -> dict[int, SentPart]:
        return await self._threads.run(self._disk.parts, operation_id)

    def complete(self, operation_id: str) -> None:
        """The store made an object of it. The note stays until the operation is recorded."""
        self._completed.add(operation_id)

    def is_complete(self, operation_id: str) -> bool:
        return operation_id in self._completed

    async def disown(self, operation_id: str) -> None:
        """No later job goes on with it: the sweep takes it back. Durable."""
        note = self._notes.get(operation_id)
        if note is None:
            return
        if self._by_path.get((note.root, note.relpath)) == operation_id:
            del self._by_path[note.root, note.relpath]
        self._notes[operation_id] = nobodys = replace(note, root="", relpath="")
        await self._threads.run(self._disk.begin, nobodys)

    async def forget(self, operation_id: str) -> None:
        note = self._notes.pop(operation_id, None)
        self._completed.discard(operation_id)
        if note is None:
            return
        if self._by_path.get((note.root, note.relpath)) == operation_id:
            del self._by_path[note.root, note.relpath]
        await self._threads.run(self._disk.forget, operation_id)

    def _keep(self, note: UploadNote) -> None:
        self._notes[note.operation_id] = note
        self._by_path[note.root, note.relpath] = note.operation_id


class Resumer:
    """Opens multipart uploads in one bucket: those of former tries and runs where they fit.

    `asks` names what the destination asks of every object.
    """

    def __init__(self, wire: Wire, notebook: Notebook, *, bucket: str, asks: str = "") -> None:
        self._wire, self._notebook, self.bucket, self._asks = wire, notebook, bucket, asks

    async def find(self, job: Job, key: str, recipe: str) -> Known | None:
        """The open upload of `job` that made the same parts of the same key; another is taken back."""
        note = self._notebook.note_of(job.operation_id)
        if note is None:
            return None
        wanted = (self.bucket, key, self._whole(recipe))
        if (note.bucket, note.key, note.recipe) == wanted and note.upload_id:
            try:
                listed = await self._wire.list_parts(key, note.upload_id)
            except UploadLost:
                log.info("upload.lost", file=job.path, key=key, hint="it starts over")
            else:
                known = Known(
                    note.upload_id, _unique(listed), await self._notebook.parts(job.operation_id)
                )
                size = sum(part.size for part in known.listed.values())
                log.info("upload.resumed", file=job.path, key=key, parts=len(known.listed), bytes=size)
                return known
        await self.take_back(note)
        return None

    async def note_intent(self, job: Job, key: str, recipe: str) -> None:
        """Before the store is asked for an upload."""
        await self._notebook.begin(job, bucket=self.bucket, key=key, recipe=self._whole(recipe))

    def _whole(self, recipe: str) -> str:
        return f"{recipe}, {self._asks}"

    async def note_upload(self, job: Job, upload_id: str) -> None:
        await self._notebook.name(job.operation_id, upload_id)

    async def note_part(self, job: Job, part: SentPart) -> None:
        await self._notebook.add(job.operation_id, part)

    def note_completed(self, job: Job) -> None:
        self._notebook.complete(job.operation_id)

    async def disown(self, operation_id: str) -> None:
        """Nobody goes on with its upload: the sweep takes it back where `end` cannot."""
        await self._notebook.disown(operation_id)

    async def end(self, operation_id: str) -> None:
        """The operation is over, however it ended: nothing of it stays open in the store.

        Where the store cannot be asked, or the note not be dropped, a sweep does it later.
        """
        note = self._notebook.note_of(operation_id)
        if note is None:
            return
        try:
            if self._notebook.is_complete(operation_id):
                await self._notebook.forget(operation_id)
            else:
                await self.take_back(note)
        except HotfolderError as error:
            log.warning(
                "upload.left_open", key=note.key, upload_id=note.upload_id, reason=error.sentence
            )

    async def take_back(self, note: UploadNote) -> None:
        """Abort a noted upload, and forget it."""
        if note.bucket != self.bucket:
            log.warning(
                "upload.left_open",
                key=note.key,
                upload_id=note.upload_id,
                reason=f"it is in {note.bucket}, which is not this file's destination any more",
            )
        elif note.upload_id:
            await self._wire.abort(note.key, note.upload_id)
        else:
            named = {other.upload_id for other in self._notebook.all()}
            for upload in await self._wire.uploads_of(note.key):
                if abs(upload.initiated - note.begun_at) < _CREATION and upload.upload_id not in named:
                    await self._wire.abort(upload.key, upload.upload_id)
        await self._notebook.forget(note.operation_id)

    def lost_before(self, job: Job) -> float | None:
        """Where the notes were lost, and none is of `job` since: when that was."""
        known = self._notebook.note_of(job.operation_id) is not None
        return None if known else self._notebook.lost_before

    async def clear_lost(self, key: str, before: float, opening: "asyncio.Future[None]") -> None:
        """Abort what stands open under a key that is ours, begun `before` the notes were lost.

        Goes on beside the `opening` of an upload, which looks as old where the store's clock is behind.
        """
        old = [upload for upload in await self._wire.uploads_of(key) if upload.initiated < before]
        if not old:
            return
        await asyncio.wait({opening})
        named = {note.upload_id for note in self._notebook.all()}
        for upload in old:
            if upload.upload_id not in named:
                log.info("upload.orphan_aborted", key=key, upload_id=upload.upload_id)
                await self._wire.abort(key, upload.upload_id)


def _unique(listed: Sequence[PartReceipt]) -> dict[int, PartReceipt]:
    """By number, without those that the store lists twice: nobody could tell which it would take."""
    by_number: dict[int, PartReceipt] = {}
    doubled: set[int] = set()
    for part in listed:
        if part.number in by_number and by_number[part.number].etag != part.etag:
            doubled.add(part.number)
        by_number[part.number] = part
    return {number: part for number, part in by_number.items() if number not in doubled}
