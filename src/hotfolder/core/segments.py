"""How a file becomes a packed stream, and the stream becomes parts. Sizes and framing only.

A file is cut into segments of fixed size. gzip: one member; each segment is a run of deflate blocks
that ends on a byte boundary (RFC 1951 full flush, or stored blocks), so that segments can be made
in parallel and joined. zstd: one frame a segment. Behind the last segment stands the *seal*: an
empty gzip member (RFC 1952 FEXTRA) or a zstd skippable frame (RFC 8878) that holds the SHA-256 and
the size of the original, so that an object describes itself even where its metadata was fixed
before the last byte was read.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from math import ceil

KIB = 1024
MIB = 1024 * KIB
GIB = 1024 * MIB

#: Bytes that are read, hashed and compressed at a time: small enough to stay in a core's cache, and for
#: malloc to hand out again the memory of the last one, whose first touch costs as much as hashing it.
PIECE = MIB

#: No flags, no time, "unknown" system: the same input gives the same bytes anywhere.
GZIP_HEADER = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"
#: An empty final block with fixed Huffman codes.
DEFLATE_END = b"\x03\x00"

STORED_BLOCK = 0xFFFF  # RFC 1951 §3.2.4: LEN has 16 bits
_STORED_HEAD = struct.Struct("<BHH")  # not final and of type 00, LEN, NLEN
_SEAL_SUBFIELD = b"HF"
_SEAL_BODY = struct.Struct("<32sQ")
_SKIPPABLE_MAGIC = 0x184D2A50  # RFC 8878 §3.1.2
_ZSTD_SEAL_HEAD = struct.Struct("<II2s")

_GZIP_SEAL_HEAD = b"".join(
    (
        GZIP_HEADER[:3] + b"\x04" + GZIP_HEADER[4:],  # the flag FEXTRA
        struct.pack("<H", len(_SEAL_SUBFIELD) + 2 + _SEAL_BODY.size),
        _SEAL_SUBFIELD + struct.pack("<H", _SEAL_BODY.size),
    )
)
_GZIP_SEAL_END = DEFLATE_END + bytes(8)
GZIP_SEAL_SIZE = len(GZIP_HEADER) + 2 + 4 + _SEAL_BODY.size + len(DEFLATE_END) + 8
ZSTD_SEAL_SIZE = _ZSTD_SEAL_HEAD.size + _SEAL_BODY.size

#: S3: at most 10,000 parts of at least 5 MiB (but the last).
MIN_PART = 5 * MIB
_MAX_PARTS = 9_900
#: Bytes from which a file is large: its parts are, and so is its share of the memory.
LARGE = 512_000_000
#: Ceilings of `part_size = "auto"`: (worst-case packed size below, part size, parts in flight).
_PART_TIERS = (
    (LARGE, 8 * MIB, 8),
    (8_000_000_000, 64 * MIB, 6),
    (float("inf"), 128 * MIB, 4),
)


def gzip_end(crc32: int, size: int) -> bytes:
    """The end of the one gzip member: last block, CRC-32 and size modulo 2^32 of what was packed."""
    return DEFLATE_END + struct.pack("<II", crc32, size & 0xFFFFFFFF)


def stored_blocks(data: bytes | memoryview) -> Iterator[bytes | memoryview]:
    """`data` as deflate stored blocks, none of them final. Costs 5 bytes for each 65,535."""
    view = memoryview(data)
    for start in range(0, len(view), STORED_BLOCK):
        block = view[start : start + STORED_BLOCK]
        yield _STORED_HEAD.pack(0, len(block), len(block) ^ STORED_BLOCK)
        yield block


def stored_size(size: int) -> int:
    """The bytes of the stored blocks of `size` bytes."""
    return size + -(-size // STORED_BLOCK) * _STORED_HEAD.size


def stored_content(packed: bytes | memoryview) -> Iterator[memoryview]:
    """What `stored_blocks` hold, block by block; raises `ValueError` for anything else."""
    view = memoryview(packed)
    at = 0
    while at < len(view):
        kind, length, complement = _STORED_HEAD.unpack_from(view, at)
        at += _STORED_HEAD.size
        if kind != 0 or length ^ complement != STORED_BLOCK or at + length > len(view):
            raise ValueError(f"no stored block at byte {at - _STORED_HEAD.size}")
        yield view[at : at + length]
        at += length


def gzip_seal(sha256: bytes, size: int) -> bytes:
    """The empty second member that names the original's SHA-256 (32 bytes) and size in bytes."""
    return _GZIP_SEAL_HEAD + _SEAL_BODY.pack(sha256, size) + _GZIP_SEAL_END


def zstd_seal(sha256: bytes, size: int) -> bytes:
    """The skippable frame that names the original's SHA-256 (32 bytes) and size in bytes."""
    body_size = len(_SEAL_SUBFIELD) + _SEAL_BODY.size
    return _ZSTD_SEAL_HEAD.pack(_SKIPPABLE_MAGIC, body_size, _SEAL_SUBFIELD) + _SEAL_BODY.pack(
        sha256, size
    )


def read_seal(tail: bytes) -> tuple[bytes, int] | None:
    """SHA-256 and size from the last bytes of a packed stream (80 suffice); None where no seal is."""
    for seal_size, make, offset in (
        (GZIP_SEAL_SIZE, gzip_seal, len(GZIP_HEADER) + 6),
        (ZSTD_SEAL_SIZE, zstd_seal, _ZSTD_SEAL_HEAD.size),
    ):
        seal = tail[-seal_size:]
        if len(seal) < seal_size:
            continue
        sha256, size = _SEAL_BODY.unpack_from(seal, offset)
        if make(sha256, size) == seal:
            return sha256, size
    return None


def worst_case(size: int, segment: int) -> int:
    """An upper bound in bytes of what `size` bytes pack to, in any format, tar and seal included."""
    segments = max(1, ceil(size / segment))
    return size + size // 128 + segments * KIB + 16 * KIB


@dataclass(frozen=True, slots=True)
class PartPlan:
    """How the packed stream is cut: `size` bytes a part, up to `in_flight` of them at once."""

    size: int
    in_flight: int


def plan_parts(worst: int, *, memory: int, part_size: int | None = None) -> PartPlan | None:
    """The part plan for a stream of at most `worst` bytes within `memory` bytes of buffers.

    Depends on nothing else, so that a later run cuts the same parts. `part_size` replaces the
    automatic ceiling. None where no plan fits: the parts that the store's limit of 10,000 asks for
    are too large for `memory`.
    """
    ceiling, in_flight = next((size, n) for below, size, n in _PART_TIERS if worst < below)
    ceiling = part_size or ceiling
    room = memory // 2
    fitting = room // (in_flight + 1) // MIB * MIB
    size = max(MIN_PART, min(ceiling, fitting), ceil(ceil(worst / _MAX_PARTS) / MIB) * MIB)
    if 2 * size > memory * 3 // 4:
        return None
    return PartPlan(size, max(1, min(in_flight, room // size - 1)))


def segment_size(memory: int) -> int:
    """The fixed segment size in bytes for this much buffer memory: 1 to 8 MiB, a power of two."""
    size = 8 * MIB
    while size > MIB and size * 32 > memory:
        size //= 2
    return size


@dataclass(frozen=True, slots=True)
class WorkingSet:
    """The buffers of one file on its journey, in bytes: the least that moves it, and the most it uses.

    A segment in the making counts once, and four pieces more: what was packed takes the place of what
    was read, piece by piece, while room grows for the next, and not all of it fits where that was. It is
    checked in small chunks. A part counts once in flight, and one more is being filled.
    """

    segment: int
    part: int
    most_segments: int
    most_parts: int

    @property
    def least(self) -> int:
        return self.cost(1, 1)

    @property
    def most(self) -> int:
        return self.cost(self.most_segments, self.most_parts)

    def cost(self, segments: int, parts: int) -> int:
        """Bytes for so many segments in the making beside so many parts in flight."""
        making = self.segment + min(self.segment, 4 * PIECE)
        return making * segments + self.part * (parts + 1)

    def within(self, granted: int) -> tuple[int, int]:
        """(segments, parts) that may be in the making at once within `granted` bytes."""
        segments = parts = 1
        while True:
            if parts < self.most_parts and self.cost(segments, parts + 1) <= granted:
                parts += 1
            elif segments < self.most_segments and self.cost(segments + 1, parts) <= granted:
                segments += 1
            else:
                return segments, parts


def working_set(size: int, *, segment: int, parts: PartPlan, packers: int) -> WorkingSet:
    """The buffers for a file of `size` bytes, packed by up to `packers` threads."""
    worst = worst_case(size, segment)
    return WorkingSet(
        segment=min(segment, worst),
        part=min(parts.size, worst),
        most_segments=min(packers, max(1, ceil(size / segment))),
        most_parts=min(parts.in_flight, ceil(worst / parts.size)),
    )


def spans(size: int, segment: int) -> Iterator[int]:
    """The lengths of the segments of a file of `size` bytes; an empty file has one of length 0."""
    if size == 0:
        yield 0
    for start in range(0, size, segment):
        yield min(segment, size - start)


class PartCutter:
    """Cuts a stream of chunks into parts of exactly `size` bytes; the last may be shorter.

    A part is handed out only when a byte behind it is known, so that the last part is never empty
    and a stream of up to `size` bytes is one part. Parts are lists of pieces, as they were fed.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._held: list[bytes | memoryview] = []
        self._length = 0

    def feed(self, chunk: bytes | memoryview) -> Iterator[list[bytes | memoryview]]:
        """Take in a chunk; yields the parts that are full."""
        view = memoryview(chunk)
        while self._length + len(view) > self._size:
            room = self._size - self._length
            self._hold(view[:room])
            view = view[room:]
            yield self.rest()
        self._hold(chunk if len(view) == len(chunk) else view)

    def rest(self) -> list[bytes | memoryview]:
        """The pieces that have been fed and not handed out; possibly none."""
        held, self._held, self._length = self._held, [], 0
        return held

    def _hold(self, piece: bytes | memoryview) -> None:
        if piece:
            self._held.append(piece)
            self._length += len(piece)
