"""A power cut at any moment: every prefix of what a real daemon wrote, in all that it may leave."""

import os
import shutil
from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest

from tests.support.box import Box
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
    visible,
)
from tests.support.power_cuts import ROOTS, cut, cut_restarts, delivery
from tests.support.recording import Recording

SEED = 20


@pytest.fixture(autouse=True)
def has_strace() -> None:
    if shutil.which("strace") is None:
        assert "REQUIRE_STRACE" not in os.environ, "strace is missing here"
        pytest.skip("strace is missing: apt-get install strace")


@pytest.mark.parametrize(("requests", "files"), [(1, 4), (16, 9)], ids=["one by one", "in a batch"])
def test_a_power_cut_at_any_moment(box: Box, requests: int, files: int) -> None:
    delivered = delivery(box, requests=requests, files=files)
    operations = delivered.recording.operations
    assert {type(each) for each in operations} == {Create, Remove, Rename, Stored, Sync, Truncate, Write}
    assert cut("", delivered, operations, seed=SEED, subsets=4).violations == []


def test_a_power_cut_after_a_restart_after_a_kill(box: Box) -> None:
    delivered = delivery(box, requests=1, files=1)
    assert cut_restarts("", delivered, seed=SEED, subsets=1).violations == []
    # It sees whether a restart builds on what the killed run did not live to fsync.
    assert cut_restarts("", delivered, seed=SEED, subsets=1, careless=True).violations


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


def test_what_is_done_wrong_is_seen(box: Box) -> None:
    delivered = delivery(box, requests=1, files=3)
    seen = {}
    for name, change in WRONG.items():
        wrong = change(delivered.recording)
        seen[name] = [
            each.what for each in cut(name, delivered, wrong, seed=SEED, subsets=2, enough=3).violations
        ]
    unseen = [name for name, found in seen.items() if not found]
    assert unseen == []
    assert any(
        "before the store had it" in what for what in seen["the move is done before the store has it"]
    )


def test_a_tree_of_the_model_ends_like_the_real_one(box: Box) -> None:
    """The recording is whole: replayed in full it gives what stands on the disk."""
    delivered = delivery(box, requests=1, files=3)
    tree = visible(delivered.recording.start, delivered.recording.operations)
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
