"""What every way to pack small files must do: in threads, in a process, and in a stand-in for it."""

import asyncio
import gzip
import hashlib
import os
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from hotfolder.adapters.source import open_original, open_originals
from hotfolder.core.errors import SourceChanged
from hotfolder.core.records import Job
from hotfolder.engine import start_packing
from hotfolder.packing import Packer
from hotfolder.packing_process import PackingProcess, Start
from hotfolder.threads import Threads
from hotfolder.whole import InThreads, SmallFiles, Whole
from tests.support.descriptors import open_below
from tests.support.memory_process import MemoryProcess
from tests.support.packing_line import form, until_it_runs, write
from tests.support.samples import job_at

MIB = 1 << 20


@asynccontextmanager
async def in_threads() -> AsyncIterator[SmallFiles]:
    threads = Threads("test-pack", 2)
    yield InThreads(threads, open_originals)
    await asyncio.to_thread(threads.close)


@asynccontextmanager
async def beside(start: Start, place: Path) -> AsyncIterator[SmallFiles]:
    """With the process at work."""
    async with in_threads() as instead:
        files = PackingProcess(instead, start, clock=time.monotonic)
        await until_it_runs(files, drop(place, "first", b""))
        yield files
        assert files.is_running, "all that was asked of it was answered"
        await files.close()


async def in_memory(
    on_answer: Callable[[bytes], object], on_end: Callable[[str], object]
) -> MemoryProcess:
    return MemoryProcess(on_answer, on_end)


@pytest.fixture(params=["threads", "process", "memory"])
async def packer(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Packer]:
    threads = Threads("test-open", 1)
    starts: dict[str, Start] = {"process": start_packing, "memory": in_memory}
    start = starts.get(request.param)
    way = in_threads() if start is None else beside(start, tmp_path_factory.mktemp("first"))
    async with way as files:
        yield Packer(opener=open_original, threads=threads, segment=MIB, files=files)
    await asyncio.to_thread(threads.close)


def drop(inbox: Path, relpath: str, data: bytes) -> Job:
    place = inbox / relpath
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_bytes(data)
    return job_at(inbox, relpath)


async def small(packer: Packer, job: Job) -> Whole:
    packed = await packer.open(job, form("gz"), lambda _: None)
    assert isinstance(packed, Whole)
    return packed


async def content(packed: Whole) -> bytes:
    body = await packed.whole(MIB)
    assert body is not None
    return gzip.decompress(body)


async def test_files_of_many_directories_are_each_packed_as_themselves(
    tmp_path: Path, packer: Packer
) -> None:
    paths = [f"{above}{number}" for number in range(20) for above in ("", "a/", "b/c/", "a/d/")]
    jobs = [drop(tmp_path, path, path.encode() * 100) for path in paths]
    packed = [await small(packer, job) for job in jobs]
    before = open_below(tmp_path)
    contents = await asyncio.gather(*map(content, packed))
    assert contents == [path.encode() * 100 for path in paths]
    assert [each.final_digests().original_sha256 for each in packed] == [
        hashlib.sha256(data).digest() for data in contents
    ]
    assert {each.owner for each in packed} == {os.getuid()}
    assert len(open_below(tmp_path)) <= len(before), "nothing stays open"


async def test_what_is_wrong_with_one_file_is_its_own(tmp_path: Path, packer: Packer) -> None:
    jobs = [drop(tmp_path, f"a/{number}", b"some bytes") for number in range(6)]
    gone, other, linked, written = jobs[:4]
    os.unlink(gone.path)
    write(other.path, b"other bytes")
    os.unlink(linked.path)
    os.symlink(jobs[5].path, linked.path)
    writer = os.open(written.path, os.O_WRONLY)
    try:
        results = await asyncio.gather(
            *[content(await small(packer, job)) for job in jobs], return_exceptions=True
        )
    finally:
        os.close(writer)
    assert [type(result) for result in results[:4]] == [SourceChanged] * 4
    assert results[4:] == [b"some bytes"] * 2


async def test_it_can_be_read_again_as_long_as_it_is_what_it_was(tmp_path: Path, packer: Packer) -> None:
    job = drop(tmp_path, "clip", b"some bytes")
    packed = await small(packer, job)
    assert await packed.hash_original() == hashlib.sha256(b"some bytes").digest()
    first = b"".join([bytes(chunk) async for chunk in packed.chunks()])
    assert b"".join([bytes(chunk) async for chunk in packed.chunks()]) == first
    assert await content(packed.as_of(0)) == b"some bytes"
    write(job.path, b"more bytes")
    for reading in (packed.hash_original, packed.chunks().__anext__):
        with pytest.raises(SourceChanged):
            await reading()


async def test_one_that_is_larger_than_asked_for_is_not_read_at_once(
    tmp_path: Path, packer: Packer
) -> None:
    packed = await small(packer, drop(tmp_path, "clip", bytes(100_000)))
    assert await packed.whole(50_000) is None
    with pytest.raises(RuntimeError, match="not read"):
        packed.final_digests()


@pytest.mark.parametrize("name", ["tar.gz", "gz", "tar.zst", "zst", "none"])
async def test_each_format_is_what_the_threads_make_of_it(
    tmp_path: Path, packer: Packer, name: str
) -> None:
    async with in_threads() as plainly:
        for relpath in ("empty", "name \udcff", "\u2603", "large"):
            data = os.urandom(200_000) if relpath == "large" else relpath.encode(errors="ignore")[:4]
            job = drop(tmp_path, relpath, data)
            packed = await packer.open(job, form(name), lambda _: None)
            body = await packed.whole(MIB)
            expected = await plainly.pack(job, form(name), job.fingerprint.mtime_ns)
            assert body == expected.body
            assert (packed.final_digests(), packed.owner) == (expected.digests, expected.owner)
