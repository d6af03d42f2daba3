"""Names that fit, and rows that never wrap."""

import io
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.console import Console

from hotfolder.cli.bars import bars, row
from hotfolder.cli.output import percent, shorten


@pytest.mark.parametrize(
    ("path", "width", "expected"),
    [
        ("reels/clip.mp4", 20, "reels/clip.mp4"),
        ("reels/2026-11/day01/clip.mp4", 20, "reels/2026…/clip.mp4"),
        ("reels/clip.mp4", 10, "…/clip.mp4"),
        ("reels/clip.mp4", 9, "cli…p.mp4"),
        ("x" * 40 + ".mp4", 12, "xxxx…xxx.mp4"),
    ],
)
def test_the_middle_of_a_path_gives_way(path: str, width: int, expected: str) -> None:
    assert shorten(path, width) == expected


@given(st.text(st.sampled_from("abc/ä本🎬. "), max_size=60), st.integers(4, 50))
def test_a_shortened_path_fits(path: str, width: int) -> None:
    assert cell_len(shorten(path, width)) <= width


def test_a_hundred_per_cent_is_only_all() -> None:
    assert percent(999, 1000) == "99 %"
    assert percent(1000, 1000) == percent(0, 0) == "100 %"


@pytest.mark.parametrize("width", [60, 80, 120, 200])
def test_a_row_is_one_line_that_fits(width: int) -> None:
    flight: dict[str, Any] = {
        "stage": "proven, waiting to move",
        "bytes": 999_999_999_999,
        "size": 1_000_000_000_000,
        "bytes_per_second": 999_900_000.0,
        "eta_seconds": 86400.0 * 30 + 3600 * 23,
    }
    console = Console(file=io.StringIO(), width=width, force_terminal=True)
    rows = [row(flight, "a long folder/" * 10 + "本" * 30), row({**flight, "stage": "packing"}, "b")]
    with console.capture() as capture:
        console.print(bars(rows, width))
    drawn = capture.get().splitlines()
    assert len(drawn) == 2


def test_a_file_that_is_read_whole_waits_for_its_last_parts() -> None:
    flight = {"stage": "uploading", "bytes": 5, "size": 5, "bytes_per_second": 3.0, "eta_seconds": 0.0}
    told = row(flight, "a")
    assert (told.stage, told.rate, told.eta, told.done) == ("last parts", "-", "-", "100 %")
