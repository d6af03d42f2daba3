"""How long a hold waits, and with how many files it comes back."""

from itertools import pairwise

import pytest

from hotfolder.core.errors import DestinationTrouble
from hotfolder.core.holding import CADENCES, SlowStart, wait_of


@pytest.mark.parametrize("trouble", DestinationTrouble)
def test_a_wait_grows_with_the_outage_up_to_what_hurts_nobody(trouble: DestinationTrouble) -> None:
    pace = CADENCES[trouble]
    waits = [wait_of(pace, lasted, jitter=1.0) for lasted in range(0, 7200, 5)]
    assert waits[0] == pace.first
    assert waits[-1] == pace.longest
    assert all(one <= next_one for one, next_one in pairwise(waits))
    for lasted in (0.0, 30.0, 7200.0):
        most = wait_of(pace, lasted, jitter=1.0)
        assert wait_of(pace, lasted, jitter=0.0) == most / 2


def test_a_store_that_cannot_be_reached_is_found_again_within_seconds() -> None:
    assert wait_of(CADENCES[DestinationTrouble.UNREACHABLE], 10.0, jitter=1.0) <= 2.0
    assert wait_of(CADENCES[DestinationTrouble.UNREACHABLE], 86_400.0, jitter=1.0) <= 10.0


def test_what_the_store_asks_for_counts_but_not_for_ever() -> None:
    pace = CADENCES[DestinationTrouble.THROTTLED]
    assert wait_of(pace, 0.0, jitter=0.0, asked_for=40.0) == 40.0
    assert wait_of(pace, 0.0, jitter=1.0, asked_for=40.0) == pytest.approx(44.0)
    assert wait_of(pace, 0.0, jitter=1.0, asked_for=0.0) == pace.first
    assert wait_of(pace, 0.0, jitter=0.0, asked_for=1e9) == 300.0


def test_the_window_is_full_after_few_files_and_after_some_time() -> None:
    start = SlowStart(256, since=10.0)
    assert start.allowed(10.0) == 4
    assert start.allowed(1000.0) == 256
    for _ in range(6):
        start = start.taken()
    assert start.allowed(10.0) == 256
    assert start.taken() is start
