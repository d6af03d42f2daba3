"""The headers of a file, made without `tarfile`, are those that it makes."""

import io
import tarfile

from hypothesis import example, given
from hypothesis import strategies as st

from hotfolder.adapters.archive import TarArchive
from hotfolder.core.records import decimal_seconds

BLOCK, NS = 512, 1_000_000_000
OCTAL = 8**11
names = (
    st.text(st.characters(codec="ascii", exclude_characters="/\0"), min_size=1, max_size=120)
    | st.text(st.characters(codec="utf-8", exclude_characters="/\0"), min_size=1, max_size=60)
    | st.binary(min_size=1, max_size=60).map(lambda name: name.decode("utf-8", "surrogateescape"))
)
times = (
    st.integers(0, 2**33 * NS)
    | st.integers(-NS, OCTAL * NS + NS)
    | st.integers(0, 11).map(lambda digits: 10**digits * NS)
    | st.integers(0, 11).map(lambda digits: 10**digits * NS - 1)
)


@given(name=names, size=st.integers(0, 2**34), mode=st.integers(0, 0o177777), mtime_ns=times)
@example("n" * 100, OCTAL - 1, 0o644, OCTAL * NS - 1)
@example("n" * 101, 0, 0o644, 0)
@example("n", OCTAL, 0o600, NS)
@example("n", 1, 0o7777, OCTAL * NS)
@example("é", 1, 0o644, -1)
@example("\udcff", 1, 0o644, NS)
def test_a_head_is_what_tarfile_makes(name: str, size: int, mode: int, mtime_ns: int) -> None:
    head = TarArchive().head(name, size=size, mode=mode, mtime_ns=mtime_ns)
    member = tarfile.TarInfo(name)
    member.size, member.mode = size, mode & 0o777
    member.pax_headers = {"mtime": decimal_seconds(mtime_ns)}
    theirs = member.tobuf(tarfile.PAX_FORMAT, "utf-8", "surrogateescape")
    assert head[:-BLOCK] == theirs[:-BLOCK], "all that comes before the header itself"
    ours, plain = head[-BLOCK:], theirs[-BLOCK:]
    assert ours[:136] + ours[156:] == plain[:136] + plain[156:], "but for its mtime and checksum"
    seconds = mtime_ns // NS if 0 <= mtime_ns < OCTAL * NS else 0
    assert ours[136:148] == b"%011o\0" % seconds
    # It checks the sum. What is not ASCII stands in the pax header.
    tarfile.TarInfo.frombuf(ours, "utf-8", "surrogateescape")


@given(name=names.filter(lambda name: len(name) < 50), mtime_ns=st.integers(0, OCTAL * NS - 1))
def test_tarfile_reads_a_member_as_it_was_made(name: str, mtime_ns: int) -> None:
    tar = TarArchive()
    data = b"some bytes"
    stream = tar.head(name, size=len(data), mode=0o640, mtime_ns=mtime_ns) + data + tar.tail(len(data))
    with tarfile.open(fileobj=io.BytesIO(stream), encoding="utf-8", errors="surrogateescape") as archive:
        (member,) = archive.getmembers()
        assert (member.size, member.mode) == (len(data), 0o640)
        assert member.pax_headers["mtime"] == decimal_seconds(mtime_ns)
        content = archive.extractfile(member)
        assert content is not None
        assert content.read() == data
