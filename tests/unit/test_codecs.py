"""What a codec makes of one segment, beside that it unpacks (tests/property/test_packing.py)."""

import random

import pytest

from hotfolder.adapters.compression import codec
from hotfolder.core.ports import Body
from hotfolder.core.segments import KIB, MIB

NOISE = random.Random(7).randbytes(MIB)
PIECES: list[Body] = [NOISE[:512], NOISE[512 : MIB // 2], NOISE[MIB // 2 :]]


def test_no_level_searches_what_does_not_compress() -> None:
    at_once = codec("zstd", 1).pack(PIECES)
    assert b"".join(codec("zstd", "small").pack(PIECES).pieces) == b"".join(at_once.pieces)
    text: list[Body] = [b"".join(b"a line like others: %d\n" % (n * n) for n in range(20_000))]
    assert codec("zstd", "balanced").pack(text).pieces != codec("zstd", 1).pack(text).pieces


@pytest.mark.parametrize("name", ["gzip", "zstd", "none"])
def test_random_bytes_grow_by_less_than_a_thousandth_and_stay_in_pieces(name: str) -> None:
    packed = codec(name, "fast").pack(PIECES)
    assert packed.size == MIB
    assert sum(map(len, packed.pieces)) < MIB + KIB
    if name == "none":
        assert list(packed.pieces) == PIECES


def test_one_compressible_end_is_enough_to_try() -> None:
    mixed: list[Body] = [*PIECES, bytes(256 * KIB)]
    assert sum(map(len, codec("gzip", "fast").pack(mixed).pieces)) < MIB + 16 * KIB
