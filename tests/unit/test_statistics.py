"""Sums over the ledger."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hotfolder.core import statistics
from hotfolder.core.entries import timestamp
from hotfolder.core.statistics import BusyTime, Statistics

SPANS = st.lists(st.tuples(st.integers(0, 300), st.integers(0, 20)), max_size=60)


@given(SPANS)
def test_busy_time_is_the_length_of_the_union(spans: list[tuple[int, int]]) -> None:
    busy = BusyTime()
    seconds = set()
    for begin, length in spans:
        busy.add(float(begin), float(begin + length))
        seconds |= set(range(begin, begin + length))
    assert busy.seconds == len(seconds)


@pytest.mark.parametrize("step", [1, -1])
def test_a_million_lines_in_order_keep_few_spans(step: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(statistics, "_MOST_SPANS", 20)
    busy = BusyTime()
    for number in range(1000)[::step]:
        busy.add(number * 10.0, number * 10.0 + 4)
        assert len(busy._begins) <= 20
    assert busy.seconds == 4000


def test_a_clock_that_was_set_back_is_no_time() -> None:
    busy = BusyTime()
    busy.add(10.0, 5.0)
    assert busy.seconds == 0.0


def line(status: str, end: float, **more: Any) -> dict[str, Any]:
    return {
        "operation_type": "upload",
        "status": status,
        "started_at": timestamp(end - 2),
        "completed_at": timestamp(end),
        "folder": "media",
        "group": "reels",
        "original_size": 1000,
        "compressed_size": 500,
        **more,
    }


DAY = 86400.0


def test_sums_of_all_groups_and_days() -> None:
    sums = Statistics(lambda moment: moment[:10])
    for entry in (
        line("success", 2 * DAY + 10),
        line("success", 2 * DAY + 9, group="logs", original_size=0, compressed_size=45),
        line("skipped", DAY + 5),
        line("failed", DAY + 5, compressed_size=None, started_at=timestamp(5.0)),
        {"operation_type": "verify", "status": "success", "completed_at": timestamp(5.0)},
    ):
        sums.add(entry)
    told = sums.as_dict()
    assert told["files"] == 4
    assert (told["delivered"], told["skipped"], told["failed"]) == (2, 1, 1)
    assert (told["original_bytes"], told["packed_bytes"]) == (1000, 545)
    assert told["compression_ratio"] == round(1000 / 545, 4)
    assert told["busy_seconds"] == 3.0  # 7 to 9 and 8 to 10; a failed file waits between its attempts
    assert told["bytes_per_second"] == round(1000 / 3, 1)
    assert [(g["group"], g["files"]) for g in told["groups"]] == [("logs", 1), ("reels", 3)]
    assert [(d["day"], d["files"]) for d in told["days"]] == [("1970-01-02", 2), ("1970-01-03", 2)]
    assert (told["from"], told["to"]) == (timestamp(DAY + 5), timestamp(2 * DAY + 10))


def test_of_nothing_there_is_no_ratio_and_no_rate() -> None:
    told = Statistics(str).as_dict()
    assert told["compression_ratio"] is None
    assert told["bytes_per_second"] is None
    assert told["from"] is None
