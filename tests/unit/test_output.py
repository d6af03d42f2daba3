"""Names that fit, and rows that never wrap."""

import io
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.console import Console

from hotfolder.cli.bars import bars, row
from hotfolder.cli.output import local_time, percent, say_error, shorten
from hotfolder.core.errors import ConfigError, LocalError


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


@pytest.mark.parametrize("moment", [2**40, -(2**40), 1e300, "nothing"])
def test_a_time_beyond_any_calendar_is_shown_all_the_same(moment: float | str) -> None:
    assert local_time(moment) == f"{moment} s since 1970"


def test_no_error_brings_a_control_character_to_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    odd = "cannot read /in/\x1b]0;owned\x07\n\u202e\x9b31m\udcff"
    say_error(LocalError(odd, hint=odd))
    told = capsys.readouterr().err
    assert [line.isprintable() for line in told.splitlines()] == [True, True]
    say_error(ConfigError("one\ntwo\x1b[2J"))
    assert capsys.readouterr().err == "hotfolder: one\ntwo\\x1b[2J\n"


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
