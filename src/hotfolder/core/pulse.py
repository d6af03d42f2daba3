"""Whether the heartbeat still tells of a living daemon. Pure: the clock is an argument."""

from collections.abc import Mapping
from typing import Any

_LEAST_SILENCE = 15.0  # seconds: a busy disk may delay a beat
_MISSED_BEATS = 5


def silence(state: Mapping[str, Any], now: float) -> float:
    """Seconds since the last beat; 0 where the clock was set back."""
    return max(0.0, now - float(state["last_update"]))


def is_stale(
    state: Mapping[str, Any], now: float, interval: float, *, exists: bool | None = None
) -> bool:
    """Whether a daemon that did not say that it stopped has missed its beats, or is gone.

    `interval` is the seconds between two beats, `now` seconds since the epoch; `exists` whether its
    process does, None where that cannot be told.
    """
    if exists is False and state["phase"] != "stopped":
        return True
    patience = max(_LEAST_SILENCE, _MISSED_BEATS * interval)
    return state["phase"] != "stopped" and silence(state, now) > patience


def is_living(
    state: Mapping[str, Any], now: float, interval: float, *, exists: bool | None = None
) -> bool:
    """Whether a daemon works now, as far as its heartbeat tells."""
    return state["phase"] != "stopped" and not is_stale(state, now, interval, exists=exists)


def completed(state: Mapping[str, Any]) -> dict[str, Any]:
    """`state` with the fields that a heartbeat of an older version lacks, each saying nothing."""
    nothing = {"count": 0, "first": []}
    return {
        "left": nothing,
        "put_off": nothing,
        "hold": None,
        "paused": None,
        **state,
        "destination": {"hint": None, **state["destination"]},
    }
