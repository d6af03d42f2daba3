"""What the benchmark of limits says of a row."""

import pytest

from tests.bench.bandwidth import Row, page, told


def row(measured: float, unlimited: float | None = None) -> Row:
    return Row("direct", "1MB/s", "small", 1_000_000, measured, 1_100_000, None, unlimited)


@pytest.mark.parametrize(
    ("measured", "unlimited", "kept"),
    [
        (1_049_000, None, "yes"),
        (1_060_000, None, "no"),
        (951_000, None, "yes"),
        (940_000, 5_000_000, "no"),
        (940_000, 1_000_000, "not reached without it"),
        (1_060_000, 1_000_000, "no"),
    ],
)
def test_a_limit_is_kept_within_five_percent_where_it_can_be_reached(
    measured: float, unlimited: float | None, kept: str
) -> None:
    assert told(row(measured, unlimited))[-1] == kept
    assert row(measured, unlimited).is_kept == (kept != "no")


def test_columns_without_a_word_are_left_out() -> None:
    lines = page([row(990_000)], 8.0, 0.5)
    assert lines[0] == "| engine | limit | work | measured | deviation | busiest second | kept |"
    assert lines[2] == "| direct | 1MB/s | small | 0.990 MB/s | -1.0% | 1.10 of the limit | yes |"
    assert lines[-1].endswith(": 8 s each, load 0.5 before.")
