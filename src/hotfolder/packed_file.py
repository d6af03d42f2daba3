"""All of a small file packed in one go. Blocking; in a thread, or in the process that packs.

That process begins when files come: nothing is imported here that it does not need.
"""

import hashlib
from typing import NamedTuple

from hotfolder.core.ports import Body, Original
from hotfolder.core.records import Digests, Job
from hotfolder.core.segments import PIECE, spans
from hotfolder.formats import Format


class PackedFile(NamedTuple):
    """A whole packed stream, the digests of both sides, and the uid of the original's owner."""

    body: Body
    digests: Digests
    owner: int


def packed_file(job: Job, form: Format, mtime_ns: int, original: Original) -> PackedFile:
    """All of an original that is open, as of the time `mtime_ns`."""
    head = form.archive.head(job.name, size=original.size, mode=original.mode, mtime_ns=mtime_ns)
    whole, digests = pack_whole(original, form, head)
    return PackedFile(whole, digests, original.owner)


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
