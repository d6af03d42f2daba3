"""How fast bytes go by: one measure for one file, for all together, and for what is left. Pure."""

from collections import deque

WINDOW = 15.0  # seconds over which throughput is averaged
_GRAIN = 0.25  # seconds between two marks: a window holds few of them, however many reads there are
_PAUSE = 1.0  # seconds without work that a rate does not count as slowness


class Pace:
    """Counts bytes over time. All moments are seconds on one monotonic clock."""

    def __init__(self, now: float) -> None:
        self._since = now
        self._bytes = 0
        self._marks: deque[tuple[float, int]] = deque()  # (moment, bytes until then)

    def add(self, size: int, now: float) -> None:
        """`size` more bytes went by."""
        self._bytes += size
        if not self._marks or now - self._marks[-1][0] >= _GRAIN:
            self._marks.append((now, self._bytes))
            self._forget(now - WINDOW)

    def resume(self, now: float, idle_since: float) -> None:
        """Work begins again: a pause before it counts as no time, not as a slow time."""
        if now - idle_since > _PAUSE:
            self._since, self._bytes = now, 0
            self._marks.clear()

    def rate(self, now: float) -> float:
        """Bytes per second over the last `WINDOW` seconds, or since the begin if that is later."""
        start = now - WINDOW
        if self._marks and self._marks[-1][0] + _GRAIN <= start:
            return 0.0  # also what came just after the last mark, and has none of its own, is too old
        self._forget(start)
        before = self._marks[0][1] if self._marks and self._marks[0][0] <= start else 0
        span = now - max(start, self._since)
        return (self._bytes - before) / span if span > 0 else 0.0

    def _forget(self, start: float) -> None:
        """Drop the marks before `start` but the last of them: it tells what went by until then."""
        while len(self._marks) > 1 and self._marks[1][0] <= start:
            self._marks.popleft()


def seconds_left(size: int, rate: float) -> float | None:
    """How long `size` bytes take at `rate`; None where nothing moves and something is left."""
    if size <= 0:
        return 0.0
    return size / rate if rate > 0 else None
