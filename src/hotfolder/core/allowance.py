"""Bytes that may be sent by now, for all requests together, and whose. Pure: the clock is an argument.

Who wants to send asks for its bytes, and gets its place in a row: each folder has one for each lane of
sizes, of all bytes that its files ever asked for. As time goes by the rows are let through from their
fronts, all that wait at once: folders alike, whatever they send and over how many requests, and within
a folder each lane three times as fast as that of the next larger files. What one does not need the
others get. So small files pass large ones, and nobody waits for ever.

A place holds whatever the rate becomes meanwhile; so another rate counts at once for what already waits,
and nobody has to be told.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from hotfolder.core.order import LANES

_BURST = 0.25  # seconds' worth that may go at once after a pause: a busy machine pauses now and then
_PIECE = 0.05  # seconds' worth that is asked for at once: small, so that all get on side by side
_LEAST_PIECE, _MOST_PIECE = 1024, 256 * 1024  # bytes
_WEIGHTS = tuple(3.0 ** (LANES - 1 - lane) for lane in range(LANES))
_TICK = 0.001  # seconds in which what may go is shared out once
_HAIR = 0.5  # bytes: places are whole ones, and sums of times are not


class Owner(NamedTuple):
    """Whose bytes they are: of which folder, and of which `core.order.lane_of` its file's size."""

    folder: str = ""
    lane: int = 0


class Place(NamedTuple):
    """Where the last of somebody's bytes stands in its row."""

    sender: Owner
    end: float


@dataclass(slots=True)
class _Row:
    """One lane of a folder, in bytes: all ever asked for, and those of them that may go."""

    asked: float = 0.0
    gone: float = 0.0

    @property
    def waiting(self) -> float:
        return self.asked - self.gone

    def let_go(self, size: float) -> None:
        self.gone = self.asked if size >= self.waiting else self.gone + size


class Allowance:
    """Bytes a second for all who ask. Owned by one thread, or used under a lock. Clock in seconds."""

    def __init__(self) -> None:
        self.rate = math.inf
        self._folders: dict[str, tuple[_Row, ...]] = {}
        self._unused = 0.0  # bytes that nobody has asked for yet
        self._since = 0.0

    def set_rate(self, rate: float, now: float) -> None:
        """From `now` on; `inf` lets everything go."""
        self._pass_time(now)
        self._since = now
        self.rate = rate
        if rate == math.inf:
            self._unused = 0.0
            for row in (row for rows in self._folders.values() for row in rows):
                row.let_go(row.waiting)

    def ask(self, size: int, sender: Owner, now: float) -> Place:
        """Take the next `size` bytes of the sender's row; returns their place for `wait`."""
        if self.rate == math.inf:
            return Place(sender, 0.0)
        self._pass_time(now)
        row = self._rows(sender.folder)[sender.lane]
        row.asked += size
        if self._unused > 0:  # by anybody: then nobody else waits
            at_once = min(row.waiting, self._unused)
            row.let_go(at_once)
            self._unused -= at_once
        return Place(sender, row.asked)

    def wait(self, place: Place, now: float) -> float:
        """Seconds until what has this place may go, as it looks now; 0: go."""
        if self.rate == math.inf:
            return 0.0
        self._pass_time(now)
        rows = self._rows(place.sender.folder)
        mine = place.sender.lane
        missing = place.end - rows[mine].gone
        if missing < _HAIR:
            return 0.0
        unit = missing / _WEIGHTS[mine]
        first = sum(min(row.waiting, unit * weight) for row, weight in zip(rows, _WEIGHTS, strict=True))
        return sum(min(_waiting(others), first) for others in self._folders.values()) / self.rate

    def piece(self) -> int:
        """How many bytes are best asked for at once."""
        if self.rate == math.inf:
            return _MOST_PIECE
        return int(min(max(self.rate * _PIECE, _LEAST_PIECE), _MOST_PIECE))

    def _rows(self, folder: str) -> tuple[_Row, ...]:
        rows = self._folders.get(folder)
        if rows is None:
            rows = self._folders[folder] = tuple(_Row() for _ in _WEIGHTS)
        return rows

    def _pass_time(self, now: float) -> None:
        """Let go what became free until `now`; what is not used in time is lost."""
        if self.rate == math.inf:
            self._since = now
            return
        if now - self._since < _TICK:
            return
        room = self._unused + (now - self._since) * self.rate
        self._since = now
        folders = [rows for rows in self._folders.values() if _waiting(rows)]
        alike = shares(room, [_waiting(rows) for rows in folders], [1.0] * len(folders))
        for rows, share in zip(folders, alike, strict=True):
            room -= share
            parts = shares(share, [row.waiting for row in rows], _WEIGHTS)
            for row, part in zip(rows, parts, strict=True):
                row.let_go(part)
        self._unused = max(0.0, min(room, self.rate * _BURST))


def _waiting(rows: Sequence[_Row]) -> float:
    return sum(row.asked - row.gone for row in rows)


def shares(room: float, wants: Sequence[float], weights: Sequence[float]) -> list[float]:
    """`room` among those that want some of it, by their weights, and to nobody more than it wants."""
    given = [0.0] * len(wants)
    left = [each for each, want in enumerate(wants) if want > 0]
    while left:
        unit = max(0.0, room) / sum(weights[each] for each in left)
        content = [each for each in left if wants[each] <= unit * weights[each]]
        for each in content or left:
            given[each] = min(wants[each], unit * weights[each])
            room -= given[each]
        left = [each for each in left if each not in content] if content else []
    return given
