"""Recorded deliveries, and every power cut in them: for `make test` and, at more length, for torture."""

import json
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.support.box import Box
from tests.support.crash import Bench, Violation, restarts
from tests.support.disk_model import Operation, Stored, Sync, wrecks
from tests.support.recording import Recording, record
from tests.support.victim import FAULTY, ROOT

ROOTS = ("inbox", "completed", "failed", "state")
_STRANGERS = {"completed/taken"}


@dataclass(frozen=True, slots=True)
class Delivery:
    """A recorded delivery and its originals: by inode, when they were last changed."""

    recording: Recording
    originals: dict[int, int]


@dataclass(frozen=True, slots=True)
class Cuts:
    """What came of the power cuts in one recording."""

    name: str
    operations: int
    states: int
    violations: list[Violation]


@contextmanager
def memory() -> Iterator[Path]:
    """A folder in memory where there is one: thousands of fsyncs are not what is tried here."""
    shared = Path("/dev/shm")  # noqa: S108 - a name of our own below it
    with tempfile.TemporaryDirectory(dir=shared if shared.is_dir() else None) as place:
        yield Path(place)


def delivery(box: Box, *, requests: int, files: int) -> Delivery:
    """Let a daemon deliver `files` files below folders, one whose name is taken, and one it rejects."""
    box.configure('settle = "100ms"', f"[transfer]\nrequests = {requests}")
    for number in range(files):
        path = box.inbox / ("sub/" * (number % 3)) / f"file{number}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"%d" % number * (number + 100))
    for place in (box.completed, box.inbox):
        place.mkdir(exist_ok=True)
        (place / "taken").write_bytes(b"another file of this name, from " + place.name.encode())
    # No store takes such a key.
    too_long = box.inbox.joinpath(*(letter * 250 for letter in "abcd"), "e" * 50)
    too_long.mkdir(parents=True)
    (too_long / "rejected").write_bytes(b"the store takes no key as long as this one's")
    files_there = [path for top in ROOTS[:2] for path in (box.root / top).rglob("*") if path.is_file()]
    originals = {path.stat().st_ino: path.stat().st_mtime_ns for path in files_there}

    plan, witness = box.root / "plan.json", box.root / "witness"
    plan.write_text(json.dumps({"witness": str(witness)}))
    command = [*FAULTY, str(plan), "once", "--config", str(box.config)]

    def run(below: list[str]) -> "subprocess.Popen[bytes]":
        return box.spawn(*below, *command, PYTHONPATH=str(ROOT))

    recording = record(box.root, ROOTS, run, witness=witness, codes={1})
    assert len(box.ledger()) == len(originals) - 1
    return Delivery(recording, originals)


def cut(
    name: str,
    delivered: Delivery,
    operations: Sequence[Operation],
    *,
    seed: int,
    subsets: int,
    begin: int = 0,
    enough: float = float("inf"),
) -> Cuts:
    """A power cut after every prefix of `operations`; looks no further once `enough` is wrong."""
    start = delivered.recording.start
    with memory() as place, _bench(place, delivered) as bench:
        for wreck in wrecks(start, operations, seed=seed, subsets=subsets, begin=begin):
            bench.check(wreck)
            if len(bench.violations) >= enough:
                break
        return Cuts(name, len(operations), bench.states, bench.violations)


def cut_restarts(
    name: str, delivered: Delivery, *, seed: int, subsets: int, careless: bool = False
) -> Cuts:
    """Killed before an fsync, restarted, and a power cut after every operation of that restart.

    Before an fsync is when most is visible that is not durable. With `careless` the restarts are
    taken to have synced nothing, and the first violation is enough.
    """
    start, operations = delivered.recording.start, delivered.recording.operations
    first = next(number for number, each in enumerate(operations) if isinstance(each, Stored))
    kills = [number for number in range(first, len(operations)) if isinstance(operations[number], Sync)]
    count = 0
    with memory() as place, _bench(place, delivered) as bench:
        for killed, done in restarts(
            delivered.recording, kills, place, delivered.originals, folder="box"
        ):
            if careless:
                done = (*done[:killed], *(each for each in done[killed:] if not isinstance(each, Sync)))
            count += len(done) - killed
            for wreck in wrecks(start, done, seed=seed, subsets=subsets, begin=killed):
                bench.check(wreck)
                if careless and bench.violations:
                    break
        return Cuts(name, count, bench.states, bench.violations)


def all_of(
    make_box: Callable[[], AbstractContextManager[Box]], *, seed: int, subsets: int
) -> Iterator[Cuts]:
    """Every recording there is, each cut everywhere."""
    with make_box() as box:
        one_by_one = delivery(box, requests=1, files=4)
    operations = one_by_one.recording.operations
    yield cut("one file after the other", one_by_one, operations, seed=seed, subsets=subsets)
    yield cut_restarts("killed, and cut in the restart", one_by_one, seed=seed, subsets=subsets)
    for number in range(3):  # what shares a batch is another in each
        with make_box() as box:
            batches = delivery(box, requests=16, files=12)
        operations, name = batches.recording.operations, f"in batches ({number + 1})"
        yield cut(name, batches, operations, seed=seed + number, subsets=subsets)


def _bench(place: Path, delivered: Delivery) -> Bench:
    return Bench(place / "bench", delivered.originals, strangers=_STRANGERS, folder="box")
