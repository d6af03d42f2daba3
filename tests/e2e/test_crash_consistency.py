"""A power cut at any moment: every prefix of what a real daemon wrote, in all that it may leave."""

import json
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from tests.support.box import Box
from tests.support.crash import Bench, Violation, restarts
from tests.support.disk_model import (
    Create,
    Operation,
    Remove,
    Rename,
    Stored,
    Sync,
    Tree,
    Truncate,
    Write,
    wrecks,
)
from tests.support.recording import Recording, record
from tests.support.victim import FAULTY, ROOT

ROOTS = ("inbox", "completed", "failed", "state")
STRANGERS = {"completed/taken"}
#: Random subsets of what is not durable, for each prefix. `make torture` tries more.
SUBSETS = 2
SEED = 20


@dataclass(frozen=True, slots=True)
class Delivery:
    """A recorded delivery and its originals: by inode, when they were last changed."""

    recording: Recording
    originals: dict[int, int]


@pytest.fixture
def memory() -> Iterator[Path]:
    """A folder in memory where there is one: thousands of fsyncs are not what is tried here."""
    shared = Path("/dev/shm")  # noqa: S108 - a name of our own below it
    with tempfile.TemporaryDirectory(dir=shared if shared.is_dir() else None) as place:
        yield Path(place)


@pytest.fixture(autouse=True)
def has_strace() -> None:
    assert shutil.which("strace"), "strace is missing: apt-get install strace"


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
    too_long = box.inbox.joinpath(*(letter * 250 for letter in "abcd"))  # no store takes such a key
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


def violations(
    delivered: Delivery,
    operations: Sequence[Operation],
    place: Path,
    *,
    enough: float = float("inf"),
    begin: int = 0,
) -> list[Violation]:
    """What does not hold after some prefix of `operations`; looks no further once it has `enough`."""
    start = delivered.recording.start
    with Bench(place / "bench", delivered.originals, strangers=STRANGERS, folder="box") as bench:
        for wreck in wrecks(start, operations, seed=SEED, subsets=SUBSETS, begin=begin):
            bench.check(wreck)
            if len(bench.violations) >= enough:
                break
        return bench.violations


@pytest.mark.parametrize(("requests", "files"), [(1, 4), (16, 9)], ids=["one by one", "in a batch"])
def test_a_power_cut_at_any_moment(box: Box, memory: Path, requests: int, files: int) -> None:
    delivered = delivery(box, requests=requests, files=files)
    kinds = {type(each) for each in delivered.recording.operations}
    assert kinds == {Create, Remove, Rename, Stored, Sync, Truncate, Write}
    assert violations(delivered, delivered.recording.operations, memory) == []


def test_a_power_cut_after_a_restart_after_a_kill(box: Box, memory: Path) -> None:
    delivered = delivery(box, requests=1, files=1)
    start, operations = delivered.recording.start, delivered.recording.operations
    # Killed just before an fsync: that is when most is visible that is not durable.
    first = next(number for number, each in enumerate(operations) if isinstance(each, Stored))
    kills = [
        number for number, each in enumerate(operations) if isinstance(each, Sync) and number > first
    ]
    careless = list[Violation]()
    with Bench(memory / "bench", delivered.originals, strangers=STRANGERS, folder="box") as bench:
        for killed, done in restarts(
            delivered.recording, kills, memory, delivered.originals, folder="box"
        ):
            for wreck in wrecks(start, done, seed=SEED, subsets=1, begin=killed):
                bench.check(wreck)
            if not careless:
                hasty = [*done[:killed], *(each for each in done[killed:] if not isinstance(each, Sync))]
                careless = violations(delivered, hasty, memory, enough=1, begin=killed)
        assert bench.violations == []
    # Or it would not see that a restart builds on what the killed run did not live to fsync.
    assert careless


# -- the check sees what is wrong: the same recording with one thing done as it must not be ----------


def without_syncs_of(*names: str) -> Callable[[Recording], list[Operation]]:
    """The recording without the fsyncs of what has these names; "." is the box itself."""

    def change(recording: Recording) -> list[Operation]:
        named = {
            each.inode
            for each in recording.operations
            if isinstance(each, Create) and each.name in names
        }
        named |= {inode for path, inode in recording.start.paths() if path.strip("/") in names}
        named |= {recording.start.root} if "." in names else set()
        kept = (e for e in recording.operations if not (isinstance(e, Sync) and e.inode in named))
        return renumbered(list(kept))

    return change


def renumbered(operations: Sequence[Operation]) -> list[Operation]:
    """Operations in another order or with gaps: a Sync covers what stands before it now."""
    return [
        replace(each, begun=number) if isinstance(each, Sync) else each
        for number, each in enumerate(operations)
    ]


def ledger_before_move(recording: Recording) -> list[Operation]:
    """Moves wait until the ledger was synced."""
    ledger = made(recording, "ledger.jsonl")
    after, waiting = list[Operation](), list[Operation]()
    for each in recording.operations:
        if isinstance(each, Rename) or (waiting and isinstance(each, Sync) and each.inode != ledger):
            waiting.append(each)
            continue
        after.append(each)
        if isinstance(each, Sync) and each.inode == ledger:
            after += waiting
            waiting = []
    return renumbered(after + waiting)


def move_before_journal(recording: Recording) -> list[Operation]:
    """A move is done as soon as its folder and the last line are there."""
    log = made(recording, "state.db-wal")
    after = list[Operation]()
    for each in recording.operations:
        place = len(after)
        while isinstance(each, Rename) and getattr(after[place - 1], "inode", None) == log:
            place -= 1
        after.insert(place, each)
    return renumbered(after)


def move_before_store(recording: Recording) -> list[Operation]:
    """The store's answers come last."""
    answers = [each for each in recording.operations if isinstance(each, Stored)]
    return renumbered([*(e for e in recording.operations if not isinstance(e, Stored)), *answers])


def made(recording: Recording, name: str) -> int:
    return next(e.inode for e in recording.operations if isinstance(e, Create) and e.name == name)


WRONG = {
    "the journal is not synced": without_syncs_of("state.db-wal"),
    "the moves are not synced": without_syncs_of("inbox", "completed", "failed", "sub"),
    "the ledger is not synced": without_syncs_of("ledger.jsonl"),
    "the ledger's name is not synced": without_syncs_of("state"),
    "the names of the folders are not synced": without_syncs_of("."),
    "the ledger is written before the move": ledger_before_move,
    "the move is done before the journal": move_before_journal,
    "the move is done before the store has it": move_before_store,
}


def test_what_is_done_wrong_is_seen(box: Box, memory: Path) -> None:
    delivered = delivery(box, requests=1, files=3)
    seen = {}
    for name, change in WRONG.items():
        wrong = change(delivered.recording)
        seen[name] = [each.what for each in violations(delivered, wrong, memory, enough=3)]
    unseen = [name for name, found in seen.items() if not found]
    assert unseen == []
    assert any(
        "before the store had it" in what for what in seen["the move is done before the store has it"]
    )


def test_a_tree_of_the_model_ends_like_the_real_one(box: Box) -> None:
    """The recording is whole: replayed in full it gives what stands on the disk."""
    delivered = delivery(box, requests=1, files=3)
    tree = delivered.recording.start.copy()
    for each in delivered.recording.operations:
        if not isinstance(each, Sync | Stored):
            tree.apply(each)
    real = {
        path.relative_to(box.root).as_posix() for top in ROOTS for path in (box.root / top).rglob("*")
    }
    modelled = {path.rstrip("/") for path, _ in tree.paths()} - set(ROOTS)
    assert real - modelled <= {"state/lock", "state/status.json", "state/upload.lock"}
    assert modelled <= real
    assert content(tree, "state/ledger.jsonl") == (box.state / "ledger.jsonl").read_bytes()
    assert content(tree, "state/state.db") == (box.state / "state.db").read_bytes()


def content(tree: Tree, relpath: str) -> bytes:
    return next(tree.files[inode] for path, inode in tree.paths() if path == relpath)
