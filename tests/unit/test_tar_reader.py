"""The one file of a tar archive, whoever wrote it, in pieces of any length."""

import io
import tarfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hotfolder.core.errors import VerificationFailed
from hotfolder.core.tar_reader import OneFile

_FORMATS = [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT]


def archive(*members: tuple[str, bytes], kind: int, **headers: str) -> bytes:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w", format=kind) as tar:
        for name, data in members:
            info = tarfile.TarInfo(name)
            info.size, info.pax_headers = len(data), headers
            tar.addfile(info, io.BytesIO(data))
    return made.getvalue()


def read(stream: bytes, step: int) -> bytes:
    reader = OneFile()
    pieces = [
        bytes(piece)
        for start in range(0, len(stream), step)
        for piece in reader.feed(stream[start : start + step])
    ]
    reader.finish()
    return b"".join(pieces)


@given(
    data=st.binary(max_size=2000),
    step=st.integers(1, 3000),
    kind=st.sampled_from(_FORMATS),
    name=st.sampled_from(["a", "d/" * 40 + "b"]),
)
def test_the_file_comes_out_as_it_went_in(data: bytes, step: int, kind: int, name: str) -> None:
    assert read(archive((name, data), kind=kind), step) == data


def test_a_long_name_and_a_size_in_the_extended_header_are_read() -> None:
    assert read(archive(("n" * 300, b"data"), kind=tarfile.GNU_FORMAT), 100) == b"data"
    stream = archive(("a", b"data"), kind=tarfile.PAX_FORMAT, size="4", comment="x" * 600)
    assert read(stream, 700) == b"data"


@pytest.mark.parametrize("kind", _FORMATS)
def test_what_is_no_archive_of_one_file_is_refused(kind: int) -> None:
    one = archive(("a", b"data"), kind=kind)
    two = archive(("a", b"data"), ("b", b"data"), kind=kind)
    damaged = bytes([one[0] ^ 1]) + one[1:]
    for stream in (two, damaged, b"", b"no archive" * 100, bytes(1024)):
        with pytest.raises(VerificationFailed):
            read(stream, 512)


def test_a_file_that_is_cut_off_is_refused() -> None:
    whole = archive(("a", b"x" * 1000), kind=tarfile.USTAR_FORMAT)
    with pytest.raises(VerificationFailed, match="ends before"):
        read(whole[:1200], 100)


def header(size: bytes, kind: bytes = b"0") -> bytes:
    """One block that any reader takes for a header, whatever `size` says."""
    block = bytearray(512)
    block[0:1], block[124 : 124 + len(size)], block[156:157] = b"a", size, kind
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block)


@pytest.mark.parametrize("kind", [b"0", b"x", b"g", b"L"])
@pytest.mark.parametrize("size", [b"-1", b"-1000", b"+4", b"0o4", b"1_0", b"9"])
def test_a_size_that_is_no_octal_number_is_refused_and_not_read_for_ever(
    size: bytes, kind: bytes
) -> None:
    with pytest.raises(VerificationFailed):
        read(header(size, kind) + bytes(1024), 512)


@pytest.mark.parametrize(
    "record",
    [
        b"9" * 5000 + b" size=1\n",
        b"6011 size=" + b"9" * 6000 + b"\n",
        b"10 size=-\n",
        b"22 GNU.sparse.major=1\n",
    ],
    ids=["length", "size", "sign", "sparse"],
)
def test_an_extended_header_that_means_no_plain_file_is_refused(record: bytes) -> None:
    extended = header(b"%o" % len(record), b"x") + record + bytes(-len(record) % 512)
    with pytest.raises(VerificationFailed):
        read(extended + header(b"1") + b"a" + bytes(511 + 1024), 512)


def test_the_last_size_of_an_extended_header_counts() -> None:
    stream = header(b"22", b"x") + b"9 size=7\n9 size=4\n".ljust(512, b"\0") + header(b"0") + b"data"
    assert read(stream + bytes(508 + 1024), 512) == b"data"


def test_zeros_without_end_are_no_archive() -> None:
    stream = archive(("a", b"data"), kind=tarfile.PAX_FORMAT)
    assert read(stream + bytes(1024 * 1024), 65536) == b"data"
    with pytest.raises(VerificationFailed):
        read(stream + bytes(17 * 1024 * 1024), 65536)
    with pytest.raises(VerificationFailed):
        read(header(b"77777777777", b"L") + stream, 512)
