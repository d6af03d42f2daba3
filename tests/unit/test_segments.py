"""Framing and sizes: what a packed stream is made of, and how it is cut into parts."""

import gzip
import hashlib
import itertools
import random
import struct
import zlib
from collections.abc import Callable

import pytest
import zstandard

from hotfolder.core.segments import (
    GIB,
    GZIP_HEADER,
    GZIP_SEAL_SIZE,
    KIB,
    MIB,
    MIN_PART,
    STORED_BLOCK,
    ZSTD_SEAL_SIZE,
    PartCutter,
    PartPlan,
    gzip_end,
    gzip_seal,
    plan_parts,
    read_seal,
    segment_size,
    spans,
    stored_blocks,
    stored_content,
    working_set,
    worst_case,
    zstd_seal,
)

TIB = 1024 * GIB
Seal = Callable[[bytes, int], bytes]
SHA = hashlib.sha256(b"the original").digest()
SIZES = [
    0,
    1,
    *(edge + step for edge in (MIN_PART, 8 * MIB, 64 * MIB, 128 * MIB) for step in (-1, 0, 1)),
    *(edge + step for edge in (512_000_000, 8_000_000_000) for step in (-1, 0, 1)),
    *(9_900 * MIN_PART + step for step in (-1, 0, 1)),
    100 * GIB,
    *(TIB * 2**power for power in range(6)),
    50 * TIB,
]
MEMORIES = [64 * MIB, 65 * MIB, 96 * MIB, 100_000_000, 256 * MIB, 512 * MIB, GIB, 3 * GIB, 4 * GIB]


# -- gzip framing ------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [0, 1, STORED_BLOCK - 1, STORED_BLOCK, STORED_BLOCK + 1, 200_000])
def test_stored_blocks_are_deflate_that_holds_just_the_data(size: int) -> None:
    data = bytes(range(256)) * (size // 256) + bytes(range(size % 256))
    packed = b"".join(stored_blocks(memoryview(data)))
    assert len(packed) == size + 5 * -(-size // STORED_BLOCK)
    whole = GZIP_HEADER + packed + gzip_end(zlib.crc32(data), size)
    assert gzip.decompress(whole) == data


def test_stored_blocks_end_on_a_byte_boundary_and_never_end_the_stream() -> None:
    inflater = zlib.decompressobj(-15)
    assert inflater.decompress(b"".join(stored_blocks(b"one"))) == b"one"
    assert not inflater.eof
    assert inflater.decompress(b"".join(stored_blocks(b"two"))) == b"two"


def test_an_empty_member_is_valid_gzip() -> None:
    assert gzip.decompress(GZIP_HEADER + gzip_end(0, 0)) == b""


@pytest.mark.parametrize("size", [2**32 - 1, 2**32, 2**32 + 5])
def test_the_size_in_the_trailer_is_modulo_four_gibibytes(size: int) -> None:
    assert gzip_end(0xDEADBEEF, size)[-8:] == b"\xef\xbe\xad\xde" + (size % 2**32).to_bytes(4, "little")


def test_the_header_names_no_time_and_no_system() -> None:
    assert bytes([0x1F, 0x8B, 8, 0, 0, 0, 0, 0, 0, 0xFF]) == GZIP_HEADER


# -- the seal ----------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [0, 1, 2**32, 2**63])
@pytest.mark.parametrize(("make", "length"), [(gzip_seal, GZIP_SEAL_SIZE), (zstd_seal, ZSTD_SEAL_SIZE)])
def test_a_seal_is_read_back_from_the_last_80_bytes(make: Seal, length: int, size: int) -> None:
    seal = make(SHA, size)
    assert len(seal) == length <= 80
    stream = bytes(1000) + seal
    assert read_seal(stream[-80:]) == (SHA, size)
    assert read_seal(seal) == (SHA, size)


def test_the_gzip_seal_is_a_member_that_adds_nothing() -> None:
    data = b"what was dropped" * 100
    assert gzip.decompress(gzip.compress(data) + gzip_seal(SHA, len(data))) == data


def test_the_zstd_seal_is_a_frame_that_readers_skip() -> None:
    data = b"what was dropped" * 100
    packed = zstandard.ZstdCompressor().compress(data) + zstd_seal(SHA, len(data))
    with zstandard.ZstdDecompressor().stream_reader(packed, read_across_frames=True) as reader:
        assert reader.read() == data


@pytest.mark.parametrize("make", [gzip_seal, zstd_seal])
def test_a_damaged_or_missing_seal_is_none(make: Seal) -> None:
    seal = make(SHA, 5)
    end = seal.index(SHA) + len(SHA) + 8  # behind the SHA-256 and the size: framing again
    for at in (*range(seal.index(SHA)), *range(end, len(seal))):
        damaged = bytearray(seal)
        damaged[at] ^= 1
        assert read_seal(bytes(damaged)) is None
    assert read_seal(seal[1:]) is None
    assert read_seal(seal + b"\0") is None
    assert read_seal(b"") is None
    assert read_seal(gzip.compress(b"no seal at all" * 20)) is None


# -- part plans --------------------------------------------------------------------------------


@pytest.mark.parametrize("memory", MEMORIES)
@pytest.mark.parametrize("part_size", [None, MIN_PART, 5_500_000, 8 * MIB, 64 * MIB, 5 * GIB])
def test_every_plan_keeps_to_the_limits_of_s3_and_of_the_memory(
    memory: int, part_size: int | None
) -> None:
    for size in SIZES:
        worst = worst_case(size, segment_size(memory))
        plan = plan_parts(worst, memory=memory, part_size=part_size)
        if plan is None:
            continue
        assert MIN_PART <= plan.size <= 5 * GIB
        assert -(-worst // plan.size) <= 10_000
        assert plan.in_flight >= 1
        # One part is being filled while the others are in flight.
        assert plan.size * (plan.in_flight + 1) <= max(memory // 2, memory * 3 // 4)
        assert plan == plan_parts(worst, memory=memory, part_size=part_size)


@pytest.mark.parametrize("memory", MEMORIES)
def test_a_plan_is_refused_only_where_ten_thousand_parts_do_not_fit_the_memory(memory: int) -> None:
    for size in SIZES:
        worst = worst_case(size, segment_size(memory))
        if plan_parts(worst, memory=memory) is None:
            assert worst / 9_900 > memory * 3 / 8 - MIB, f"{size} bytes would have fitted"


@pytest.mark.parametrize("memory", MEMORIES)
def test_the_least_working_set_of_every_plan_fits_the_memory(memory: int) -> None:
    segment = segment_size(memory)
    for size in SIZES:
        plan = plan_parts(worst_case(size, segment), memory=memory)
        if plan is not None:
            need = working_set(size, segment=segment, parts=plan, packers=64)
            assert need.least <= memory, f"{size} bytes could never start"


def test_the_tiers_are_the_ones_that_are_documented() -> None:
    roomy = 64 * GIB
    assert plan_parts(511_999_999, memory=roomy) == PartPlan(8 * MIB, 8)
    assert plan_parts(512_000_000, memory=roomy) == PartPlan(64 * MIB, 6)
    assert plan_parts(8_000_000_000, memory=roomy) == PartPlan(128 * MIB, 4)
    assert plan_parts(50 * TIB, memory=roomy) == PartPlan(5296 * MIB, 4)


@pytest.mark.parametrize(
    ("memory", "segment"),
    [(MIB, MIB), (64 * MIB, 2 * MIB), (128 * MIB, 4 * MIB), (256 * MIB, 8 * MIB), (4 * GIB, 8 * MIB)],
)
def test_segments_are_powers_of_two_within_the_memory(memory: int, segment: int) -> None:
    assert segment_size(memory) == segment


# -- working sets ------------------------------------------------------------------------------


@pytest.mark.parametrize("memory", [64 * MIB, 256 * MIB, GIB])
@pytest.mark.parametrize("packers", [1, 2, 8, 64])
def test_what_a_grant_allows_never_costs_more_than_the_grant(memory: int, packers: int) -> None:
    segment = segment_size(memory)
    for size in SIZES:
        plan = plan_parts(worst_case(size, segment), memory=memory)
        if plan is None:
            continue
        need = working_set(size, segment=segment, parts=plan, packers=packers)
        assert need.least <= need.most
        assert need.within(need.least) == (1, 1)
        assert need.within(need.most) == (need.most_segments, need.most_parts)
        for granted in range(
            need.least, need.most + MIB, max(256 * KIB, (need.most - need.least) // 50)
        ):
            segments, parts = need.within(granted)
            assert 1 <= segments <= max(1, packers)
            assert 1 <= parts <= plan.in_flight
            making = need.segment + min(need.segment, 4 * MIB)
            assert making * segments + need.part * (parts + 1) <= granted


@pytest.mark.parametrize("segment", [KIB, 64 * KIB, MIB])
def test_the_spans_of_a_file_cover_it_exactly(segment: int) -> None:
    for size in (0, 1, segment - 1, segment, segment + 1, 3 * segment, 3 * segment + 7):
        lengths = list(spans(size, segment))
        assert sum(lengths) == size
        assert all(length == segment for length in lengths[:-1])
        assert len(lengths) >= 1


# -- the cutter --------------------------------------------------------------------------------


def cut(chunks: list[bytes], size: int) -> list[bytes]:
    cutter = PartCutter(size)
    parts = [b"".join(part) for chunk in chunks for part in cutter.feed(chunk)]
    return [*parts, b"".join(cutter.rest())]


@pytest.mark.parametrize("size", [1, 2, 3, 4, 7, 8])
def test_parts_are_equal_but_the_last_whatever_the_chunks(size: int) -> None:
    for lengths in itertools.product(range(5), repeat=4):
        letters = iter(b"abcdefghijklmnopqrstuvwxyz")
        chunks = [bytes(itertools.islice(letters, length)) for length in lengths]
        whole = b"".join(chunks)
        parts = cut(chunks, size)
        assert b"".join(parts) == whole
        assert all(len(part) == size for part in parts[:-1])
        assert len(parts[-1]) <= size
        assert parts[-1] or not whole, "only an empty stream may end in an empty part"


def test_a_stream_of_just_one_part_is_not_cut() -> None:
    assert cut([b"abc", b"defgh"], 8) == [b"abcdefgh"]


def test_an_empty_stream_is_one_empty_part() -> None:
    assert cut([b"", b""], 8) == [b""]


def test_a_part_that_was_handed_out_is_not_changed_by_what_follows() -> None:
    cutter = PartCutter(4)
    (first,) = cutter.feed(b"abcde")
    list(cutter.feed(b"fghij"))
    assert b"".join(first) == b"abcd"


# -- stored blocks -----------------------------------------------------------------------------


@pytest.mark.parametrize("size", [0, 1, 65_534, 65_535, 65_536, 200_000])
def test_stored_blocks_hold_just_what_went_in(size: int) -> None:
    data = random.Random(size).randbytes(size)
    packed = b"".join(stored_blocks(data))
    assert b"".join(stored_content(packed)) == data
    assert zlib.decompressobj(-15).decompress(packed) == data


@pytest.mark.parametrize("damage", ["kind", "length", "complement", "cut", "cut in a head"])
def test_what_is_no_run_of_stored_blocks_is_not_read_as_one(damage: str) -> None:
    packed = bytearray(b"".join(stored_blocks(bytes(70_000))))
    second = 5 + 65_535
    match damage:
        case "kind":
            packed[second] = 1
        case "length":
            packed[second + 1] ^= 4
        case "complement":
            packed[second + 3] ^= 4
        case "cut":
            del packed[-1]
        case _:
            del packed[second + 3 :]
    with pytest.raises((ValueError, struct.error)):
        list(stored_content(bytes(packed)))
