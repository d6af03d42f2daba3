"""The real process that packs: what reaches it, what does not, and its end whatever ends it."""

import asyncio
import gzip
import hashlib
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from hotfolder import packing_child
from hotfolder.adapters.child_process.parent import ChildProcess
from hotfolder.adapters.source import open_originals
from hotfolder.core.records import Job
from hotfolder.engine import start_packing
from hotfolder.packed_file import PackedFile, packed_file
from hotfolder.packing_process import PackingProcess
from hotfolder.packing_words import Wanted, question
from hotfolder.threads import Threads
from hotfolder.whole import InThreads
from tests.support.packing_line import PATIENCE, form, until_it_runs
from tests.support.samples import job_at

GZ = form("gz")
_PARENT = """
import asyncio, os
from hotfolder import engine
async def main():
    await engine.start_packing(print, print)
    (child,) = open(f"/proc/self/task/{os.getpid()}/children").read().split()
    print(child, flush=True)
    await asyncio.sleep(600)
asyncio.run(main())
"""


def children() -> set[int]:
    found: set[int] = set()
    for task in Path("/proc/self/task").iterdir():
        with suppress(OSError):  # a thread of another test, just ending
            found |= {int(child) for child in (task / "children").read_text().split()}
    return found


def told(pid: int, file: str) -> bytes:
    return Path(f"/proc/{pid}/{file}").read_bytes()


def has_ended(pidfd: int) -> bool:
    ready, _, _ = select.select([pidfd], [], [], PATIENCE)
    return bool(ready)


@pytest.fixture
async def files(tmp_path: Path) -> AsyncIterator[PackingProcess]:
    threads = Threads("test-pack", 2)
    made = PackingProcess(InThreads(threads, open_originals), start_packing, clock=time.monotonic)
    yield made
    await made.close()
    await asyncio.to_thread(threads.close)


async def test_killed_in_the_middle_it_costs_no_file_and_another_one_follows(
    tmp_path: Path, files: PackingProcess
) -> None:
    for number in range(300):
        (tmp_path / f"{number}").write_bytes(b"%d" % number * 1000)
    jobs = [job_at(tmp_path, f"{number}") for number in range(300)]
    before = children()
    await until_it_runs(files, jobs[0])
    (first,) = children() - before
    asked = [asyncio.create_task(files.pack(job, GZ, 0)) for job in jobs]
    await asyncio.wait(asked, return_when=asyncio.FIRST_COMPLETED)
    with capture_logs() as logs:
        os.kill(first, signal.SIGKILL)
        packed = await asyncio.gather(*asked)
        async with asyncio.timeout(PATIENCE):
            while not logs:  # noqa: ASYNC110 - it may have been done with all of them
                await asyncio.sleep(0.001)
    assert unpacked(packed) == unpacked(alone(jobs))
    assert [line["reason"] for line in logs] == ["it has ended (exit -9)"]
    await until_it_runs(files, jobs[0])
    (second,) = children() - before
    assert second != first


def unpacked(packed: Sequence[PackedFile]) -> list[tuple[bytes, bytes, int]]:
    """What it is all about: ISA-L does not promise the same bytes for the same file."""
    for each in packed:
        assert each.digests.packed_sha256 == hashlib.sha256(each.body).digest()
    return [(gzip.decompress(each.body), each.digests.original_sha256, each.owner) for each in packed]


def alone(jobs: list[Job]) -> list[PackedFile]:
    made = []
    with open_originals() as opener:
        for job in jobs:
            original = opener(job)
            made.append(packed_file(job, GZ, 0, original))
            original.close()
    return made


async def test_nothing_but_one_socket_reaches_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "very secret")
    held = os.open(tmp_path, os.O_RDONLY)
    os.set_inheritable(held, True)
    before = children()
    process = await start_packing(lambda _: None, lambda _: None)
    try:
        (pid,) = children() - before
        assert b"secret" not in told(pid, "environ")
        assert len(os.listdir(f"/proc/{pid}/fd")) == 3
        assert os.getsid(pid) == pid
    finally:
        await process.end()
        os.close(held)
    assert children() <= before


async def test_it_outlives_the_signals_that_ask_us_to_stop(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"some bytes")
    answers: asyncio.Queue[bytes] = asyncio.Queue()
    before = children()
    process = await start_packing(answers.put_nowait, lambda _: None)
    (pid,) = children() - before
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGIO):
        os.kill(pid, number)
    process.send(question([Wanted(job_at(tmp_path, "file"), GZ, 0)]))
    async with asyncio.timeout(PATIENCE):
        assert await answers.get()
    await process.end()
    assert children() <= before


def test_it_ends_with_us_however_we_end() -> None:
    with subprocess.Popen([sys.executable, "-c", _PARENT], stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        pidfd = os.pidfd_open(int(parent.stdout.readline()))
        parent.kill()
    try:
        assert has_ended(pidfd)
    finally:
        os.close(pidfd)


async def test_one_of_another_version_is_not_taken() -> None:
    before = children()
    with pytest.raises(OSError, match="instead of b'hotfolder 9 packs'"):
        await ChildProcess.start(
            packing_child.__name__,
            greeting=b"hotfolder 9 packs",
            on_message=lambda _: None,
            on_end=lambda _: None,
        )
    assert children() <= before


async def test_one_that_cannot_start_says_why() -> None:
    before = children()
    with pytest.raises(OSError, match=r"No module named 'hotfolder.nowhere'.*exit 1"):
        await ChildProcess.start(
            "hotfolder.nowhere", greeting=b"", on_message=lambda _: None, on_end=lambda _: None
        )
    assert children() <= before
