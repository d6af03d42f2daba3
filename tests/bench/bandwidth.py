"""`transfer.bandwidth`, measured: what a daemon really sends a second, beside what it may.

    python -m tests.bench.bandwidth [--limits 1MB/s 5MB/s 40MB/s] [--seconds 8] [--engine direct boto3]

A daemon delivers to the null sink through a proxy that counts every byte on the way to it, heads of
requests included. Each row is one limit and one work: a large file, many small ones, or both. Counted
is for `--seconds`, once the work is under way, and in the busiest single second of these; and for the
mix, how long the slowest small file took beside the large one. Where less is sent than may be, the same
is measured without a limit: what this machine carries at this hour.
"""

import argparse
import os
import secrets
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from rich.console import Console
from rich.table import Table

from hotfolder.config.bandwidth import limit
from tests.support.box import Box
from tests.support.counting_proxy import CountingProxy

_WORKS = ("large", "small", "mix")
_TICK = 0.05  # seconds
_UNDER_WAY, _LONGEST_START = 64 * 1024, 60.0  # bytes, seconds
_WARM = 3.0  # seconds in which connections are opened and the store is looked at
_ALLOWED = 0.05  # of the limit
_FEWEST_BYTES, _MOST_FILES = 4096, 500  # of small files: size, and number a second
console = Console(width=120)


@dataclass(frozen=True, slots=True)
class Row:
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
    def is_kept(self) -> bool:
        """Whether the limit was kept to, as far as the machine let it be reached."""
        reachable = self.unlimited is None or self.unlimited > self.rate * (1 + 2 * _ALLOWED)
        return self.deviation <= _ALLOWED and (not reachable or self.deviation >= -_ALLOWED)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--limits", nargs="+", default=["1MB/s", "5MB/s", "40MB/s"])
    parser.add_argument("--works", nargs="+", choices=_WORKS, default=list(_WORKS))
    parser.add_argument("--engine", nargs="+", default=["direct", "boto3"])
    parser.add_argument("--seconds", type=float, default=8.0)
    asked = parser.parse_args()
    columns = ("measured", "deviation", "busiest second", "a small file took", "without a limit")
    table = Table("engine", "limit", "work", *columns)
    kept = True
    with sink() as port:
        for engine in asked.engine:
            for written in asked.limits:
                for work in asked.works:
                    row = measure(engine, written, work, port, asked.seconds)
                    if row.deviation < -_ALLOWED:
                        free = measure(engine, written, work, port, asked.seconds, limited=False)
                        row = replace(row, unlimited=free.measured)
                    kept = kept and row.is_kept
                    table.add_row(*told(row))
    console.print(table)
    return int(not kept)


def told(row: Row) -> tuple[str, ...]:
    small = "-" if row.small is None else f"{row.small:.1f} s at most"
    free = "-" if row.unlimited is None else f"{row.unlimited / 1e6:.1f} MB/s"
    return (
        *(row.engine, row.written, row.work, f"{row.measured / 1e6:.3f} MB/s"),
        *(f"{row.deviation:+.1%}", f"{row.busiest / row.rate:.2f} of the limit"),
        *(small, free),
    )


def measure(
    engine: str, written: str, work: str, port: int, seconds: float, *, limited: bool = True
) -> Row:
    rate = int(str(limit(written)))
    with (
        tempfile.TemporaryDirectory(prefix="hotfolder-bandwidth-") as root,
        CountingProxy(port) as proxy,
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
        with (box.inbox / "large").open("wb") as file:
            for _ in range(int(rate * seconds) // 2**20 + 1):
                file.write(os.urandom(2**20))
    if work in {"small", "mix"}:
        share = 1 if work == "small" else 10
        size = max(_FEWEST_BYTES, rate // _MOST_FILES)
        for number in range(int(rate * seconds) // share // size):
            (box.inbox / f"small-{number}").write_bytes(secrets.token_bytes(size))


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


@contextmanager
def sink() -> Iterator[int]:
    """The null sink in a process of its own; gives its port."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port: int = free.getsockname()[1]
    command = [sys.executable, "-m", "tests.bench.speed.sink", "--port", str(port)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    try:
        time.sleep(1.0)
        yield port
    finally:
        process.terminate()
        process.wait()


if __name__ == "__main__":
    sys.exit(main())
