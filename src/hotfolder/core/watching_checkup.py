"""What the doctor finds about how an inbox is watched, decided from plain values."""

from collections.abc import Iterable

from hotfolder.core.checkup import Finding, State, as_span
from hotfolder.core.watching import SHORTEST_POLL, Mount, Polled, Wanted, plan_of

_MOST_NAMED = 5


def watching_finding(
    name: str, path: str, mounts: Iterable[Mount], *, wanted: Wanted, rescan: float
) -> Finding:
    """Which parts of an inbox are polled, and whether anything stays unseen until the next scan."""
    mounts = tuple(mounts)
    kind = next((mount.kind for mount in mounts if not mount.relpath), "") or "a local file system"
    plan = plan_of(mounts, wanted)
    unseen = plan_of(mounts, "auto").polled if wanted == "inotify" else ()
    if unseen:
        return Finding(
            name,
            State.WARNING,
            f'{path} is on {kind}, and watcher is "inotify": found by the scan only, every '
            f"{as_span(rescan)}, is what others write to {_named(unseen)}",
            'set watcher = "auto", or `rescan` shorter',
            numbers={"rescan_seconds": rescan},
        )
    if not plan.polled:
        return Finding(name, State.OK, f"{path} is on {kind}: watched by inotify")
    how = "watched by inotify, and polled" if plan.listens else "polled"
    return Finding(
        name,
        State.OK,
        f"{path} is on {kind}: {how} every {as_span(SHORTEST_POLL)} or more: {_named(plan.polled)}",
        numbers={"polled": len(plan.polled)},
    )


def _named(parts: Iterable[Polled]) -> str:
    named = [f"{part.relpath or 'the inbox'} ({part.why})" for part in parts]
    more = f", and {len(named) - _MOST_NAMED} more" if len(named) > _MOST_NAMED else ""
    return ", ".join(named[:_MOST_NAMED]) + more
