"""One pass over a file: whatever it holds and however long it is, what comes out is what went in."""

import asyncio
import gzip
import hashlib
import io
import os
import shutil
import subprocess
import tarfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import TypeVar

import pytest
import zstandard
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from hotfolder.core.errors import SourceChanged
from hotfolder.core.records import Job
from hotfolder.core.segments import read_seal
from tests.support.packing_line import Line, Meddled, PackingLine, form, packing_line, write
from tests.support.samples import job_at

Test = TypeVar("Test", bound=Callable[..., None])
Meddling = Callable[[Path], None]

SEGMENT = 64 * 1024
PART = 100_000  # no multiple of anything
BLOCK = 512  # of tar
NO_DEADLINE = settings(
    max_examples=60,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
#: Around every boundary there is: segments (one, two, three), tar's blocks, stored blocks, parts.
EDGES = sorted(
    {
        max(0, edge + step)
        for edge in (0, BLOCK, 0xFFFF, SEGMENT, 2 * SEGMENT, 3 * SEGMENT, PART, 2 * PART)
        for step in (-1, 0, 1)
    }
    | {SEGMENT - BLOCK, 4 * SEGMENT + 77}
)
sizes = st.sampled_from(EDGES) | st.integers(0, 5 * SEGMENT)
textures = st.sampled_from(["zeros", "text", "random", "alternating", "mixed"])

NAMES = [
    b"plain.txt",
    b"with two  spaces .mp4",
    "Füße 🎬.mov".encode(),
    b"new\nline",
    b"tab\tand\x01control",
    b"\xff\xfe not utf-8 \x80",
    b"-rf",
    b"--help",
    b"*",
    b"x" * 255,
    "é".encode() * 127 + b"x",
    b"\xff" * 255,
    b"p" * 100,
    b"p" * 101,
    b"back\\slash",
    b" ",
    b"...",
]


def content(texture: str, size: int) -> bytes:
    """`size` bytes of this kind; the same every time."""
    if texture == "zeros":
        return bytes(size)
    if texture == "text":
        return (b"the quick brown fox jumps over the lazy dog; " * (size // 45 + 1))[:size]
    noise = b"".join(hashlib.sha512(n.to_bytes(8, "big")).digest() for n in range(size // 64 + 1))[:size]
    if texture == "random":
        return noise
    step = 1000 if texture == "alternating" else SEGMENT
    pieces = [noise[at : at + step] if at // step % 2 else bytes(step) for at in range(0, size, step)]
    return b"".join(pieces)[:size]


@pytest.fixture(scope="module")
def line() -> Iterator[PackingLine]:
    with packing_line(segment=SEGMENT) as made:
        yield made


@pytest.fixture
def inbox(tmp_path: Path) -> Path:
    return tmp_path


def packed(line: PackingLine, inbox: Path, data: bytes, name: str) -> Line:
    """`data` as a file, packed in the format `name`."""
    write(inbox / "clip.bin", data)
    return asyncio.run(line.pack(job_at(inbox, "clip.bin"), form(name), part=PART))


def check(made: Line, data: bytes) -> None:
    """What holds of every format."""
    sha256 = hashlib.sha256(data).digest()
    assert made.digests.original_size == len(data)
    assert made.digests.original_sha256 == sha256
    assert made.digests.packed_size == len(made.stream)
    whole = hashlib.sha256(made.stream).digest() if len(data) <= SEGMENT else None
    assert made.digests.packed_sha256 == whole, "more than a segment is hashed by who sends it"
    assert all(len(part) == PART for part in made.parts[:-1])
    assert 0 <= len(made.parts[-1]) <= PART
    assert made.parts[-1] or not made.stream
    assert made.bytes_read == len(data)


def check_seal(made: Line, data: bytes) -> None:
    assert read_seal(made.stream[-80:]) == (hashlib.sha256(data).digest(), len(data))


def run(*command: str, stdin: bytes) -> bytes:
    done = subprocess.run(command, input=stdin, capture_output=True, check=True, timeout=60)
    assert done.stderr == b"", f"{command[0]} complained"
    return done.stdout


def members(stream: bytes, mode: str) -> list[tuple[tarfile.TarInfo, bytes]]:
    found = []
    # mypy knows the modes one by one; here they are a parameter on purpose.
    with tarfile.open(fileobj=io.BytesIO(stream), mode=mode) as archive:  # type: ignore[call-overload]
        for member in archive:
            file = archive.extractfile(member)
            assert file is not None
            found.append((member, file.read()))
    return found


# -- what went in comes out --------------------------------------------------------------------


def edges(test: Test) -> Test:
    """Every edge, twice: as zeros and as noise."""
    for size in EDGES:
        for texture in ("zeros", "random"):
            test = example(texture=texture, size=size)(test)
    return test


@NO_DEADLINE
@given(texture=textures, size=sizes)
@edges
def test_gz_is_one_gzip_file_for_every_reader(
    line: PackingLine, inbox: Path, texture: str, size: int
) -> None:
    data = content(texture, size)
    made = packed(line, inbox, data, "gz")
    check(made, data)
    check_seal(made, data)
    assert gzip.decompress(made.stream) == data


@NO_DEADLINE
@given(texture=textures, size=sizes)
@edges
def test_tar_gz_restores_with_python_streaming_and_seeking(
    line: PackingLine, inbox: Path, texture: str, size: int
) -> None:
    data = content(texture, size)
    made = packed(line, inbox, data, "tar.gz")
    check(made, data)
    check_seal(made, data)
    for mode in ("r|gz", "r:gz"):
        ((member, restored),) = members(made.stream, mode)
        assert (member.name, restored) == ("clip.bin", data)
        assert (member.uid, member.gid, member.uname, member.gname) == (0, 0, "", "")


@NO_DEADLINE
@given(texture=textures, size=sizes)
@edges
def test_zst_is_frames_that_readers_join(
    line: PackingLine, inbox: Path, texture: str, size: int
) -> None:
    data = content(texture, size)
    made = packed(line, inbox, data, "zst")
    check(made, data)
    check_seal(made, data)
    with zstandard.ZstdDecompressor().stream_reader(made.stream, read_across_frames=True) as reader:
        assert reader.read() == data


@NO_DEADLINE
@given(texture=textures, size=sizes)
@edges
def test_tar_zst_holds_the_file(line: PackingLine, inbox: Path, texture: str, size: int) -> None:
    data = content(texture, size)
    made = packed(line, inbox, data, "tar.zst")
    check(made, data)
    check_seal(made, data)
    with zstandard.ZstdDecompressor().stream_reader(made.stream, read_across_frames=True) as reader:
        unpacked = reader.read()
    ((member, restored),) = members(unpacked, "r:")
    assert (member.name, restored) == ("clip.bin", data)


@NO_DEADLINE
@given(texture=textures, size=sizes)
@edges
def test_none_is_the_file_itself(line: PackingLine, inbox: Path, texture: str, size: int) -> None:
    data = content(texture, size)
    made = packed(line, inbox, data, "none")
    check(made, data)
    assert made.stream == data


SYSTEM_SIZES = [0, 1, BLOCK, SEGMENT - 1, SEGMENT, SEGMENT + 1, 2 * SEGMENT, 4 * SEGMENT + 77]


@pytest.mark.parametrize("texture", ["zeros", "random", "mixed"])
@pytest.mark.parametrize("size", SYSTEM_SIZES)
def test_the_systems_gzip_and_tar_take_it_without_a_word(
    line: PackingLine, inbox: Path, tmp_path: Path, texture: str, size: int
) -> None:
    data = content(texture, size)
    bare = packed(line, inbox, data, "gz").stream
    assert run("gzip", "-dc", stdin=bare) == data
    run("gzip", "-t", stdin=bare)
    archive = packed(line, inbox, data, "tar.gz").stream
    run("gzip", "-t", stdin=archive)
    restored = tmp_path / "restored"
    restored.mkdir()
    run("tar", "xzf", "-", "-C", str(restored), stdin=archive)
    assert [path.name for path in restored.iterdir()] == ["clip.bin"]
    assert (restored / "clip.bin").read_bytes() == data


@pytest.mark.skipif(shutil.which("zstd") is None, reason="the zstd program is not installed")
@pytest.mark.parametrize("texture", ["zeros", "random"])
@pytest.mark.parametrize("size", SYSTEM_SIZES)
def test_the_systems_zstd_and_tar_take_it_without_a_word(
    line: PackingLine, inbox: Path, tmp_path: Path, texture: str, size: int
) -> None:
    data = content(texture, size)
    assert run("zstd", "-dcq", stdin=packed(line, inbox, data, "zst").stream) == data
    restored = tmp_path / "restored"
    restored.mkdir()
    archive = packed(line, inbox, data, "tar.zst").stream
    run("tar", "--zstd", "-xf", "-", "-C", str(restored), stdin=archive)
    assert (restored / "clip.bin").read_bytes() == data


# -- the recipe --------------------------------------------------------------------------------


@NO_DEADLINE
@given(
    texture=textures,
    size=sizes,
    name=st.sampled_from(["tar.gz", "gz", "tar.zst", "zst", "none"]),
    window=st.integers(1, 8),
    threads=st.integers(1, 4),
)
def test_the_same_file_gives_the_same_bytes_whatever_the_parallelism(
    line: PackingLine, inbox: Path, texture: str, size: int, name: str, window: int, threads: int
) -> None:
    data = content(texture, size)
    write(inbox / "clip.bin", data)
    job = job_at(inbox, "clip.bin")
    first = asyncio.run(line.pack(job, form(name), part=PART))
    with packing_line(segment=SEGMENT, threads=threads) as other:
        again = asyncio.run(other.pack(job, form(name), part=PART, window=window))
    assert again == first


@pytest.mark.parametrize("name", ["tar.gz", "gz"])
@pytest.mark.parametrize("level", ["fast", "balanced", "small", 1])
@pytest.mark.parametrize("size", [0, SEGMENT, 3 * SEGMENT + 5])
def test_every_level_packs_what_every_reader_unpacks(
    line: PackingLine, inbox: Path, name: str, level: str | int, size: int
) -> None:
    data = content("mixed", size)
    write(inbox / "clip.bin", data)
    made = asyncio.run(line.pack(job_at(inbox, "clip.bin"), form(name, level), part=PART))
    check(made, data)
    unpacked = gzip.decompress(made.stream)
    assert (unpacked if name == "gz" else members(unpacked, "r:")[0][1]) == data


@pytest.mark.parametrize("name", ["gz", "zst", "tar.gz", "tar.zst"])
def test_what_cannot_be_compressed_costs_less_than_a_thousandth(
    tmp_path: Path, inbox: Path, name: str
) -> None:
    data = content("random", 8 << 20)
    with packing_line(segment=1 << 20) as line:
        made = packed(line, inbox, data, name)
    assert len(made.stream) < len(data) * 1.001


# -- tar keeps what it should ------------------------------------------------------------------


@NO_DEADLINE
@given(
    mode=st.integers(0, 0o7777),
    mtime_ns=st.integers(-(2**33) * 10**9, 2**34 * 10**9) | st.sampled_from([0, -1, 1, 10**9 - 1]),
    name=st.sampled_from(NAMES),
)
@example(mode=0o644, mtime_ns=-500_000_000, name=b"before the epoch")
@example(mode=0o644, mtime_ns=-1, name=b"before the epoch")
@example(mode=0o644, mtime_ns=8**11 * 10**9, name=b"beyond the octal field")
def test_mode_name_and_time_are_in_the_archive(
    line: PackingLine, inbox: Path, mode: int, mtime_ns: int, name: bytes
) -> None:
    path = os.path.join(os.fsencode(inbox), name)
    write(path, b"data")
    os.chmod(path, mode | 0o400)
    os.utime(path, ns=(mtime_ns, mtime_ns))
    try:
        there = os.stat(path)  # the file system may round or bound
        job = job_at(inbox, os.fsdecode(name))
        made = asyncio.run(line.pack(job, form("tar.gz")))
    finally:
        os.unlink(path)
    ((member, data),) = members(made.stream, "r:gz")
    assert os.fsencode(member.name) == name
    assert (member.mode, data) == (mode & 0o777 | 0o400, b"data"), (
        "no setuid file for whoever unpacks it"
    )
    assert exact_ns(member.pax_headers["mtime"]) == there.st_mtime_ns


def exact_ns(decimal: str) -> int:
    """A pax time as POSIX defines it: a decimal number of seconds; here without rounding."""
    seconds, _, fraction = decimal.lstrip("-").partition(".")
    nanoseconds = int(seconds) * 10**9 + int(fraction.ljust(9, "0"))
    return -nanoseconds if decimal.startswith("-") else nanoseconds


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("mtime_ns", [1_761_700_000_123_456_789, 1, -500_000_000])
def test_the_systems_tar_restores_name_mode_and_time_to_the_nanosecond(
    line: PackingLine, tmp_path: Path, name: bytes, mtime_ns: int
) -> None:
    inbox, restored = tmp_path / "inbox", tmp_path / "restored"
    inbox.mkdir()
    restored.mkdir()
    path = os.path.join(os.fsencode(inbox), name)
    write(path, b"data")
    os.chmod(path, 0o640)
    os.utime(path, ns=(mtime_ns, mtime_ns))
    made = asyncio.run(line.pack(job_at(inbox, os.fsdecode(name)), form("tar.gz")))
    subprocess.run(
        ["tar", "xpzf", "-", "-C", str(restored)], input=made.stream, check=True, capture_output=True
    )
    (found,) = os.listdir(os.fsencode(restored))
    assert found == name
    status = os.stat(os.path.join(os.fsencode(restored), found))
    assert (status.st_mode & 0o7777, status.st_mtime_ns) == (0o640, mtime_ns)


# -- somebody else at work ---------------------------------------------------------------------


def grow(path: Path) -> None:
    with path.open("ab") as file:
        file.write(b"x")


def shrink(path: Path) -> None:
    os.truncate(path, path.stat().st_size - 1)


def cut_short(path: Path) -> None:
    os.truncate(path, 0)


def rewrite(path: Path) -> None:
    with path.open("r+b") as file:
        file.write(b"other")


def touch(path: Path) -> None:
    os.utime(path, ns=(0, 0))


def rewrite_and_hide_it(path: Path) -> None:
    """Other bytes, the same size, and the old mtime put back: only ctime tells."""
    status = path.stat()
    rewrite(path)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


MEDDLING = [grow, shrink, cut_short, rewrite, touch, rewrite_and_hide_it]


def handed(original: Meddled, _: Job) -> Meddled:
    """An opener that gives what was opened before."""
    return original


def at_read(moment: int, meddle: Meddling, path: Path) -> Callable[[int], None]:
    """Meddle with `path` just before read number `moment`."""

    def hook(read: int) -> None:
        if read == moment:
            meddle(path)

    return hook


@pytest.mark.parametrize("meddle", MEDDLING)
@pytest.mark.parametrize("name", ["tar.gz", "zst", "none"])
@pytest.mark.parametrize(
    ("size", "reads"), [(5, 1), (SEGMENT, 1), (SEGMENT + 1, 2), (2 * SEGMENT, 2), (4 * SEGMENT + 9, 5)]
)
def test_a_file_that_changes_before_any_of_its_reads_is_never_packed(
    line: PackingLine, inbox: Path, meddle: Meddling, name: str, size: int, reads: int
) -> None:
    path = inbox / "clip.bin"
    for moment in range(reads):
        write(path, content("random", size))
        job = job_at(inbox, "clip.bin")
        original = Meddled(job, at_read(moment, meddle, path))
        with pytest.raises(SourceChanged):
            asyncio.run(line.pack(job, form(name), opener=partial(handed, original)))
        assert original.is_closed


def test_a_file_that_is_replaced_by_rename_is_not_packed(line: PackingLine, inbox: Path) -> None:
    data = content("random", 3 * SEGMENT)
    path = inbox / "clip.bin"
    write(path, data)
    write(inbox / "new", b"another file")
    job = job_at(inbox, "clip.bin")

    def replace_it(read: int) -> None:
        if read == 1:
            os.replace(inbox / "new", path)

    with pytest.raises(SourceChanged):  # the old one is whole, but losing its name touched its ctime
        asyncio.run(line.pack(job, form("gz"), opener=lambda job: Meddled(job, replace_it)))
    assert path.read_bytes() == b"another file"
