"""When is a file whole? Quiet for `settle` seconds on our own clock. Pure: time is an argument.

Quiet means an unchanged `Fingerprint`. The file's own times are never compared with now: a copy
that preserves them would look old at once.
"""

import heapq
from collections.abc import Iterable
from dataclasses import dataclass

from hotfolder.core.records import Fingerprint


@dataclass(frozen=True, slots=True)
class _Waiting:
    seen: Fingerprint
    since: float
    due: float


class SettleTracker:
    """Files that were seen and are not yet quiet for long enough.

    Times are seconds on one monotonic clock. A file that changes is waited for without end.
    """

    def __init__(self, settle: float) -> None:
        self._settle = settle
        self._waiting: dict[str, _Waiting] = {}
        self._due: list[tuple[float, str]] = []
        self._settled: dict[str, Fingerprint] = {}
        self.bytes = 0  # the sizes of all that waits

    def __len__(self) -> int:
        return len(self._waiting)

    def __contains__(self, path: str) -> bool:
        return path in self._waiting

    def observe(
        self, path: str, seen: Fingerprint | None, now: float, until: float | None = None
    ) -> None:
        """Take in what `path` looked like at some moment from `now` to `until`; None: it is gone.

        Where a look takes its time, the quiet time counts from its end and must be over at its begin.
        """
        if seen is not None and self._settled.get(path) == seen:
            return  # found quiet already, and not yet fetched
        self._settled.pop(path, None)
        waiting = self._waiting.get(path)
        if seen is None:
            self._drop(path)
        elif waiting is None or waiting.seen != seen:
            self._arm(path, seen, now if until is None else until)
        elif now >= waiting.due:
            self._drop(path)
            self._settled[path] = seen

    def _drop(self, path: str) -> None:
        waiting = self._waiting.pop(path, None)
        if waiting is not None:
            self.bytes -= waiting.seen.size

    def _arm(self, path: str, seen: Fingerprint, now: float) -> None:
        """Start the quiet time of `path` (anew)."""
        self._drop(path)
        self.bytes += seen.size
        self._waiting[path] = _Waiting(seen, now, now + self._settle)
        heapq.heappush(self._due, (now + self._settle, path))

    def pop_due(self, now: float, limit: int) -> list[str]:
        """Up to `limit` paths whose quiet time is over by `now`, to be looked at and observed again.

        A path that is popped must be observed (or its absence), or it is not due ever again.
        """
        due: list[str] = []
        while self._due and self._due[0][0] <= now and len(due) < limit:
            moment, path = heapq.heappop(self._due)
            waiting = self._waiting.get(path)
            # Armed twice for one moment, a path stands in the heap twice, one behind the other.
            if waiting is not None and waiting.due == moment and due[-1:] != [path]:
                due.append(path)
        return due

    def next_due(self) -> float | None:
        """The moment at which `pop_due` may next return something, or None."""
        return self._due[0][0] if self._due else None

    def pop_settled(self) -> list[tuple[str, Fingerprint]]:
        """The files found quiet since the last call, oldest first, with what they looked like."""
        settled, self._settled = self._settled, {}
        return list(settled.items())

    def paths(self) -> Iterable[str]:
        """What waits, oldest first."""
        return self._waiting.keys()

    def oldest(self) -> tuple[str, float] | None:
        """The path that waits longest and since when, for status; None when nothing waits."""
        path = next(iter(self._waiting), None)
        return (path, self._waiting[path].since) if path is not None else None
