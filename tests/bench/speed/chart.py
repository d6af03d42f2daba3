"""The chart for the README: for each work the seconds of each program, as bars."""

from collections.abc import Sequence
from pathlib import Path

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from tests.bench.speed.results import (
    FAR,
    FARTHER,
    HOTFOLDER,
    NEAR,
    ONCE,
    RCLONE_64,
    S5CMD_CP,
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
    panels = [panel for panel in (_panel(results, *keys) for keys in _PANELS) if panel]
    with mpl.rc_context(_STYLE):
        rows = (len(panels) + 1) // 2
        figure = Figure(figsize=(9.2, 0.6 + 1.75 * rows), facecolor=_CARD, layout="constrained")
        figure.suptitle(
            "Seconds for the same files: hotfolder does the whole job, s5cmd cp only uploads",
            fontsize=11,
            fontweight="bold",
        )
        axes = figure.subplots(rows, 2, squeeze=False).flatten()
        for axis in axes[len(panels) :]:
            axis.axis("off")
        for axis, panel in zip(axes, panels, strict=False):
            _bars(axis, panel)
        figure.savefig(
            to, format=to.suffix[1:], metadata={"Date": None} if to.suffix == ".svg" else None
        )


def _panel(results: Results, work: str, store: str) -> Sequence[Row]:
    """The rows of a work, the fastest first; of rclone's two the better one."""
    rows = [row for row in results.rows if (row.work, row.store) == (work, store) and row.rounds]
    return sorted((row for row in rows if row.contestant != ONCE), key=lambda row: row.wall)


def _bars(axis: Axes, rows: Sequence[Row]) -> None:
    colours = {HOTFOLDER: _OURS, S5CMD_CP: _BARE}
    names = [row.contestant.replace(RCLONE_64, "rclone, 64 transfers") for row in rows]
    walls = [row.wall for row in rows]
    axis.barh(names, walls, color=[colours.get(row.contestant, _OTHERS) for row in rows], height=0.72)
    axis.invert_yaxis()
    axis.set_title(f"{rows[0].title}, {rows[0].store}", loc="left", fontsize=9, color=_FAINT)
    axis.set_facecolor(_CARD)
    axis.spines[:].set_visible(False)
    axis.tick_params(left=False, bottom=False, labelbottom=False, labelcolor=_WORDS)
    axis.set_xlim(0, max(walls) * 1.15)
    for number, row in enumerate(rows):
        shown = f"{row.wall:.0f} s" if row.wall >= 100 else f"{row.wall:.1f} s"
        weight = "bold" if row.contestant == HOTFOLDER else "normal"
        axis.text(row.wall + max(walls) * 0.01, number, shown, va="center", fontweight=weight)
