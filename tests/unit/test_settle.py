"""When a file counts as whole, on a clock that the test steps."""

from dataclasses import replace

from hotfolder.core.settle import SettleTracker
from tests.support.samples import fingerprint

SEEN = fingerprint(size=10)
GROWN = replace(SEEN, size=25)


def test_a_file_is_handed_out_once_it_was_quiet_for_long_enough() -> None:
    tracker = SettleTracker(5.0)
    tracker.observe("a", SEEN, 100.0)
    assert tracker.pop_due(104.9, 10) == []
    assert tracker.pop_due(105.0, 10) == ["a"]
    assert tracker.pop_settled() == [], "due means: look again"
    tracker.observe("a", SEEN, 105.0)
    assert tracker.pop_settled() == [("a", SEEN)]
    assert tracker.pop_settled() == []
    assert len(tracker) == 0


def test_an_early_look_at_an_unchanged_file_does_not_start_the_quiet_time_anew() -> None:
    tracker = SettleTracker(5.0)
    tracker.observe("a", SEEN, 100.0)
    tracker.observe("a", SEEN, 104.0)
    assert tracker.pop_settled() == []
    assert tracker.next_due() == 105.0


def test_every_kind_of_change_starts_the_quiet_time_anew() -> None:
    for change in (
        {"size": 11},
        {"mtime_ns": SEEN.mtime_ns - 1},
        {"ctime_ns": SEEN.ctime_ns + 1},
        {"inode": SEEN.inode + 1},
        {"device": SEEN.device + 1},
    ):
        tracker = SettleTracker(5.0)
        tracker.observe("a", SEEN, 100.0)
        changed = replace(SEEN, **change)
        tracker.observe("a", changed, 105.0)
        assert tracker.pop_settled() == []
        assert tracker.pop_due(109.9, 10) == []
        assert tracker.pop_due(110.0, 10) == ["a"]
        tracker.observe("a", changed, 110.0)
        assert tracker.pop_settled() == [("a", changed)]


def test_a_file_that_changes_for_ever_is_waited_for_for_ever() -> None:
    tracker = SettleTracker(5.0)
    for second in range(0, 100_000, 5):
        tracker.pop_due(float(second), 10)
        tracker.observe("a", replace(SEEN, size=second), float(second))
        assert tracker.pop_settled() == []
    assert tracker.oldest() == ("a", 99_995.0)
    assert tracker.next_due() == 100_000.0


def test_the_files_own_times_are_never_compared_with_now() -> None:
    tracker = SettleTracker(5.0)
    old = replace(SEEN, mtime_ns=0, ctime_ns=0)
    future = replace(SEEN, mtime_ns=2**62, ctime_ns=2**62)
    tracker.observe("old", old, 1e9)
    tracker.observe("future", future, 1e9)
    assert tracker.pop_due(1e9 + 4.9, 10) == []
    assert tracker.pop_due(1e9 + 5.0, 10) == ["future", "old"]


def test_a_file_that_vanishes_is_forgotten() -> None:
    tracker = SettleTracker(5.0)
    tracker.observe("a", SEEN, 100.0)
    tracker.observe("a", None, 101.0)
    assert "a" not in tracker
    assert tracker.pop_due(200.0, 10) == []
    tracker.observe("never seen", None, 101.0)
    assert len(tracker) == 0


def test_a_file_that_comes_back_starts_from_the_beginning() -> None:
    tracker = SettleTracker(5.0)
    tracker.observe("a", SEEN, 100.0)
    tracker.observe("a", None, 104.0)
    tracker.observe("a", SEEN, 104.5)
    assert tracker.pop_due(105.0, 10) == []
    assert tracker.pop_due(109.5, 10) == ["a"]


def test_without_a_quiet_time_a_file_is_still_looked_at_twice() -> None:
    tracker = SettleTracker(0.0)
    tracker.observe("a", SEEN, 100.0)
    assert tracker.pop_settled() == []
    assert tracker.pop_due(100.0, 10) == ["a"]
    tracker.observe("a", SEEN, 100.0)
    assert tracker.pop_settled() == [("a", SEEN)]


def test_files_become_due_in_the_order_of_their_moments() -> None:
    tracker = SettleTracker(5.0)
    for path, moment in (("c", 3.0), ("a", 1.0), ("d", 4.0), ("b", 2.0)):
        tracker.observe(path, SEEN, moment)
    assert tracker.next_due() == 6.0
    assert tracker.pop_due(8.0, 10) == ["a", "b", "c"]
    assert tracker.pop_due(9.0, 10) == ["d"]


def test_no_more_than_the_limit_become_due_at_once_and_none_is_lost() -> None:
    tracker = SettleTracker(5.0)
    for number in range(10):
        tracker.observe(str(number), SEEN, float(number))
    popped = [tracker.pop_due(100.0, 3) for _ in range(5)]
    assert [len(paths) for paths in popped] == [3, 3, 3, 1, 0]
    assert sorted(path for paths in popped for path in paths) == [str(n) for n in range(10)]


def test_a_rearmed_file_is_due_once_and_at_the_later_moment() -> None:
    tracker = SettleTracker(5.0)
    tracker.observe("a", SEEN, 100.0)
    tracker.observe("a", GROWN, 102.0)
    assert tracker.pop_due(106.0, 10) == [], "the first moment is void"
    assert tracker.pop_due(200.0, 10) == ["a"]


def test_a_file_that_changes_and_changes_back_at_one_moment_is_due_once() -> None:
    tracker = SettleTracker(5.0)
    for seen in (SEEN, GROWN, SEEN):
        tracker.observe("a", seen, 100.0)
    due = tracker.pop_due(105.0, 10)
    for path in due:
        tracker.observe(path, SEEN, 105.0)
    assert tracker.pop_settled() == [("a", SEEN)]
    assert tracker.bytes == 0


def test_the_bytes_that_wait_are_counted() -> None:
    tracker = SettleTracker(5.0)
    tracker.observe("a", SEEN, 100.0)
    tracker.observe("b", SEEN, 100.0)
    assert tracker.bytes == 20
    tracker.observe("a", GROWN, 101.0)
    assert tracker.bytes == 35
    tracker.observe("b", None, 101.0)
    assert tracker.bytes == 25
    tracker.observe("a", GROWN, 106.0)
    assert tracker.bytes == 0


def test_the_oldest_is_the_one_that_waits_longest_unchanged() -> None:
    tracker = SettleTracker(5.0)
    assert tracker.oldest() is None
    assert tracker.next_due() is None
    tracker.observe("a", SEEN, 100.0)
    tracker.observe("b", SEEN, 101.0)
    assert tracker.oldest() == ("a", 100.0)
    tracker.observe("a", GROWN, 102.0)
    assert tracker.oldest() == ("b", 101.0)


def test_settled_files_come_in_the_order_in_which_they_settled() -> None:
    tracker = SettleTracker(0.0)
    for path in "cab":
        tracker.observe(path, SEEN, 1.0)
    for path in "bca":
        tracker.observe(path, SEEN, 2.0)
    assert [path for path, _ in tracker.pop_settled()] == ["b", "c", "a"]


def test_a_file_that_was_found_quiet_and_not_yet_fetched_is_handed_out_once() -> None:
    tracker = SettleTracker(5.0)
    for moment in (100.0, 105.0, 105.0, 106.0):
        tracker.observe("a", SEEN, moment)
    assert tracker.pop_settled() == [("a", SEEN)]
    assert "a" not in tracker


def test_a_file_that_changes_before_it_is_fetched_settles_again() -> None:
    tracker = SettleTracker(5.0)
    for seen, moment in ((SEEN, 100.0), (SEEN, 105.0), (GROWN, 106.0)):
        tracker.observe("a", seen, moment)
    assert tracker.pop_settled() == []
    assert tracker.pop_due(111.0, 10) == ["a"]


def test_a_file_that_vanishes_before_it_is_fetched_is_not_handed_out() -> None:
    tracker = SettleTracker(5.0)
    for seen, moment in ((SEEN, 100.0), (SEEN, 105.0), (None, 106.0)):
        tracker.observe("a", seen, moment)
    assert tracker.pop_settled() == []


def test_a_slow_look_does_not_shorten_the_quiet_time() -> None:
    tracker = SettleTracker(5.0)
    tracker.observe("a", SEEN, 100.0, 130.0)  # seen at 130, perhaps
    assert tracker.pop_due(134.9, 10) == []
    tracker.observe("a", SEEN, 134.0, 140.0)  # seen at 134, perhaps
    assert tracker.pop_settled() == []
    assert tracker.pop_due(140.0, 10) == ["a"]
    tracker.observe("a", SEEN, 140.0, 150.0)
    assert tracker.pop_settled() == [("a", SEEN)]
