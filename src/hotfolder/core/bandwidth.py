"""How many bytes a second may leave, by the wall clock. Pure: the moment and the clock are arguments.

A week of wall clock time decides, so a window keeps its hours through the change to summer time: one
whose begin the clocks skip begins with the next minute there is, and one in an hour that comes twice is
open in both.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
DAY = 24 * 60  # minutes
WEEK = 7 * DAY
CLOSED = 0  # the limit of a window in which nothing is sent

_AHEAD = 9  # days that are looked through for the next change: a week, and what the clocks may skip

LocalTime = Callable[[float], datetime]
"""Seconds since the epoch -> what the wall clock shows then (without a zone)."""


@dataclass(frozen=True, slots=True)
class Window:
    """A part of the week and its `limit` in bytes a second: `CLOSED` sends nothing, None is no limit.

    `days` count from Monday, 0; `begin` and `end` are minutes of a day. What ends at or before its
    begin ends on the next day; it belongs to the day on which it begins.
    """

    days: frozenset[int]
    begin: int
    end: int
    limit: int | None

    def holds(self, minute: int) -> bool:
        """Whether this minute of the week lies in it."""
        day, time = divmod(minute, DAY)
        if self.begin < self.end:
            return day in self.days and self.begin <= time < self.end
        return (day in self.days and time >= self.begin) or (
            (day - 1) % 7 in self.days and time < self.end
        )


@dataclass(frozen=True, slots=True)
class Limit:
    """`rate` in bytes a second, None for no limit; `until` is when it changes (epoch), None: never."""

    rate: int | None = None
    until: float | None = None

    @property
    def is_closed(self) -> bool:
        return self.rate == CLOSED


@dataclass(frozen=True, slots=True)
class Timetable:
    """Windows of a week; where they overlap the first counts, outside of all there is no limit."""

    windows: Sequence[Window] = ()

    def rate_at(self, minute: int) -> int | None:
        """The limit in this minute of the week."""
        return next((window.limit for window in self.windows if window.holds(minute)), None)

    def limit_at(self, now: float, local: LocalTime) -> Limit:
        """The limit of this moment, and when another follows."""
        rate = self.rate_at(_minute(local(now)))
        return Limit(rate, self._next_change(int(now), rate, local))

    def _next_change(self, now: int, rate: int | None, local: LocalTime) -> float | None:
        moment, last = now, now + _AHEAD * DAY * 60
        while moment < last:
            moment = self._next_look(moment, local)
            if self.rate_at(_minute(local(moment))) != rate:
                return float(moment)
        return None

    def _next_look(self, moment: int, local: LocalTime) -> int:
        """The next moment at which a window may begin or end: minute by minute where the clocks jump."""
        shown = local(moment)
        time, bounds = shown.hour * 60 + shown.minute, self._bounds()
        ahead = next(bound for bound in bounds if bound > time) - time
        step = ahead * 60 - shown.second
        jumps = (local(moment + step) - shown).total_seconds() != step
        return moment + (60 - shown.second if jumps else step)

    def _bounds(self) -> list[int]:
        """Minutes of a day at which something may change."""
        return sorted({DAY, *(window.begin for window in self.windows), *(w.end for w in self.windows)})

    @property
    def never_opens(self) -> bool:
        return all(self.rate_at(minute) == CLOSED for minute in range(WEEK))


NO_LIMIT = Timetable()


def why_closed(limit: Limit, now: float, local: LocalTime) -> str | None:
    """Why nothing is sent, as a reason for one file; None where something is."""
    if not limit.is_closed:
        return None
    if limit.until is None:
        return "transfer.bandwidth lets nothing be uploaded at any time"
    today, then = local(now), local(limit.until)
    day = "" if then.date() == today.date() else f"{DAYS[then.weekday()].capitalize()} "
    return f"outside the upload window until {day}{then:%H:%M}"


def closed_in(beat: Mapping[str, Any], now: float, local: LocalTime) -> str | None:
    """`why_closed`, as a heartbeat tells it."""
    told = beat.get("bandwidth") or {}
    return why_closed(Limit(told.get("limit"), told.get("until")), now, local)


def _minute(shown: datetime) -> int:
    return shown.weekday() * DAY + shown.hour * 60 + shown.minute
