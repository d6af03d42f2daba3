"""Codecs: gzip by ISA-L (levels 1-3) or zlib, zstd by zstandard, and none.

ISA-L is the fastest deflate there is on x86-64 and ARM and comes as a wheel; it has no stored
level, so the headers of stored blocks are `core.segments`' own.
"""

import struct
import threading
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from importlib.metadata import version
from typing import Protocol

import zstandard
from isal import igzip_lib, isal_zlib

from hotfolder.core import segments
from hotfolder.core.errors import VerificationFailed
from hotfolder.core.ports import Body, Codec, PackedSegment
from hotfolder.piece_memory import PIECES

_SAMPLE = 32 * segments.KIB
_HOPELESS = 0.97  # packed / raw of a sample at or above which a segment is stored
_RUN = 256 * segments.KIB  # bytes of the original, at least: a run costs some ten bytes
_CHECK_CHUNK = 256 * segments.KIB
#: Where stored blocks begin in a chunk of memory: a copy to an address whose last 12 bits are just below
#: its source's takes three times as long, and what was read begins with a chunk.
_ASIDE = segments.KIB
_FEW = 32 * segments.KIB  # bytes that take less to join than to be unpacked in as many calls as pieces

GZIP_LEVELS = {"fast": 0, "balanced": 6, "small": 9}  # 0: ISA-L
ZSTD_LEVELS = {"fast": 3, "balanced": 9, "small": 12}
_ISAL_LEVEL = 1
#: What stands behind a segment while it is checked: as it is, in a deflate block, and in a zstd frame.
_BEHIND = b"behind"
_BLOCK_BEHIND = b"".join(segments.stored_blocks(_BEHIND))
_FRAME_BEHIND = zstandard.ZstdCompressor(write_checksum=True).compress(_BEHIND)
_IsalError: type[Exception] = igzip_lib.IsalError  # type: ignore[assignment] # stubs: an instance
#: What unpacking raises of bytes that are not what they should be.
_DAMAGE = (ValueError, struct.error, EOFError, _IsalError, zstandard.ZstdError)
_QUICK = 1  # zstd's level for what does not compress


class _Taken:
    """Pieces as they are taken out of their list, so that each is let go of once it is packed.

    `crc32` and `size` are of those that were taken.
    """

    def __init__(self, pieces: list[Body]) -> None:
        self.crc32 = self.size = 0
        self._pieces = pieces

    def __iter__(self) -> Iterator[Body]:
        self._pieces.reverse()
        while self._pieces:
            piece = self._pieces.pop()
            self.crc32 = isal_zlib.crc32(piece, self.crc32)
            self.size += len(piece)
            yield piece


def _proven(packed: PackedSegment, unpack: Callable[[Sequence[Body]], tuple[int, int]]) -> PackedSegment:
    """The segment, if `unpack` gets out of it what went in, and behind that what stands behind it.

    One bit can end the stream, a block or a frame too early or too late, and leave all that they hold as
    it is: only who reads on notices. So each segment is unpacked with another one behind it.
    """
    expected = isal_zlib.crc32(_BEHIND, packed.crc32), packed.size + len(_BEHIND)
    damage: Exception | None = None
    try:
        if unpack(packed.pieces) == expected:
            return packed
    except _DAMAGE as error:
        damage = error
    raise VerificationFailed(
        f"a segment of {packed.size} bytes does not unpack to what went in",
        hint="suspect this machine's memory if it happens again",
    ) from damage


class _Deflater(Protocol):
    def compress(self, data: Body, /) -> bytes: ...
    def flush(self, mode: int, /) -> bytes: ...


class GzipCodec:
    """Segments of one gzip member. `level` 0 is ISA-L, 1-9 zlib's."""

    head = segments.GZIP_HEADER

    def __init__(self, level: int) -> None:
        self._level = level
        isa_l = f"isal {version('isal')} level {_ISAL_LEVEL}"
        self.recipe = isa_l if level == 0 else f"zlib {zlib.ZLIB_RUNTIME_VERSION} level {level}"

    def pack(self, pieces: list[Body]) -> PackedSegment:
        hopeless = _looks_incompressible(pieces)
        taken = _Taken(pieces)
        packed = [_stored(piece) for piece in taken] if hopeless else self._deflate(taken)
        segment = PackedSegment(packed, taken.crc32, taken.size)
        return _proven(segment, _unstored if hopeless else _inflated)

    def _deflate(self, pieces: Iterable[Body]) -> list[Body]:
        """In runs that end on a byte boundary, so that a run that grows can be stored in its place.

        What is behind it refers to the bytes it holds, however they are packed.
        """
        deflater = self._deflater()
        packed: list[Body] = []
        for run in _runs(pieces):
            deflated = [*map(deflater.compress, run), deflater.flush(zlib.Z_SYNC_FLUSH)]
            size = sum(map(len, run))
            grew = sum(map(len, deflated)) > size + size // 4096 + 64
            packed += map(_stored, run) if grew else filter(None, deflated)
        return packed

    def _deflater(self) -> "_Deflater":
        if self._level == 0:
            return isal_zlib.compressobj(_ISAL_LEVEL, isal_zlib.DEFLATED, -15)
        return zlib.compressobj(self._level, zlib.DEFLATED, -15, 9)

    def combine(self, crc32: int, segment: PackedSegment) -> int:
        return isal_zlib.crc32_combine(crc32, segment.crc32, segment.size)

    def end(self, crc32: int, size: int) -> bytes:
        return segments.gzip_end(crc32, size)

    def seal(self, sha256: bytes, size: int) -> bytes:
        return segments.gzip_seal(sha256, size)


def _runs(pieces: Iterable[Body]) -> Iterator[list[Body]]:
    """Pieces together, until they are `_RUN` bytes."""
    run: list[Body] = []
    size = 0
    for piece in pieces:
        run.append(piece)
        size += len(piece)
        if size >= _RUN:
            yield run
            run, size = [], 0
    if run:
        yield run


def _looks_incompressible(pieces: Sequence[Body]) -> bool:
    """A cheap test on three samples, of the start, the middle and the end; small segments are tried."""
    if sum(map(len, pieces)) < 4 * _SAMPLE:
        return False
    large = [memoryview(piece) for piece in pieces if len(piece) >= _SAMPLE]
    if not large:
        return False
    middle = large[len(large) // 2]
    half = (len(middle) - _SAMPLE) // 2
    samples = (large[0][:_SAMPLE], middle[half : half + _SAMPLE], large[-1][-_SAMPLE:])
    return all(len(isal_zlib.compress(sample, 1, -15)) >= _HOPELESS * _SAMPLE for sample in samples)


def _stored(piece: Body) -> Body:
    """The blocks in a row, where memory that was used before has room for them."""
    size = segments.stored_size(len(piece))
    if size <= _FEW:
        return b"".join(segments.stored_blocks(piece))
    packed = PIECES.room_for(_ASIDE + size)[_ASIDE:]
    at = 0
    for part in segments.stored_blocks(piece):
        packed[at : at + len(part)] = part
        at += len(part)
    return packed.toreadonly()


def _unstored(packed: Sequence[Body]) -> tuple[int, int]:
    """CRC-32 and size of what stored blocks hold, without a copy; raises for anything else."""
    crc = size = 0
    for piece in (*packed, _BLOCK_BEHIND):
        for held in segments.stored_content(piece):
            crc = isal_zlib.crc32(held, crc)
            size += len(held)
    return crc, size


def _inflated(packed: Sequence[Body]) -> tuple[int, int]:
    """CRC-32 and size of what a run of deflate blocks unpacks to, in chunks."""
    blocks = (*packed, _BLOCK_BEHIND)
    if sum(map(len, blocks)) < _FEW:
        blocks = (b"".join(blocks),)
    inflater = igzip_lib.IgzipDecompressor(flag=igzip_lib.DECOMP_DEFLATE)
    crc = size = 0
    for piece in blocks:
        chunk = inflater.decompress(piece, _CHECK_CHUNK)
        while True:
            crc = isal_zlib.crc32(chunk, crc)
            size += len(chunk)
            if len(chunk) < _CHECK_CHUNK:
                break  # had there been more it had come
            chunk = inflater.decompress(b"", _CHECK_CHUNK)
    return crc, size


class _Compressors(threading.local):
    def __init__(self) -> None:
        self.by_level: dict[int, zstandard.ZstdCompressor] = {}


class ZstdCodec:
    """One zstd frame a segment, each with its content size and checksum."""

    head = b""

    def __init__(self, level: int) -> None:
        self._level = level
        self.recipe = f"zstd {'.'.join(map(str, zstandard.ZSTD_VERSION))} level {level}"
        self._of_thread = _Compressors()  # zstandard's compressors serve one thread at a time

    def __reduce__(self) -> tuple[type["ZstdCodec"], tuple[int]]:
        """What belongs to threads stays behind where another process gets it."""
        return ZstdCodec, (self._level,)

    def pack(self, pieces: list[Body]) -> PackedSegment:
        # A high level searches random bytes for minutes and finds nothing: 4 MB/s at level 19.
        level = min(self._level, _QUICK) if _looks_incompressible(pieces) else self._level
        compressor = self._compressor(level, sum(map(len, pieces)))
        taken = _Taken(pieces)
        packed = [*map(compressor.compress, taken), compressor.flush()]
        return _proven(PackedSegment([*filter(None, packed)], taken.crc32, taken.size), _unframed)

    def _compressor(self, level: int, size: int) -> "zstandard.ZstdCompressionObj":
        mine = self._of_thread.by_level
        if level not in mine:
            mine[level] = zstandard.ZstdCompressor(level=level, write_checksum=True)
        return mine[level].compressobj(size=size)

    def combine(self, crc32: int, segment: PackedSegment) -> int:  # noqa: ARG002 - frames carry their own
        return 0

    def end(self, crc32: int, size: int) -> bytes:  # noqa: ARG002 - frames carry their own
        return b""

    def seal(self, sha256: bytes, size: int) -> bytes:
        return segments.zstd_seal(sha256, size)


class _Chained:
    """Pieces as a file, for who reads it in whatever portions it gets."""

    def __init__(self, pieces: Sequence[Body]) -> None:
        self._pieces = iter(pieces)

    def read(self, size: int = -1) -> Body:  # noqa: ARG002 - a file's shape
        return next(self._pieces, b"")


def _unframed(packed: Sequence[Body]) -> tuple[int, int]:
    """CRC-32 and size of what zstd frames unpack to, in chunks."""
    crc = size = 0
    frames = _Chained((*packed, _FRAME_BEHIND))
    unpacker = zstandard.ZstdDecompressor()
    with unpacker.stream_reader(frames, read_across_frames=True) as reader:  # type: ignore[arg-type] # read is all
        for chunk in iter(lambda: reader.read(_CHECK_CHUNK), b""):
            crc = isal_zlib.crc32(chunk, crc)
            size += len(chunk)
    return crc, size


class NoCodec:
    """The file's own bytes. Nothing describes them from inside: the metadata must."""

    head = b""
    recipe = "as it is"

    def pack(self, pieces: list[Body]) -> PackedSegment:
        return PackedSegment(pieces, 0, sum(map(len, pieces)))

    def combine(self, crc32: int, segment: PackedSegment) -> int:  # noqa: ARG002 - nothing to check
        return 0

    def end(self, crc32: int, size: int) -> bytes:  # noqa: ARG002 - nothing to close
        return b""

    def seal(self, sha256: bytes, size: int) -> bytes:  # noqa: ARG002 - would change the file
        return b""


def codec(name: str, level: str | int) -> Codec:
    """The codec "gzip", "zstd" or "none" at a named or numbered level."""
    makers: dict[str, Callable[[], Codec]] = {
        "gzip": lambda: GzipCodec(GZIP_LEVELS[level] if isinstance(level, str) else level),
        "zstd": lambda: ZstdCodec(ZSTD_LEVELS[level] if isinstance(level, str) else level),
        "none": NoCodec,
    }
    return makers[name]()
