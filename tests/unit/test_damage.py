"""Whichever bit is damaged between packing and the check: it is found, or harms nobody who unpacks."""

import gzip
import random
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
import zstandard
from isal import isal_zlib

from hotfolder.adapters.compression import GzipCodec, ZstdCodec, codec
from hotfolder.core import segments
from hotfolder.core.errors import VerificationFailed
from hotfolder.core.ports import Body, Codec, PackedSegment
from hotfolder.core.segments import KIB

TEXT = b"".join(b"line %d of it\n" % (n * n) for n in range(90))
NOISE = random.Random(5).randbytes(128 * KIB)
CONTENTS = {"text": TEXT, "short noise": NOISE[:200], "zeros": bytes(70_000), "one": b"x", "none": b""}
#: So that every alignment of the last bits is there.
TAILS = {f"text to {length}": TEXT[:length] for length in range(40, 60)}
NEXT = b"what the next segment holds"


@dataclass
class Spoiling:
    """One bit of what comes through is turned, counted from the first; None: no more than counted."""

    bit: int | None = None
    bits: int = 0

    def through(self, packed: bytes) -> bytes:
        at = None if self.bit is None else self.bit - self.bits
        self.bits += 8 * len(packed)
        if at is None or not 0 <= at < 8 * len(packed):
            return packed
        spoilt = bytearray(packed)
        spoilt[at // 8] ^= 1 << at % 8
        return bytes(spoilt)


class Spoilt:
    """A compressor whose output is spoilt on its way to the check."""

    def __init__(self, compressor: Any, spoiling: Spoiling) -> None:
        self._compressor, self._spoiling = compressor, spoiling

    def compress(self, data: Body) -> bytes:
        return self._spoiling.through(self._compressor.compress(data))

    def flush(self, *mode: int) -> bytes:
        return self._spoiling.through(self._compressor.flush(*mode))


def spoil(monkeypatch: pytest.MonkeyPatch, spoiling: Spoiling) -> None:
    """All that any codec packs."""

    def spoilt(make: Callable[..., Any]) -> Callable[..., Any]:
        return lambda *which: Spoilt(make(*which), spoiling)

    monkeypatch.setattr(GzipCodec, "_deflater", spoilt(GzipCodec._deflater))
    monkeypatch.setattr(ZstdCodec, "_compressor", spoilt(ZstdCodec._compressor))
    stored = segments.stored_blocks
    monkeypatch.setattr(
        segments,
        "stored_blocks",
        lambda data: (spoiling.through(bytes(block)) for block in stored(data)),
    )


def unpacked(packer: Codec, packed: PackedSegment, following: PackedSegment) -> bytes | None:
    """What a reader makes of a whole stream of both segments; None where it complains.

    One complaint does not count: zlib wants the lengths of distance codes to be complete, also of those
    that nothing uses; ISA-L, and so the check, reads over a few bits of the header of a small block.
    """
    crc = packer.combine(packer.combine(0, packed), following)
    end = packer.end(crc, packed.size + following.size)
    stream = b"".join((packer.head, *packed.pieces, *following.pieces, end))
    try:
        if packer.head:
            try:
                return gzip.decompress(stream)
            except zlib.error as error:
                return (
                    isal_zlib.decompress(stream, 31) if "invalid distances set" in str(error) else None
                )
        with zstandard.ZstdDecompressor().stream_reader(stream, read_across_frames=True) as reader:
            return reader.read()
    except (OSError, EOFError, ValueError, zstandard.ZstdError):
        return None


def hurts(monkeypatch: pytest.MonkeyPatch, packer: Codec, data: bytes, bits: range | None) -> list[int]:
    """Bits whose damage is not found, and hurts who unpacks. Damage to padding does no harm."""
    following = packer.pack([NEXT])
    spoiling = Spoiling()
    with monkeypatch.context() as patched:
        spoil(patched, spoiling)
        packed = packer.pack([data])
        assert unpacked(packer, packed, following) == data + NEXT
        missed = []
        for bit in bits or range(spoiling.bits):
            spoiling.bit, spoiling.bits = bit, 0
            try:
                packed = packer.pack([data])
            except VerificationFailed:
                continue
            if unpacked(packer, packed, following) != data + NEXT:
                missed.append(bit)
    return missed


@pytest.mark.parametrize(
    ("name", "level"), [("gzip", "fast"), ("gzip", 1), ("gzip", "balanced"), ("zstd", "fast")]
)
@pytest.mark.parametrize("content", [*CONTENTS, *TAILS])
def test_every_bit(monkeypatch: pytest.MonkeyPatch, name: str, level: str | int, content: str) -> None:
    data = (CONTENTS | TAILS)[content]
    assert hurts(monkeypatch, codec(name, level), data, None) == []


def test_every_bit_of_the_heads_of_stored_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    second = 8 * (5 + segments.STORED_BLOCK)
    for at in (0, second):
        assert hurts(monkeypatch, codec("gzip", "fast"), NOISE, range(at, at + 8 * 7)) == []


def test_what_is_found_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    spoil(monkeypatch, Spoiling(bit=100))
    with pytest.raises(VerificationFailed, match="does not unpack to what went in"):
        codec("gzip", "fast").pack([TEXT])
