"""Whether the heartbeat still tells of a living daemon, and whether it may.

Pure: the clock is an argument.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

_LEAST_SILENCE = 15.0  # seconds: a busy disk may delay a beat
_MISSED_BEATS = 5

_LIMIT = 600.0  # seconds without a sign of life; a mount or a disk that is busy comes back sooner
#: What blocks once for a whole file: the last sync of a copy, packing a part of the ledger. And files
#: that could start and do not, for no reason that is known (`idling`): nothing rightly takes its time.
_LIMITS = {"copy": 1800.0, "upkeep": 1800.0, "intake": 120.0}
#: What no thread, disk, mount or store is behind: files wait for something that never comes.
OF_NOTHING_OUTSIDE = frozenset({"intake", "delivery"})
#: What the daemon's loop waits for itself: while it does, nothing else is begun.
_OF_THE_LOOP = frozenset({"io", "record", "notes"})
_SILENT = 60.0  # seconds
_IDLE = 900.0  # seconds in which nothing in flight got on, and nothing was even tried


@dataclass(frozen=True, slots=True)
class Step:
    """Work that blocks: in a thread of `pool`, or a request.

    `about` is a path or a request in words; `alive_at` (monotonic seconds) when it began or last got on;
    `limit` the seconds of silence that it may need, None: as its pool.
    """

    pool: str
    about: str
    alive_at: float
    limit: float | None = None


def stuck(
    steps: Iterable[Step],
    now: float,
    *,
    in_flight: str,
    progressed_at: float,
    silent: float = 0.0,
) -> list[Step]:
    """The steps that block for longer than they can need; others going on is no excuse for them.

    Waiting is no step: for the store, for memory, for a folder that takes nothing. But files `in_flight`
    (how many are at what, in words; empty: none) with no step at all for too long since `progressed_at`
    wait for something that never comes. And where the loop itself was `silent` for so many seconds, what
    it may wait for is told soon.
    """
    under_way = list(steps)
    hung = [step for step in under_way if now - step.alive_at > _limit_of(step, silent)]
    if in_flight and not under_way and now - progressed_at > _IDLE:
        hung.append(Step("delivery", f"the files in flight: {in_flight}", progressed_at))
    return hung


def _limit_of(step: Step, silent: float) -> float:
    if silent > _SILENT and step.pool in _OF_THE_LOOP:
        return _SILENT
    return _LIMITS.get(step.pool, _LIMIT) if step.limit is None else step.limit


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
        "stuck": [],
        **state,
        "destination": {"hint": None, **state["destination"]},
    }
