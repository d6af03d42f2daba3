"""What is kept of files that somebody asked not to deliver, on disk or in memory."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from hotfolder.adapters.state.call_offs import SqliteCallOffs
from hotfolder.core.ports import CallOffNotes
from hotfolder.core.records import CalledOff, Fingerprint
from tests.support.memory_call_offs import MemoryCallOffs

CALLED = CalledOff("media", "reels/\udcff.mp4", Fingerprint(1, 2**64 - 1, 3, -4, 5), "by alice")


@pytest.fixture(params=["sqlite", "memory"])
def notes(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[CallOffNotes]:
    if request.param == "memory":
        yield MemoryCallOffs()
        return
    with SqliteCallOffs(tmp_path / "state.db") as sqlite:
        yield sqlite


def test_what_is_added_is_there_until_it_is_dropped(notes: CallOffNotes) -> None:
    other = replace(CALLED, folder="logs")
    assert notes.all() == []
    notes.add(CALLED)
    notes.add(other)
    assert notes.all() == [other, CALLED]
    notes.drop("media", CALLED.relpath)
    assert notes.all() == [other]
    notes.drop("media", "never there")


def test_a_reason_may_name_a_file_whose_name_is_no_text(notes: CallOffNotes) -> None:
    notes.add(replace(CALLED, why="\udcff may not be read"))
    (kept,) = notes.all()
    assert kept.why.endswith(" may not be read")


def test_a_later_version_takes_the_place_of_the_former(notes: CallOffNotes) -> None:
    later = replace(CALLED, fingerprint=replace(CALLED.fingerprint, size=9), why="by bob")
    notes.add(CALLED)
    notes.add(later)
    assert notes.all() == [later]


def test_the_next_run_finds_it(tmp_path: Path) -> None:
    with SqliteCallOffs(tmp_path / "state.db") as notes:
        notes.add(CALLED)
    with SqliteCallOffs(tmp_path / "state.db") as notes:
        assert notes.all() == [CALLED]
