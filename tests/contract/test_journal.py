"""What every journal keeps, on disk or in memory."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from hotfolder.adapters.state.journal import SqliteJournal
from hotfolder.core.ports import Journal
from hotfolder.core.records import Disposition, Fingerprint, JournalRow, Marker
from tests.support.memory_journal import MemoryJournal


def row(operation_id: str, relpath: str = "reels/clip.mp4") -> JournalRow:
    return JournalRow(
        operation_id=operation_id,
        folder="media",
        relpath=relpath,
        # Beyond 63 bits: an inode of a large file system, a time far off.
        fingerprint=Fingerprint(2049, 2**64 - 1, 0, -1, 1_730_182_741_123_456_789),
        disposition=Disposition.COMPLETED,
        target=relpath,
        entry={"schema": 1, "operation_id": operation_id, "target_path": f"/srv/inbox/{relpath}"},
    )


@pytest.fixture(params=["sqlite", "memory"])
def journal(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Journal]:
    if request.param == "memory":
        yield MemoryJournal()
        return
    with SqliteJournal(tmp_path / "state.db") as sqlite:
        yield sqlite


def test_a_new_journal_is_empty(journal: Journal) -> None:
    assert journal.rows() == []


def test_rows_come_back_equal_and_oldest_first(journal: Journal) -> None:
    rows = [row(name) for name in ("c", "a", "b")]
    journal.commit(rows[:2])
    journal.commit(rows[2:])
    assert journal.rows() == rows


def test_a_marker_comes_back_with_its_row_and_goes_with_it(journal: Journal) -> None:
    marker = Marker("reels/\udcff.done", Fingerprint(2049, 2**64 - 1, 0, -1, 0))
    marked = replace(row("a"), marker=marker)
    journal.commit([marked, row("b")])
    assert journal.rows() == [marked, row("b")]
    journal.commit([row("a")], forget=["a"])
    journal.commit([], forget=["a"])
    journal.commit([row("a")])
    assert journal.rows() == [row("b"), row("a")]


def test_the_order_of_an_entrys_fields_stays(journal: Journal) -> None:
    journal.commit([replace(row("a"), entry={"z": 1, "a": {"y": None, "b": [1.5, True]}})])
    assert str(journal.rows()[0].entry) == "{'z': 1, 'a': {'y': None, 'b': [1.5, True]}}"


def test_undecodable_names_come_back_equal(journal: Journal) -> None:
    odd = row("a", "r\udcff\udc80/é\n\x1b \u202e🎬.mp4")
    journal.commit([odd])
    assert journal.rows() == [odd]


@pytest.mark.parametrize("disposition", Disposition)
def test_every_disposition_comes_back(journal: Journal, disposition: Disposition) -> None:
    journal.commit([replace(row("a"), disposition=disposition)])
    assert journal.rows()[0].disposition is disposition


def test_forgotten_rows_are_gone_and_the_others_stay(journal: Journal) -> None:
    journal.commit([row("a"), row("b"), row("c")])
    journal.commit([], forget=["a", "c"])
    assert journal.rows() == [row("b")]


def test_one_commit_adds_and_forgets(journal: Journal) -> None:
    journal.commit([row("a")])
    journal.commit([row("b")], forget=iter(["a"]))
    assert journal.rows() == [row("b")]


def test_forgetting_the_unknown_is_fine(journal: Journal) -> None:
    journal.commit([row("a")], forget=["never", "seen"])
    assert journal.rows() == [row("a")]


def test_a_row_decided_anew_is_kept_though_its_id_is_to_be_forgotten(journal: Journal) -> None:
    journal.commit([row("a")])
    again = replace(row("a"), disposition=Disposition.FAILED)
    journal.commit([again], forget=["a"])
    assert journal.rows() == [again]


def test_a_known_operation_is_replaced_in_its_place(journal: Journal) -> None:
    journal.commit([row("a"), row("b")])
    again = replace(row("a"), target="reels/clip~2.mp4")
    journal.commit([again])
    assert journal.rows() == [again, row("b")]


def test_committing_nothing_is_fine(journal: Journal) -> None:
    journal.commit([])
    assert journal.rows() == []
