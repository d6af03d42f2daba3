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
from collections.abc import Iterable
from pathlib import Path

from tests.bench.speed import works
from tests.bench.speed.measure import Cost, Peaks, RunFailed, cpu, run
from tests.bench.speed.peers import Target
from tests.bench.speed.works import Made, files_below
from tests.support.box import HOTFOLDER, Box

_PATIENCE = 1200.0  # seconds, for the longest run
_GLANCE = 0.01  # seconds between two looks at the ledger: what they use is not there for the daemon
_REST, _AT_REST = 1.0, 0.03  # a daemon rests when it used so few seconds of CPU in a second
_FIRST = works.small("first", 1000)


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
        self.box, self.work = _box(root, target), work
        self._staged = root / "staged"
        work.linked(self._staged)
        self._process = self.box.start("--log-level", "warning")
        self._pids = [self._process.pid]
        self._lines = 0
        self.box.wait(lambda: self.box.status()["destination"]["state"] == "ok")

    def run(self) -> Cost:
        before = cpu(self._pids)
        with Peaks(self._pids) as peaks:
            wall = self._deliver(self._staged, os.listdir(self._staged), self.work.files)
            spent = cpu(self._pids) - before
            peaks.look()
        return Cost(wall, spent, peaks.total)

    def close(self) -> None:
        self.box.stop()

    def _deliver(self, staged: Path, names: Iterable[str], files: int) -> float:
        """Seconds from the first rename until the ledger holds a line for each file, on the disk."""
        begun = time.perf_counter()
        for name in sorted(names):
            os.rename(staged / name, self.box.inbox / name)
        self._await_lines(self._lines + files)
        self._lines += files
        return time.perf_counter() - begun

    def _await_lines(self, wanted: int) -> None:
        ledger, count = self.box.state / "ledger.jsonl", 0
        deadline = time.monotonic() + _PATIENCE
        while not ledger.exists():
            self._pause(deadline, f"no line of {wanted}")
        with ledger.open("rb") as file:
            while (count := count + file.read().count(b"\n")) < wanted:
                self._pause(deadline, f"{count} of {wanted} lines")
            os.fsync(file.fileno())

    def _pause(self, deadline: float, where: str) -> None:
        if self._process.poll() is not None or time.monotonic() > deadline:
            raise RunFailed(f"{where}; the log ends:\n{self.box.log()[-2000:]}")
        time.sleep(_GLANCE)


class Steady(Daemon):
    """What a file costs a daemon that has been at work before.

    It has delivered a thousand files, which do not count. Then it gets the work's files, all at once or
    a thousand at a time (a folder), and its CPU counts until it rests after each lot: what is done
    behind the last line, as the index of the ledger is, is a file's cost, too.
    """

    def __init__(self, root: Path, target: Target, work: Made, *, by_folders: bool) -> None:
        first = works.make(_FIRST, root.with_name("first"), seed=0)
        super().__init__(root, target, work)
        self._by_folders = by_folders
        first.linked(root / "first" / "earlier")
        self._deliver_and_rest(root / "first", ["earlier"], first.files)
        self.work = Made(work.folder, work.files + first.files, work.size + first.size)
        self._counted = work.files

    def run(self) -> Cost:
        names = sorted(os.listdir(self._staged))
        lots = [[name] for name in names] if self._by_folders else [names]
        with Peaks(self._pids) as peaks:
            costs = [
                self._deliver_and_rest(self._staged, lot, self._counted // len(lots)) for lot in lots
            ]
            peaks.look()
        return Cost(sum(wall for wall, _ in costs), sum(spent for _, spent in costs), peaks.total)

    def _deliver_and_rest(self, staged: Path, names: Iterable[str], files: int) -> tuple[float, float]:
        """Seconds of wall clock until the last line, and of CPU until it rests."""
        before = cpu(self._pids)
        wall = self._deliver(staged, names, files)
        return wall, self._cpu_at_rest() - before

    def _cpu_at_rest(self) -> float:
        """The CPU it had used when it came to rest."""
        deadline, spent = time.monotonic() + _PATIENCE, cpu(self._pids)
        while True:
            time.sleep(_REST)
            before, spent = spent, cpu(self._pids)
            if spent - before < _AT_REST:
                return before
            self._pause(deadline, "no rest")


class Once:
    """`hotfolder once`: its start counts, as a peer's does."""

    def __init__(self, root: Path, target: Target, work: Made) -> None:
        self.box, self.work = _box(root, target), work
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
