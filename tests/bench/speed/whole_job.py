"""hotfolder's runs: the whole job, from the file in the inbox to its line in the ledger.

A run of the daemon counts from the first rename into the inbox to the moment at which the ledger's last
line is on the disk. Everything is on one file system; nothing is configured but `ready = "closed"` and
`settle = "0s"`: who waits for quiet waits, however fast the machine.
"""

import hashlib
import os
import random
import shutil
import time
from collections import Counter
from pathlib import Path

from tests.bench.speed.measure import Cost, Peaks, RunFailed, cpu, run
from tests.bench.speed.peers import Target
from tests.bench.speed.works import Made, files_below
from tests.support.box import HOTFOLDER, Box

_PATIENCE = 1200.0  # seconds, for the longest run


def _box(root: Path, target: Target) -> Box:
    root.mkdir()
    box = Box(
        root,
        endpoint_url=target.endpoint_url,
        access_key=target.access_key,
        secret_key=target.secret_key,
        bucket=target.bucket,
    )
    box.config.write_text(
        f'state_dir = "state"\n[destination]\nbucket = "{box.bucket}"\nprefix = "{target.prefix}"\n'
        f'endpoint_url = "{box.endpoint_url}"\naddressing_style = "path"\n'
        'auth = "config"\ncredentials_file = "credentials"\n'
        '[folders.bench]\ninbox = "inbox"\nready = "closed"\nsettle = "0s"\n'
        '[ledger]\nrotate = "1GiB"\n'  # who follows it here reads one file
    )
    return box


class Daemon:
    """A daemon that has walked its empty inbox and knows its store, ready for one run."""

    def __init__(self, root: Path, target: Target, work: Made) -> None:
        self.box, self._work = _box(root, target), work
        work.linked(root / "staged")
        self._process = self.box.start("--log-level", "warning")
        self.box.wait(lambda: self.box.status()["destination"]["state"] == "ok")

    def run(self) -> Cost:
        staged, inbox = self.box.root / "staged", self.box.inbox
        names = sorted(os.listdir(staged))
        pids = [self._process.pid]
        before = cpu(pids)
        with Peaks(pids) as peaks:
            begun = time.perf_counter()
            for name in names:
                os.rename(staged / name, inbox / name)
            self._await_lines()
            wall = time.perf_counter() - begun
            spent = cpu(pids) - before
            peaks.look()
        return Cost(wall, spent, peaks.total)

    def close(self) -> None:
        self.box.stop()

    def _await_lines(self) -> None:
        """Return once the ledger holds a line for each file and is on the disk."""
        ledger, count = self.box.state / "ledger.jsonl", 0
        deadline = time.monotonic() + _PATIENCE
        while not ledger.exists():
            self._pause(deadline, count)
        with ledger.open("rb") as file:
            while (count := count + file.read().count(b"\n")) < self._work.files:
                self._pause(deadline, count)
            os.fsync(file.fileno())

    def _pause(self, deadline: float, count: int) -> None:
        if self._process.poll() is not None or time.monotonic() > deadline:
            raise RunFailed(
                f"{count} of {self._work.files} lines; the log ends:\n{self.box.log()[-2000:]}"
            )
        time.sleep(0.003)


class Once:
    """`hotfolder once`: its start counts, as a peer's does."""

    def __init__(self, root: Path, target: Target, work: Made) -> None:
        self.box = _box(root, target)
        shutil.rmtree(self.box.inbox)
        work.linked(self.box.inbox)

    def run(self) -> Cost:
        command = (*HOTFOLDER, "once", "--config", str(self.box.config), "--log-level", "warning")
        return run((command,), self.box.environment(), self.box.root / "log")

    def close(self) -> None:
        """It has ended."""


def check(box: Box, work: Made) -> None:
    """Every file is in completed/ and has one `success` line, of its size. Raises RunFailed."""
    lines = box.ledger()
    statuses = Counter(line["status"] for line in lines)
    if statuses != {"success": work.files}:
        raise RunFailed(f"the ledger says {dict(statuses)}, not {work.files} times success")
    left = sum(1 for _ in files_below(box.inbox))
    there = sum(path.stat().st_size for path in files_below(box.completed))
    told = sum(line["original_size"] for line in lines)
    if left or not work.size == there == told:
        raise RunFailed(f"{left} files left; of {work.size} bytes {there} completed, {told} recorded")


def check_restored(box: Box, sample: int, seed: int) -> None:
    """Fetch some objects, unpack them with the system's tar, compare the SHA-256. Raises RunFailed."""
    lines = box.ledger()
    for number, line in enumerate(random.Random(seed).sample(lines, min(sample, len(lines)))):
        place = box.root / f"restored-{number}"
        restored = box.restore(line["s3_object_key"], place)
        if not _is(line["checksum_original"], restored):
            raise RunFailed(f"{line['s3_object_key']} does not give back {line['local_file_path']}")


def _is(checksum: str, path: Path) -> bool:
    with path.open("rb") as file:
        return checksum == f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"
