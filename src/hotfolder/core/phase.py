"""The one word for what the daemon does, and the sentence for why it does not. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Road:
    """The way to one destination: whether it is held, and whether files wait for it or are on it."""

    is_held: bool
    has_work: bool


@dataclass(frozen=True, slots=True)
class Situation:
    """`gone`: an inbox is not there. `walked`: every inbox was walked through once.

    `closed`: no upload may begin at this hour.
    """

    roads: Sequence[Road]
    draining: bool = False
    gone: bool = False
    disk_full: bool = False
    paused: bool = False
    closed: bool = False
    in_flight: bool = False
    walked: bool = True


def phase_of(now: Situation) -> str:
    """The most important word comes first; `destination-unreachable` only if no other store works."""
    has_work = any(road.has_work for road in now.roads)
    works = any(road.has_work and not road.is_held for road in now.roads)
    words = (
        ("draining", now.draining),
        ("inbox-missing", now.gone),
        ("disk-full", now.disk_full),
        ("paused", now.paused),
        ("outside-window", now.closed and has_work),
        ("destination-unreachable", any(road.is_held for road in now.roads) and not works),
        ("uploading", now.in_flight),
        ("idle", now.walked),
    )
    return next((word for word, holds in words if holds), "scanning")
