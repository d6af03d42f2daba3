"""What is told of the files of one folder that wait."""

from collections.abc import Callable
from dataclasses import replace

from hotfolder.activity import Waiting
from hotfolder.backlog import Backlog
from hotfolder.core.settle import SettleTracker


def waiting(
    inbox: str,
    tracker: SettleTracker,
    backlog: Backlog,
    *,
    why_ready: Callable[[], str],
    now: float,
    epoch_of: Callable[[float], float],
) -> Waiting:
    """What is not in flight: settling, queued, or put off, with the oldest and its reason.

    `why_ready`: why what may start does not. `now`: the monotonic moment. `epoch_of` turns one
    into the epoch's.
    """
    summary = Waiting(count=len(tracker) + len(backlog), bytes=tracker.bytes + backlog.bytes)
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
    return summary
