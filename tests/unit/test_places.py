"""Places for requests: fewer once the store asks for fewer, more again as it takes them."""

import asyncio

import pytest
from structlog.testing import capture_logs

from hotfolder.core.breadth import Breadth
from hotfolder.places import Places, RequestPlaces


def test_refusals_of_one_round_halve_once() -> None:
    breadth = Breadth(64, 64.0)
    for _ in range(40):
        breadth = breadth.throttled(64, now=10.0)
    assert breadth.allowed == 32
    assert breadth.throttled(32, now=11.5).allowed == 16


def test_it_is_half_of_what_was_under_way_and_never_none() -> None:
    assert Breadth(64, 64.0).throttled(10, now=10.0).allowed == 5
    assert Breadth(64, 1.0).throttled(1, now=10.0).allowed == 1


def answered(breadth: Breadth, times: int) -> Breadth:
    for _ in range(times):
        breadth = breadth.taken(int(breadth.allowed))
    return breadth


def test_after_a_refusal_a_round_of_answers_allows_one_more_and_no_more_than_there_may_be() -> None:
    breadth = answered(Breadth(64, 16.0).throttled(16, now=10.0), 8)
    assert breadth.allowed == pytest.approx(9, abs=0.1)
    assert answered(breadth, 5000).allowed == 64


def test_what_is_not_used_up_is_no_reason_for_more() -> None:
    assert Breadth(256, 64.0).taken(63).allowed == 64


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


class Work:
    """Tasks that hold a place each until they are ended."""

    def __init__(self, places: Places) -> None:
        self._places = places
        self.under_way: list[int] = []
        self.tasks: dict[int, asyncio.Task[None]] = {}
        self._ends: dict[int, asyncio.Event] = {}

    async def begin(self, *numbers: int) -> None:
        for number in numbers:
            self._ends[number] = asyncio.Event()
            self.tasks[number] = asyncio.create_task(self._hold(number))
        await settle()

    async def end(self, *numbers: int) -> None:
        for number in numbers:
            self._ends[number].set()
        await settle()

    async def cancel(self, *numbers: int) -> None:
        for number in numbers:
            self.tasks[number].cancel()
        await settle()

    async def _hold(self, number: int) -> None:
        async with self._places:
            self.under_way.append(number)
            try:
                await self._ends[number].wait()
            finally:
                self.under_way.remove(number)


async def test_places_are_given_in_order() -> None:
    work = Work(Places(lambda: 2))
    await work.begin(1, 2, 3, 4)
    assert work.under_way == [1, 2]
    await work.end(2)
    assert work.under_way == [1, 3]
    await work.end(1, 3, 4)
    assert work.under_way == []


async def test_who_gives_up_takes_no_place_with_him() -> None:
    work = Work(Places(lambda: 2))
    await work.begin(1, 2, 3, 4, 5)
    await work.cancel(3)  # while it waits
    await work.cancel(1)  # while it has one
    assert work.under_way == [2, 4]
    work.tasks[2].cancel()
    work.tasks[5].cancel()  # in the very moment in which it is given one
    await settle()
    await work.end(4)
    await work.begin(6, 7)
    assert work.under_way == [6, 7]
    await work.end(6, 7)


async def test_a_store_that_asks_for_less_gets_fewer_at_once_and_then_more_again() -> None:
    now = 10.0
    places = RequestPlaces(4, clock=lambda: now)
    work = Work(places)
    await work.begin(*range(12))
    assert work.under_way == [0, 1, 2, 3]
    places.throttled(4)
    await work.end(0)
    assert len(work.under_way) == 3  # nobody comes in its place
    await work.end(1)
    assert len(work.under_way) == 2
    for number in range(2, 12):
        await work.end(number)
    assert work.under_way == []
    await work.begin(*range(12, 20))
    assert len(work.under_way) == 4
    await work.end(*range(12, 20))


async def answer(places: RequestPlaces, times: int) -> None:
    for _ in range(times):
        async with places:
            pass


async def test_it_is_told_that_there_are_fewer_and_again_as_many_but_not_all_the_time() -> None:
    now = 10.0
    places = RequestPlaces(2, name="bucket", kind="small", clock=lambda: now)
    narrowed = {"event": "requests.narrowed", "allowed": 1, "before": 2}
    widened = {"event": "requests.widened", "allowed": 2}
    rest = {"destination": "bucket", "requests": "small", "log_level": "info"}
    for told in ([narrowed | rest, widened | rest], [], [narrowed | rest, widened | rest]):
        with capture_logs() as logs:
            places.throttled(2)
            places.throttled(2)  # of the same round
            await answer(places, 5)
        assert logs == told
        now += 30.0


def test_those_that_nobody_uses_are_no_fewer_than_half_of_what_was_under_way() -> None:
    places = RequestPlaces(64)
    with capture_logs() as logs:
        places.throttled(200)
    assert [line["allowed"] for line in logs] == [32]
