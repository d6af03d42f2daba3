"""What every memory of kept files does, on disk or not, and every list of chores."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from hotfolder.adapters.state.chores import SqliteChores
from hotfolder.adapters.state.journal import SqliteJournal
from hotfolder.adapters.state.kept import SqliteKept
from hotfolder.core.ports import Chores, Kept
from hotfolder.core.records import Disposition
from tests.support.memory_kept import MemoryChores, MemoryKept
from tests.support.samples import fingerprint, job, row

SEEN = fingerprint()


@pytest.fixture(params=["sqlite", "memory"])
def kept(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Kept]:
    if request.param == "memory":
        yield MemoryKept()
        return
    with SqliteKept(tmp_path / "state.db") as sqlite:
        yield sqlite


@pytest.fixture(params=["sqlite", "memory"])
def chores(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Chores]:
    if request.param == "memory":
        yield MemoryChores()
        return
    with SqliteChores(tmp_path / "state.db") as sqlite:
        yield sqlite


def test_a_file_is_known_as_long_as_nothing_of_it_changed(kept: Kept) -> None:
    kept.add("media", [("reels/clip.mp4", SEEN)])
    assert kept.known("media", [("reels/clip.mp4", SEEN), ("other", SEEN)]) == {"reels/clip.mp4"}
    assert kept.known("media", [("reels/clip.mp4", replace(SEEN, device=7))]) == {"reels/clip.mp4"}
    changes: list[dict[str, Any]] = [{name: 7} for name in ("inode", "size", "mtime_ns", "ctime_ns")]
    for change in [*changes, {"tree": "of a directory"}]:
        changed = replace(SEEN, **change)
        assert kept.known("media", [("reels/clip.mp4", changed)]) == set()
    assert kept.known("other", [("reels/clip.mp4", SEEN)]) == set()
    assert kept.known("media", []) == set()


def test_any_number_of_odd_names_is_looked_up_at_once(kept: Kept) -> None:
    names = [f"\udcff\n{number}\U0001f3ac" for number in range(1_700)]
    kept.add("media", [(name, SEEN) for name in names])
    kept.add("media", [(name, replace(SEEN, size=1)) for name in names])
    assert kept.known("media", [(name, SEEN) for name in names]) == set(names), "the first stays"


def test_pages_lead_through_all_and_what_is_dropped_is_gone(kept: Kept) -> None:
    kept.add("media", [(name, SEEN) for name in ("c", "a", "\udcff", "b/d")])
    kept.add("zz", [("a", SEEN)])
    assert [name for name, _ in kept.page("media", "", 3)] == ["a", "b/d", "c"]
    assert kept.page("media", "c", 3) == [("\udcff", SEEN)]
    assert kept.page("media", "\udcff", 3) == []
    kept.drop("media", ["a", "never there"])
    assert [name for name, _ in kept.page("media", "", 9)] == ["b/d", "c", "\udcff"]
    assert kept.known("zz", [("a", SEEN)]) == {"a"}
    assert (kept.count("media"), kept.count("zz"), kept.count("never")) == (3, 1, 0)


def test_the_journal_keeps_what_stays_in_one_transaction_with_its_row(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    with SqliteJournal(path) as journal, SqliteKept(path) as kept:
        first = row(job("a", seen=SEEN, number=1), disposition=Disposition.KEEP)
        moved = row(job("b", seen=SEEN, number=2))
        journal.commit([first, moved])
        both = [("a", SEEN), ("b", SEEN)]
        assert kept.known("media", both) == {"a"}
        journal.commit([], forget=[first.operation_id, moved.operation_id])
        assert kept.known("media", both) == {"a"}
        newer = replace(SEEN, size=9)
        journal.commit([row(job("a", seen=newer, number=3), disposition=Disposition.KEEP)])
        assert kept.known("media", [("a", newer)]) == {"a"}
        assert kept.known("media", [("a", SEEN)]) == set()


def test_chores_are_begun_once_and_done_once(chores: Chores) -> None:
    assert chores.state("sweep") is None
    chores.begin(["sweep", "wash"])
    assert (chores.state("sweep"), chores.state("wash"), chores.state("iron")) == (False, False, None)
    chores.finish("sweep")
    chores.begin(["sweep", "iron"])
    assert (chores.state("sweep"), chores.state("wash"), chores.state("iron")) == (True, False, None)
    chores.finish("iron")
    assert chores.state("iron") is True
