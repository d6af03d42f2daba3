"""Calls in threads: waited for, and in a row one behind the other, gone where nobody wants them."""

import asyncio
import threading
from collections.abc import Iterator

import pytest

from hotfolder.threads import OneByOne, Threads, concerning


@pytest.fixture
def threads() -> Iterator[Threads]:
    made = Threads("test-row", 3)
    yield made
    made.close()


async def test_calls_come_one_behind_the_other_as_they_were_asked_for(threads: Threads) -> None:
    row, begun, running = OneByOne(threads), list[int](), threading.Lock()

    def call(number: int) -> int:
        assert running.acquire(blocking=False)
        begun.append(number)
        running.release()
        return number

    assert await asyncio.gather(*(row.run(call, n) for n in range(200))) == list(range(200))
    assert begun == list(range(200))


async def test_the_row_goes_on_while_the_event_loop_is_at_work(threads: Threads) -> None:
    row, second = OneByOne(threads), threading.Event()
    asked = [asyncio.create_task(row.run(call)) for call in (lambda: None, second.set)]
    await asyncio.sleep(0)
    assert second.wait(60)  # nothing else runs on the event loop
    await asyncio.gather(*asked)


async def test_what_was_cancelled_before_its_turn_never_begins(threads: Threads) -> None:
    row, go_on, begun = OneByOne(threads), threading.Event(), list[str]()
    first = asyncio.create_task(row.run(go_on.wait))
    second = asyncio.create_task(row.run(begun.append, "second"))
    third = asyncio.create_task(row.run(begun.append, "third"))
    await asyncio.sleep(0)
    second.cancel()
    with pytest.raises(asyncio.CancelledError):
        await second
    go_on.set()
    await asyncio.gather(first, third)
    assert begun == ["third"]


async def test_what_has_begun_is_waited_for_when_it_is_cancelled(threads: Threads) -> None:
    row, begun, go_on = OneByOne(threads), asyncio.Event(), threading.Event()
    loop, ended = asyncio.get_running_loop(), list[bool]()

    def call() -> None:
        loop.call_soon_threadsafe(begun.set)
        go_on.wait(60)
        ended.append(True)

    asked = asyncio.create_task(row.run(call))
    await begun.wait()
    asked.cancel()
    await asyncio.sleep(0)
    assert not asked.done()
    go_on.set()
    with pytest.raises(asyncio.CancelledError):
        await asked
    assert ended == [True]


@pytest.mark.parametrize("way", ["a thread", "a row"])
async def test_what_has_begun_is_waited_for_however_often_it_is_cancelled(
    threads: Threads, way: str
) -> None:
    begun, go_on = asyncio.Event(), threading.Event()
    loop, ended = asyncio.get_running_loop(), list[bool]()

    def call() -> None:
        loop.call_soon_threadsafe(begun.set)
        go_on.wait(60)
        ended.append(True)

    asked = asyncio.create_task((threads if way == "a thread" else OneByOne(threads)).run(call))
    await begun.wait()
    for _ in range(3):
        asked.cancel()
        await asyncio.sleep(0)
        await asyncio.sleep(0)
    assert not asked.done()
    go_on.set()
    with pytest.raises(asyncio.CancelledError):
        await asked
    assert ended == [True]


async def test_an_error_is_for_who_asked_and_the_row_goes_on(threads: Threads) -> None:
    row = OneByOne(threads)
    first, second = await asyncio.gather(
        row.run(int, "no number"), row.run(int, "2"), return_exceptions=True
    )
    assert isinstance(first, ValueError)
    assert second == 2
    assert await row.run(int, "3") == 3


async def test_what_runs_in_a_row_is_one_of_the_steps(threads: Threads) -> None:
    with concerning("clip.mp4"):
        steps = await OneByOne(threads).run(threads.steps)
    assert [step.about for step in steps] == ["clip.mp4"]
