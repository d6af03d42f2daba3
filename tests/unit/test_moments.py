"""Moments as people write them."""

import time
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from hotfolder.core.moments import parse_moment

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC).timestamp()


@pytest.fixture(autouse=True)
def _in_berlin(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with monkeypatch.context() as patch:
        patch.setenv("TZ", "CET-1")
        time.tzset()
        yield
    time.tzset()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-11-01", "2026-10-31T23:00:00Z"),
        ("2026-11-01 14:30", "2026-11-01T13:30:00Z"),
        ("2026-11-01T14:30:05", "2026-11-01T13:30:05Z"),
        ("2026-11-01T14:30:00Z", "2026-11-01T14:30:00Z"),
        ("2026-11-01T14:30:00+02:00", "2026-11-01T12:30:00Z"),
        ("2h", "2026-11-21T10:00:00Z"),
        ("1.5h ago", "2026-11-21T10:30:00Z"),
        (" 3D ", "2026-11-18T12:00:00Z"),
        ("90m", "2026-11-21T10:30:00Z"),
    ],
)
def test_what_people_write(text: str, expected: str) -> None:
    assert parse_moment(text, NOW) == datetime.fromisoformat(expected).timestamp()


def test_until_a_date_has_that_day_in_it() -> None:
    begin = parse_moment("2026-11-01", NOW)
    assert parse_moment("2026-11-01", NOW, end_of_day=True) == begin + 86400
    assert parse_moment("2026-11-01 00:00", NOW, end_of_day=True) == begin


@pytest.mark.parametrize(
    "text", ["", "yesterday", "2026-13-01", "2h30", "-3d", "1e400h", "9" * 400 + "d", "٣d3"]
)
def test_anything_else_is_a_sentence_that_shows_what_to_write(text: str) -> None:
    with pytest.raises(ValueError, match=r"is no moment; write a date \(2026-11-01\)"):
        parse_moment(text, NOW)
