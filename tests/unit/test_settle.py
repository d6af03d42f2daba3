"""When a file counts as whole, on a clock that the test steps."""

from dataclasses import replace
from typing import Any

import pytest

from hotfolder.core.records import Fingerprint
from hotfolder.core.settle import OPEN, SettleTracker, Word, Writer
from tests.support.samples import fingerprint

SEEN = fingerprint(size=10)
GROWN = replace(SEEN, size=25)
EMPTY = replace(SEEN, size=0)


def observe(
    tracker: SettleTracker,
    path: str,
    seen: Fingerprint | None,
    now: float,
    until: float | None = None,
    *,
    writer: Writer = Writer.NONE,
    word: Word = Word.NONE,
) -> None:
    """A look that asks for a writer only where it has to."""
    asks = word is not Word.NONE or tracker.asks(path, now)
    tracker.observe(path, seen, now, until, writer=writer if asks else Writer.UNASKED, word=word)


def test_a_file_is_handed_out_once_it_was_quiet_for_long_enough() -> None:
    tracker = SettleTracker(5.0)
    observe(tracker, "a", SEEN, 100.0)
    assert tracker.pop_due(104.9, 10) == []
    assert tracker.pop_due(105.0, 10) == ["a"]
    assert tracker.pop_settled() == [], "due means: look again"
    observe(tracker, "a", SEEN, 105.0)
    assert tracker.pop_settled() == [("a", SEEN)]
    assert tracker.pop_settled() == []
    assert len(tracker) == 0


def test_an_early_look_at_an_unchanged_file_does_not_start_the_quiet_time_anew() -> None:
    tracker = SettleTracker(5.0)
    observe(tracker, "a", SEEN, 100.0)
    observe(tracker, "a", SEEN, 104.0)
    assert tracker.pop_settled() == []
    assert tracker.next_due() == 105.0


def test_every_kind_of_change_starts_the_quiet_time_anew() -> None:
    changes: tuple[dict[str, Any], ...] = (
        {"size": 11},
        {"mtime_ns": SEEN.mtime_ns - 1},
        {"ctime_ns": SEEN.ctime_ns + 1},
        {"inode": SEEN.inode + 1},
        {"device": SEEN.device + 1},
        {"tree": "of a directory"},
    )
    for change in changes:
        tracker = SettleTracker(5.0)
        observe(tracker, "a", SEEN, 100.0)
        changed = replace(SEEN, **change)
        observe(tracker, "a", changed, 105.0)
        assert tracker.pop_settled() == []
        assert tracker.pop_due(109.9, 10) == []
        assert tracker.pop_due(110.0, 10) == ["a"]
        observe(tracker, "a", changed, 110.0)
        assert tracker.pop_settled() == [("a", changed)]


def test_a_file_that_changes_for_ever_is_waited_for_for_ever() -> None:
    tracker = SettleTracker(5.0)
    for second in range(0, 100_000, 5):
        tracker.pop_due(float(second), 10)
        observe(tracker, "a", replace(SEEN, size=second), float(second))
        assert tracker.pop_settled() == []
    assert tracker.oldest() == ("a", 99_995.0)
    assert tracker.next_due() == 100_000.0


def test_the_files_own_times_are_never_compared_with_now() -> None:
    tracker = SettleTracker(5.0)
    old = replace(SEEN, mtime_ns=0, ctime_ns=0)
    future = replace(SEEN, mtime_ns=2**62, ctime_ns=2**62)
    observe(tracker, "old", old, 1e9)
    observe(tracker, "future", future, 1e9)
    assert tracker.pop_due(1e9 + 4.9, 10) == []
    assert tracker.pop_due(1e9 + 5.0, 10) == ["future", "old"]


def test_a_file_that_vanishes_is_forgotten() -> None:
    tracker = SettleTracker(5.0)
    observe(tracker, "a", SEEN, 100.0)
    observe(tracker, "a", None, 101.0)
    assert "a" not in tracker
    assert tracker.pop_due(200.0, 10) == []
    observe(tracker, "never seen", None, 101.0)
    assert len(tracker) == 0


def test_a_file_that_comes_back_starts_from_the_beginning() -> None:
    tracker = SettleTracker(5.0)
    observe(tracker, "a", SEEN, 100.0)
    observe(tracker, "a", None, 104.0)
    observe(tracker, "a", SEEN, 104.5)
    assert tracker.pop_due(105.0, 10) == []
    assert tracker.pop_due(109.5, 10) == ["a"]


def test_without_a_quiet_time_a_file_is_still_looked_at_twice() -> None:
    tracker = SettleTracker(0.0)
    observe(tracker, "a", SEEN, 100.0)
    assert tracker.pop_settled() == []
    assert tracker.pop_due(100.0, 10) == ["a"]
    observe(tracker, "a", SEEN, 100.0)
    assert tracker.pop_settled() == [("a", SEEN)]


def test_files_become_due_in_the_order_of_their_moments() -> None:
    tracker = SettleTracker(5.0)
    for path, moment in (("c", 3.0), ("a", 1.0), ("d", 4.0), ("b", 2.0)):
        observe(tracker, path, SEEN, moment)
    assert tracker.next_due() == 6.0
    assert tracker.pop_due(8.0, 10) == ["a", "b", "c"]
    assert tracker.pop_due(9.0, 10) == ["d"]


def test_no_more_than_the_limit_become_due_at_once_and_none_is_lost() -> None:
    tracker = SettleTracker(5.0)
    for number in range(10):
        observe(tracker, str(number), SEEN, float(number))
    popped = [tracker.pop_due(100.0, 3) for _ in range(5)]
    assert [len(paths) for paths in popped] == [3, 3, 3, 1, 0]
    assert sorted(path for paths in popped for path in paths) == [str(n) for n in range(10)]


def test_a_rearmed_file_is_due_once_and_at_the_later_moment() -> None:
    tracker = SettleTracker(5.0)
    observe(tracker, "a", SEEN, 100.0)
    observe(tracker, "a", GROWN, 102.0)
    assert tracker.pop_due(106.0, 10) == [], "the first moment is void"
    assert tracker.pop_due(200.0, 10) == ["a"]


def test_a_file_that_changes_and_changes_back_at_one_moment_is_due_once() -> None:
    tracker = SettleTracker(5.0)
    for seen in (SEEN, GROWN, SEEN):
        observe(tracker, "a", seen, 100.0)
    due = tracker.pop_due(105.0, 10)
    for path in due:
        observe(tracker, path, SEEN, 105.0)
    assert tracker.pop_settled() == [("a", SEEN)]
    assert tracker.bytes == 0


def test_the_bytes_that_wait_are_counted() -> None:
    tracker = SettleTracker(5.0)
    observe(tracker, "a", SEEN, 100.0)
    observe(tracker, "b", SEEN, 100.0)
    assert tracker.bytes == 20
    observe(tracker, "a", GROWN, 101.0)
    assert tracker.bytes == 35
    observe(tracker, "b", None, 101.0)
    assert tracker.bytes == 25
    observe(tracker, "a", GROWN, 106.0)
    assert tracker.bytes == 0


def test_the_oldest_is_the_one_that_waits_longest_unchanged() -> None:
    tracker = SettleTracker(5.0)
    assert tracker.oldest() is None
    assert tracker.next_due() is None
    observe(tracker, "a", SEEN, 100.0)
    observe(tracker, "b", SEEN, 101.0)
    assert tracker.oldest() == ("a", 100.0)
    observe(tracker, "a", GROWN, 102.0)
    assert tracker.oldest() == ("b", 101.0)


def test_settled_files_come_in_the_order_in_which_they_settled() -> None:
    tracker = SettleTracker(0.0)
    for path in "cab":
        observe(tracker, path, SEEN, 1.0)
    for path in "bca":
        observe(tracker, path, SEEN, 2.0)
    assert [path for path, _ in tracker.pop_settled()] == ["b", "c", "a"]


def test_a_file_that_was_found_quiet_and_not_yet_fetched_is_handed_out_once() -> None:
    tracker = SettleTracker(5.0)
    for moment in (100.0, 105.0, 105.0, 106.0):
        observe(tracker, "a", SEEN, moment)
    assert tracker.pop_settled() == [("a", SEEN)]
    assert "a" not in tracker


def test_a_file_that_changes_before_it_is_fetched_settles_again() -> None:
    tracker = SettleTracker(5.0)
    for seen, moment in ((SEEN, 100.0), (SEEN, 105.0), (GROWN, 106.0)):
        observe(tracker, "a", seen, moment)
    assert tracker.pop_settled() == []
    assert tracker.pop_due(111.0, 10) == ["a"]


def test_a_file_that_vanishes_before_it_is_fetched_is_not_handed_out() -> None:
    tracker = SettleTracker(5.0)
    for seen, moment in ((SEEN, 100.0), (SEEN, 105.0), (None, 106.0)):
        observe(tracker, "a", seen, moment)
    assert tracker.pop_settled() == []


def test_a_slow_look_does_not_shorten_the_quiet_time() -> None:
    tracker = SettleTracker(5.0)
    observe(tracker, "a", SEEN, 100.0, 130.0)  # seen at 130, perhaps
    assert tracker.pop_due(134.9, 10) == []
    observe(tracker, "a", SEEN, 134.0, 140.0)  # seen at 134, perhaps
    assert tracker.pop_settled() == []
    assert tracker.pop_due(140.0, 10) == ["a"]
    observe(tracker, "a", SEEN, 140.0, 150.0)
    assert tracker.pop_settled() == [("a", SEEN)]


# -- what is open for writing --------------------------------------------------------------------


def test_a_file_that_is_quiet_but_open_for_writing_is_waited_for_and_looked_at_ever_less_often() -> None:
    tracker, now, pauses = SettleTracker(5.0), 100.0, []
    observe(tracker, "a", SEEN, now)
    now = 105.0
    for _ in range(10):
        assert tracker.pop_due(now, 10) == ["a"]
        observe(tracker, "a", SEEN, now, writer=Writer.OPEN)
        assert tracker.pop_settled() == []
        due = tracker.next_due()
        assert due is not None
        pauses.append(due - now)
        now = due
    assert pauses == [1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0, 30.0, 30.0, 30.0]
    assert tracker.why("a", now) == OPEN
    observe(tracker, "a", SEEN, now)
    assert tracker.pop_settled() == [("a", SEEN)]


def test_a_look_between_finds_that_the_writer_is_gone_before_the_next_is_due() -> None:
    tracker = SettleTracker(5.0)
    observe(tracker, "a", SEEN, 100.0)
    observe(tracker, "a", SEEN, 105.0, writer=Writer.OPEN)
    observe(tracker, "a", SEEN, 105.3)
    assert tracker.pop_settled() == [("a", SEEN)]
    assert tracker.pop_due(1000.0, 10) == []


def test_what_is_written_after_a_pause_settles_from_the_beginning() -> None:
    tracker = SettleTracker(5.0)
    observe(tracker, "a", SEEN, 100.0)
    observe(tracker, "a", SEEN, 115.0, writer=Writer.OPEN)
    observe(tracker, "a", GROWN, 116.0, writer=Writer.OPEN)
    assert tracker.why("a", 119.0) == "settling: changed 3 s ago, whole after 5 s without a change"
    observe(tracker, "a", GROWN, 116.5)
    assert tracker.pop_settled() == []
    observe(tracker, "a", GROWN, 121.0)
    assert tracker.pop_settled() == [("a", GROWN)]


def test_a_look_that_does_not_ask_for_a_writer_settles_nothing() -> None:
    tracker = SettleTracker(5.0)
    for moment in (100.0, 105.0):
        tracker.observe("a", SEEN, moment)
    assert tracker.pop_settled() == []
    assert tracker.pop_due(105.0, 10) == ["a"], "and it stays due"
    assert tracker.asks("a", 105.0)
    assert not tracker.asks("a", 104.9)


def test_where_nobody_knows_of_writers_the_quiet_time_alone_decides() -> None:
    tracker = SettleTracker(5.0)
    observe(tracker, "a", SEEN, 100.0, writer=Writer.UNKNOWN, word=Word.CLOSED)
    assert tracker.pop_settled() == []
    observe(tracker, "a", SEEN, 105.0, writer=Writer.UNKNOWN)
    assert tracker.pop_settled() == [("a", SEEN)]


def test_a_file_opened_again_before_it_is_fetched_is_not_handed_out() -> None:
    tracker = SettleTracker(5.0)
    observe(tracker, "a", SEEN, 100.0, word=Word.CLOSED)
    observe(tracker, "a", SEEN, 100.0, word=Word.CLOSED, writer=Writer.OPEN)
    assert tracker.pop_settled() == []
    assert "a" in tracker


def test_what_is_open_for_too_long_is_named() -> None:
    tracker = SettleTracker(0.0)
    for path, writer in (("open", Writer.OPEN), ("settling", Writer.UNASKED)):
        tracker.observe(path, SEEN, 100.0)
        for moment in (100.0, 101.0, 103.0):
            tracker.observe(path, SEEN, moment, writer=writer)
    assert tracker.stubborn(3) == ["open"]
    assert tracker.stubborn(4) == []


# -- what is said to be whole ------------------------------------------------------------------------


def test_a_closed_file_without_a_writer_does_not_wait() -> None:
    tracker = SettleTracker(5.0)
    observe(tracker, "a", SEEN, 100.0, word=Word.CLOSED)
    assert tracker.pop_settled() == [("a", SEEN)]
    observe(tracker, "b", SEEN, 100.0, writer=Writer.OPEN)
    observe(tracker, "b", GROWN, 101.0, word=Word.CLOSED)
    assert tracker.pop_settled() == [("b", GROWN)]
    assert len(tracker) == 0


def test_a_closed_file_that_is_empty_waits_for_its_quiet_time() -> None:
    tracker = SettleTracker(5.0)
    observe(tracker, "a", EMPTY, 100.0, word=Word.CLOSED)
    assert tracker.pop_settled() == []
    assert tracker.next_due() == 105.0
    observe(tracker, "a", EMPTY, 105.0)
    assert tracker.pop_settled() == [("a", EMPTY)]


def test_a_close_is_heard_of_before_the_writer_counts_as_gone() -> None:
    tracker = SettleTracker(5.0)
    observe(tracker, "a", SEEN, 100.0, word=Word.CLOSED, writer=Writer.OPEN)
    due = tracker.next_due()
    assert due is not None
    assert 100.0 < due < 100.1
    assert tracker.pop_due(due, 10) == ["a"]
    observe(tracker, "a", SEEN, due)
    assert tracker.pop_settled() == [("a", SEEN)]


def test_a_file_that_another_still_writes_to_when_one_closed_it_waits_for_its_quiet_time() -> None:
    tracker = SettleTracker(5.0)
    observe(tracker, "a", SEEN, 100.0, word=Word.CLOSED, writer=Writer.OPEN)
    observe(tracker, "a", SEEN, 100.1, writer=Writer.OPEN)
    assert tracker.pop_due(104.9, 10) == []
    observe(tracker, "a", SEEN, 104.9)
    assert tracker.pop_settled() == [], "that nobody writes to it just now is no word of a writer"
    assert tracker.pop_due(105.0, 10) == ["a"]


@pytest.mark.parametrize("writer", [Writer.NONE, Writer.UNKNOWN])
@pytest.mark.parametrize("seen", [SEEN, EMPTY])
def test_a_producers_word_is_enough_unless_the_file_is_open(seen: Fingerprint, writer: Writer) -> None:
    tracker = SettleTracker(5.0)
    observe(tracker, "a", seen, 100.0, word=Word.GIVEN, writer=Writer.OPEN)
    assert tracker.pop_settled() == []
    assert tracker.pop_due(101.0, 10) == ["a"]
    observe(tracker, "a", seen, 101.0, word=Word.GIVEN, writer=writer)
    assert tracker.pop_settled() == [("a", seen)]


def test_every_file_that_waits_has_its_reason() -> None:
    tracker = SettleTracker(2.5)
    observe(tracker, "a", SEEN, 100.0)
    assert tracker.why("a", 101.0) == "settling: found 1 s ago, whole after 2.5 s without a change"
    assert tracker.why("b", 101.0) is None
