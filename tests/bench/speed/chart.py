"""The chart for the README: for each work the seconds of each program, as bars. Needs matplotlib."""

import logging
from collections.abc import Sequence
from pathlib import Path

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch, Patch

from tests.bench.speed import names, shown
from tests.bench.speed.results import Results, Row

_PANELS = 6
#: A light card with dark words: legible on a light page and on a dark one.
_CARD, _EDGE, _WORDS, _FAINT = "#ffffff", "#d1d9e0", "#1f2328", "#59636e"
_OURS, _BARE, _OTHERS = "#0969da", "#818b98", "#d1d9e0"
_LEGEND = {
    "hotfolder: found, compressed, uploaded, verified, moved, recorded": _OURS,
    "s5cmd cp: uploaded": _BARE,
    "others": _OTHERS,
}
_SHORT = {names.RCLONE_64: "rclone, 64 transfers"}
#: Inches: of the card, for words left of the bars, right of them, of a bar, between panels, on top.
_WIDTH, _LABELS, _MARGIN, _BAR, _BETWEEN, _HEAD = 9.2, 1.76, 0.18, 0.24, 0.42, 1.0
_STYLE = {
    "svg.fonttype": "none",  # the reader's own font: small, sharp, and can be searched
    "svg.hashsalt": "speed",  # the same figures give the same file
    "font.family": ["DejaVu Sans", "Verdana", "Helvetica", "Arial", "sans-serif"],
    "font.size": 9,
    "text.color": _WORDS,
}


def draw(results: Results, to: Path) -> bool:
    """Write the chart; returns False, and nothing stands at `to`, where there is nothing to show."""
    logging.getLogger("matplotlib.font_manager").setLevel(logging.ERROR)  # the reader has the fonts
    found = shown.places(results)[:_PANELS]
    panels = [sorted(filter(None, rows), key=lambda row: row.wall) for rows in found]
    if not panels:
        to.unlink(missing_ok=True)
        return False
    with mpl.rc_context(_STYLE):
        _figure(list(shown.pairs(panels))).savefig(to, format=to.suffix[1:], metadata={"Date": None})
    return True


def _figure(pairs: Sequence[Sequence[Sequence[Row]]]) -> Figure:
    bars = [max(len(panel) for panel in pair) for pair in pairs]
    height = _HEAD + sum(_BAR * count + _BETWEEN for count in bars) - _BETWEEN / 3
    figure = Figure(figsize=(_WIDTH, height), facecolor="none")
    _card(figure, height)
    top = height - _HEAD
    for pair, places in zip(pairs, bars, strict=True):
        top -= _BAR * places
        for number, panel in enumerate(pair):
            left = number * _WIDTH / 2 + _LABELS
            wide, high = _WIDTH / 2 - _LABELS - _MARGIN, _BAR * places
            axis = figure.add_axes((left / _WIDTH, top / height, wide / _WIDTH, high / height))
            _bars(axis, panel, places)
        top -= _BETWEEN
    return figure


def _card(figure: Figure, height: float) -> None:
    """What the bars stand on, with the title and the legend."""
    edge, corner = 0.02, 0.08  # inches
    card = FancyBboxPatch(
        (edge + corner, edge + corner),
        _WIDTH - 2 * (edge + corner),
        height - 2 * (edge + corner),
        boxstyle=f"round,pad={corner}",
        transform=figure.dpi_scale_trans,
        facecolor=_CARD,
        edgecolor=_EDGE,
        zorder=-1,
    )
    figure.add_artist(card)
    left, top = 0.22 / _WIDTH, 1 - 0.36 / height
    figure.text(
        left, top, "Seconds for the same files (less is better)", fontsize=11.5, fontweight="bold"
    )
    figure.legend(
        handles=[Patch(color=colour, label=label) for label, colour in _LEGEND.items()],
        loc="upper left",
        bbox_to_anchor=(left, top - 0.1 / height),
        bbox_transform=figure.transFigure,
        ncols=len(_LEGEND),
        frameon=False,
        borderpad=0,
        borderaxespad=0,
        handlelength=0.9,
        handleheight=0.9,
        columnspacing=1.6,
        labelcolor=_FAINT,
    )


def _bars(axis: Axes, rows: Sequence[Row], places: int) -> None:
    """`places`: room for so many, as panels side by side have the same."""
    colours = {names.HOTFOLDER: _OURS, names.S5CMD_CP: _BARE}
    walls = [row.wall for row in rows]
    colour = [colours.get(row.contestant, _OTHERS) for row in rows]
    axis.barh(range(len(rows)), walls, color=colour, height=0.72)
    axis.set_yticks(range(len(rows)), [_SHORT.get(row.contestant, row.contestant) for row in rows])
    axis.set_ylim(places - 0.5, -0.5)
    axis.set_xlim(0, max(walls) * 1.17)
    axis.set_title(shown.where(rows[0]), loc="left", fontsize=9.5, pad=4)
    axis.set_facecolor("none")
    axis.spines[:].set_visible(False)
    axis.tick_params(left=False, bottom=False, labelbottom=False, labelcolor=_FAINT)
    for number, (row, tick) in enumerate(zip(rows, axis.get_yticklabels(), strict=True)):
        weight = "bold" if row.contestant == names.HOTFOLDER else "normal"
        tick.set_fontweight(weight)
        tick.set_color(_WORDS if row.contestant == names.HOTFOLDER else _FAINT)
        at = row.wall + max(walls) * 0.015
        axis.text(at, number, f"{shown.number(row.wall)} s", va="center_baseline", fontweight=weight)
