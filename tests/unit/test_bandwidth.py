"""Limits of the line: windows of a week, bytes that take their turn, and what is told of both."""

import asyncio
import math
from datetime import datetime, timedelta

import pytest

from hotfolder.bandwidth import Bandwidth
from hotfolder.core.allowance import Allowance
from hotfolder.core.bandwidth import CLOSED, Limit, Timetable, Window, why_closed

MB = 1_000_000
WEEKDAYS = frozenset(range(5))
NIGHT = Window(frozenset({4}), 22 * 60, 6 * 60, CLOSED)
OFFICE = Window(WEEKDAYS, 8 * 60, 18 * 60, CLOSED)
MONDAY = datetime(2026, 3, 2)  # noqa: DTZ001 - wall time
EPOCH = 1_000_000.0  # of MONDAY, on this test's clocks


def local(moment: float) -> datetime:
    return MONDAY + timedelta(seconds=moment - EPOCH)


def at(days: float = 0, hours: float = 0) -> float:
    return EPOCH + days * 86400 + hours * 3600


def test_a_window_over_midnight_belongs_to_the_day_on_which_it_begins() -> None:
    timetable = Timetable((NIGHT,))
    friday = timetable.limit_at(at(4, 21), local)
    assert friday == Limit(None, at(4, 22))
    assert timetable.limit_at(at(4, 23), local) == Limit(CLOSED, at(5, 6))
    assert timetable.limit_at(at(5, 3), local) == Limit(CLOSED, at(5, 6))
    assert timetable.limit_at(at(3, 23), local).rate is None


def test_of_windows_that_overlap_the_first_counts() -> None:
    lunch = Window(WEEKDAYS, 12 * 60, 13 * 60, None)
    timetable = Timetable((lunch, OFFICE))
    assert timetable.limit_at(at(0, 12.5), local) == Limit(None, at(0, 13))
    assert timetable.limit_at(at(0, 13), local) == Limit(CLOSED, at(0, 18))


def test_a_window_whose_begin_the_clocks_skip_begins_with_the_next_minute_there_is() -> None:
    def summer(moment: float) -> datetime:  # forward by an hour, at 02:00
        return local(moment) + timedelta(hours=1 if moment >= at(0, 2) else 0)

    timetable = Timetable((Window(frozenset({0}), 150, 240, MB),))
    assert timetable.limit_at(at(0, 1), summer) == Limit(None, at(0, 2))
    assert timetable.limit_at(at(0, 2), summer) == Limit(MB, at(0, 3))


@pytest.mark.parametrize(
    ("limit", "why"),
    [
        (Limit(CLOSED, at(0, 18)), "outside the upload window until 18:00"),
        (Limit(CLOSED, at(5, 6.5)), "outside the upload window until Sat 06:30"),
        (Limit(CLOSED), "transfer.bandwidth lets nothing be uploaded at any time"),
        (Limit(MB, at(0, 18)), None),
        (Limit(), None),
    ],
)
def test_the_reason_names_the_moment_at_which_it_ends(limit: Limit, why: str | None) -> None:
    assert why_closed(limit, at(0, 9), local) == why


# -- bytes that take their turn --------------------------------------------------------------------


def test_without_a_limit_nothing_waits() -> None:
    line = Allowance()
    assert line.wait(line.ask(10**12, 5.0), 5.0) == 0


def test_bytes_go_at_the_rate_in_the_order_in_which_they_were_asked_for() -> None:
    line = Allowance()
    line.set_rate(1000.0, 0.0)
    places = [line.ask(500, 0.0) for _ in range(4)]
    waits = [line.wait(place, 0.0) for place in places]
    assert waits == pytest.approx([0.5, 1.0, 1.5, 2.0])
    assert line.wait(places[3], 2.0) == 0


def test_after_a_pause_a_quarter_of_a_second_goes_at_once_and_no_more() -> None:
    line = Allowance()
    line.set_rate(1000.0, 0.0)
    assert line.wait(line.ask(250, 60.0), 60.0) == 0
    assert line.wait(line.ask(100, 60.0), 60.0) == pytest.approx(0.1)


def test_another_rate_counts_for_what_waits_already() -> None:
    line = Allowance()
    line.set_rate(1000.0, 0.0)
    place = line.ask(10_000, 0.0)
    line.set_rate(9000.0, 1.0)
    assert line.wait(place, 1.0) == pytest.approx(1.0)
    line.set_rate(math.inf, 1.5)
    assert line.wait(place, 1.5) == 0
    line.set_rate(1000.0, 100.0)
    assert line.wait(line.ask(1000, 100.0), 100.0) == pytest.approx(1.0)


@pytest.mark.parametrize("rate", [20_000.0, 1e6, 5e6, 40e6])
@pytest.mark.parametrize("senders", [1, 7, 64])
def test_in_the_long_run_just_the_limit_goes(rate: float, senders: int) -> None:
    """Each sender asks for the next piece when its last one went, late as threads are."""
    line, sent, now = Allowance(), 0, 0.0
    line.set_rate(rate, now)
    waiting = [(line.ask(line.piece(), now), line.piece()) for _ in range(senders)]
    while now < 20.0:
        place, size = waiting.pop(0)
        now += line.wait(place, now) + 0.0007
        sent += size
        waiting.append((line.ask(line.piece(), now), line.piece()))
    assert sent / now == pytest.approx(rate, rel=0.02)


def test_a_small_body_waits_for_no_large_one() -> None:
    line = Allowance()
    line.set_rate(MB, 0.0)
    for _ in range(8):
        line.ask(line.piece(), 0.0)  # the parts of a large file: each takes one turn at a time
    assert line.wait(line.ask(4096, 0.0), 0.0) < 0.5


# -- the line of a daemon --------------------------------------------------------------------------


class Clocks:
    """One time for the wall and the monotonic clock."""

    def __init__(self, now: float) -> None:
        self.now = now

    def line(self, *windows: Window) -> Bandwidth:
        return Bandwidth(Timetable(windows), clock=lambda: self.now, wall=lambda: self.now, local=local)


def test_the_limit_changes_by_itself_at_its_minute() -> None:
    clocks = Clocks(at(0, 17))
    line = clocks.line(Window(WEEKDAYS, 8 * 60, 18 * 60, MB))
    assert line.rate == MB
    clocks.now = at(0, 18) - 1
    line.look()
    assert line.rate == MB
    clocks.now = at(0, 18)
    line.look()
    assert (line.rate, line.limit) == (math.inf, Limit(None, at(1, 8)))


def test_a_clock_that_is_set_is_believed() -> None:
    clocks = Clocks(at(0, 17))
    line = clocks.line(OFFICE)
    assert line.limit.is_closed
    clocks.now = at(0, 7)  # set back
    line.look()
    assert not line.limit.is_closed


def test_what_is_on_its_way_goes_on_as_it_was_when_the_window_closes() -> None:
    clocks = Clocks(at(0, 9))
    line = clocks.line(Window(WEEKDAYS, 8 * 60, 10 * 60, MB), OFFICE)
    place = line.ask(2 * MB)
    clocks.now = at(0, 10)
    line.look()
    assert line.why_closed() == "outside the upload window until 18:00"
    assert line.rate == MB
    assert line.wait(place) == 0


def test_the_limit_delays_while_somebody_sends_under_it_or_it_is_closed() -> None:
    clocks = Clocks(at(0, 9))
    line = clocks.line(Window(WEEKDAYS, 8 * 60, 10 * 60, MB), OFFICE)
    assert not line.delays()
    line.ask(1000)
    clocks.now += 5
    assert line.delays()
    clocks.now += 6  # who was to send does so no more: what holds it up is not the limit
    assert not line.delays()
    clocks.now = at(0, 10)
    line.look()
    assert line.delays()
    line.follow(Timetable())
    line.ask(1000)
    assert not line.delays()


async def test_uploads_wait_for_their_window_and_for_no_longer() -> None:
    clocks = Clocks(at(0, 9))
    line = clocks.line(OFFICE)
    waiting = [asyncio.create_task(line.opened()) for _ in range(3)]
    await asyncio.sleep(0)
    assert not any(task.done() for task in waiting)
    line.follow(Timetable())
    await asyncio.gather(*waiting)
    await line.opened()


class Sending:
    """Bodies of `size` bytes that are begun as the line lets them, and are on their way until ended."""

    def __init__(self, line: Bandwidth, size: int) -> None:
        self._line, self._size = line, size
        self.under_way: list[int] = []
        self._ends: dict[int, asyncio.Event] = {}
        self.tasks: list[asyncio.Task[None]] = []

    async def begin(self, *numbers: int) -> None:
        for number in numbers:
            self._ends[number] = asyncio.Event()
            self.tasks.append(asyncio.create_task(self._send(number)))
        await self.settle()

    async def end(self, number: int) -> None:
        self._ends[number].set()
        await self.settle()

    async def settle(self) -> None:
        for _ in range(5):
            await asyncio.sleep(0)

    async def _send(self, number: int) -> None:
        async with self._line.place_for(self._size):
            self.under_way.append(number)
            await self._ends[number].wait()
            self.under_way.remove(number)


async def test_few_large_bodies_are_begun_at_a_time_in_their_order() -> None:
    line = Clocks(at(0, 9)).line(Window(WEEKDAYS, 0, 1440, MB))
    large, small = Sending(line, 8 * MB), Sending(line, 4096)
    await large.begin(1, 2, 3, 4)
    assert large.under_way == [1, 2]
    await small.begin(*range(100))
    assert len(small.under_way) == 100
    await large.end(1)
    assert large.under_way == [2, 3]
    large.tasks[1].cancel()  # one on its way
    await large.settle()
    assert large.under_way == [2, 3, 4]  # the cancelled one did not take itself off the list
    line.follow(Timetable())
    await large.begin(*range(5, 30))
    assert len(large.under_way) == 3 + 25
    for task in (*large.tasks, *small.tasks):
        task.cancel()


async def test_a_large_body_that_is_given_up_while_it_waits_leaves_its_place_to_others() -> None:
    line = Clocks(at(0, 9)).line(Window(WEEKDAYS, 0, 1440, MB))
    large = Sending(line, 8 * MB)
    await large.begin(1, 2, 3, 4)
    large.tasks[2].cancel()
    await large.settle()
    await large.end(1)
    assert large.under_way == [2, 4]
    await large.end(2)
    await large.end(4)
    await large.begin(5, 6)
    assert large.under_way == [5, 6]
    for task in large.tasks:
        task.cancel()


async def test_another_limit_lets_those_go_that_wait_for_a_place() -> None:
    line = Clocks(at(0, 9)).line(Window(WEEKDAYS, 0, 1440, MB))
    large = Sending(line, 8 * MB)
    await large.begin(*range(10))
    line.follow(Timetable((Window(WEEKDAYS, 0, 1440, 40 * MB),)))
    await large.settle()
    assert large.under_way == list(range(6))
    line.follow(Timetable((Window(WEEKDAYS, 0, 1440, CLOSED),)))
    await large.end(0)
    assert large.under_way == [1, 2, 3, 4, 5]
    line.follow(Timetable())
    await large.settle()
    assert len(large.under_way) == 9
    for task in large.tasks:
        task.cancel()


def test_pieces_are_a_quarter_of_a_second_at_most() -> None:
    for rate in (8000.0, 1e5, 1e6, 1e9):
        line = Allowance()
        line.set_rate(rate, 0.0)
        assert 0 < line.piece() <= rate / 4
