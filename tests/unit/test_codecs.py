"""What a codec makes of one segment, beside that it unpacks (tests/property/test_packing.py)."""

import gzip
import random

import pytest

from hotfolder.adapters.compression import codec
from hotfolder.core.ports import Body
from hotfolder.core.segments import KIB, MIB

NOISE = random.Random(7).randbytes(MIB)
PIECES: list[Body] = [NOISE[:512], NOISE[512 : MIB // 2], NOISE[MIB // 2 :]]


def test_no_level_searches_what_does_not_compress() -> None:
    at_once = codec("zstd", 1).pack([*PIECES])
    assert b"".join(codec("zstd", "small").pack([*PIECES]).pieces) == b"".join(at_once.pieces)
    text: list[Body] = [b"".join(b"a line like others: %d\n" % (n * n) for n in range(20_000))]
    assert codec("zstd", "balanced").pack([*text]).pieces != codec("zstd", 1).pack(text).pieces


@pytest.mark.parametrize("name", ["gzip", "zstd", "none"])
def test_random_bytes_grow_by_less_than_a_thousandth_and_stay_in_pieces(name: str) -> None:
    packed = codec(name, "fast").pack([*PIECES])
    assert packed.size == MIB
    assert sum(map(len, packed.pieces)) < MIB + KIB
    if name == "none":
        assert list(packed.pieces) == PIECES


def test_one_compressible_end_is_enough_to_try() -> None:
    mixed: list[Body] = [*PIECES, bytes(256 * KIB)]
    assert sum(map(len, codec("gzip", "fast").pack(mixed).pieces)) < MIB + 16 * KIB


@pytest.mark.parametrize("level", ["fast", 1, "balanced"])
def test_a_run_that_would_grow_is_stored_and_what_follows_still_refers_to_it(level: str | int) -> None:
    text = b"".join(b"a line like others: %d\n" % (n * n) for n in range(20_000))[: 256 * KIB]
    noise = NOISE[: 256 * KIB]
    data = text + noise + noise[-4 * KIB :] + text
    gzip_codec = codec("gzip", level)
    packed = gzip_codec.pack([text, noise, noise[-4 * KIB :], text])
    end = gzip_codec.end(packed.crc32, packed.size)
    assert gzip.decompress(b"".join((gzip_codec.head, *packed.pieces, end))) == data
    assert any(noise[:1000] in bytes(piece) for piece in packed.pieces)
    alone = sum(map(len, gzip_codec.pack([text]).pieces))
    if level != "fast":  # ISA-L looks less carefully
        assert sum(map(len, packed.pieces)) < 2 * alone + len(noise) + 2 * KIB, "4 KiB came twice"


@pytest.mark.parametrize("name", ["gzip", "zstd"])
@pytest.mark.parametrize("data", [NOISE, bytes(MIB)])
def test_nobody_keeps_a_piece_that_is_packed(name: str, data: bytes) -> None:
    pieces: list[Body] = [data, data]
    codec(name, "fast").pack(pieces)
    assert pieces == []
