"""`spool = "disk"`: packed once into the spool, and sent from there as often as it takes."""

import hashlib
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from dataclasses import replace
from math import ceil
from types import TracebackType
from typing import Self

import structlog

from hotfolder.budget import ByteBudget
from hotfolder.core.errors import LocalError, VerificationFailed
from hotfolder.core.ports import Body, Making, Reading
from hotfolder.core.records import Digests, Job, Staged
from hotfolder.core.room import Room
from hotfolder.core.segments import spans, worst_case
from hotfolder.formats import Format
from hotfolder.packing import Packed, Packer, Streamed
from hotfolder.spool import Spool
from hotfolder.threads import Threads

log = structlog.get_logger()


class StagedStream:
    """`Packed`, read from a staged file. What was damaged on the disk is never believed."""

    def __init__(
        self,
        original: Streamed,
        staged: Staged,
        reading: Reading,
        *,
        threads: Threads,
        piece: int,
        on_read: Callable[[int], None],
        on_damage: Callable[[Job], Awaitable[None]],
    ) -> None:
        """`piece`: how many bytes are read at once. `on_read` hears of the original bytes that a piece
        stands for; `on_damage` clears the file."""
        self.job, self.form, self.size = original.job, original.form, original.size
        self.owner, self.mtime_ns = original.owner, original.mtime_ns
        self.window = 1
        self.staged_at: str | None = None
        self._digests = staged.digests
        self._reading = reading
        self._threads = threads
        self._piece = piece
        self._on_read = on_read
        self._on_damage = on_damage

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._reading.close()

    def final_digests(self) -> Digests:
        return self._digests

    async def hash_original(self) -> bytes:
        return self._digests.original_sha256

    def as_of(self, mtime_ns: int) -> None:
        """See `Packed`. The original was let go of."""

    async def whole(self, most: int) -> None:
        """See `Packed`. It is read as any other."""

    async def chunks(self) -> AsyncGenerator[Body]:
        """Raises `VerificationFailed`, before the last piece, unless the bytes are what was packed."""
        hashing, offset, told = hashlib.sha256(), 0, 0
        whole = self._digests.packed_size
        try:
            for span in spans(whole, self._piece):
                piece = await self._threads.run(self._read, hashing, offset, span)
                offset += span
                if offset == whole:
                    self._check(hashing.digest())
                share = self.size * offset // whole
                self._on_read(share - told)
                told = share
                yield piece
                del piece
        except VerificationFailed:
            await self._on_damage(self.job)
            raise

    def _read(self, hashing: "hashlib._Hash", offset: int, size: int) -> bytes:
        piece = self._reading.read(offset, size)
        hashing.update(piece)
        return piece

    def _check(self, sha256: bytes) -> None:
        if sha256 != self._digests.packed_sha256:
            raise VerificationFailed(
                f"the packed file of {self.job.path} was damaged in the spool",
                hint="it is packed again; check the disk if it happens again",
            )


class Stager:
    """`packing.Packs` by way of the spool. `keep`: the packed files are moved to completed/ at the end.

    A file for which the spool has no room is streamed instead: a delivered file is worth more than a
    spared compression. With `keep` it waits, unless the disk could never hold it.
    """

    def __init__(
        self,
        packer: Packer,
        spool: Spool,
        *,
        buffers: ByteBudget,
        threads: Threads,
        keep: bool,
    ) -> None:
        self._packer = packer
        self._spool = spool
        self._buffers = buffers
        self._threads = threads
        self._keep = keep
        self._told: set[str] = set()  # files of which it was told that they are streamed

    async def open(
        self,
        job: Job,
        form: Format,
        on_read: Callable[[int], None],
        on_stage: Callable[[str], None],
    ) -> Packed:
        """Raises `SourceChanged`, `VerificationFailed` and, where the disk is full, `LocalError`."""
        original = await self._packer.open_now(job, form, on_read, on_stage)
        try:
            if form.name == "none":
                return original  # a copy would spare nothing
            recipe = f"{form.recipe}, segment {self._packer.segment}"
            found = await self._spool.find(job, recipe)
            if found is None:
                worst = worst_case(original.size, self._packer.segment)
                if not await self._has_room(job, worst, on_stage):
                    return original
                found = await self._stage(job, original, worst, recipe, on_stage)
        except BaseException:
            original.close()
            raise
        original.close()
        staged, reading = found
        stream = StagedStream(
            original,
            staged,
            reading,
            threads=self._threads,
            piece=self._packer.segment,
            on_read=on_read,
            on_damage=self._spool.discard,
        )
        stream.staged_at = self._spool.place(staged) if self._keep else None
        return stream

    async def leave(self, job: Job, *, over: bool) -> None:
        if over:
            self._told.discard(job.path)
        await self._spool.leave(job, over=over)

    async def _has_room(self, job: Job, size: int, on_stage: Callable[[str], None]) -> bool:
        room = await self._spool.claim(job, size, on_stage)
        if room is Room.GRANTED:
            return True
        if self._keep and room is Room.NONE:
            raise LocalError(
                f"the spool has no room for the packed file of {job.path} ({size} bytes)",
                hint="free space on the file system of the state folder",
            )
        if job.path not in self._told:
            self._told.add(job.path)
            why = "the disk is too small for it" if room is Room.NEVER else "the disk is full"
            log.warning("spool.passed_by", file=job.path, size=size, reason=why)
        return False

    async def _stage(
        self,
        job: Job,
        original: Streamed,
        worst: int,
        recipe: str,
        on_stage: Callable[[str], None],
    ) -> tuple[Staged, Reading]:
        """Pack the original into the spool, in one pass and within the byte budget."""
        segment = min(self._packer.segment, worst)
        most = min(self._threads.size, max(1, ceil(original.size / segment)))
        least, most_bytes = _cost(segment, 1), _cost(segment, most)
        on_stage("queued")
        async with self._buffers.lease(
            least, max(least, min(most_bytes, self._buffers.total * 3 // 4)), job.folder
        ) as granted:
            original.window = max(1, (granted - segment) // (2 * segment))
            on_stage("staging")
            making, hashing = await self._spool.make(job, worst), hashlib.sha256()
            try:
                async with aclosing(original.chunks()) as chunks:
                    async for chunk in chunks:
                        await self._threads.run(_write, making, hashing, chunk)
                        self._spool.written(job, len(chunk))
                        del chunk
                await self._threads.run(making.finish)
            except BaseException:
                await self._threads.run(making.abandon)
                raise
        staged = Staged(
            operation_id=job.operation_id,
            folder=job.folder,
            root=job.root,
            relpath=job.relpath,
            fingerprint=job.fingerprint,
            made_at=job.made_at,
            recipe=recipe,
            digests=replace(original.final_digests(), packed_sha256=hashing.digest()),
        )
        reading = await self._spool.note(staged)
        if reading is None:
            await self._spool.discard(job)
            raise VerificationFailed(f"the packed file of {job.path} was taken away from the spool")
        return staged, reading


def _write(making: Making, hashing: "hashlib._Hash", chunk: Body) -> None:
    making.write(chunk)
    hashing.update(chunk)


def _cost(segment: int, window: int) -> int:
    """Bytes of buffers: two of a segment for each in the making, and one that is being written."""
    return segment * (2 * window + 1)
