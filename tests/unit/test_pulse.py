"""A heartbeat that stopped without a word is a daemon that died."""

import pytest

from hotfolder.core.pulse import Step, completed, is_living, is_stale, silence, stuck


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


NOW = 10_000.0


def hung(*steps: Step, silent: float = 0.0, in_flight: str = "1 uploading") -> list[str]:
    """What is stuck among `steps`, where files in flight got on a moment ago."""
    found = stuck(steps, NOW, in_flight=in_flight, progressed_at=NOW - 1.0, silent=silent)
    return [step.about for step in found]


def test_what_blocks_too_long_is_stuck_though_others_go_on() -> None:
    fsync = Step("record", "/inbox/a", NOW - 601.0)
    assert hung(fsync, Step("pack", "/inbox/b", NOW - 1.0)) == ["/inbox/a"]
    assert hung(Step("record", "/inbox/a", NOW - 599.0)) == []


def test_what_takes_long_may_take_long() -> None:
    assert hung(Step("copy", "/inbox/a", NOW - 1799.0), Step("upkeep", "", NOW - 1799.0)) == []
    assert hung(Step("copy", "/inbox/a", NOW - 1801.0)) == ["/inbox/a"]
    assert hung(Step("s3", "PutObject", NOW - 4999.0, limit=5000.0)) == []
    assert hung(Step("s3", "PutObject", NOW - 5001.0, limit=5000.0)) == ["PutObject"]


def test_what_the_loop_waits_for_is_told_soon() -> None:
    steps = Step("io", "/inbox", NOW - 61.0), Step("s3", "PutObject", NOW - 61.0)
    assert hung(*steps) == []
    assert hung(*steps, silent=61.0) == ["/inbox"]


def test_files_that_wait_for_nothing_are_stuck() -> None:
    waiting = {"now": NOW, "progressed_at": NOW - 901.0}
    (found,) = stuck([], **waiting, in_flight="64 queued")
    assert found.about == "the files in flight: 64 queued"
    assert not stuck([], **waiting, in_flight="")
    assert not stuck([], now=NOW, progressed_at=NOW - 899.0, in_flight="1 uploading")
    # A thin line moves bytes, not stages.
    assert not stuck([Step("s3", "PutObject", NOW - 1.0)], **waiting, in_flight="1 uploading")


def test_a_clock_that_was_set_back_makes_no_silence() -> None:
    assert silence({"last_update": 1000.0}, 900.0) == 0.0


def test_a_heartbeat_of_an_older_version_says_nothing_of_what_it_did_not_know() -> None:
    old = {"phase": "stopped", "destination": {"state": "ok"}, "left": {"count": 1, "first": ["x"]}}
    new = completed(old)
    assert new["put_off"] == {"count": 0, "first": []}
    assert new["left"] == old["left"]
    assert new["destination"] == {"state": "ok", "hint": None}
