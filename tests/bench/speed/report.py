"""The results as people read them: a table on the terminal, docs/speed.md, the README's section."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from rich import box
from rich.table import Table

from tests.bench.speed import goals
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
from tests.support.page import write_section

_PROJECT = Path(__file__).parents[3]
DOCS, README = _PROJECT / "docs", _PROJECT / "README.md"
COMMAND = "make bench"
_COLUMNS = (
    "program",
    "rounds",
    "wall s",
    "from - to",
    "x hotfolder",
    "CPU s",
    "peak MiB",
    "files/s",
    "MB/s",
    "requests",
    "sink CPU",
)
#: What the README shows: works and stores in words; in each column the first of these that there is.
_README_ROWS = (
    ("small", NEAR, "{title}"),
    ("small", FAR, "the same, the store 20 ms away"),
    ("mixed", NEAR, "{title}"),
    ("mixed", FARTHER, "the same, the store 80 ms away"),
    ("random", NEAR, "{title}"),
    ("text", NEAR, "{title}"),
    ("source", NEAR, "{title}"),
)
_README_COLUMNS = (
    ("**hotfolder**, the whole job", (HOTFOLDER,)),
    ("`s5cmd cp`, upload only", (S5CMD_CP,)),
    ("`rclone move`", (RCLONE, RCLONE_64)),
    ("`rclone move`, compress", (RCLONE_COMPRESS,)),
    ("`aws s3 mv`", (AWS_MV,)),
    ("`tar \\| gzip \\| aws s3 cp`", (TAR_GZIP_AWS,)),
)


def _number(value: float) -> str:
    """Three figures that count."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def cells(results: Results, row: Row) -> list[str]:
    walls = [each.wall for each in row.rounds]
    ratio, share = results.ratio(row), row.sink_share
    return [
        row.contestant,
        f"{len(row.rounds)}",
        _number(row.wall),
        f"{_number(min(walls))} - {_number(max(walls))}" if len(walls) > 1 else "",
        f"{ratio:.2f}" if ratio is not None else "",
        _number(row.cpu),
        f"{row.peak / (1 << 20):.0f}",
        _number(row.files / row.wall),
        _number(row.size / row.wall / 1e6),
        f"{row.requests:,}" if row.requests is not None else "",
        f"{share:.0%}" if share is not None else "",
    ]


def heading(row: Row) -> str:
    return f"{row.title}, {row.store}"


def what(row: Row) -> str:
    return f"{row.files:,} files, {row.size / 1e6:,.0f} MB"


def tables(results: Results) -> Iterator[Table]:
    """For the terminal."""
    for group in results.groups():
        table = Table(
            title=f"{heading(group[0])}: {what(group[0])}", box=box.SIMPLE, title_justify="left"
        )
        for column in _COLUMNS:
            table.add_column(column, justify="left" if column == "program" else "right")
        for row in group:
            table.add_row(*cells(results, row), style="bold" if row.contestant == HOTFOLDER else None)
        yield table
    table = Table("goal", "measured", "", title="goals", box=box.SIMPLE, title_justify="left")
    for goal in goals.judged(results):
        table.add_row(goal.text, goal.measured, "met" if goal.is_met else "missed")
    yield table


def conditions(results: Results) -> list[str]:
    """What a reader of the figures has to know."""
    machine = ", ".join(f"{value}" for value in results.machine.values())
    versions = ", ".join(f"{name} {version}" for name, version in results.versions.items())
    lines = [
        f"{results.when}: {machine}; {versions}; seed {results.seed}; {results.took / 60:.0f} minutes."
    ]
    if results.dropped:
        lines.append(
            f"The time given ({results.budget / 60:.0f} minutes) left {results.dropped} rounds out."
        )
    return lines


def page(results: Results) -> list[str]:
    """The generated section of docs/speed.md."""
    lines = ["### Goals", "", "| goal | measured | |", "|---|---:|---|"]
    judged = goals.judged(results)
    lines += [f"| {_cell(goal.text)} | {goal.measured} | {goal.verdict} |" for goal in judged]
    for group in results.groups():
        lines += ["", f"### {heading(group[0])}", "", f"{what(group[0])}.", ""]
        lines += [f"| {' | '.join(_COLUMNS)} |", f"|---|{'---:|' * (len(_COLUMNS) - 1)}"]
        lines += [_markdown(cells(results, row), row.contestant == HOTFOLDER) for row in group]
    return [*lines, "", *conditions(results)]


def _markdown(row: Sequence[str], is_ours: bool) -> str:
    escaped = map(_cell, row)
    return f"| {' | '.join(f'**{cell}**' if is_ours and cell else cell for cell in escaped)} |"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def readme(results: Results) -> list[str]:
    """The generated part of the README's section: the chart, the times, what was missed."""
    lines = ["![Seconds for the same files, hotfolder and others](docs/speed.svg)", ""]
    columns = [
        (title, names)
        for title, names in _README_COLUMNS
        if any(_first(results, *r[:2], names) for r in _README_ROWS)
    ]
    lines += [f"| seconds for | {' | '.join(title for title, _ in columns)} |"]
    lines += [f"|---|{'---:|' * len(columns)}"]
    for work, store, words in _README_ROWS:
        found = [_first(results, work, store, names) for _, names in columns]
        if known := [row for row in found if row]:
            shown = " | ".join(_seconds(results, row) for row in found)
            lines.append(f"| {words.format(title=known[0].title)} | {shown} |")
    return [*lines, "", *_verdict(goals.judged(results)), "", *conditions(results)]


def _first(results: Results, work: str, store: str, names: Sequence[str]) -> Row | None:
    return next((row for name in names if (row := results.row(work, store, name))), None)


def _seconds(results: Results, row: Row | None) -> str:
    if row is None:
        return ""
    shown = _number(row.wall)
    if row.contestant == HOTFOLDER:
        return f"**{shown}**"
    ratio = results.ratio(row)
    notes = [f"{ratio:.1f} x"] if ratio is not None else []
    notes += ["64 transfers"] if row.contestant == RCLONE_64 else []
    return f"{shown} ({', '.join(notes)})" if notes else shown


def _verdict(judged: Sequence[goals.Goal]) -> list[str]:
    missed = [f"- {goal.text}: {goal.measured}" for goal in judged if not goal.is_met]
    if not missed:
        return [f"All {len(judged)} goals that hotfolder had set itself are met."]
    met = len(judged) - len(missed)
    return [
        f"Of {len(judged)} goals that hotfolder had set itself {met} are met. Missed are:",
        "",
        *missed,
    ]


def write(results: Results) -> None:
    """The generated sections of docs/speed.md and of the README."""
    write_section(DOCS / "speed.md", COMMAND, "figures", page(results))
    write_section(README, COMMAND, "figures", readme(results))
