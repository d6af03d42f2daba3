"""`make bench-outage`: what an outage costs, and how soon hotfolder is back after it.

The real daemon on an inbox of many small files while the store's port is closed: CPU, log lines,
memory and context switches a minute; then the port opens: seconds to the first upload. After that,
outages in mid-work: the port closes for some seconds and opens again.

The store runs all the time. What comes and goes is the port of a proxy before it, so that the moment of
its return is known, and the start of a store is not measured.
"""

import argparse
import contextlib
import json
import secrets
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from hotfolder.seaweed import SeaweedFS
from tests.support.box import Box
from tests.support.fault_proxy import FaultProxy

console = Console(width=120)


@dataclass(frozen=True, slots=True)
class Usage:
    """Of a process so far: seconds of CPU, resident bytes, and how often it gave the processor away."""

    cpu: float
    resident: int
    switches: int


def usage(pid: int) -> Usage:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    resident = switches = 0
    for task in Path(f"/proc/{pid}/task").iterdir():
        with contextlib.suppress(FileNotFoundError):  # a thread that just ended
            lines = dict(line.split(":", 1) for line in (task / "status").read_text().splitlines())
            resident = int(lines["VmRSS"].split()[0]) * 1024
            switches += int(lines["voluntary_ctxt_switches"])
    return Usage((int(fields[11]) + int(fields[12])) / 100, resident, switches)


def events(box: Box) -> list[dict[str, Any]]:
    return [json.loads(line) for line in box.log().splitlines() if line.startswith("{")]


def count(box: Box, event: str) -> int:
    return sum(line["event"] == event for line in events(box))


def opened(road: FaultProxy) -> float:
    """Let the store answer from now on; returns the moment."""
    road.take_connections()
    return time.monotonic()


def first_upload(box: Box, since: float, delivered: int) -> float:
    """Seconds from the moment `since` until more than `delivered` files are."""
    while count(box, "delivery.completed") <= delivered:
        assert time.monotonic() - since < 120, f"not back; the log ends:\n{box.log()[-2000:]}"
        time.sleep(0.02)
    return time.monotonic() - since


def small_files(inbox: Path, number: int, name: str = "f") -> None:
    for at in range(number):
        folder = inbox / f"{name}{at // 1000:03d}"
        if at % 1000 == 0:
            folder.mkdir()
        (folder / f"{at:06d}.txt").write_bytes(b"%d" % at * 20)


def settle(pid: int) -> None:
    """Wait until the first scan is done and what it began has quieted down."""
    before = -1.0
    while (now := usage(pid).cpu) - before > 0.5:
        before = now
        time.sleep(5)


def waiting_in_an_outage(box: Box, road: FaultProxy, files: int, seconds: float, table: Table) -> None:
    """Start with the store down; measure once the scan has settled; then bring it back."""
    small_files(box.inbox, files)
    process = box.start(wait=False)
    box.wait(lambda: box.phase() == "destination-unreachable", 120)
    settle(process.pid)
    before, lines, begun = usage(process.pid), len(events(box)), time.monotonic()
    time.sleep(seconds)
    after, minutes = usage(process.pid), (time.monotonic() - begun) / 60
    table.add_row("files in the inbox", f"{files:,}")
    table.add_row("waiting, as the heartbeat says", f"{box.status()['waiting']['count']:,}")
    table.add_row("measured for", f"{seconds:.0f} s")
    table.add_row("CPU, of one core", f"{(after.cpu - before.cpu) / minutes / 60:.2%}")
    table.add_row("log lines a minute", f"{(len(events(box)) - lines) / minutes:.1f}")
    table.add_row("resident", f"{after.resident / 1e6:.0f} MB")
    table.add_row(
        "waits (context switches) a second", f"{(after.switches - before.switches) / minutes / 60:.0f}"
    )
    delivered = count(box, "delivery.completed")
    back = first_upload(box, opened(road), delivered)
    table.add_row("from the store's return to the first upload", f"{back:.1f} s")


def outages_in_mid_work(box: Box, road: FaultProxy, seconds: float, rounds: int, table: Table) -> None:
    """`rounds` outages of `seconds` each while files are on their way."""
    times = []
    for number in range(rounds):
        box.wait(lambda: box.status()["destination"]["state"] == "ok", 120)
        small_files(box.inbox, 5000, name=f"round{seconds:.0f}-{number}-")
        reached = count(box, "delivery.completed")
        while count(box, "delivery.completed") < reached + 100:
            time.sleep(0.05)
        road.refuse_connections()
        time.sleep(seconds)
        delivered = count(box, "delivery.completed")
        times.append(first_upload(box, opened(road), delivered))
    if not times:
        return
    told = ", ".join(f"{each:.1f}" for each in sorted(times))
    table.add_row(f"after an outage of {seconds:.0f} s in mid-work ({rounds}x)", f"{told} s")


@contextlib.contextmanager
def world(root: Path, files: int) -> Iterator[tuple[Box, FaultProxy]]:
    store = SeaweedFS(root / "store", access_key="BENCH", secret_key=secrets.token_hex(16))
    with store, FaultProxy(store.endpoint_url) as road:
        box = Box(
            root,
            endpoint_url=road.url,
            access_key=store.access_key,
            secret_key=store.secret_key,
            bucket=f"outage-{files}",
        )
        box.s3().create_bucket(Bucket=box.bucket)
        road.refuse_connections()
        box.configure(extra='\n[log]\nformat = "json"\n')
        # The heartbeat's own default: it is a part of what an outage costs.
        box.config.write_text(box.config.read_text().replace('interval = "100ms"\n', ""))
        try:
            yield box, road
        finally:
            box.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", type=int, default=100_000)
    parser.add_argument("--seconds", type=float, default=120, help="measured while the store is down")
    parser.add_argument("--rounds", type=int, default=5, help="of ten seconds")
    parser.add_argument("--long", type=float, default=300, help="seconds of the long outage; 0: none")
    options = parser.parse_args()
    table = Table("outage", "measured", title="hotfolder and a store that is away")
    with (
        tempfile.TemporaryDirectory(prefix="hotfolder-outage-") as folder,
        world(Path(folder), options.files) as (box, road),
    ):
        waiting_in_an_outage(box, road, options.files, options.seconds, table)
        for seconds, rounds in ((10.0, options.rounds), (options.long, int(options.long > 0))):
            outages_in_mid_work(box, road, seconds, rounds, table)
        assert count(box, "delivery.failed") == 0
        box.stop()
    console.print(table)


if __name__ == "__main__":
    main()
