"""Bytes under a limit: the rate is kept, folders get alike, and small files come before large ones."""

import math
from collections import Counter

import pytest

from hotfolder.core.allowance import Allowance, Owner, Place, shares

MB = 1_000_000
A, B, C = Owner("a"), Owner("b"), Owner("c")


def at_rate(rate: float) -> Allowance:
    line = Allowance()
    line.set_rate(rate, 0.0)
    return line


def test_without_a_limit_nothing_waits() -> None:
    line = Allowance()
    assert line.wait(line.ask(10**12, A, 5.0), 5.0) == 0


def test_the_bytes_of_one_sender_go_at_the_rate_in_the_order_in_which_they_were_asked_for() -> None:
    line = at_rate(1000.0)
    places = [line.ask(500, A, 0.0) for _ in range(4)]
    waits = [line.wait(place, 0.0) for place in places]
    assert waits == pytest.approx([0.5, 1.0, 1.5, 2.0])
    assert line.wait(places[3], 2.0) == 0


def test_after_a_pause_a_quarter_of_a_second_goes_at_once_and_no_more() -> None:
    line = at_rate(1000.0)
    assert line.wait(line.ask(250, A, 60.0), 60.0) == 0
    assert line.wait(line.ask(100, A, 60.0), 60.0) == pytest.approx(0.1)


def test_another_rate_counts_for_what_waits_already() -> None:
    line = at_rate(1000.0)
    place = line.ask(10_000, A, 0.0)
    line.set_rate(9000.0, 1.0)
    assert line.wait(place, 1.0) == pytest.approx(1.0)
    line.set_rate(math.inf, 1.5)
    assert line.wait(place, 1.5) == 0
    line.set_rate(1000.0, 100.0)
    assert line.wait(place, 100.0) == 0
    assert line.wait(line.ask(1000, A, 100.0), 100.0) == pytest.approx(1.0)


def test_who_comes_late_gets_half_of_the_line_at_once() -> None:
    line = at_rate(1000.0)
    early = line.ask(10_000, A, 0.0)
    late = line.ask(1000, B, 1.0)
    assert line.wait(late, 1.0) == pytest.approx(2.0)
    assert line.wait(early, 1.0) == pytest.approx(10.0), "of 11,000 bytes 1,000 went"
    assert line.wait(late, 3.0) == 0
    assert line.wait(early, 3.0) == pytest.approx(8.0)


def test_what_one_folder_does_not_need_the_others_get() -> None:
    line = at_rate(900.0)
    places = [line.ask(size, sender, 0.0) for size, sender in ((100, A), (1000, B), (1000, C))]
    assert [line.wait(place, 0.0) for place in places] == pytest.approx([1 / 3, 7 / 3, 7 / 3])


def test_within_a_folder_smaller_files_go_three_times_as_fast_and_the_larger_go_on() -> None:
    line = at_rate(1300.0)
    large, middle, small = (line.ask(10_000, Owner("a", lane), 0.0) for lane in (2, 1, 0))
    other = line.ask(1, B, 0.0)
    assert line.wait(other, 0.0) < 0.01
    after = 20.001  # seconds: of 26,000 bytes two lanes are through
    assert line.wait(small, after) == 0
    assert line.wait(middle, after) == 0
    assert line.wait(large, after) == pytest.approx(4000 / 1300, abs=0.01)


def test_many_requests_of_a_folder_have_no_more_of_the_line_than_one() -> None:
    assert share_of({A: 64, B: 1}) == pytest.approx({A: 0.5, B: 0.5}, abs=0.01)


def test_a_small_file_waits_for_no_large_one_of_its_folder() -> None:
    line = at_rate(MB)
    for _ in range(64):
        line.ask(line.piece(), Owner("a", 2), 0.0)
    assert line.wait(line.ask(4096, A, 0.0), 0.0) < 0.01


def share_of(requests: dict[Owner, int], seconds: float = 20.0) -> dict[Owner, float]:
    """Who sends how much of it, where each request asks for its next piece when its last one went."""
    line, now, sent = at_rate(MB), 0.0, Counter[Owner]()
    waiting = [
        line.ask(line.piece(), sender, now) for sender, times in requests.items() for _ in range(times)
    ]
    while now < seconds:
        soonest = min(waiting, key=lambda place: line.wait(place, now))
        now += line.wait(soonest, now)
        waiting.remove(soonest)
        sent[soonest.sender] += line.piece()
        waiting.append(line.ask(line.piece(), soonest.sender, now))
    assert sent.total() / now == pytest.approx(MB, rel=0.02)
    return {sender: size / sent.total() for sender, size in sent.items()}


@pytest.mark.parametrize("rate", [20_000.0, 1e6, 5e6, 40e6])
@pytest.mark.parametrize("senders", [[A], [A, B, C], [A, Owner("a", 2), B]])
def test_in_the_long_run_just_the_limit_goes(rate: float, senders: list[Owner]) -> None:
    """Each of five requests asks for its next piece when its last one went, late as threads are."""
    line, sent, now = at_rate(rate), 0, 0.0
    waiting = [line.ask(line.piece(), sender, now) for sender in senders for _ in range(5)]
    while now < 20.0:
        late = min(waiting, key=lambda place: line.wait(place, now))
        now += line.wait(late, now) + 0.0007
        waiting.remove(late)
        sent += line.piece()
        waiting.append(line.ask(line.piece(), late.sender, now))
    assert sent / now == pytest.approx(rate, rel=0.02)


def test_pieces_are_a_quarter_of_a_second_at_most() -> None:
    for rate in (8000.0, 1e5, 1e6, 1e9):
        assert 0 < at_rate(rate).piece() <= rate / 4


def test_what_is_not_wanted_is_given_to_the_others_by_their_weights() -> None:
    assert shares(90, [10, 1000, 1000], [1, 1, 1]) == [10, 40, 40]
    assert shares(80, [1000, 0, 1000], [3, 9, 1]) == [60, 0, 20]
    assert shares(100, [10, 20], [1, 1]) == [10, 20]
    assert shares(0, [10, 20], [1, 1]) == [0, 0]
    assert shares(5, [], []) == []


def test_a_place_that_nobody_waits_for_any_more_holds_up_nobody_for_ever() -> None:
    line = at_rate(1000.0)
    line.ask(500, A, 0.0)  # given up
    place = line.ask(500, A, 0.0)
    assert isinstance(place, Place)
    assert line.wait(place, 1.0) == 0
