"""Small bodies on the wire: as many at once as their window has room for, beside the other requests."""

import asyncio

import pytest

from hotfolder.core.errors import DestinationError, DestinationTrouble
from hotfolder.core.records import Receipt
from hotfolder.core.window import Window
from hotfolder.wire import SmallRequests


class Store:
    """Keeps each request until it is told what becomes of it."""

    def __init__(self) -> None:
        self.under_way: list[asyncio.Future[Receipt]] = []

    async def put(self) -> Receipt:
        answer: asyncio.Future[Receipt] = asyncio.get_running_loop().create_future()
        self.under_way.append(answer)
        return await answer

    async def answer(self, told: Receipt | Exception) -> None:
        """Of the one that was asked first."""
        answer = self.under_way.pop(0)
        if isinstance(told, Exception):
            answer.set_exception(told)
        else:
            answer.set_result(told)
        await turns()


async def turns() -> None:
    """Let all go on that can."""
    for _ in range(5):
        await asyncio.sleep(0)


async def test_they_wait_for_the_window_and_it_opens_while_all_goes_well() -> None:
    store, small = Store(), SmallRequests(Window(2, 4))
    tasks = [asyncio.create_task(small.run(store.put)) for _ in range(8)]
    await turns()
    assert len(store.under_way) == 2
    await store.answer(Receipt("e"))
    assert len(store.under_way) == 3
    await store.answer(Receipt("e"))
    assert len(store.under_way) == 4
    while store.under_way:
        await store.answer(Receipt("e"))
    assert [task.result().etag for task in tasks] == ["e"] * 8


@pytest.mark.parametrize(
    "trouble",
    [Receipt("e", attempts=2), DestinationError(DestinationTrouble.THROTTLED, "slow down")],
    ids=["repeated", "refused"],
)
async def test_trouble_makes_them_fewer(trouble: Receipt | Exception) -> None:
    store, small = Store(), SmallRequests(Window(8, 8))
    tasks = [asyncio.create_task(small.run(store.put)) for _ in range(16)]
    await turns()
    assert len(store.under_way) == 8
    await store.answer(trouble)
    assert len(store.under_way) == 7, "none is let in until there are fewer than half"
    for _ in range(3):
        await store.answer(Receipt("e"))
    assert len(store.under_way) == 4
    await store.answer(Receipt("e"))
    assert len(store.under_way) >= 4, "with room again the next is let in"
    while store.under_way:
        await store.answer(Receipt("e"))
    await asyncio.gather(*tasks, return_exceptions=True)


async def test_who_is_cancelled_leaves_the_place_to_the_next() -> None:
    store, small = Store(), SmallRequests(Window(1, 1))
    first, second, third = [asyncio.create_task(small.run(store.put)) for _ in range(3)]
    await turns()
    second.cancel()
    await turns()
    first.cancel()
    await turns()
    assert first.cancelled()
    assert second.cancelled()
    assert store.under_way.pop(0).cancelled()
    assert len(store.under_way) == 1
    await store.answer(Receipt("e"))
    assert third.result().etag == "e"


async def test_who_is_cancelled_as_the_place_comes_gives_it_on() -> None:
    store, small = Store(), SmallRequests(Window(1, 1))
    _, second, third = [asyncio.create_task(small.run(store.put)) for _ in range(3)]
    await turns()
    store.under_way.pop(0).set_result(Receipt("e"))
    await asyncio.sleep(0)  # the first has ended and let the second in, which has not run yet
    second.cancel()
    await turns()
    assert second.cancelled()
    await store.answer(Receipt("e"))
    assert third.result().etag == "e"
