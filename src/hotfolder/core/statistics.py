"""Sums over the ledger, one line at a time: memory does not grow with the number of lines. Pure."""

import bisect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from hotfolder.core.entries import compression_ratio, seconds_of

_MOST_SPANS = 10_000


class BusyTime:
    """How long at least one of many spans was open: what overlaps counts once.

    The spans may come in any order as long as they are not far apart in it: of more than
    `_MOST_SPANS` separate ones the half that is furthest from the newest arrival is summed up.
    """

    def __init__(self) -> None:
        self._begins: list[float] = []
        self._ends: list[float] = []
        self._closed = 0.0

    def add(self, begin: float, end: float) -> None:
        """One more span, in seconds; one that ends before it begins (a clock set back) is nothing."""
        if end <= begin:
            return
        first = bisect.bisect_left(self._ends, begin)  # the first span that reaches to this one
        last = bisect.bisect_right(self._begins, end)  # the first that begins behind it
        if first < last:
            begin, end = min(begin, self._begins[first]), max(end, self._ends[last - 1])
        self._begins[first:last], self._ends[first:last] = [begin], [end]
        if len(self._begins) > _MOST_SPANS:
            self._close(near_the_begin=first < _MOST_SPANS // 2)

    def _close(self, *, near_the_begin: bool) -> None:
        """Sum up the half that nothing reaches any more."""
        half = slice(_MOST_SPANS // 2, None) if near_the_begin else slice(_MOST_SPANS // 2)
        self._closed += sum(self._ends[half]) - sum(self._begins[half])
        del self._begins[half], self._ends[half]

    @property
    def seconds(self) -> float:
        return self._closed + sum(self._ends) - sum(self._begins)


@dataclass(slots=True)
class Sums:
    """What became of some files. Bytes are of delivered files: originals, and as packed."""

    delivered: int = 0
    skipped: int = 0
    failed: int = 0
    original_bytes: int = 0
    packed_bytes: int = 0

    def add(self, entry: Mapping[str, Any]) -> None:
        match entry["status"]:
            case "success":
                self.delivered += 1
                self.original_bytes += entry["original_size"] or 0
                self.packed_bytes += entry["compressed_size"] or 0
            case "skipped":
                self.skipped += 1
            case "failed":
                self.failed += 1

    @property
    def files(self) -> int:
        return self.delivered + self.skipped + self.failed

    @property
    def ratio(self) -> float | None:
        """Original divided by packed bytes."""
        return compression_ratio(self.original_bytes, self.packed_bytes)

    def as_dict(self) -> dict[str, Any]:
        return {
            "files": self.files,
            "delivered": self.delivered,
            "skipped": self.skipped,
            "failed": self.failed,
            "original_bytes": self.original_bytes,
            "packed_bytes": self.packed_bytes,
            "compression_ratio": self.ratio,
        }


@dataclass(slots=True)
class Statistics:
    """All sums over uploads. `day_of` gives the day of a ledger's timestamp as text."""

    day_of: Callable[[str], str]
    total: Sums = field(default_factory=Sums)
    groups: dict[tuple[str, str], Sums] = field(default_factory=dict)  # by (folder, group)
    days: dict[str, Sums] = field(default_factory=dict)
    busy: BusyTime = field(default_factory=BusyTime)
    first: str | None = None  # the timestamps between which all of it ended
    last: str | None = None

    def add(self, entry: Mapping[str, Any]) -> None:
        """Count one ledger line; what is no upload is not counted."""
        if entry["operation_type"] != "upload":
            return
        ended = entry["completed_at"]
        self.first = ended if self.first is None else min(self.first, ended)
        self.last = ended if self.last is None else max(self.last, ended)
        self.total.add(entry)
        self.groups.setdefault((entry["folder"], entry["group"]), Sums()).add(entry)
        self.days.setdefault(self.day_of(ended), Sums()).add(entry)
        if entry["status"] == "success":  # a failed one waits for hours between its attempts
            self.busy.add(seconds_of(entry["started_at"]), seconds_of(ended))

    @property
    def bytes_per_second(self) -> float | None:
        """Original bytes by the time in which at least one file was on its way; None without any."""
        seconds = self.busy.seconds
        return self.total.original_bytes / seconds if seconds > 0 else None

    def as_dict(self) -> dict[str, Any]:
        rate = self.bytes_per_second
        return {
            "from": self.first,
            "to": self.last,
            **self.total.as_dict(),
            "busy_seconds": round(self.busy.seconds, 3),
            "bytes_per_second": None if rate is None else round(rate, 1),
            "groups": [
                {"folder": folder, "group": group, **sums.as_dict()}
                for (folder, group), sums in sorted(self.groups.items(), key=str)
            ],
            "days": [{"day": day, **sums.as_dict()} for day, sums in sorted(self.days.items())],
        }
