"""Rows of files in flight, with bars: the same for `status` and for the display of a run."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from hotfolder.cli.output import percent, rate, shorten, shown, size, span

_STAGES = {
    "proven, waiting to move": "waits to move",
    "moved, waiting to be recorded": "waits to be recorded",
}
_REST = 13 + 5 + 8 + 10 + 7 + 6  # columns of stage, done, size, rate and ETA, and the gaps
_LEAST_PATH, _LONGEST_BAR = 16, 24


@dataclass(frozen=True, slots=True)
class Bar:
    """One file in flight, in words."""

    path: str
    stage: str
    done: str
    size: str
    rate: str
    eta: str
    share: float  # of the bytes, 0 to 1


def row(flight: Mapping[str, Any], path: str) -> Bar:
    """`flight` as the heartbeat has it; `path` as it is to be shown."""
    read, whole = flight["bytes"], flight["size"]
    reading = read < whole
    stage = flight["stage"]
    if stage == "uploading" and not reading:
        stage = "last parts"
    return Bar(
        path=path,
        stage=_STAGES.get(stage, stage),
        done=percent(read, whole),
        size=size(whole),
        rate=rate(flight["bytes_per_second"]) if reading and read else "-",
        eta=span(flight["eta_seconds"]) if reading else "-",
        share=read / whole if whole else 1.0,
    )


def bars(rows: Sequence[Bar], width: int) -> Table:
    """A grid that fits into `width` columns: the paths give way first, then the bars."""
    stage = max([9, *(len(each.stage) for each in rows)])
    room = width - _REST - (stage - 13)
    bar = max(0, min(_LONGEST_BAR, room - _LEAST_PATH, room // 3))
    path = max(_LEAST_PATH, room - bar)
    grid = Table.grid(padding=(0, 1))
    for columns, justify in ((path, "left"), (stage, "left"), (bar, "left"), (5, "right")):
        grid.add_column(width=columns, justify=justify, no_wrap=True)  # type: ignore[arg-type] # str, not Literal
    for columns in (8, 10, 7):
        grid.add_column(width=columns, justify="right", no_wrap=True)
    for each in rows:
        name = Text(shorten(each.path, path))
        drawn = ProgressBar(total=1.0, completed=each.share, width=bar)
        grid.add_row(name, each.stage, drawn, each.done, each.size, each.rate, each.eta)
    return grid


def nearer(path: str, roots: Iterable[str]) -> str:
    """`path` as one printable line, without the root that it lies below."""
    for root in roots:
        if path.startswith(f"{root}/"):
            return shown(path[len(root) + 1 :])
    return shown(path)
