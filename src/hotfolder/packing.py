"""One pass over one original: read once, hash, compress in parallel, hand out in order.

A small file is opened, read, packed and closed in one go, together with others (`whole`); larger ones
stream through a window of segments. Either way the caller sees an ordered stream of chunks, and digests
at its end.
"""

import asyncio
import copy
import hashlib
from collections import deque
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing, nullcontext
from types import TracebackType
from typing import Protocol, Self

from hotfolder.core.ports import Body, Original, PackedSegment
from hotfolder.core.records import Digests, Job
from hotfolder.core.segments import KIB, spans, worst_case
from hotfolder.formats import Format
from hotfolder.packed_file import pack_whole, read_hashed
from hotfolder.threads import OneByOne, Threads
from hotfolder.whole import InThreads, Opener, SmallFiles, Whole

#: Bytes up to which a file goes with others: it takes a thread some milliseconds, whatever it holds.
_SMALL = 256 * KIB


class Packed(Protocol):
    """A file on its way into the store: its packed stream, and what is known of its original.

    `window`: how many segments may be in the making at once. `chunks()` may be called again for the
    same stream anew. `staged_at`: the packed file that is to be kept, or None. Use as an async context
    manager.
    """

    job: Job
    form: Format
    size: int
    owner: int
    mtime_ns: int
    window: int
    staged_at: str | None

    async def __aenter__(self) -> Self: ...

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def final_digests(self) -> Digests:
        """The digests of a stream that was read to its end; of the packed one where it came whole."""
        ...

    async def hash_original(self) -> bytes:
        """The original's SHA-256, before the packed stream is read."""
        ...

    def as_of(self, mtime_ns: int) -> "Packed | None":
        """The same original packed as if it had another time; None where that cannot be made any more.

        Read it before this one is closed; it needs no closing of its own.
        """
        ...

    async def whole(self, most: int) -> Body | None:
        """The packed stream in one piece; None where it is not made as one of up to `most` bytes.

        Raises as `chunks`, which gives what this does not.
        """
        ...

    def chunks(self) -> AsyncGenerator[Body]:
        """The packed stream in order. Raises `SourceChanged` unless one whole version was read."""
        ...


class Streamed:
    """`Packed`, made of an open original while it is sent; `digests` are those of the last full pass."""

    def __init__(
        self,
        job: Job,
        original: Original,
        form: Format,
        *,
        threads: Threads,
        segment: int,
        on_read: Callable[[int], None],
    ) -> None:
        self.job = job
        self.form = form
        self.size = original.size
        self.owner = original.owner
        self.mtime_ns = original.mtime_ns
        self.window = 1
        self.staged_at: str | None = None
        self.digests: Digests | None = None
        self._original = original
        self._threads = threads
        self._segment = segment
        self._on_read = on_read
        self._head = self._head_of(original.mtime_ns)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the original."""
        self._original.close()

    def final_digests(self) -> Digests:
        """The digests of a stream that was read to its end."""
        if self.digests is None:
            raise RuntimeError("the packed stream was not read to its end")
        return self.digests

    def as_of(self, mtime_ns: int) -> "Streamed | None":
        """See `Packed`. The times of a directory's entries stand all over its archive."""
        if self._original.is_archive:
            return None
        twin = copy.copy(self)
        twin._head = self._head_of(mtime_ns)
        return twin

    def _head_of(self, mtime_ns: int) -> bytes:
        if self._original.is_archive:
            return b""
        return self.form.archive.head(
            self.job.name, size=self.size, mode=self._original.mode, mtime_ns=mtime_ns
        )

    async def hash_original(self) -> bytes:
        """A pass of its own, for formats that cannot carry it inside."""
        hashing = hashlib.sha256()
        offset = 0
        for span in spans(self.size, self._segment):
            await self._threads.run(read_hashed, self._original, hashing, offset, span)
            offset += span
        return hashing.digest()

    async def whole(self, most: int) -> Body | None:
        """See `Packed`."""
        fits = self.size <= self._segment and worst_case(self.size, self._segment) <= most
        return await self._in_one() if fits else None

    async def _in_one(self) -> Body:
        """Of a file of one segment."""
        self.digests = None
        whole, self.digests = await self._threads.run(pack_whole, self._original, self.form, self._head)
        self._on_read(self.size)
        return whole

    async def chunks(self) -> AsyncGenerator[Body]:
        if self.size <= self._segment:
            yield await self._in_one()
            return
        self.digests = None
        async with aclosing(self._stream()) as stream:
            async for chunk in stream:
                yield chunk

    async def _stream(self) -> AsyncGenerator[Body]:
        codec = self.form.codec
        hashing = hashlib.sha256()
        crc = raw_size = 0
        packed_size = len(codec.head)
        yield codec.head
        async with aclosing(self._segments(hashing)) as packed:
            async for segment in packed:
                crc = codec.combine(crc, segment)
                raw_size += segment.size
                pieces = deque(segment.pieces)
                del segment  # what is handed out is kept alive by its receiver alone
                while pieces:
                    packed_size += len(pieces[0])
                    yield pieces.popleft()
        sha256 = hashing.digest()
        end = codec.end(crc, raw_size) + codec.seal(sha256, self.size)
        # Who sends it hashes it, too: whole, or part for part.
        self.digests = Digests(self.size, sha256, packed_size + len(end), None)
        yield end

    async def _segments(self, hashing: "hashlib._Hash") -> AsyncGenerator[PackedSegment]:
        """Segments packed up to `window` at a time, in the order of the file.

        They are read one behind the other, as each is hashed behind the one before it: what waits for
        the reader waits for all. So it goes on by itself, also while nobody takes what is packed.
        """
        reader = OneByOne(self._threads)
        making: deque[asyncio.Task[PackedSegment]] = deque()
        check: asyncio.Task[None] | None = None
        offset = 0
        try:
            for span in spans(self.size, self._segment):
                made = [await making.popleft()] if len(making) == self.window else []
                making.append(asyncio.create_task(self._make(reader, hashing, offset, span)))
                offset += span
                while made:
                    yield made.pop()  # what is handed out is kept alive by its receiver alone
            check = asyncio.create_task(reader.run(self._original.unchanged))
            while making:
                yield await making.popleft()
            await check
        finally:
            begun = [*making, *([check] if check is not None else ())]
            for task in begun:
                task.cancel()
            await asyncio.gather(*begun, return_exceptions=True)

    async def _make(
        self, reader: OneByOne, hashing: "hashlib._Hash", offset: int, span: int
    ) -> PackedSegment:
        """The segment at `offset`, read when it is its turn."""
        raw = await reader.run(read_hashed, self._original, hashing, offset, span)
        self._on_read(span)
        pieces = self._pieces(raw, offset, span)
        del raw  # `pack` takes them out of their list, and lets go of each
        return await self._threads.run(self.form.codec.pack, pieces)

    def _pieces(self, raw: list[Body], offset: int, size: int) -> list[Body]:
        """The segment at `offset` with what the archive puts before the first and behind the last."""
        pieces = list(raw)
        if offset == 0 and self._head:
            pieces.insert(0, self._head)
        if offset + size == self.size and not self._original.is_archive:
            pieces.append(self.form.archive.tail(self.size))
        return [piece for piece in pieces if piece] or [b""]


class Packs(Protocol):
    """Opens originals for their way into the store, and hears when a flight is over."""

    async def open(
        self,
        job: Job,
        form: Format,
        on_read: Callable[[int], None],
        on_stage: Callable[[str], None],
    ) -> Packed:
        """Open `job`'s file. `on_read` hears of every run of original bytes taken in."""
        ...

    async def leave(self, job: Job, *, over: bool) -> None:
        """The flight has ended. `over`: so has the operation, durably, and nothing of it is needed."""
        ...


class Packer:
    """`Packs` without a temporary copy. `opener` is blocking and raises `core.errors`.

    `files` reads the small ones, else they are opened one after the other in the threads.
    """

    def __init__(
        self,
        *,
        opener: Opener,
        threads: Threads,
        segment: int,
        files: SmallFiles | None = None,
    ) -> None:
        self._opener = opener
        self._threads = threads
        self.segment = segment
        self._small = min(segment, _SMALL)
        self._files = files or InThreads(threads, lambda: nullcontext(opener))

    async def open(
        self,
        job: Job,
        form: Format,
        on_read: Callable[[int], None],
        on_stage: Callable[[str], None] = lambda _: None,
    ) -> "Streamed | Whole":
        if job.fingerprint.size <= self._small and not job.fingerprint.tree:
            return Whole(job, form, files=self._files, on_read=on_read)
        return await self.open_now(job, form, on_read, on_stage)

    async def open_now(
        self,
        job: Job,
        form: Format,
        on_read: Callable[[int], None],
        on_stage: Callable[[str], None] = lambda _: None,
    ) -> Streamed:
        """`open`, and know at once that the file is what it was."""
        on_stage("opening")
        original = await self._threads.run(self._opener, job)
        return Streamed(
            job, original, form, threads=self._threads, segment=self.segment, on_read=on_read
        )

    async def leave(self, job: Job, *, over: bool) -> None:
        """Nothing stays behind a stream."""
