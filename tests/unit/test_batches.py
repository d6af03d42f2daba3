"""Calls that share a hop to a thread: each has its own result, error, name and end."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager

import pytest

from hotfolder.batches import Batches
from hotfolder.core.errors import SourceChanged
from hotfolder.threads import Threads, concerning

PATIENCE = 30.0  # seconds: only a test that fails waits so long


class Work:
    """What the threads do with an item: "bad" fails, what has a door waits until it is opened."""

    def __init__(self) -> None:
        self.hops: list[list[str]] = []
        self.threads: set[str] = set()
        self.doors: dict[str, threading.Event] = {}
        self.entered: dict[str, threading.Event] = {}

    @contextmanager
    def together(self) -> Iterator[Callable[[str], str]]:
        hop: list[str] = []
        self.hops.append(hop)

        def work(item: str) -> str:
            hop.append(item)
            self.threads.add(threading.current_thread().name)
            if item in self.doors:
                self.entered[item].set()
                assert self.doors[item].wait(PATIENCE)
            if item.startswith("bad"):
                raise SourceChanged(f"{item} changed")
            return item.upper()

        yield work

    def shut(self, item: str) -> None:
        self.doors[item], self.entered[item] = threading.Event(), threading.Event()

    async def is_at(self, item: str) -> None:
        assert await asyncio.to_thread(self.entered[item].wait, PATIENCE)


@pytest.fixture
async def threads() -> AsyncIterator[Threads]:
    made = Threads("test-batch", 2)
    yield made
    await asyncio.to_thread(made.close)


async def test_many_calls_share_few_hops_and_each_has_its_result(threads: Threads) -> None:
    work = Work()
    batches = Batches(threads, work.together)
    items = [f"file {number}" for number in range(100)]
    async with asyncio.timeout(PATIENCE):
        results = await asyncio.gather(*(batches.run(item) for item in items))
    assert results == [item.upper() for item in items]
    assert sorted(item for hop in work.hops for item in hop) == sorted(items)
    assert max(map(len, work.hops)) <= 32
    assert len(work.hops) < 20
    assert all(name.startswith("test-batch") for name in work.threads)


async def test_an_error_is_that_of_one_call_alone(threads: Threads) -> None:
    batches = Batches(threads, Work().together)
    async with asyncio.timeout(PATIENCE):
        first, bad, last = await asyncio.gather(
            *map(batches.run, ("first", "bad", "last")), return_exceptions=True
        )
    assert (first, last) == ("FIRST", "LAST")
    assert isinstance(bad, SourceChanged)


async def test_work_is_waited_for_when_its_caller_is_cancelled(threads: Threads) -> None:
    work = Work()
    batches = Batches(threads, work.together)
    work.shut("slow")
    task = asyncio.create_task(batches.run("slow"))
    await work.is_at("slow")
    task.cancel()
    done, _ = await asyncio.wait({task}, timeout=0)
    assert not done, "its thread is still at it"
    work.doors["slow"].set()
    async with asyncio.timeout(PATIENCE):
        await asyncio.wait({task})
    assert task.cancelled()


async def test_an_error_of_a_call_that_was_cancelled_is_not_told_as_lost(
    threads: Threads, caplog: pytest.LogCaptureFixture
) -> None:
    work = Work()
    batches = Batches(threads, work.together)
    work.shut("bad")
    task = asyncio.create_task(batches.run("bad"))
    await work.is_at("bad")
    task.cancel()
    work.doors["bad"].set()
    async with asyncio.timeout(PATIENCE):
        await asyncio.wait({task})
    assert task.cancelled()
    del task
    assert caplog.records == []


async def test_one_that_hangs_is_named_and_keeps_back_no_other(threads: Threads) -> None:
    work = Work()
    batches = Batches(threads, work.together)
    work.shut("hung")
    others = [f"file {number}" for number in range(80)]

    async def run(item: str) -> str:
        with concerning(f"/inbox/{item}"):
            return await batches.run(item)

    before = [asyncio.create_task(run(item)) for item in others[:5]]
    hung = asyncio.create_task(run("hung"))
    behind = [asyncio.create_task(run(item)) for item in others[5:]]
    async with asyncio.timeout(PATIENCE):
        assert await asyncio.gather(*before, *behind) == [item.upper() for item in others]
    assert [(step.pool, step.about) for step in threads.steps()] == [("test-batch", "/inbox/hung")]
    assert not hung.done()
    work.doors["hung"].set()
    async with asyncio.timeout(PATIENCE):
        assert await hung == "HUNG"
    assert threads.steps() == []


async def test_what_waits_when_the_threads_are_closed_is_told(threads: Threads) -> None:
    work = Work()
    batches = Batches(threads, work.together)
    await asyncio.to_thread(threads.close)
    with pytest.raises(RuntimeError):
        await batches.run("late")


async def test_what_waits_behind_other_work_when_the_threads_are_closed_is_told() -> None:
    threads, work = Threads("test-batch", 1), Work()
    work.shut("busy")
    first, batches = Batches(threads, work.together), Batches(threads, work.together)
    busy = asyncio.create_task(first.run("busy"))
    await work.is_at("busy")
    waiting = asyncio.create_task(batches.run("late"))
    for _ in range(3):  # it asks, and its hop waits for the thread
        await asyncio.sleep(0)
    closing = asyncio.create_task(asyncio.to_thread(threads.close))
    async with asyncio.timeout(PATIENCE):
        with pytest.raises(RuntimeError):
            await waiting
        work.doors["busy"].set()
        await asyncio.gather(busy, closing)
    assert work.hops == [["busy"]]


async def test_a_hop_that_cannot_begin_is_told_to_one_call_and_the_others_go_on(
    threads: Threads,
) -> None:
    work, fails = Work(), [MemoryError("full"), None]

    @contextmanager
    def together() -> Iterator[Callable[[str], str]]:
        error = fails.pop(0) if fails else None
        if error is not None:
            raise error
        with work.together() as upper:
            yield upper

    batches = Batches(threads, together)
    async with asyncio.timeout(PATIENCE):
        first, *others = await asyncio.gather(
            *map(batches.run, ("first", "second", "third")), return_exceptions=True
        )
    assert isinstance(first, MemoryError)
    assert others == ["SECOND", "THIRD"]


async def test_an_error_that_no_future_takes_keeps_no_answer_behind_it(threads: Threads) -> None:
    @contextmanager
    def together() -> Iterator[Callable[[str], str]]:
        def work(item: str) -> str:
            return next(iter(())) if item == "bad" else item.upper()

        yield work

    batches = Batches(threads, together)
    async with asyncio.timeout(PATIENCE):
        bad, good = await asyncio.gather(*map(batches.run, ("bad", "good")), return_exceptions=True)
    assert isinstance(bad, RuntimeError)
    assert good == "GOOD"
