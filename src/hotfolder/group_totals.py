"""The counters of each group, for the heartbeat. Anybody may make groups: their number is bounded."""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

#: Groups that are told of by name. What ended first of the others is summed up under `OTHERS`, which
#: no top directory can be called.
MOST_GROUPS = 1_000
OTHERS = "/others"


@dataclass(slots=True)
class GroupTotals:
    started_at: float
    in_flight: int = 0
    uploaded: int = 0
    skipped: int = 0
    failed: int = 0
    bytes_uploaded: int = 0
    completed_at: float | None = None

    def add(self, other: "GroupTotals") -> None:
        """Count what the other one had, which is over."""
        self.started_at = min(self.started_at, other.started_at)
        self.completed_at = max(self.completed_at or 0.0, other.completed_at or 0.0)
        self.uploaded += other.uploaded
        self.skipped += other.skipped
        self.failed += other.failed
        self.bytes_uploaded += other.bytes_uploaded


class Groups:
    """Owned by the event loop. `clock` gives seconds since the epoch."""

    def __init__(self, clock: Callable[[], float], most: int = MOST_GROUPS) -> None:
        self._clock, self._most = clock, most
        self._groups: dict[str, GroupTotals] = {}
        self._others: GroupTotals | None = None

    def begin(self, name: str) -> None:
        """A file of the group takes off."""
        group = self._groups.get(name)
        if group is None:
            self._make_room()
            group = self._groups[name] = GroupTotals(started_at=self._clock())
        group.in_flight += 1
        group.completed_at = None

    def land(self, name: str) -> GroupTotals:
        """It is back; returns the counters of its group."""
        group = self._groups[name]
        group.in_flight -= 1
        return group

    def told(self, waiting: Mapping[str, int]) -> dict[str, dict[str, Any]]:
        """Every group that has or had files; `planned_files` is what is known of today.

        `waiting`: how many files of each group wait.
        """
        told = {name: _told(group, waiting.get(name, 0)) for name, group in self._groups.items()}
        others, waiting_others = self._others, 0
        for name, count in waiting.items():
            if name in told:
                continue
            if len(told) < self._most:
                told[name] = _told(GroupTotals(started_at=self._clock()), count)
            else:
                waiting_others += count
        if others is not None or waiting_others:
            told[OTHERS] = _told(others or GroupTotals(started_at=self._clock()), waiting_others)
        return told

    def _make_room(self) -> None:
        if len(self._groups) < self._most:
            return
        over = next((name for name, group in self._groups.items() if not group.in_flight), None)
        if over is not None:  # else as many are in flight, which is bounded, too
            group = self._groups.pop(over)
            if self._others is None:
                self._others = group
            else:
                self._others.add(group)


def _told(group: GroupTotals, waiting: int) -> dict[str, Any]:
    fields = asdict(group)
    to_come = fields.pop("in_flight") + waiting
    fields["planned_files"] = group.uploaded + group.skipped + group.failed + to_come
    fields["completed_at"] = None if to_come else group.completed_at
    return fields
