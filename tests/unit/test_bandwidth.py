"""Limits of the line: windows of a week, what may begin, and what is told of both."""

import asyncio
import math
from collections import Counter
from datetime import datetime, timedelta

import pytest

from hotfolder.bandwidth import Bandwidth
from hotfolder.core.allowance import Owner
from hotfolder.core.bandwidth import CLOSED, Limit, Timetable, Window, why_closed
from hotfolder.core.records import Fingerprint, Job
from hotfolder.threads import concerning

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
    place = line.ask(2 * MB, Owner())
    clocks.now = at(0, 10)
    line.look()
    assert line.why_closed() == "outside the upload window until 18:00"
    assert line.rate == MB
    assert line.wait(place) == 0


def test_the_limit_delays_while_somebody_sends_under_it_or_it_is_closed() -> None:
    clocks = Clocks(at(0, 9))
    line = clocks.line(Window(WEEKDAYS, 8 * 60, 10 * 60, MB), OFFICE)
    assert not line.delays()
    line.ask(1000, Owner())
    clocks.now += 5
    assert line.delays()
    clocks.now += 6  # who was to send does so no more: what holds it up is not the limit
    assert not line.delays()
    clocks.now = at(0, 10)
    line.look()
    assert line.delays()
    line.follow(Timetable())
    line.ask(1000, Owner())
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


async def test_bodies_wait_for_their_folders_turn_to_begin() -> None:
    line = Clocks(at(0, 9)).line(Window(WEEKDAYS, 0, 1440, MB))
    under_way: list[str] = []

    async def send(folder: str, size: int) -> None:
        with concerning(folder, job(folder, size)):
            async with line.place_for(size):
                under_way.append(folder)
                await asyncio.Event().wait()

    sizes = {"large": 8 * MB, "other": 8 * MB, "small": MB // 4, "tiny": MB // 256}
    tasks = [asyncio.create_task(send(name, size)) for name, size in sizes.items() for _ in range(10)]
    for _ in range(5):
        await asyncio.sleep(0)
    assert Counter(under_way) == {"large": 2, "other": 2, "small": 4, "tiny": 10}
    line.follow(Timetable())
    for _ in range(5):
        await asyncio.sleep(0)
    assert len(under_way) == 40
    for task in tasks:
        task.cancel()


def test_a_sender_is_the_folder_and_the_lane_of_the_file_in_hand() -> None:
    line = Clocks(at(0, 9)).line()
    assert line.sender() == Owner()
    with concerning("reels/clip.mp4", job("reels", 10 * MB)):
        assert line.sender() == Owner("reels", 1)


def job(folder: str, size: int) -> Job:
    fingerprint = Fingerprint(device=1, inode=2, size=size, mtime_ns=0, ctime_ns=0)
    return Job(
        operation_id="1",
        batch="b",
        folder=folder,
        root="/in",
        relpath=folder,
        group=folder,
        fingerprint=fingerprint,
        made_at=0.0,
    )
