"""`python -m tests.bench.ledger`: what a ledger of a million lines costs a start, and its upkeep.

Makes such a ledger, all of it younger than the horizon of a restart, and a journal of 10,000 rows of
which half have a line: the worst case, as the others are looked for to the end. Nothing is delivered,
and no store is asked. Needs 4 GB in --dir.
"""

import argparse
import json
import os
import resource
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console

from hotfolder.adapters.ledger import FileLedger, verify_chain
from hotfolder.adapters.state.journal import SqliteJournal
from hotfolder.adapters.state.ledger_index import SqliteLedgerIndex
from hotfolder.core.records import JournalRow
from hotfolder.indexing import IndexedLedger, Indexer
from tests.support import samples

_BATCH = 5_000
console = Console(width=150, highlight=False, markup=False)
_HOTFOLDER = [sys.executable, "-m", "hotfolder"]


@contextmanager
def timed(what: str) -> Iterator[None]:
    began, cpu = time.monotonic(), time.process_time()
    yield
    console.print(f"{time.monotonic() - began:8.2f} s  {time.process_time() - cpu:7.2f} s CPU  {what}")


class World:
    """A state folder with its configuration, and the ledger in it."""

    def __init__(self, root: Path, lines: int, rows: int) -> None:
        self.root, self.lines, self.rows = root, lines, rows
        self.turn = 0
        self.state = root / "state"
        for name in ("state", "inbox"):
            (root / name).mkdir()
        self.config = root / "hotfolder.toml"
        self.config.write_text(
            'state_dir = "state"\n[destination]\nbucket = "media"\nendpoint_url = "http://127.0.0.1:9"\n'
            '[folders.media]\ninbox = "inbox"\n[log]\nformat = "json"\n'
        )
        self.ledger = FileLedger(self.state / "ledger.jsonl")
        self.db = self.state / "state.db"

    def row(self, number: int) -> JournalRow:
        relpath = f"reels/{number // 1000:04}/clip-{number:07}.mp4"
        seen = samples.fingerprint(device=os.stat(self.root).st_dev, inode=(1 << 40) + number)
        return samples.row(samples.job(relpath, root=str(self.root / "inbox"), number=number, seen=seen))

    def fill(self) -> None:
        for first in range(0, self.lines, _BATCH):
            last = min(self.lines, first + _BATCH)
            self.ledger.append(
                [
                    {
                        **self.row(number).entry,
                        "completed_at": "2025-10-29T06:00:00.000000Z",
                        "completed_dir_path": f"/srv/completed/reels/{number:07}.mp4",
                        "checksum_original": f"sha256:{pow(number + 2, 99, (1 << 256) - 189):064x}",
                        "checksum_compressed": f"sha256:{pow(number + 2, 98, (1 << 256) - 189):064x}",
                    }
                    for number in range(first, last)
                ]
            )

    def journal_rows(self) -> list[JournalRow]:
        stride = max(1, self.lines // (self.rows // 2))
        self.turn += 1  # a start records those that it did not know
        unknown = self.lines + self.turn * self.rows
        known = [self.row(number) for number in range(0, self.lines, stride)][: self.rows // 2]
        return known + [self.row(unknown + number) for number in range(self.rows - len(known))]

    def fill_journal(self) -> None:
        with SqliteJournal(self.db) as journal:
            journal.commit(self.journal_rows())

    def remove_index(self) -> None:
        for leftover in self.state.glob("state.db*"):
            leftover.unlink()

    def size(self) -> str:
        files = list(self.state.glob("ledger*"))
        return f"{sum(file.stat().st_size for file in files) / 1e6:,.0f} MB in {len(files)} files"

    def start(self) -> float:
        """Seconds from the start of a daemon to its `daemon.ready`; it is stopped at once."""
        began = time.monotonic()
        process = subprocess.Popen(
            [*_HOTFOLDER, "run", "--config", str(self.config)], stderr=subprocess.PIPE, cwd=self.root
        )
        assert process.stderr is not None
        for line in process.stderr:
            if json.loads(line)["event"] == "daemon.ready":
                break
        took = time.monotonic() - began
        process.send_signal(signal.SIGTERM)
        process.stderr.read()
        process.wait()
        return took


def ask(world: World, what: str) -> None:
    wanted = {row.operation_id for row in world.journal_rows()}
    ledger = IndexedLedger(world.ledger, SqliteLedgerIndex(world.db))
    with timed(f"which of {len(wanted)} operations have a line, {what}"):
        found = ledger.recorded(wanted, since="2025-10-28T00:00:00.000000Z")
    assert len(found) == len(wanted) // 2, len(found)


def start(world: World, what: str) -> None:
    world.fill_journal()
    console.print(
        f"{world.start():8.2f} s  {'':13}a daemon's start to READY with {world.rows} rows, {what}"
    )
    with SqliteJournal(world.db) as journal:
        assert journal.rows() == []


def commit_times(world: World, ended: threading.Event, into: list[float]) -> None:
    """How long a group commit of one row takes meanwhile."""
    with SqliteJournal(world.db) as journal:
        number = 100 * world.lines
        while not ended.is_set():
            began = time.monotonic()
            journal.commit([world.row(number)], forget=[])
            into.append(time.monotonic() - began)
            journal.commit([], forget=[world.row(number).operation_id])
            ended.wait(0.02)


def told(name: str, times: list[float]) -> None:
    ordered = sorted(times)
    console.print(
        f"{'':24}a commit of the journal {name}: median {statistics.median(ordered) * 1e3:.1f} ms, "
        f"99 % {ordered[len(ordered) * 99 // 100] * 1e3:.1f} ms, worst {ordered[-1] * 1e3:.1f} ms"
    )


def measured(world: World, *, build: bool) -> None:
    ended, times = threading.Event(), list[float]()
    committing = threading.Thread(target=commit_times, args=(world, ended, times))
    committing.start()
    if build:
        with timed("the index is built, in steps with a rest as long as each"):
            indexer = Indexer(world.ledger, SqliteLedgerIndex(world.db))
            while True:
                began = time.monotonic()
                if not indexer.step():
                    break
                time.sleep(time.monotonic() - began)
            indexer.close()
    else:
        time.sleep(5)
    ended.set()
    committing.join()
    told("while the index is built" if build else "at rest", times)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--lines", type=int, default=1_000_000)
    parser.add_argument("--rows", type=int, default=10_000)
    parser.add_argument("--dir", type=Path, default=None, help="where the ledger is made")
    options = parser.parse_args()
    root = Path(tempfile.mkdtemp(prefix="hotfolder-bench-", dir=options.dir))
    try:
        world = World(root, options.lines, options.rows)
        with timed(f"{options.lines:,} lines are appended, {_BATCH} a batch"):
            world.fill()
        console.print(f"{'':24}{world.size()}")
        ask(world, "no index, plain files")
        start(world, "no index, plain files")
        world.remove_index()
        measured(world, build=False)
        measured(world, build=True)
        console.print(f"{'':24}state.db: {world.db.stat().st_size / 1e6:,.0f} MB")
        ask(world, "with the index")
        start(world, "with the index")
        with timed("full files are packed"):
            world.ledger.pack_rotated(lambda: True)
        console.print(f"{'':24}{world.size()}")
        ask(world, "with the index, packed files")
        start(world, "with the index, packed files")
        with timed("ledger verify, packed files"):
            console.print(f"{'':24}{verify_chain(world.ledger.path)}")
        world.remove_index()
        ask(world, "no index, packed files")
        start(world, "no index, packed files")
        console.print(
            f"{'':24}peak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MiB"
        )
    finally:
        shutil.rmtree(root)


if __name__ == "__main__":
    main()
