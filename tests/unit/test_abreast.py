"""Bodies that are begun under a limit: enough to use the line, of each sender, in their order."""

import asyncio
import math
from collections.abc import AsyncIterator

import pytest

from hotfolder.abreast import Abreast
from hotfolder.core.allowance import Owner

MB = 1_000_000
A, B = Owner("a"), Owner("b")


class Sending:
    """Bodies that are begun as they may, and are on their way until ended. `rate` may be set."""

    def __init__(self) -> None:
        self.rate: float = MB
        self.line = Abreast(lambda: self.rate)
        self.under_way: list[int] = []
        self.tasks: dict[int, asyncio.Task[None]] = {}
        self._ends: dict[int, asyncio.Event] = {}

    async def begin(self, *numbers: int, sender: Owner = A, size: int = 8 * MB) -> None:
        for number in numbers:
            self._ends[number] = asyncio.Event()
            self.tasks[number] = asyncio.create_task(self._send(number, sender, size))
        await settle()

    async def end(self, number: int) -> None:
        self._ends[number].set()
        await settle()

    async def cancel(self, number: int) -> None:
        self.tasks[number].cancel()
        await settle()

    async def allow(self, rate: float) -> None:
        self.rate = rate
        self.line.admit()
        await settle()

    async def _send(self, number: int, sender: Owner, size: int) -> None:
        async with self.line.place(sender, size):
            self.under_way.append(number)
            await self._ends[number].wait()
            self.under_way.remove(number)


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


@pytest.fixture
async def sending() -> AsyncIterator[Sending]:
    made = Sending()
    yield made
    for task in made.tasks.values():
        task.cancel()
    await asyncio.gather(*made.tasks.values(), return_exceptions=True)


async def test_two_large_bodies_are_begun_at_a_time_in_their_order(sending: Sending) -> None:
    await sending.begin(1, 2, 3, 4)
    assert sending.under_way == [1, 2]
    await sending.end(1)
    assert sending.under_way == [2, 3]
    await sending.cancel(2)
    assert sending.under_way[-1] == 4


async def test_each_sender_begins_beside_the_others(sending: Sending) -> None:
    await sending.begin(1, 2, 3)
    await sending.begin(4, 5, 6, sender=B)
    assert sending.under_way == [1, 2, 4, 5]
    await sending.end(4)
    assert sending.under_way == [1, 2, 5, 6]


async def test_of_small_bodies_as_many_are_begun_as_go_in_a_second(sending: Sending) -> None:
    await sending.begin(*range(100), size=MB // 10)
    assert sending.under_way == list(range(10))


async def test_a_body_that_is_given_up_while_it_waits_leaves_its_place_to_others(
    sending: Sending,
) -> None:
    await sending.begin(1, 2, 3, 4)
    await sending.cancel(3)
    await sending.end(1)
    assert sending.under_way == [2, 4]
    await sending.end(2)
    await sending.end(4)
    await sending.begin(5, 6, 7)
    assert sending.under_way == [5, 6]


async def test_a_body_that_is_given_up_as_its_turn_comes_leaves_it_to_the_next(
    sending: Sending,
) -> None:
    await sending.begin(1, 2, 3, 4)
    sending.rate = 9 * MB
    sending.line.admit()  # the third may begin, and does not know yet
    sending.rate = MB
    await sending.cancel(3)
    assert 3 not in sending.under_way
    await sending.end(1)
    await sending.end(2)
    await sending.begin(5)
    assert len(sending.under_way) == 2


async def test_another_limit_lets_those_go_that_wait(sending: Sending) -> None:
    await sending.begin(*range(10))
    await sending.allow(40 * MB)
    assert sending.under_way == list(range(5))
    await sending.allow(0)
    await sending.end(0)
    assert sending.under_way == [1, 2, 3, 4]
    await sending.allow(math.inf)
    assert len(sending.under_way) == 9
