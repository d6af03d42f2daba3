"""Progress while files are delivered: live bars on a terminal, plain lines elsewhere."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from rich.console import Group, RenderableType
from rich.live import Live
from rich.text import Text

from hotfolder.activity import Activity
from hotfolder.cli.bars import bars, row
from hotfolder.cli.output import err, is_terminal, rate, shown, size, span
from hotfolder.core.pace import seconds_left

_REFRESH = 0.2  # seconds
_PLAIN_EVERY = 10.0  # seconds
_MOST_BARS = 6


def display() -> Callable[[Activity], Coroutine[Any, Any, None]]:
    """The display that fits where stderr leads."""
    return _live if is_terminal() else _plain


async def _live(activity: Activity) -> None:
    """Bars for the largest files in flight and a line of totals, drawn until cancelled.

    Log lines are printed above: `Live` stands in for sys.stderr meanwhile.
    """
    with Live(console=err, auto_refresh=False, transient=True) as live:
        while True:
            live.update(_picture(activity), refresh=True)
            await asyncio.sleep(_REFRESH)


async def _plain(activity: Activity) -> None:
    """A line every ten seconds while something is under way."""
    while True:
        await asyncio.sleep(_PLAIN_EVERY)
        if activity.flights:
            err.print(Text(summary_line(activity)))


def summary_line(activity: Activity) -> str:
    """Totals, rate and what is left of the files in flight, in one line."""
    totals, speed = activity.totals, activity.bytes_per_second()
    left = sum(f.job.fingerprint.size - f.bytes_done for f in activity.flights.values())
    parts = [f"{totals.uploaded} uploaded ({size(totals.bytes_uploaded)})"]
    parts += [f"{totals.skipped} skipped"] if totals.skipped else []
    parts += [f"{totals.failed} failed"] if totals.failed else []
    parts += [f"{len(activity.flights)} in flight"]
    if activity.flights:
        parts += [rate(speed), f"ETA {span(seconds_left(left, speed))}"]
    store = activity.destination
    if store.last_error:
        parts += [f"store {store.state}: {'; '.join(filter(None, (store.last_error, store.hint)))}"]
    return " · ".join(parts)


def _picture(activity: Activity) -> Group:
    flights = sorted(activity.flights.values(), key=lambda f: -f.job.fingerprint.size)
    rows = [row(flight.as_beat(), shown(flight.job.relpath)) for flight in flights[:_MOST_BARS]]
    more = len(flights) - _MOST_BARS
    lines: list[RenderableType] = [bars(rows, err.width)] if rows else []
    lines += [Text(f"  and {more} more")] if more > 0 else []
    return Group(*lines, Text(summary_line(activity), style="bold"))
