"""A small file on its way into the store: opened, read, packed and closed in one go.

Many of them share a hop to a thread (`batches`), and no descriptor is kept between two hops.
"""

import copy
import hashlib
from collections.abc import AsyncGenerator, Callable
from types import TracebackType
from typing import Any, Self

from hotfolder.batches import Batches
from hotfolder.core.ports import Body, Original
from hotfolder.core.records import Digests, Job
from hotfolder.core.segments import PIECE, spans, worst_case
from hotfolder.formats import Format

Opener = Callable[[Job], Original]
#: What a thread does with an open original.
Reading = tuple[Job, Callable[[Original], Any]]


class Whole:
    """`packing.Packed` of a file of one segment. It is what the job says, or reading it raises."""

    def __init__(
        self, job: Job, form: Format, *, batches: Batches[Reading, Any], on_read: Callable[[int], None]
    ) -> None:
        self.job = job
        self.form = form
        self.size = job.fingerprint.size
        self.mtime_ns = job.fingerprint.mtime_ns
        self.owner = -1  # known once it was read
        self.window = 1
        self.staged_at: str | None = None
        self.digests: Digests | None = None
        self._batches = batches
        self._on_read = on_read
        self._packed_mtime_ns = self.mtime_ns

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Nothing is open between two readings."""

    def final_digests(self) -> Digests:
        """The digests of a stream that was read to its end."""
        if self.digests is None:
            raise RuntimeError("the packed stream was not read to its end")
        return self.digests

    def as_of(self, mtime_ns: int) -> "Whole":
        """See `packing.Packed`."""
        twin = copy.copy(self)
        twin._packed_mtime_ns = mtime_ns
        return twin

    async def hash_original(self) -> bytes:
        """A reading of its own, for formats that cannot carry it inside."""
        sha256: bytes = await self._batches.run((self.job, self._hash))
        return sha256

    async def whole(self, most: int) -> Body | None:
        """See `packing.Packed`."""
        return await self._in_one() if worst_case(self.size, self.size + 1) <= most else None

    async def chunks(self) -> AsyncGenerator[Body]:
        yield await self._in_one()

    async def _in_one(self) -> Body:
        self.digests = None
        whole: Body
        whole, self.digests, self.owner = await self._batches.run((self.job, self._pack))
        self._on_read(self.size)
        return whole

    # -- in a thread -------------------------------------------------------------------------------

    def _hash(self, original: Original) -> bytes:
        sha256 = hashlib.sha256(original.read(0, self.size)).digest()
        original.unchanged()
        return sha256

    def _pack(self, original: Original) -> tuple[Body, Digests, int]:
        head = self.form.archive.head(
            self.job.name, size=self.size, mode=original.mode, mtime_ns=self._packed_mtime_ns
        )
        whole, digests = pack_whole(original, self.form, head)
        return whole, digests, original.owner


def pack_whole(original: Original, form: Format, head: bytes) -> tuple[Body, Digests]:
    """All of a file of one segment: read, hash, pack, seal, hash. Blocking.

    Raises `SourceChanged` unless one whole version was read.
    """
    codec, size = form.codec, original.size
    hashing = hashlib.sha256()
    pieces = read_hashed(original, hashing, 0, size)
    original.unchanged()
    sha256 = hashing.digest()
    tail = b"" if original.is_archive else form.archive.tail(size)
    pieces = [piece for piece in (head, *pieces, tail) if piece] or [b""]
    segment = codec.pack(pieces)
    end = codec.end(segment.crc32, segment.size) + codec.seal(sha256, size)
    whole = b"".join((codec.head, *segment.pieces, end))
    return whole, Digests(size, sha256, len(whole), hashlib.sha256(whole).digest())


def read_hashed(original: Original, hashing: "hashlib._Hash", offset: int, size: int) -> list[Body]:
    """A run of the original in pieces, each hashed while it still is in the processor's cache."""
    raw: list[Body] = []
    for span in spans(size, PIECE):
        raw.append(piece := original.read(offset, span))
        hashing.update(piece)
        offset += span
    return raw
