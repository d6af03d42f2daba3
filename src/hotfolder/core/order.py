"""In which order the files go that are whole: of all that is known at a time, which is a window.

`fair`: lanes by size, served in turn, first come first served in each; and the places of files on
their way are shared so that large ones leave some free. So a small file waits for a few others at
most, however large they are, and no file waits for ever. The other orders are strict: what comes late
in them waits as long as others come that are before it.
"""

import heapq
from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Callable, Container, Sequence
from enum import StrEnum
from typing import Protocol

from hotfolder.core.records import Job

_MIB = 1024 * 1024
#: Where the lanes end, in bytes, and how many quarters of the places the files from there on may take.
_LANES = (_MIB, 64 * _MIB)
_QUARTERS = (4, 3, 2)
LANES = len(_QUARTERS)
_FROM = [frozenset(range(lane, LANES)) for lane in range(LANES + 1)]


class Order(StrEnum):
    """OLDEST: by the time of the last change. NAME: by the path below the inbox."""

    FAIR = "fair"
    OLDEST = "oldest"
    SMALLEST = "smallest"
    NAME = "name"


class JobRow(Protocol):
    """Jobs in their order, by path."""

    def add(self, job: Job, *, turns: int = 0) -> None:
        """`turns`: how often it had its turn and came back; those that had fewer are before it."""
        ...

    def drop(self, job: Job) -> None: ...
    def took(self, job: Job) -> None:
        """`job`, which was `first`, had its turn. Drop it then."""
        ...

    def first(self, closed: Container[int] = ()) -> Job | None:
        """Whose turn it is, of all but the lanes that are `closed`."""
        ...


def row_of(order: Order) -> JobRow:
    """An empty row."""
    match order:
        case Order.FAIR:
            return Lanes()
        case Order.OLDEST:
            return Sorted(lambda job: job.fingerprint.mtime_ns)
        case Order.SMALLEST:
            return Sorted(lambda job: job.fingerprint.size)
        case Order.NAME:
            return Sorted(lambda _: 0)


def lane_of(size: int) -> int:
    """The lane of a file of `size` bytes; 0 is that of the smallest."""
    return bisect_right(_LANES, size)


def full_lanes(order: Order, flying: Sequence[int], most: int) -> frozenset[int]:
    """The lanes of which no more may start, with `flying` of each lane, of `most` files in all."""
    full = _FROM[LANES]  # none; where a lane is full, those of larger files are, too
    if order is Order.FAIR:
        as_large = 0
        for lane in range(LANES - 1, -1, -1):
            as_large += flying[lane]
            if as_large >= max(1, most * _QUARTERS[lane] // 4):
                full = _FROM[lane]
    return full


class Lanes:
    """Of `fair`: one lane after the other has its turn, whoever waits longest in it."""

    def __init__(self) -> None:
        self._lanes: list[OrderedDict[str, Job]] = [OrderedDict() for _ in _QUARTERS]
        self._next = 0

    def add(self, job: Job, *, turns: int = 0) -> None:  # noqa: ARG002 - it is at the back anyway
        self._lanes[lane_of(job.fingerprint.size)][job.relpath] = job

    def drop(self, job: Job) -> None:
        self._lanes[lane_of(job.fingerprint.size)].pop(job.relpath, None)

    def took(self, job: Job) -> None:
        self._next = (lane_of(job.fingerprint.size) + 1) % len(self._lanes)

    def first(self, closed: Container[int] = ()) -> Job | None:
        for step in range(len(self._lanes)):
            lane = (self._next + step) % len(self._lanes)
            if self._lanes[lane] and lane not in closed:
                return next(iter(self._lanes[lane].values()))
        return None


class Sorted:
    """By `key`, then by path."""

    def __init__(self, key: Callable[[Job], int]) -> None:
        self._key = key
        self._heap: list[tuple[int, int, str, int, Job]] = []
        self._there: dict[str, int] = {}  # path -> which of its entries in the heap counts
        self._added = 0

    def add(self, job: Job, *, turns: int = 0) -> None:
        self._added += 1
        self._there[job.relpath] = self._added
        heapq.heappush(self._heap, (turns, self._key(job), job.relpath, self._added, job))
        if len(self._heap) > 2 * len(self._there) + 100:
            self._heap = [entry for entry in self._heap if self._there.get(entry[2]) == entry[3]]
            heapq.heapify(self._heap)

    def drop(self, job: Job) -> None:
        self._there.pop(job.relpath, None)

    def took(self, job: Job) -> None:
        """Nothing follows from it."""

    def first(self, closed: Container[int] = ()) -> Job | None:  # noqa: ARG002 - it has no lanes
        while self._heap and self._there.get(self._heap[0][2]) != self._heap[0][3]:
            heapq.heappop(self._heap)
        return self._heap[0][4] if self._heap else None
