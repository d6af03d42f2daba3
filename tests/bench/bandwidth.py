"""`transfer.bandwidth`, measured: what a daemon really sends a second, beside what it may.

    python -m tests.bench.bandwidth [--limits 1MB/s 5MB/s 40MB/s] [--seconds 10] [--engine direct boto3]

A daemon delivers to the null sink through a proxy that counts every byte on the way to it, heads of
requests included. Each row is one limit and one work: a large file, many small ones, or both. Counted
is for `--seconds`, once the work is under way, and in the busiest single second of these; and for the
mix, how long the slowest small file took beside the large one. Where less is sent than may be, the same
is measured without a limit: what cannot be sent then either the limit does not hold up. --write puts the
table into docs/speed.md.
"""

import argparse
import os
import secrets
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from urllib.parse import urlsplit

from rich.console import Console
from rich.table import Table

from hotfolder.config.bandwidth import limit
from tests.bench.speed import stores
from tests.support.box import Box
from tests.support.counting_proxy import CountingProxy
from tests.support.page import write_section
from tools.demo.inputs import random_blocks, write

PAGE = Path(__file__).parents[2] / "docs" / "speed.md"
COMMAND = "python -m tests.bench.bandwidth"
_WORKS = ("large", "small", "mix")
_TICK = 0.05  # seconds
_UNDER_WAY, _LONGEST_START = 64 * 1024, 60.0  # bytes, seconds
_WARM = 3.0  # seconds in which connections are opened and the store is looked at
_ALLOWED = 0.05  # of the limit
#: Small files: so many a second that any engine, on any machine, sends them as soon as it may.
_FEWEST_BYTES, _MOST_FILES = 4096, 100
_COLUMNS = (
    *("engine", "limit", "work", "measured", "deviation", "busiest second", "a small file took"),
    *("without a limit", "kept"),
)
console = Console(width=140)


@dataclass(frozen=True, slots=True)
class Row:
    """`rate`, `measured` and `unlimited` in bytes a second, `busiest` bytes in one, `small` seconds."""

    engine: str
    written: str
    work: str
    rate: int
    measured: float
    busiest: float
    small: float | None
    unlimited: float | None = None

    @property
    def deviation(self) -> float:
        return self.measured / self.rate - 1

    @property
    def is_reachable(self) -> bool:
        """Whether it is the limit that decides, and not what the machine gets done at this hour."""
        return self.unlimited is None or self.unlimited > self.rate * (1 + 2 * _ALLOWED)

    @property
    def is_kept(self) -> bool:
        """Whether the limit was kept to, as far as it could be reached."""
        return self.deviation <= _ALLOWED and (not self.is_reachable or self.deviation >= -_ALLOWED)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--limits", nargs="+", default=["1MB/s", "5MB/s", "40MB/s"])
    parser.add_argument("--works", nargs="+", choices=_WORKS, default=list(_WORKS))
    parser.add_argument("--engine", nargs="+", default=["direct", "boto3"])
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--write", action="store_true", help="write the table into docs/speed.md")
    asked = parser.parse_args()
    load = os.getloadavg()[0]
    with stores.sink("sink", 0) as sink:
        url = sink.target().endpoint_url
        rows = [
            judged(engine, written, work, url, asked.seconds)
            for engine in asked.engine
            for written in asked.limits
            for work in asked.works
        ]
    table = Table(*_COLUMNS)
    for row in rows:
        table.add_row(*told(row))
    console.print(table)
    if asked.write:
        write_section(PAGE, COMMAND, "limits", page(rows, asked.seconds, load))
    return int(not all(row.is_kept for row in rows))


def judged(engine: str, written: str, work: str, url: str, seconds: float) -> Row:
    """The row, with what goes without a limit where too little went."""
    row = measure(engine, written, work, url, seconds)
    if row.deviation < -_ALLOWED:
        free = measure(engine, written, work, url, seconds, limited=False)
        row = replace(row, unlimited=free.measured)
    console.print(f"{engine}, {written}, {work}: {row.deviation:+.1%}", style="dim")
    return row


def told(row: Row) -> tuple[str, ...]:
    small = "" if row.small is None else f"{row.small:.1f} s at most"
    free = "" if row.unlimited is None else f"{row.unlimited / 1e6:.1f} MB/s"
    kept = ("yes" if row.is_reachable else "not reached without it") if row.is_kept else "no"
    return (
        *(row.engine, row.written, row.work, f"{row.measured / 1e6:.3f} MB/s"),
        *(f"{row.deviation:+.1%}", f"{row.busiest / row.rate:.2f} of the limit"),
        *(small, free, kept),
    )


def page(rows: Sequence[Row], seconds: float, load: float) -> list[str]:
    """The section of docs/speed.md."""
    shown = [column for column in range(len(_COLUMNS)) if any(told(row)[column] for row in rows)]
    lines = [f"| {' | '.join(_COLUMNS[column] for column in shown)} |"]
    lines.append(f"|---|---|---|{'---:|' * (len(shown) - 3)}")
    lines += [f"| {' | '.join(told(row)[column] for column in shown)} |" for row in rows]
    when = datetime.now().astimezone().strftime("%Y-%m-%d")
    return [*lines, "", f"{when}: {seconds:g} s each, load {load:.1f} before."]


def measure(
    engine: str, written: str, work: str, url: str, seconds: float, *, limited: bool = True
) -> Row:
    rate = int(str(limit(written)))
    with (
        tempfile.TemporaryDirectory(prefix="hotfolder-bandwidth-") as root,
        CountingProxy(urlsplit(url).port or 0) as proxy,
    ):
        box = Box(
            Path(root),
            endpoint_url=f"http://127.0.0.1:{proxy.port}",
            access_key="x",
            secret_key="y",
            bucket=f"bench-{secrets.token_hex(4)}",  # the sink knows what it was sent before
        )
        bandwidth = written if limited else ""
        transfer = f'[transfer]\nbandwidth = "{bandwidth}"\nengine = "{engine}"'
        box.configure('settle = "0s"\nready = "closed"\ncompression = "none"', extra=transfer)
        lay_out(box, work, rate, (seconds + _WARM + 2) * (1 if limited else 2))
        box.start(wait=False)
        try:
            sent = [size for _, size in counted(proxy, seconds)]
            small = slowest_small(box) if work == "mix" else None
        finally:
            box.stop()
    ticks = int(1 / _TICK)
    busiest = max(b - a for a, b in zip(sent, sent[ticks:], strict=False))
    return Row(engine, written, work, rate, (sent[-1] - sent[0]) / seconds, busiest, small)


def lay_out(box: Box, work: str, rate: int, seconds: float) -> None:
    """Files enough for so many seconds at `rate`."""
    if work in {"large", "mix"}:
        write(box.inbox / "large", random_blocks(int(rate * seconds)))
    if work in {"small", "mix"}:
        share = 1 if work == "small" else 10
        size = max(_FEWEST_BYTES, rate // _MOST_FILES)
        for number in range(int(rate * seconds) // share // size):
            write(box.inbox / f"small-{number}", random_blocks(size))
    os.sync()  # or the daemon's fsyncs would wait for all of this


def counted(proxy: CountingProxy, seconds: float) -> Iterator[tuple[float, int]]:
    """(moment, bytes so far), from a while after much began to be sent."""
    begun = time.monotonic()
    while proxy.sent < _UNDER_WAY:
        if time.monotonic() - begun > _LONGEST_START:
            raise TimeoutError(f"only {proxy.sent} bytes were sent in {_LONGEST_START:g} s")
        time.sleep(_TICK)
    time.sleep(_WARM)
    begun = time.monotonic()
    for tick in range(int(seconds / _TICK) + 1):
        time.sleep(max(0.0, begun + tick * _TICK - time.monotonic()))
        yield time.monotonic(), proxy.sent


def slowest_small(box: Box) -> float:
    """Seconds that the slowest of the small files took that were done beside the large one."""
    spans = [
        datetime.fromisoformat(line["completed_at"]) - datetime.fromisoformat(line["started_at"])
        for line in box.ledger()
        if line["target_name"].startswith("small")
    ]
    return max((span.total_seconds() for span in spans), default=0.0)


if __name__ == "__main__":
    sys.exit(main())
