"""The chart for the README: for each work the seconds of each program, as bars."""

import logging
from collections.abc import Sequence
from pathlib import Path

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from tests.bench.speed.results import (
    AWS_MV,
    FAR,
    FARTHER,
    HOTFOLDER,
    NEAR,
    RCLONE,
    RCLONE_64,
    RCLONE_COMPRESS,
    S5CMD_CP,
    TAR_GZIP_AWS,
    Results,
    Row,
)

_PANELS = (
    ("small", NEAR),
    ("small", FAR),
    ("mixed", NEAR),
    ("mixed", FARTHER),
    ("random", NEAR),
    ("text", NEAR),
)
_KINDS = ((HOTFOLDER,), (S5CMD_CP,), (RCLONE, RCLONE_64), (RCLONE_COMPRESS,), (AWS_MV,), (TAR_GZIP_AWS,))
_WHERE = {NEAR: "a store at 0 ms", FAR: "a store 20 ms away", FARTHER: "a store 80 ms away"}
#: A light card with dark words: legible on a light page and on a dark one.
_CARD, _WORDS, _FAINT = "#ffffff", "#1f2328", "#59636e"
_OURS, _BARE, _OTHERS = "#0969da", "#8c959f", "#c8cfd6"
_STYLE = {
    "svg.fonttype": "none",  # the reader's own font: small, sharp, and can be searched
    "svg.hashsalt": "speed",  # the same figures give the same file
    "font.family": ["DejaVu Sans", "Verdana", "Helvetica", "Arial", "sans-serif"],
    "font.size": 9,
    "text.color": _WORDS,
}


def draw(results: Results, to: Path) -> None:
    """Write the chart, if there is something to show; the kind of file goes by the name's ending."""
    logging.getLogger("matplotlib.font_manager").setLevel(logging.ERROR)  # the reader has the fonts
    panels = [panel for panel in (_panel(results, *keys) for keys in _PANELS) if panel]
    if not panels:
        return
    pairs = list(zip(panels[::2], [*panels[1::2], []], strict=False))
    bars = [max(len(panel) for panel in pair) for pair in pairs]
    with mpl.rc_context(_STYLE):
        height = 0.5 + 0.35 * len(pairs) + 0.27 * sum(bars)
        figure = Figure(figsize=(9.2, height), facecolor=_CARD, layout="constrained")
        figure.suptitle(
            "Seconds for the same files: hotfolder does the whole job, s5cmd cp only uploads",
            fontsize=11,
            fontweight="bold",
        )
        axes = figure.subplots(len(pairs), 2, squeeze=False, height_ratios=bars)
        for row, pair, places in zip(axes, pairs, bars, strict=True):
            for axis, panel in zip(row, pair, strict=True):
                _bars(axis, panel, places) if panel else axis.axis("off")
        figure.savefig(
            to, format=to.suffix[1:], metadata={"Date": None} if to.suffix == ".svg" else None
        )


def _panel(results: Results, work: str, store: str) -> Sequence[Row]:
    """The rows of a work, the fastest first: of each kind of program the one that did best."""
    named = {row.contestant: row for row in results.rows if (row.work, row.store) == (work, store)}
    kinds = [[row for name in kind if (row := named.get(name)) and row.rounds] for kind in _KINDS]
    best = [min(kind, key=lambda row: row.wall) for kind in kinds if kind]
    return sorted(best, key=lambda row: row.wall)


def _bars(axis: Axes, rows: Sequence[Row], places: int) -> None:
    """`places`: of bars, the same in panels side by side, so that all bars are of one height."""
    colours = {HOTFOLDER: _OURS, S5CMD_CP: _BARE}
    walls = [row.wall for row in rows]
    axis.barh(range(len(rows)), walls, color=[colours.get(row.contestant, _OTHERS) for row in rows])
    axis.set_yticks(range(len(rows)), [row.contestant for row in rows])
    axis.set_ylim(places - 0.5, -0.5)
    axis.set_xlim(0, max(walls) * 1.15)
    axis.set_title(f"{rows[0].title}, {_WHERE[rows[0].store]}", loc="left", fontsize=9, color=_FAINT)
    axis.set_facecolor(_CARD)
    axis.spines[:].set_visible(False)
    axis.tick_params(left=False, bottom=False, labelbottom=False, labelcolor=_WORDS)
    for number, row in enumerate(rows):
        shown = f"{row.wall:.0f} s" if row.wall >= 100 else f"{row.wall:.1f} s"
        weight = "bold" if row.contestant == HOTFOLDER else "normal"
        axis.text(row.wall + max(walls) * 0.01, number, shown, va="center", fontweight=weight)
