"""Progress while files are delivered: live bars on a terminal, plain lines elsewhere."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from rich.console import Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from hotfolder.activity import Activity, InFlight
from hotfolder.cli.output import err, is_terminal, rate, shown, size, span

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
        parts += [rate(speed), f"ETA {span(left / speed) if speed else '-'}"]
    if activity.destination.last_error:
        parts += [f"store {activity.destination.state}: {activity.destination.last_error}"]
    return " · ".join(parts)


def _picture(activity: Activity) -> Group:
    flights = sorted(activity.flights.values(), key=lambda f: -f.job.fingerprint.size)
    bars = Table.grid(padding=(0, 1))
    bars.add_column(no_wrap=True, overflow="ellipsis", ratio=1)
    for _ in range(4):
        bars.add_column(no_wrap=True, justify="right")
    now = activity.now()
    for flight in flights[:_MOST_BARS]:
        bars.add_row(*_bar(flight, now))
    more = len(flights) - _MOST_BARS
    lines = [bars, Text(f"  and {more} more")] if more > 0 else [bars]
    return Group(*lines, Text(summary_line(activity), style="bold"))


def _bar(flight: InFlight, now: float) -> tuple[Text | ProgressBar | str, ...]:
    total, speed = flight.job.fingerprint.size, flight.rate(now)
    if flight.bytes_done < total or flight.now_at != "uploading":
        stage, eta = flight.now_at, span((total - flight.bytes_done) / speed) if speed else "-"
    else:
        stage, eta = "last parts", "-"
    bar = ProgressBar(total=max(total, 1), completed=flight.bytes_done if total else 1, width=24)
    return Text(shown(flight.job.relpath)), bar, size(total), rate(speed), f"{stage}, ETA {eta}"
