"""`python -m tests.bench.landing.millions`: what a million files cost that wait, stay, or are done.

The real daemon, its store away (a closed port), below /tmp or `--dir`: memory, time to READY,
time of a whole walk, CPU at rest. Needs a million inodes and 2 GB in --dir, and 15 minutes.
"""

import argparse
import contextlib
import json
import os
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from hotfolder.adapters.filters import ignore_filter
from hotfolder.adapters.scan import walk
from hotfolder.adapters.state.kept import SqliteKept
from hotfolder.beneath import look_at_all
from tests.bench.ledger import World
from tests.bench.outage import usage

_HOTFOLDER = [sys.executable, "-m", "hotfolder"]
_IN_ONE = 1_000  # files in each directory of a tree
_SETTLED = 0.02  # of a core: below this what a start began is done
_BATCH = 2_000
#: The files wait in one folder, in many; stay in the inbox, delivered; stand in completed/.
PARTS = ("flat", "tree", "stay", "done")
console = Console(width=130)


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table: `name` is what the program can go by."""

    name: str
    what: str
    value: float
    unit: str

    @property
    def shown(self) -> str:
        match self.unit:
            case "bytes":
                return f"{self.value / 1e6:,.0f} MB"
            case "share":
                return f"{self.value:.2%} of a core"
            case _:
                return f"{self.value:,.1f} {self.unit}"


def make_files(root: Path, count: int, *, in_one: int) -> None:
    """`count` empty files below `root`, `in_one` in each directory (0: all in one)."""
    for first in range(0, count, in_one or count):
        directory = root / f"{first // in_one:05}" if in_one else root
        directory.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(directory, os.O_RDONLY)
        for number in range(first, min(count, first + (in_one or count))):
            os.mknod(f"frame-{number:08}.json", 0o644 | stat.S_IFREG, dir_fd=descriptor)
        os.close(descriptor)


class Run:
    """A daemon over the world of `tests.bench.ledger`."""

    def __init__(self, world: World) -> None:
        self._world, self._log = world, world.root / "log"
        self.began = time.monotonic()
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [*_HOTFOLDER, "run", "--config", str(world.config)], stderr=log, cwd=world.root
            )
        self.pid = self._process.pid

    def stop(self) -> None:
        self._process.send_signal(signal.SIGTERM)
        self._process.wait()

    def ready_after(self) -> float:
        """Seconds from its start to READY."""
        self.until(lambda: '"event":"daemon.ready"' in self._log.read_text().replace(": ", ":"))
        return time.monotonic() - self.began

    def until(self, condition: Callable[[], bool], *, within: float = 900.0) -> float:
        """Wait; returns the seconds since its start."""
        while not condition():
            assert self._process.poll() is None, self._log.read_text()[-3000:]
            assert time.monotonic() - self.began < within, self._log.read_text()[-3000:]
            time.sleep(0.02)
        return time.monotonic() - self.began

    def state(self) -> dict[str, Any]:
        """The heartbeat; empty before its first."""
        with contextlib.suppress(FileNotFoundError):
            told: dict[str, Any] = json.loads((self._world.state / "status.json").read_text())
            return told if told["pid"] == self.pid else {}
        return {}

    def quiet(self) -> None:
        """Wait until what the start began is done."""
        before = -1.0
        while (now := usage(self.pid).cpu) - before > _SETTLED * 5:
            before = now
            time.sleep(5)
        time.sleep(10)  # an outage's first probes follow each other more closely

    def at_rest(self, seconds: float) -> tuple[float, float]:
        """Its share of a core, and how often a second it wakes."""
        before, began = usage(self.pid), time.monotonic()
        time.sleep(seconds)
        after, took = usage(self.pid), time.monotonic() - began
        return (after.cpu - before.cpu) / took, (after.switches - before.switches) / took

    def peak(self) -> int:
        """Its highest resident bytes so far."""
        for line in Path(f"/proc/{self.pid}/status").read_text().splitlines():
            if line.startswith("VmHWM"):
                return int(line.split()[1]) * 1024
        raise AssertionError("the kernel tells no peak")


@contextlib.contextmanager
def running(world: World) -> Iterator[Run]:
    run = Run(world)
    try:
        yield run
    finally:
        run.stop()


def measured(name: str, run: Run, seconds: float) -> list[Row]:
    """Of a daemon at rest."""
    share, wakes = run.at_rest(seconds)
    return [
        Row(f"{name}.cpu", f"{name}: CPU at rest", share, "share"),
        Row(f"{name}.wakes", f"{name}: waits (context switches)", wakes, "a second"),
        Row(f"{name}.resident", f"{name}: resident at rest", usage(run.pid).resident, "bytes"),
        Row(f"{name}.peak", f"{name}: resident, at its peak", run.peak(), "bytes"),
    ]


def waiting(world: World, name: str, seconds: float) -> list[Row]:
    """The files stand in the inbox, and the store is away."""
    with running(world) as run:
        ready = run.ready_after()
        run.until(lambda: run.state().get("waiting", {}).get("count", 0) >= min(20_000, world.lines))
        run.quiet()
        return [
            Row(f"{name}.ready", f"{name}: start to READY", ready, "s"),
            *measured(name, run, seconds),
        ]


def walked(inbox: Path, name: str) -> list[Row]:
    """One walk through all, as the daemon does it: alone, and with a look at every file."""
    ignored = ignore_filter([])
    began = time.monotonic()
    count = sum(1 for _ in walk(str(inbox), "", ignored))
    took = time.monotonic() - began
    began, batch, looked = time.monotonic(), [], 0
    for path in walk(str(inbox), "", ignored):
        batch.append(str(path))
        if len(batch) == _BATCH:
            looked += len(look_at_all(str(inbox), batch))
            batch.clear()
    looked += len(look_at_all(str(inbox), batch))
    assert looked == count
    return [
        Row(f"{name}.walk", f"{name}: a walk through {count:,} files", took, "s"),
        Row(f"{name}.looks", f"{name}: the same, with a look at each", time.monotonic() - began, "s"),
    ]


def staying(world: World, seconds: float) -> list[Row]:
    """All were delivered and stay (`on_complete = "leave"`): each walk looks at each of them."""
    text = world.config.read_text()
    world.config.write_text(
        text.replace('inbox = "inbox"', 'inbox = "inbox"\non_complete = "leave"\nrescan = "1h"')
    )
    inbox = str(world.root / "inbox")
    with SqliteKept(world.db) as kept:
        batch: list[str] = []
        for path in walk(inbox, "", lambda _: False):
            batch.append(str(path))
            if len(batch) == 20_000:
                kept.add("media", [(at, seen) for at, seen in look_at_all(inbox, batch) if seen])  # type: ignore[misc]
                batch.clear()
        kept.add("media", [(at, seen) for at, seen in look_at_all(inbox, batch) if seen])  # type: ignore[misc]
    with running(world) as run:
        ready = run.ready_after()
        run.until(lambda: run.state().get("last_scan") is not None)
        run.quiet()
        before, last = usage(run.pid).cpu, run.state()["last_scan"]
        began = time.monotonic()
        subprocess.run([*_HOTFOLDER, "scan", "--config", str(world.config)], check=True, cwd=world.root)
        while run.state()["last_scan"] == last:
            time.sleep(0.05)
        took, cpu = time.monotonic() - began, usage(run.pid).cpu - before
        rows = [
            Row("stay.ready", "stay: start to READY", ready, "s"),
            Row("stay.scan", "stay: a scan in which nothing changed", took, "s"),
            Row("stay.scan_cpu", "stay: the same, of CPU", cpu, "s"),
            *measured("stay", run, seconds),
        ]
    world.config.write_text(text)
    world.remove_index()
    return rows


def done(world: World, seconds: float) -> list[Row]:
    """The files stand in completed/, with a ledger of as many lines; the inbox is empty."""
    with running(world) as run:
        ready = run.ready_after()
        run.quiet()
        return [Row("done.ready", "done: start to READY", ready, "s"), *measured("done", run, seconds)]


def rows(
    root: Path,
    *,
    files: int = 1_000_000,
    seconds: float = 60.0,
    parts: Collection[str] = PARTS,
) -> Iterator[Row]:
    """The figures of `parts`, one after the other; `root` is an empty folder, and is one at the end."""
    world = World(root, files, rows=0)
    (root / "credentials").write_text("[default]\naws_access_key_id = K\naws_secret_access_key = S\n")
    own = 'auth = "config"\ncredentials_file = "credentials"\n[folders.media]\n'
    world.config.write_text(world.config.read_text().replace("[folders.media]\n", own))
    inbox, completed = root / "inbox", root / "completed"
    if "flat" in parts:
        make_files(inbox, files, in_one=0)
        yield from walked(inbox, "in one folder")
        yield from waiting(world, "in one folder", seconds)
        shutil.rmtree(inbox)
        inbox.mkdir()
        world.remove_index()
    make_files(inbox, files, in_one=_IN_ONE)
    if "tree" in parts:
        yield from walked(inbox, "in a tree")
        yield from waiting(world, "in a tree", seconds)
        world.remove_index()
    if "stay" in parts:
        yield from staying(world, seconds)
    if "done" in parts:
        shutil.rmtree(completed, ignore_errors=True)
        inbox.rename(completed)
        inbox.mkdir()
        world.fill()
        yield from done(world, seconds)
    for place in root.iterdir():
        shutil.rmtree(place) if place.is_dir() else place.unlink()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", type=int, default=1_000_000)
    parser.add_argument("--seconds", type=float, default=60.0, help="how long each is watched at rest")
    parser.add_argument("--dir", type=Path, default=None, help="where the files are made")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS)
    options = parser.parse_args()
    root = Path(tempfile.mkdtemp(prefix="hotfolder-millions-", dir=options.dir))
    table = Table("what", "", title=f"{options.files:,} files")
    try:
        for row in rows(root, files=options.files, seconds=options.seconds, parts=options.parts):
            console.print(f"{row.what:60} {row.shown}")
            table.add_row(row.what, row.shown)
    finally:
        shutil.rmtree(root, ignore_errors=True)
    console.print(table)


if __name__ == "__main__":
    main()
