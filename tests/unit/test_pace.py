"""One measure of speed for a file and for all files."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hotfolder.core.pace import WINDOW, Pace, seconds_left


def test_a_young_pace_counts_from_its_begin() -> None:
    pace = Pace(100.0)
    pace.add(1000, 101.0)
    assert pace.rate(102.0) == 500.0


def test_only_the_window_counts() -> None:
    pace = Pace(0.0)
    pace.add(1_000_000, 1.0)
    for second in range(100, 100 + int(WINDOW)):
        pace.add(10, float(second))
    assert pace.rate(100.0 + WINDOW - 1) == pytest.approx(10.0, rel=0.1)


def test_a_stall_of_a_window_is_a_rate_of_nothing() -> None:
    pace = Pace(0.0)
    pace.add(5000, 1.0)
    assert pace.rate(1.0 + WINDOW) == 0.0


def test_what_came_at_once_is_forgotten_with_the_window_too() -> None:
    pace = Pace(0.0)
    for moment in (1.0, 1.01, 1.02, 1.2):
        pace.add(2000, moment)
    assert pace.rate(2.0) == 4000.0
    assert pace.rate(2.0 + WINDOW) == 0.0


def test_a_pause_is_no_slow_time_but_a_moment_between_two_files_is() -> None:
    pace = Pace(0.0)
    pace.add(1000, 1.0)
    pace.resume(1.5, idle_since=1.0)
    assert pace.rate(2.0) == 500.0
    pace.resume(10.0, idle_since=1.0)
    pace.add(1000, 11.0)
    assert pace.rate(11.0) == 1000.0


@given(st.lists(st.tuples(st.floats(0.001, 5), st.integers(0, 10**9)), min_size=1, max_size=200))
def test_one_file_and_the_sum_of_one_file_never_contradict_each_other(
    reads: list[tuple[float, int]],
) -> None:
    of_file, of_all = Pace(0.0), Pace(0.0)
    now = 0.0
    for wait, size in reads:
        now += wait
        of_file.add(size, now)
        of_all.add(size, now)
        assert of_file.rate(now) == of_all.rate(now) >= 0


def test_many_reads_keep_few_marks() -> None:
    pace = Pace(0.0)
    for number in range(100_000):
        pace.add(1, number / 1000)
    assert len(pace._marks) < 100
    assert pace.rate(100.0) == pytest.approx(1000, rel=0.05)


def test_what_is_left_takes_for_ever_where_nothing_moves() -> None:
    assert seconds_left(0, 0.0) == 0.0
    assert seconds_left(10, 0.0) is None
    assert seconds_left(10, 5.0) == 2.0
