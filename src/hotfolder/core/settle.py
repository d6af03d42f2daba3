"""When is a file whole? Quiet for `settle` seconds on our own clock, and no program writing to it.

Pure: time is an argument. Quiet means an unchanged `Fingerprint`. The file's own times are never
compared with now: a copy that preserves them would look old at once.
"""

import heapq
from collections.abc import Iterable
from dataclasses import replace
from enum import StrEnum

from hotfolder.core.records import Fingerprint
from hotfolder.core.values import value

#: Seconds between the looks at a file that is quiet and open for writing: a close is mostly heard of.
_BACK_OFF = (1.0, 2.0, 4.0, 8.0, 16.0, 30.0)
_CLOSING = 0.02  # seconds: a close is heard of just before the writer counts as gone

OPEN = "a program has it open for writing"


class Ready(StrEnum):
    """What makes a file of a folder whole: its quiet time, its being closed, or a marker beside it."""

    QUIET = "quiet"
    CLOSED = "closed"
    MARKER = "marker"


class Writer(StrEnum):
    """Whether a program has a file open for writing.

    UNKNOWN: nobody here can tell (network mounts, other owners). UNASKED: this look did not ask.
    """

    NONE = "none"
    OPEN = "open"
    UNKNOWN = "unknown"
    UNASKED = "unasked"


class Word(StrEnum):
    """What somebody says that makes the quiet time needless.

    CLOSED: its writer closed it, or renamed it to where it is; worth something if there is no writer
    left for sure, and the file is not empty (`touch` comes before the content). GIVEN: its producer
    said that it is whole, after its last change.
    """

    CLOSED = "closed"
    GIVEN = "given"
    NONE = "none"

    def suffices(self, seen: Fingerprint, writer: Writer) -> bool:
        if self is Word.CLOSED:
            return writer is Writer.NONE and seen.size > 0
        return self is Word.GIVEN and writer in {Writer.NONE, Writer.UNKNOWN}


@value(frozen=True, slots=True)
class _Waiting:
    """`since`: when it was first seen as it is. `due`: when to look again. `vetoes`: looks that found
    it quiet and open for writing."""

    seen: Fingerprint
    since: float
    due: float
    changed: bool = False
    word: Word = Word.NONE
    vetoes: int = 0


class SettleTracker:
    """Files that were seen and are not yet quiet for long enough, or still open for writing.

    Times are seconds on one monotonic clock. A file that changes, or is open, is waited for without
    end.
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

    def asks(self, path: str, now: float) -> bool:
        """Whether a look at `path` that begins now has to ask for a writer: it may be the last."""
        waiting = self._waiting.get(path)
        return waiting is not None and (
            now >= waiting.since + self._settle or waiting.word is not Word.NONE
        )

    def observe(
        self,
        path: str,
        seen: Fingerprint | None,
        now: float,
        until: float | None = None,
        *,
        writer: Writer = Writer.UNASKED,
        word: Word = Word.NONE,
    ) -> None:
        """Take in what `path` looked like at some moment from `now` to `until`; None: it is gone.

        Where a look takes its time, the quiet time counts from its end and must be over at its begin.
        """
        if seen is not None and self._settled.get(path) == seen and writer is not Writer.OPEN:
            return  # found quiet already, and not yet fetched
        self._settled.pop(path, None)
        if seen is None:
            self._drop(path)
            return
        ended = now if until is None else until
        waiting = self._waiting.get(path)
        if waiting is None or waiting.seen != seen:
            waiting = self._arm(path, seen, ended, changed=waiting is not None)
        heard, word = word is not Word.NONE, word if word is not Word.NONE else waiting.word
        quiet_at = waiting.since + self._settle
        is_quiet = now >= quiet_at and writer is not Writer.UNASKED
        if word.suffices(seen, writer) or (is_quiet and writer is not Writer.OPEN):
            self._drop(path)
            self._settled[path] = seen
        elif writer is Writer.OPEN and (is_quiet or word is Word.GIVEN):
            pause = _BACK_OFF[min(waiting.vetoes, len(_BACK_OFF) - 1)]
            again = replace(waiting, due=ended + pause, vetoes=waiting.vetoes + 1, word=word)
            self._wait(path, again, now)
        elif writer is Writer.OPEN and word is Word.CLOSED and heard:
            self._wait(path, replace(waiting, due=min(quiet_at, ended + _CLOSING), word=word), now)
        else:
            self._wait(path, replace(waiting, due=quiet_at, word=Word.NONE), now)

    def _drop(self, path: str) -> None:
        waiting = self._waiting.pop(path, None)
        if waiting is not None:
            self.bytes -= waiting.seen.size

    def _arm(self, path: str, seen: Fingerprint, now: float, *, changed: bool) -> _Waiting:
        """Start the quiet time of `path` (anew)."""
        self._drop(path)
        self.bytes += seen.size
        waiting = self._waiting[path] = _Waiting(seen, now, now + self._settle, changed)
        heapq.heappush(self._due, (waiting.due, path))
        return waiting

    def _wait(self, path: str, waiting: _Waiting, now: float) -> None:
        """Look at `path` again when `waiting` says, at the place that it has among the others."""
        before = self._waiting[path].due
        self._waiting[path] = waiting
        if waiting.due != before or waiting.due <= now:
            heapq.heappush(self._due, (waiting.due, path))

    def pop_due(self, now: float, limit: int) -> list[str]:
        """Up to `limit` paths that are due by `now`, to be looked at and observed again.

        A path that is popped must be observed (or its absence), or it is not due ever again. The look
        has to ask for a writer where `asks` says so.
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

    def quiet(self) -> list[str]:
        """The paths that `pop_settled` would give now."""
        return list(self._settled)

    def pop_settled(self) -> list[tuple[str, Fingerprint]]:
        """The files found whole since the last call, oldest first, with what they looked like."""
        settled, self._settled = self._settled, {}
        return list(settled.items())

    def paths(self) -> Iterable[str]:
        """What waits, oldest first."""
        return self._waiting.keys()

    def looks(self) -> Iterable[tuple[str, Fingerprint]]:
        """What waits, oldest first, with what it looked like."""
        return ((path, waiting.seen) for path, waiting in self._waiting.items())

    def oldest(self) -> tuple[str, float] | None:
        """The path that waits longest and since when, for status; None when nothing waits."""
        path = next(iter(self._waiting), None)
        return (path, self._waiting[path].since) if path is not None else None

    def why(self, path: str, now: float) -> str | None:
        """Why `path` waits, as a sentence; None if it does not."""
        waiting = self._waiting.get(path)
        if waiting is None:
            return None
        if waiting.vetoes:
            return OPEN
        what, ago = "changed" if waiting.changed else "found", max(0.0, now - waiting.since)
        return f"settling: {what} {ago:.0f} s ago, whole after {self._settle:g} s without a change"

    def quiet_at(self, path: str, now: float) -> float | None:
        """When `path` will have been quiet for long enough; None if it waits for something else."""
        waiting = self._waiting.get(path)
        quiet_at = None if waiting is None else waiting.since + self._settle
        return quiet_at if quiet_at is not None and quiet_at > now else None

    def stubborn(self, vetoes: int) -> list[str]:
        """What was found quiet and open for writing in at least so many looks."""
        return [path for path, waiting in self._waiting.items() if waiting.vetoes >= vetoes]
