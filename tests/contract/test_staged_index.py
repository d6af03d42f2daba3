"""What the index of staged files keeps."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from hotfolder.adapters.state.staged import SqliteStaged
from hotfolder.core.ports import StagedIndex
from hotfolder.core.records import Digests, Fingerprint, Staged

ODD = Staged(
    operation_id="b",
    folder="media",
    root="/srv/in\udcffbox",
    relpath="r\udcff\udc80/é\n\x1b \u202e🎬.mp4",
    # Beyond 63 bits: an inode of a large file system, a time far off.
    fingerprint=Fingerprint(2049, 2**64 - 1, 0, -1, 1_730_182_741_123_456_789),
    made_at=1_761_700_000.123456,
    recipe="tar.gz isal 1.7.1 level 2, segment 8388608",
    digests=Digests(0, b"o" * 32, 2**40, b"p" * 32),
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state.db"


@pytest.fixture
def index(path: Path) -> Iterator[StagedIndex]:
    with SqliteStaged(path) as made:
        yield made


def test_rows_come_back_equal_and_by_operation(index: StagedIndex) -> None:
    other = replace(ODD, operation_id="a", relpath="clip.mp4")
    index.note(ODD)
    index.note(other)
    assert index.all() == [other, ODD]


def test_a_row_is_replaced_by_its_operation_id(index: StagedIndex) -> None:
    index.note(ODD)
    again = replace(ODD, recipe="another")
    index.note(again)
    assert index.all() == [again]


def test_rows_survive_the_process_until_they_are_forgotten(index: StagedIndex, path: Path) -> None:
    index.note(ODD)
    with SqliteStaged(path) as another:
        assert another.all() == [ODD]
    index.forget(["b", "unknown"])
    index.forget([])
    with SqliteStaged(path) as another:
        assert another.all() == []
