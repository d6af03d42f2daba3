"""So many at once, first come first served, and none is lost where somebody is cancelled."""

import asyncio

import pytest

from hotfolder.slots import Slots


class Guests:
    """Who is inside, in the order in which they came in."""

    def __init__(self, most: int) -> None:
        self._slots = Slots(most)
        self.came: list[int] = []
        self.inside: set[int] = set()
        self._may_go: dict[int, asyncio.Event] = {}
        self._tasks: dict[int, asyncio.Task[None]] = {}

    async def come(self, *numbers: int) -> None:
        for number in numbers:
            self._may_go[number] = asyncio.Event()
            self._tasks[number] = asyncio.create_task(self._stay(number))
        await settled()

    async def go(self, number: int) -> None:
        self._may_go[number].set()
        await settled()

    def cancel(self, number: int) -> None:
        self._tasks[number].cancel()

    def release(self, number: int) -> None:
        """Let one go, at the next turn of the loop."""
        self._may_go[number].set()

    async def _stay(self, number: int) -> None:
        async with self._slots:
            self.came.append(number)
            self.inside.add(number)
            try:
                await self._may_go[number].wait()
            finally:
                self.inside.remove(number)


async def settled() -> None:
    """Let every task that can run do so."""
    for _ in range(5):
        await asyncio.sleep(0)


async def test_as_many_as_there_are_slots_come_in_and_the_others_in_their_order() -> None:
    guests = Guests(2)
    await guests.come(1, 2, 3, 4)
    assert guests.inside == {1, 2}
    await guests.go(2)
    assert guests.inside == {1, 3}
    await guests.come(5)
    await guests.go(1)
    await guests.go(3)
    assert guests.came == [1, 2, 3, 4, 5]
    for number in (4, 5):
        await guests.go(number)
    await guests.come(6, 7, 8)
    assert guests.inside == {6, 7}, "all slots are there again"


async def test_who_is_cancelled_while_it_waits_takes_no_slot() -> None:
    guests = Guests(1)
    await guests.come(1, 2, 3)
    guests.cancel(2)
    await settled()
    await guests.go(1)
    assert guests.inside == {3}


@pytest.mark.parametrize("waits", [True, False])
async def test_who_is_cancelled_just_when_it_is_given_a_slot_passes_it_on(waits: bool) -> None:
    guests = Guests(1)
    await guests.come(1, 2, *([3] if waits else []))
    guests.release(1)
    await asyncio.sleep(0)  # 1 is told to go, and not yet 2 that it may come
    guests.cancel(2)
    await settled()
    if not waits:
        await guests.come(3)
    assert guests.inside == {3}
