"""What is told of the files of one folder that wait."""

from collections.abc import Callable
from dataclasses import replace

from hotfolder.activity import Waiting
from hotfolder.backlog import Backlog
from hotfolder.core.settle import SettleTracker
from hotfolder.core.timeline import Waits
from hotfolder.marking import Marks


def waiting(
    inbox: str,
    tracker: SettleTracker,
    backlog: Backlog,
    *,
    why_ready: Callable[[], str],
    now: float,
    marks: Marks,
    epoch_of: Callable[[float], float],
) -> Waiting:
    """What is not in flight: settling, queued, or put off, with the oldest and its reason.

    `why_ready`: why what may start does not. `now`: the monotonic moment. `epoch_of` turns one
    into the epoch's.
    """
    summary = Waiting(count=len(tracker) + len(backlog), bytes=tracker.bytes + backlog.bytes)
    summary.count += len(marks.unmarked)
    summary.bytes += marks.bytes
    settling, put_off, ready = tracker.oldest(), backlog.oldest_put_off(), backlog.ready
    if ready is not None:
        return replace(summary, oldest=ready.path, since=ready.made_at, why=why_ready())
    if settling is not None:
        relpath, since = settling
        why = tracker.why(relpath, now)
        return replace(summary, oldest=f"{inbox}/{relpath}", since=epoch_of(since), why=why)
    if put_off is not None:
        job, why = put_off
        return replace(summary, oldest=job.path, since=job.made_at, why=why)
    if marks.unmarked:
        relpath, unmarked = next(iter(marks.unmarked.items()))
        since = epoch_of(unmarked.since)
        return replace(summary, oldest=f"{inbox}/{relpath}", since=since, why=unmarked.why)
    return summary


def why_waiting(
    relpath: str,
    tracker: SettleTracker,
    backlog: Backlog,
    *,
    now: float,
    marks: Marks,
    epoch_of: Callable[[float], float],
) -> Waits | None:
    """Why this very file waits, if that is its own matter; else as in `waiting`."""
    put_off = backlog.reason_put_off(relpath)
    if put_off is not None:
        return Waits(put_off.reason, epoch_of(put_off.until))
    settling, quiet_at = tracker.why(relpath, now), tracker.quiet_at(relpath, now)
    if settling is not None:
        return Waits(settling, None if quiet_at is None else epoch_of(quiet_at))
    why = marks.left().get(relpath)
    return Waits(why) if why is not None else None
