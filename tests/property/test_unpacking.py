"""Whatever was packed comes out again, in any pieces; whatever was damaged does not pass."""

import gzip
import hashlib
import io
import tarfile
from pathlib import Path

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from hotfolder.adapters.unpacking import unpacker
from hotfolder.core.errors import VerificationFailed
from tests.support.packing_line import form, packing_line
from tests.support.samples import job_at

FORMATS = ["tar.gz", "gz", "tar.zst", "zst", "none"]


def unpacked(name: str, stream: bytes, step: int) -> bytes:
    taking = unpacker(name)
    assert taking is not None
    pieces = [
        bytes(piece)
        for start in range(0, len(stream), step)
        for piece in taking.feed(stream[start : start + step])
    ]
    taking.finish()
    return b"".join(pieces)


def packed_elsewhere(name: str, data: bytes) -> bytes:
    """As other programs do it."""
    if name.startswith("tar."):
        made = io.BytesIO()
        with tarfile.open(fileobj=made, mode="w") as tar:
            member = tarfile.TarInfo("a")
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
        data = made.getvalue()
    if name.endswith("gz"):
        half = len(data) // 2
        return gzip.compress(data[:half]) + gzip.compress(data[half:])
    return zstandard.compress(data) if name.endswith("zst") else data


@pytest.mark.parametrize("name", FORMATS)
@settings(max_examples=40)
@given(data=st.binary(max_size=3000), repeat=st.integers(1, 200), step=st.integers(1, 5000))
def test_what_others_packed_is_unpacked(name: str, data: bytes, repeat: int, step: int) -> None:
    data *= repeat
    assert unpacked(name, packed_elsewhere(name, data), step) == data


@pytest.mark.parametrize("name", FORMATS)
async def test_what_we_packed_is_unpacked(name: str, tmp_path: Path) -> None:
    data = b"a line of text\n" * 50_000 + hashlib.sha256(b"x").digest() * 3_000
    (tmp_path / "a").write_bytes(data)
    with packing_line(segment=1 << 18) as line_of:
        stream = (await line_of.pack(job_at(tmp_path, "a"), form(name))).stream
    assert unpacked(name, stream, 70_000) == data


def unpacked_if_whole(name: str, stream: bytes) -> bytes | None:
    try:
        return unpacked(name, stream, 1000)
    except VerificationFailed:
        return None


@pytest.mark.parametrize("name", ["tar.gz", "gz", "tar.zst", "zst"])
def test_a_stream_that_is_damaged_or_cut_gives_other_bytes_or_an_error(name: str) -> None:
    data = hashlib.shake_256(b"seed").digest(20_000)
    stream = packed_elsewhere(name, data)
    half = len(stream) // 2
    for broken in (stream[:half], stream[:half] + bytes([stream[half] ^ 1]) + stream[half + 1 :], b"no"):
        assert unpacked_if_whole(name, broken) != data


@pytest.mark.parametrize("name", ["tar.gz", "gz", "tar.zst", "zst"])
async def test_a_stream_that_is_cut_behind_its_content_is_not_whole(name: str, tmp_path: Path) -> None:
    """Readers stumble over it, though they may give all bytes before that."""
    (tmp_path / "a").write_bytes(b"content")
    with packing_line(segment=1 << 18) as line_of:
        stream = (await line_of.pack(job_at(tmp_path, "a"), form(name))).stream
    assert unpacked_if_whole(name, stream) == b"content"
    for lacking in range(1, 40):
        assert unpacked_if_whole(name, stream[:-lacking]) is None, lacking


def test_nor_is_an_archive_that_ends_within_a_block() -> None:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as tar:
        member = tarfile.TarInfo("a")
        member.size = 7
        tar.addfile(member, io.BytesIO(b"content"))
    for end, restores in ((512 + 7, False), (1024, True), (1024 + 100, False)):
        assert (
            unpacked_if_whole("tar.gz", gzip.compress(made.getvalue()[:end])) is not None
        ) is restores


def test_a_small_piece_that_unpacks_to_much_comes_in_bounded_pieces() -> None:
    for name, stream in (
        ("gz", gzip.compress(bytes(1 << 26))),
        ("zst", zstandard.compress(bytes(1 << 26))),
    ):
        taking = unpacker(name)
        assert taking is not None
        sizes = [len(piece) for piece in taking.feed(stream)]
        assert (sum(sizes), max(sizes) <= 1 << 25) == (1 << 26, True)


def test_an_unknown_format_has_no_unpacker() -> None:
    assert unpacker("rar") is None
