"""A heartbeat that stopped without a word is a daemon that died."""

import pytest

from hotfolder.core.pulse import completed, is_living, is_stale, silence


@pytest.mark.parametrize(
    ("phase", "seconds", "interval", "stale"),
    [
        ("idle", 14.9, 2.0, False),
        ("idle", 15.1, 2.0, True),
        ("uploading", 49.0, 10.0, False),
        ("uploading", 51.0, 10.0, True),
        ("draining", 16.0, 0.1, True),
        ("stopped", 1e6, 2.0, False),
    ],
)
def test_silence_is_death_unless_it_was_announced(
    phase: str, seconds: float, interval: float, stale: bool
) -> None:
    state = {"phase": phase, "last_update": 1000.0}
    assert is_stale(state, 1000.0 + seconds, interval) is stale
    assert is_living(state, 1000.0 + seconds, interval) is (not stale and phase != "stopped")


def test_a_clock_that_was_set_back_makes_no_silence() -> None:
    assert silence({"last_update": 1000.0}, 900.0) == 0.0


def test_a_heartbeat_of_an_older_version_says_nothing_of_what_it_did_not_know() -> None:
    old = {"phase": "stopped", "destination": {"state": "ok"}, "left": {"count": 1, "first": ["x"]}}
    new = completed(old)
    assert new["put_off"] == {"count": 0, "first": []}
    assert new["left"] == old["left"]
    assert new["destination"] == {"state": "ok", "hint": None}
