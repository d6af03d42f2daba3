"""A timetable of limits: what holds now, and when that ends, whatever the clocks do meanwhile."""

from datetime import datetime, timedelta
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from hotfolder.core.bandwidth import CLOSED, DAY, WEEK, Limit, LocalTime, Timetable, Window

WEEK_SECONDS = WEEK * 60
MONDAY = 1_772_409_600  # 2026-03-02, 00:00 UTC

minutes = st.integers(0, DAY - 1)
limits = st.sampled_from([None, CLOSED, 1_000_000, 5_000_000])


@st.composite
def windows(draw: st.DrawFn) -> Window:
    begin = draw(minutes)
    end = draw(st.integers(1, DAY).filter(lambda end: end != begin))
    days = draw(st.frozensets(st.integers(0, 6), min_size=1))
    return Window(days, begin, end, draw(limits))


@st.composite
def clocks(draw: st.DrawFn) -> LocalTime:
    """Wall clocks that are set forward or back by up to two hours, once in the weeks looked at."""
    jump_at = MONDAY + 60 * draw(st.integers(0, 3 * WEEK))
    before = 60 * draw(st.integers(-12 * 60, 12 * 60))
    after = before + 60 * draw(st.integers(-120, 120))

    def local(moment: float) -> datetime:
        offset = after if moment >= jump_at else before
        return datetime(1970, 1, 1) + timedelta(seconds=moment + offset)  # noqa: DTZ001 - wall time

    return local


timetables = st.lists(windows(), max_size=4).map(Timetable)
moments = st.floats(MONDAY, MONDAY + WEEK_SECONDS)


def rate_at(timetable: Timetable, moment: float, local: LocalTime) -> int | None:
    shown = local(moment)
    return timetable.rate_at(shown.weekday() * DAY + shown.hour * 60 + shown.minute)


@given(timetables, clocks(), moments, st.lists(st.floats(0, 1), max_size=20))
def test_a_limit_holds_until_the_very_second_it_names(
    timetable: Timetable, local: LocalTime, now: float, between: list[float]
) -> None:
    limit = timetable.limit_at(now, local)
    end = now + WEEK_SECONDS if limit.until is None else limit.until
    assert end > now
    assert limit.rate == rate_at(timetable, now, local)
    for share in between:
        assert rate_at(timetable, min(now + share * (end - now), end - 1), local) == limit.rate
    if limit.until is not None:
        assert rate_at(timetable, limit.until, local) != limit.rate
        assert rate_at(timetable, limit.until - 1, local) == limit.rate


@given(timetables, clocks(), moments)
def test_one_limit_after_another_covers_the_weeks(
    timetable: Timetable, local: LocalTime, now: float
) -> None:
    moment, told = now, []
    while moment < now + WEEK_SECONDS:
        limit = timetable.limit_at(moment, local)
        told.append(limit)
        if limit.until is None:
            break
        moment = limit.until
    assert all(one.rate != other.rate for one, other in pairwise(told))
    if told[-1] == Limit(CLOSED) and len(told) == 1:
        assert timetable.never_opens


@given(timetables, st.integers(0, WEEK - 1))
def test_the_first_window_that_holds_decides(timetable: Timetable, minute: int) -> None:
    holding = [window for window in timetable.windows if window.holds(minute)]
    assert timetable.rate_at(minute) == (holding[0].limit if holding else None)
    assert timetable.never_opens == all(timetable.rate_at(each) == CLOSED for each in range(WEEK))
