"""What every ledger keeps, on disk or in memory."""

import hashlib
import itertools
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hotfolder.adapters.ledger import FileLedger
from hotfolder.core import jsonline
from hotfolder.core.ledger_marks import Stretch
from hotfolder.core.ports import ReadLedger
from tests.support.memory_ledger import MemoryLedger


@pytest.fixture(params=["file", "memory"])
def ledger(request: pytest.FixtureRequest, tmp_path: Path) -> ReadLedger:
    return FileLedger(tmp_path / "ledger.jsonl") if request.param == "file" else MemoryLedger()


def entry(name: str, **more: Any) -> dict[str, Any]:
    return {"schema": 1, "operation_id": name, **more}


def without_chain(ledger: ReadLedger) -> list[dict[str, Any]]:
    return [
        {key: value for key, value in line.items() if key != "prev"} for line in ledger.newest_first()
    ]


def test_a_new_ledger_is_empty(ledger: ReadLedger) -> None:
    assert list(ledger.newest_first()) == []


def test_lines_come_back_equal_and_newest_first(ledger: ReadLedger) -> None:
    ledger.append([entry("a"), entry("b")])
    ledger.append([entry("c")])
    assert without_chain(ledger) == [entry("c"), entry("b"), entry("a")]


def test_every_line_names_the_hash_of_the_one_before(ledger: ReadLedger) -> None:
    for size in (1, 3, 2):
        ledger.append([entry(f"{size}-{number}", text="é") for number in range(size)])
    lines = list(ledger.newest_first())
    for newer, older in itertools.pairwise(lines):
        assert newer["prev"] == hashlib.sha256(jsonline.encode(older)).hexdigest()
    assert lines[-1]["prev"] == "0" * 64


def test_prev_is_the_last_field(ledger: ReadLedger) -> None:
    ledger.append([entry("a", z=None, b=[])])
    assert list(next(ledger.newest_first())) == ["schema", "operation_id", "z", "b", "prev"]


def test_appending_nothing_is_fine(ledger: ReadLedger) -> None:
    ledger.append([])
    assert list(ledger.newest_first()) == []


def test_an_operation_is_recorded_once_however_often_it_is_appended(ledger: ReadLedger) -> None:
    ledger.append([entry("a"), entry("b")])
    ledger.append([entry("b"), entry("c"), entry("c"), entry("a")])
    ledger.append([entry("a")])
    assert without_chain(ledger) == [entry("c"), entry("b"), entry("a")]
    newest, *_ = ledger.newest_first()
    ledger.append([entry("d")])
    assert next(ledger.newest_first())["prev"] == hashlib.sha256(jsonline.encode(newest)).hexdigest()


def test_entries_without_an_id_are_all_recorded(ledger: ReadLedger) -> None:
    ledger.append([{"schema": 1}, {"schema": 1}])
    ledger.append([{"schema": 1}])
    assert without_chain(ledger) == [{"schema": 1}] * 3


def test_which_operations_have_a_line(ledger: ReadLedger) -> None:
    moments = {"a": "2025-10-29T06:00:00.000000Z", "b": "2025-10-29T07:00:00.000000Z"}
    for name, moment in moments.items():
        ledger.append([entry(name, completed_at=moment, metadata={"operation_id": "c"})])
    assert ledger.recorded({"a", "b", "c"}, since="2025-10-29T06:00:00.000000Z") == {"a", "b"}
    assert ledger.recorded({"c"}, since="") == frozenset()


def ids(stretch: Stretch) -> list[str]:
    return [line.entry["operation_id"] for line in stretch.lines if line.entry is not None]


def test_reading_goes_on_from_a_mark(ledger: ReadLedger) -> None:
    assert list(ledger.read_on(None, 2)) == []
    ledger.append([entry(name, completed_at=name) for name in "abc"])
    first, second = ledger.read_on(None, 2)
    assert [line.entry and line.entry["operation_id"] for line in first.lines + second.lines] == list(
        "abc"
    )
    assert (first.mark.lines, second.mark.lines) == (2, 3)
    assert first.lines[0].offset == 0
    assert second.lines[0].offset == first.mark.offset
    assert list(ledger.read_on(second.mark, 2)) == []
    ledger.append([entry("d", completed_at="d")])
    (third,) = ledger.read_on(second.mark, 2)
    assert ids(third) == ["d"]
    assert all(ledger.fits(stretch.mark) for stretch in (first, second, third))
    assert ledger.recorded({"c", "d"}, since="", behind=second.mark) == {"d"}


def test_a_mark_of_another_ledger_does_not_fit(ledger: ReadLedger) -> None:
    ledger.append([entry("a"), entry("b")])
    (read,) = ledger.read_on(None, 5)
    mark = read.mark
    assert not ledger.fits(replace(mark, digest="0" * 64))
    assert not ledger.fits(replace(mark, offset=mark.offset + 100, lines=mark.lines + 1))


@pytest.mark.parametrize("wrong", [{}, {"prev": "0" * 64}, {"number": b"bytes"}])
def test_a_batch_with_a_wrong_entry_is_refused_whole(ledger: ReadLedger, wrong: dict[str, Any]) -> None:
    with pytest.raises((ValueError, TypeError)):
        ledger.append([entry("a"), wrong])
    assert list(ledger.newest_first()) == []


def test_a_number_that_is_none_is_not_known(ledger: ReadLedger) -> None:
    ledger.append([entry("a", ratio=float("nan"), seconds=float("inf"))])
    (line,) = ledger.newest_first()
    assert (line["ratio"], line["seconds"]) == (None, None)


# Text as `os.fsdecode` makes it: characters, and the lone surrogates that stand for undecodable bytes.
numbers = itertools.count()
paths = st.text(st.characters(codec="utf-8") | st.integers(0xDC80, 0xDCFF).map(chr), max_size=40)


@settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(path=paths)
def test_any_path_comes_back_equal(ledger: ReadLedger, path: str) -> None:
    ledger.append([entry(str(next(numbers)), target_path=path)])
    assert next(ledger.newest_first())["target_path"] == path
