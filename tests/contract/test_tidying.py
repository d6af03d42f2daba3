"""What every memory of an inbox's folders does, on disk or not."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from hotfolder.adapters.state.tidying import SqliteTidying
from hotfolder.core.ports import TidyingNotes
from tests.support.memory_tidying import MemoryTidying


@pytest.fixture(params=["sqlite", "memory"])
def notes(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[TidyingNotes]:
    if request.param == "memory":
        yield MemoryTidying()
        return
    with SqliteTidying(tmp_path / "state.db") as sqlite:
        yield sqlite


def test_what_was_there_first_is_known_of_each_inbox(notes: TidyingNotes) -> None:
    names = [f"\udcff\n{number}" for number in range(1_200)]
    assert notes.standing("/in", [*names, ""]) == set()
    notes.add_standing("/in", names)
    notes.add_standing("/in", names[:3])
    notes.add_standing("/in", [""])
    assert notes.standing("/in", [*names, "", "other"]) == {*names, ""}
    assert notes.standing("/other", names) == set()


def test_what_was_emptied_is_known_until_it_is_over(notes: TidyingNotes) -> None:
    notes.note_emptied("/in", ["a/\udcff", "a", "b"])
    notes.note_emptied("/in", ["a"])
    notes.note_emptied("/other", ["c"])
    assert set(notes.emptied("/in")) == {"a/\udcff", "a", "b"}
    notes.note_emptied("/in", ["d"], over=["a", "unknown"])
    assert set(notes.emptied("/in")) == {"a/\udcff", "b", "d"}
    assert notes.emptied("/other") == ["c"]


def test_a_restart_finds_it_all(tmp_path: Path) -> None:
    with SqliteTidying(tmp_path / "state.db") as notes:
        notes.add_standing("/in", ["a", ""])
        notes.note_emptied("/in", ["b"])
    with SqliteTidying(tmp_path / "state.db") as again:
        assert again.standing("/in", ["a", "b", ""]) == {"a", ""}
        assert again.emptied("/in") == ["b"]
