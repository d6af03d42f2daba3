"""What every index of the ledger keeps, on disk or in memory."""

from pathlib import Path
from typing import Any

import pytest

from hotfolder.adapters.state.ledger_index import SqliteLedgerIndex
from hotfolder.core.conflict import EarlierObject, Family
from hotfolder.core.ledger_marks import Mark, PlacedLine, Stretch
from hotfolder.core.ports import LedgerIndex
from tests.support.memory_index import MemoryIndex


@pytest.fixture(params=["sqlite", "memory"])
def index(request: pytest.FixtureRequest, tmp_path: Path) -> LedgerIndex:
    return SqliteLedgerIndex(tmp_path / "state.db") if request.param == "sqlite" else MemoryIndex()


def stretch(*ids: str, lines: int, **more: Any) -> Stretch:
    placed = [
        PlacedLine(1, 10 * number, {"operation_id": name, **more}) for number, name in enumerate(ids)
    ]
    return Stretch(placed, mark(lines))


def mark(lines: int) -> Mark:
    return Mark(1, 100 * lines, f"{lines:064x}", lines)


def test_a_new_index_has_read_nothing(index: LedgerIndex) -> None:
    assert index.mark() is None
    assert index.recorded({"a"})[1] == frozenset()
    index.close()


def test_what_was_added_is_found_and_the_mark_moves(index: LedgerIndex) -> None:
    assert index.add(stretch("a", "b", lines=2), after=None)
    assert index.mark() == mark(2)
    assert index.add(stretch("c", lines=3), after=mark(2))
    assert index.mark() == mark(3)
    assert index.recorded({"c"}) == (mark(3), frozenset({"c"}))
    index.close()
    assert index.recorded({"a", "c", "x"})[1] == {"a", "c"}
    index.close()


def test_what_was_read_from_elsewhere_is_not_added(index: LedgerIndex) -> None:
    assert not index.add(stretch("b", lines=2), after=mark(1))
    assert index.add(stretch("a", lines=1), after=None)
    assert not index.add(stretch("b", lines=1), after=None)
    assert index.recorded({"a", "b"})[1] == {"a"}
    assert index.mark() == mark(1)
    index.close()


def test_many_ids_are_asked_for_at_once(index: LedgerIndex) -> None:
    ids = [f"{number:05}" for number in range(3_000)]
    index.add(stretch(*ids, lines=3_000), after=None)
    assert index.recorded([*ids[::2], *(f"x{name}" for name in ids)])[1] == set(ids[::2])
    index.close()


def test_a_line_that_came_twice_or_has_no_entry_stops_nothing(index: LedgerIndex) -> None:
    read = stretch("a", "a", lines=3)
    index.add(Stretch([*read.lines, PlacedLine(1, 50, None)], read.mark), after=None)
    index.add(stretch("a", "b", lines=4), after=mark(3))
    assert index.recorded({"a", "b"})[1] == {"a", "b"}
    index.close()


def test_odd_values_stop_nothing(index: LedgerIndex) -> None:
    odd = {"target_path": "/srv/\udcff\ud800", "original_size": 1 << 70, "status": ["x"], "folder": None}
    assert index.add(stretch("a", lines=1, **odd), after=None)
    assert index.recorded({"a"})[1] == {"a"}
    index.close()


def test_cleared_it_begins_anew(index: LedgerIndex) -> None:
    index.add(stretch("a", lines=1), after=None)
    index.clear()
    assert index.mark() is None
    assert index.recorded({"a"})[1] == frozenset()
    assert index.add(stretch("b", lines=1), after=None)
    index.close()


FAMILY = Family("in/a.gz", "in/a~", ".gz")


def delivered(key: str, checksum: str = "sha256:00", **more: Any) -> dict[str, Any]:
    said = {"s3_bucket": "media", "s3_object_key": key, "checksum_original": checksum}
    return {"operation_type": "upload", "status": "success", "original_size": 5, **said, **more}


def test_objects_of_a_family_are_known_newest_first(index: LedgerIndex) -> None:
    lines = [
        delivered("in/a.gz"),
        delivered("in/a~0198.gz", "sha256:01"),
        delivered("in/a~0199.gz", "sha256:02", status="skipped"),
        delivered("in/a~0200.gz", status="failed"),
        delivered("in/a~0201.gz", s3_bucket="other"),
        delivered("in/a~0202.zst"),
        delivered("in/ab.gz"),
        delivered("in/a~0203.gz", checksum_original=None),
        delivered("in/b~0204.gz"),
    ]
    read = [PlacedLine(1, n, {"operation_id": f"{n}", **line}) for n, line in enumerate(lines)]
    index.add(Stretch(read, mark(9)), after=None)
    assert index.delivered("media", FAMILY) == (
        mark(9),
        [
            EarlierObject("in/a~0199.gz", "sha256:02", 5),
            EarlierObject("in/a~0198.gz", "sha256:01", 5),
            EarlierObject("in/a.gz", "sha256:00", 5),
        ],
    )
    index.clear()
    assert index.delivered("media", FAMILY) == (None, [])
    index.close()
