"""Small files beside: when there is a process, what it gets, and that nothing rests on it."""

import asyncio
import gzip
import os
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from hotfolder.core.records import Digests, Job
from hotfolder.formats import Format
from hotfolder.packed_file import PackedFile
from hotfolder.packing_process import MANY, PackingProcess, Process
from hotfolder.packing_words import Wanted, answer, question, read_answer, read_question
from tests.support.memory_process import MemoryProcess
from tests.support.packing_line import form, until_it_runs
from tests.support.samples import job, job_at

GZ = form("gz")
IN_THREADS = b"in threads"


class Instead:
    """`SmallFiles` in the place of the threads: one can tell that they did it."""

    async def pack(self, job: Job, form: Format, mtime_ns: int) -> PackedFile:  # noqa: ARG002 - the port's
        await asyncio.sleep(0)  # a hop takes its time
        return PackedFile(IN_THREADS, Digests(4, b"o" * 32, 10, b"p" * 32), 0)

    async def hash(self, job: Job) -> bytes:  # noqa: ARG002 - the port's
        return IN_THREADS


class Bench:
    """A `PackingProcess` whose processes and clock are the test's."""

    def __init__(self, inbox: Path) -> None:
        self.now = 1000.0
        self.processes: list[MemoryProcess] = []
        self.holds = False
        self.refusal: Exception | None = None
        self.files = PackingProcess(Instead(), self.start, clock=lambda: self.now)
        self.inbox = inbox

    async def start(
        self, on_answer: Callable[[bytes], object], on_end: Callable[[str], object]
    ) -> Process:
        if self.refusal is not None:
            raise self.refusal
        self.processes.append(MemoryProcess(on_answer, on_end, holds=self.holds))
        return self.processes[-1]

    def drop(self, name: str, size: int = 4) -> Job:
        (self.inbox / name).write_bytes(bytes(size))
        return job_at(self.inbox, name)

    def begin(self, count: int, size: int = 4) -> list[asyncio.Task[bytes]]:
        jobs = [self.drop(f"{number}", size) for number in range(count)]
        return [asyncio.create_task(self.pack(each)) for each in jobs]

    async def pack(self, job: Job) -> bytes:
        packed = await self.files.pack(job, GZ, 0)
        return IN_THREADS if packed.body == IN_THREADS else gzip.decompress(packed.body)

    async def run(self, *, holds: bool = False) -> MemoryProcess:
        """Get it running; from then on it answers by itself, or only when it is told to."""
        self.holds = False
        await until_it_runs(self.files, self.drop("first"))
        self.processes[-1].holds = holds
        self.processes[-1].asked = 0
        return self.processes[-1]

    async def settle(self) -> None:
        """Let all that can happen now happen."""
        for _ in range(10):
            await asyncio.sleep(0)


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    made = Bench(tmp_path)
    yield made
    await made.files.close()


async def test_few_files_get_no_process(bench: Bench) -> None:
    for _ in range(3):
        assert set(await asyncio.gather(*bench.begin(MANY - 1))) == {IN_THREADS}
    await bench.settle()
    assert bench.processes == []


async def test_many_are_packed_beside_in_few_questions(bench: Bench) -> None:
    process = await bench.run()
    assert set(await asyncio.gather(*bench.begin(320))) == {bytes(4)}
    assert process.asked == 10
    assert len(bench.processes) == 1


async def test_a_question_holds_so_many_bytes_and_large_files_stay_with_the_threads(
    bench: Bench,
) -> None:
    process = await bench.run()
    assert set(await asyncio.gather(*bench.begin(32, 65_536))) == {bytes(65_536)}
    assert process.asked == 2
    assert await bench.pack(bench.drop("large", 65_537)) == IN_THREADS
    assert await bench.files.hash(bench.drop("any")) == IN_THREADS


async def test_what_it_cannot_pack_the_threads_do(bench: Bench) -> None:
    await bench.run()
    gone, stays = bench.drop("gone"), bench.drop("stays")
    os.unlink(gone.path)
    packed = await asyncio.gather(bench.pack(gone), bench.pack(stays))
    assert list(packed) == [IN_THREADS, bytes(4)]


async def test_what_an_ended_process_owes_the_threads_do_and_the_next_one_comes_later(
    bench: Bench,
) -> None:
    process = await bench.run(holds=True)
    asked = bench.begin(100)
    await bench.settle()
    with capture_logs() as logs:
        process.on_end("killed (exit -9)")
    assert set(await asyncio.gather(*asked)) == {IN_THREADS}
    assert [(line["event"], line["reason"], line["again_in"]) for line in logs] == [
        ("packing.process_lost", "killed (exit -9)", 1.0)
    ]
    assert set(await asyncio.gather(*bench.begin(100))) == {IN_THREADS}
    await bench.settle()
    assert len(bench.processes) == 1, "not at once"
    bench.now += 1.0
    await bench.run()
    assert len(bench.processes) == 2
    assert await bench.pack(bench.drop("again")) == bytes(4)


@pytest.mark.parametrize("kind", [OSError, RuntimeError])  # no process, no thread that waits for it
async def test_one_that_never_comes_is_tried_less_and_less_often(
    bench: Bench, kind: type[Exception]
) -> None:
    bench.refusal = kind("no more processes")
    pauses = []
    for _ in range(12):
        with capture_logs() as logs:
            assert set(await asyncio.gather(*bench.begin(MANY))) == {IN_THREADS}
            await bench.settle()
        (line,) = logs
        assert line["reason"] == "no more processes"
        pauses.append(line["again_in"])
        bench.now += line["again_in"]
    assert pauses == [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300, 300]


async def test_one_that_works_again_for_ten_minutes_is_forgiven_what_was(bench: Bench) -> None:
    async def works(seconds: float) -> float:
        """The pause that follows on a loss so many seconds after the one before."""
        bench.now += seconds
        process = await bench.run()
        assert await bench.pack(bench.drop("well")) == bytes(4)
        with capture_logs() as logs:
            process.on_end("killed")
        return float(logs[0]["again_in"])

    pauses = [await works(seconds) for seconds in (1, 1, 599, 599, 600, 599)]
    assert pauses == [1, 2, 4, 8, 1, 2]


async def test_behind_a_slow_one_nobody_waits(bench: Bench) -> None:
    process = await bench.run(holds=True)
    asked = bench.begin(100)
    await bench.settle()
    bench.now += 0.3
    bench.files.look()
    await bench.settle()
    assert sum(each.done() for each in asked) == 100 - 64
    process.answer()
    process.answer()
    done = await asyncio.gather(*asked)
    assert (done.count(bytes(4)), done.count(IN_THREADS)) == (64, 36)


async def test_one_that_hangs_is_ended_and_the_threads_meet_what_it_hangs_on(bench: Bench) -> None:
    process = await bench.run(holds=True)
    asked = bench.begin(40)
    await bench.settle()
    bench.now += 4.9
    bench.files.look()
    assert [process.is_over] == [False]
    bench.now += 0.2
    with capture_logs() as logs:
        bench.files.look()
    assert set(await asyncio.gather(*asked)) == {IN_THREADS}
    assert process.is_over
    assert [line["reason"] for line in logs] == ["no answer for 5.1 s"]


@pytest.mark.parametrize("said", [b"", b"?" * 75, b"?" * 76, bytes(76 * 4 + 1)])
async def test_one_that_gives_no_answer_to_the_question_is_ended(bench: Bench, said: bytes) -> None:
    process = await bench.run(holds=True)
    asked = bench.begin(4)
    await bench.settle()
    with capture_logs() as logs:
        process.say(said)
    assert set(await asyncio.gather(*asked)) == {IN_THREADS}
    assert process.is_over
    assert [line["event"] for line in logs] == ["packing.process_lost"]


async def test_it_is_ended_at_rest_and_comes_back(bench: Bench) -> None:
    process = await bench.run()
    bench.now += 59
    bench.files.look()
    assert [process.is_over] == [False]
    bench.now += 2
    with capture_logs() as logs:
        bench.files.look()
        await bench.settle()
    assert process.is_over
    assert logs == []
    await bench.run()
    assert len(bench.processes) == 2


async def test_a_flight_that_is_cut_off_waits_for_nobody(bench: Bench) -> None:
    process = await bench.run(holds=True)
    cut, stays = bench.begin(2)
    await bench.settle()
    cut.cancel()
    await bench.settle()
    assert cut.cancelled()
    process.answer()
    assert await stays == bytes(4)


async def test_after_the_end_the_threads_do_it(bench: Bench) -> None:
    process = await bench.run(holds=True)
    asked = bench.begin(100)
    await bench.settle()
    await bench.files.close()
    assert set(await asyncio.gather(*asked)) == {IN_THREADS}
    assert process.is_over
    assert set(await asyncio.gather(*bench.begin(100))) == {IN_THREADS}
    await bench.settle()
    assert len(bench.processes) == 1


@pytest.mark.parametrize("name", ["tar.gz", "gz", "tar.zst", "zst", "none"])
def test_a_question_says_all_that_is_needed(name: str) -> None:
    files = [Wanted(job("a/\udcff"), form(name, 6 if "gz" in name else "fast"), -5)]
    (read,) = read_question(question(files))
    assert (read.job.path, read.job.fingerprint) == (files[0].job.path, files[0].job.fingerprint)
    assert (read.mtime_ns, read.form.recipe) == (-5, files[0].form.recipe)
    there, here = (each.form.codec.pack([b"some bytes"]).pieces for each in (read, files[0]))
    assert there == here


def test_an_answer_is_read_as_it_was_given() -> None:
    files = [Wanted(job(name), GZ, 0) for name in "ab"]
    size = files[0].job.fingerprint.size
    packed = PackedFile(b"body", Digests(size, b"o" * 32, 4, b"p" * 32), 2**32 - 1)
    assert read_answer(answer([None, packed]), files) == [None, packed]
