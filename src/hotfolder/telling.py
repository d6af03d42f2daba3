"""What is told of the files of one folder that are not in flight: how many, which, and why."""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import replace

from hotfolder.activity import Waiting
from hotfolder.backlog import Backlog
from hotfolder.calling_off import CallOffs
from hotfolder.core.records import Fingerprint
from hotfolder.core.timeline import Waits
from hotfolder.finding import Finder


class Told:
    """`left`: path -> why this run left it for good. `clock` is monotonic seconds, `wall` the epoch's.

    `why_ready`: why what may start does not. `is_to_end`: what waits for a marker is left for good.
    """

    def __init__(
        self,
        inbox: str,
        *,
        finder: Finder,
        backlog: Backlog,
        called_off: CallOffs,
        left: Mapping[str, str],
        group_of: Callable[[str, Fingerprint], str],
        why_ready: Callable[[], str],
        is_to_end: bool,
        clock: Callable[[], float],
        wall: Callable[[], float],
    ) -> None:
        self._inbox, self._finder, self._backlog = inbox, finder, backlog
        self._called_off, self._left = called_off, left
        self._group_of, self._why_ready, self._is_to_end = group_of, why_ready, is_to_end
        self._clock, self._wall = clock, wall

    def waiting(self) -> Waiting:
        """What settles, is queued, or put off, with the oldest and its reason."""
        tracker, backlog, marks = self._finder.tracker, self._backlog, self._finder.marks
        summary = Waiting(
            count=len(tracker) + len(backlog) + len(marks.unmarked),
            bytes=tracker.bytes + backlog.bytes + marks.bytes,
        )
        settling, put_off, ready = tracker.oldest(), backlog.oldest_put_off(), backlog.ready
        if ready is not None:
            why = self._why_ready()
            return replace(summary, oldest=ready.path, since=ready.made_at, why=why)
        if settling is not None:
            relpath, since = settling
            return self._with_oldest(summary, relpath, since, tracker.why(relpath, self._clock()))
        if put_off is not None:
            job, why = put_off
            return replace(summary, oldest=job.path, since=job.made_at, why=why)
        if marks.unmarked:
            relpath, unmarked = next(iter(marks.unmarked.items()))
            return self._with_oldest(summary, relpath, unmarked.since, unmarked.why)
        return summary

    def groups(self) -> Counter[str]:
        """How many files of each group were found and are not in flight."""
        settling = self._finder.tracker.looks()
        return self._backlog.groups + Counter(self._group_of(path, seen) for path, seen in settling)

    def left_behind(self) -> dict[str, str]:
        """Path below the inbox -> why it stays there for good."""
        marks = self._finder.marks
        return {
            **self._finder.walks.passed_over,
            **self._finder.unfit.reasons,
            **(marks.left() if self._is_to_end else marks.orphans),
            **self._left,
            **self._called_off.reasons(),
        }

    def why_waiting(self, relpath: str) -> Waits | None:
        """Why this very file waits, if that is its own matter: not the folder's, nor its store's."""
        put_off = self._backlog.reason_put_off(relpath)
        if put_off is not None:
            return Waits(put_off.reason, self._epoch_of(put_off.until))
        tracker, now = self._finder.tracker, self._clock()
        settling, quiet_at = tracker.why(relpath, now), tracker.quiet_at(relpath, now)
        if settling is not None:
            return Waits(settling, None if quiet_at is None else self._epoch_of(quiet_at))
        unmarked = self._finder.marks.left().get(relpath)
        if unmarked is not None:
            return Waits(unmarked)
        why = self.left_behind().get(relpath)
        return None if why is None else Waits(why, for_good=True)

    def _with_oldest(self, summary: Waiting, relpath: str, since: float, why: str | None) -> Waiting:
        oldest, began = f"{self._inbox}/{relpath}", self._epoch_of(since)
        return replace(summary, oldest=oldest, since=began, why=why)

    def _epoch_of(self, moment: float) -> float:
        return self._wall() - (self._clock() - moment)
