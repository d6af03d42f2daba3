"""The results as people read them: a table on the terminal, docs/speed.md, the README's section."""

import textwrap
from collections.abc import Iterator, Sequence
from pathlib import Path

from rich import box
from rich.table import Table

from tests.bench.speed import goals, names
from tests.bench.speed.results import Results, Row
from tests.bench.speed.shown import KINDS, number, places, where
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
_WRAPPED = 118


def cells(results: Results, row: Row) -> list[str]:
    walls = [each.wall for each in row.rounds]
    ratio, share = results.ratio(row), row.sink_share
    return [
        row.contestant,
        f"{len(row.rounds)}",
        number(row.wall),
        f"{number(min(walls))} - {number(max(walls))}" if len(walls) > 1 else "",
        f"{ratio:.2f}" if ratio is not None else "",
        number(row.cpu),
        f"{row.peak / (1 << 20):.0f}",
        number(row.files / row.wall),
        number(row.size / row.wall / 1e6),
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
            style = "bold" if row.contestant == names.HOTFOLDER else None
            table.add_row(*cells(results, row), style=style)
        yield table
    table = Table("goal", "measured", "rounds", "", title="goals", box=box.SIMPLE, title_justify="left")
    for goal in goals.judged(results):
        verdict = "met" if goal.is_met else "missed"
        table.add_row(goal.text, goal.measured, goal.rounds, verdict)
    yield table


def conditions(results: Results) -> list[str]:
    """What a reader of the figures has to know."""
    machine = ", ".join(f"{value}" for value in results.machine.values())
    versions = ", ".join(f"{name} {version}" for name, version in results.versions.items())
    told = (
        f"{results.when}: {machine}; {versions}; seed {results.seed}; {results.took / 60:.0f} minutes."
    )
    if results.dropped:
        told += f" The time given ({results.budget / 60:.0f} minutes) left {results.dropped} rounds out."
    return _wrapped(told)


def page(results: Results) -> list[str]:
    """The generated section of docs/speed.md."""
    judged = goals.judged(results)
    lines = ["### Goals", "", "| goal | measured | rounds | |", "|---|---:|---:|---|"]
    lines += [
        f"| {_cell(goal.text)} | {goal.measured} | {goal.rounds} | {goal.verdict} |" for goal in judged
    ]
    if missed := [goal for goal in judged if not goal.is_met]:
        lines += [
            "",
            "Missed, and what the time goes into ([performance.md](performance.md) has the parts):",
            "",
        ]
        for goal in missed:
            lines += _wrapped(f"- **{goal.text}**: {goal.measured}: {goal.why}.", "  ")
    for group in results.groups():
        lines += ["", f"### {heading(group[0])}", "", f"{what(group[0])}.", ""]
        lines += [f"| {' | '.join(_COLUMNS)} |", f"|---|{'---:|' * (len(_COLUMNS) - 1)}"]
        lines += [_markdown(cells(results, row), row.contestant == names.HOTFOLDER) for row in group]
    return [*lines, "", *conditions(results)]


def _markdown(row: Sequence[str], is_ours: bool) -> str:
    escaped = map(_cell, row)
    return f"| {' | '.join(f'**{cell}**' if is_ours and cell else cell for cell in escaped)} |"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def readme(results: Results) -> list[str]:
    """The generated part of the README's section: the chart, the times, how many goals are met."""
    found = places(results)
    columns = [number for number, _ in enumerate(KINDS) if any(rows[number] for rows in found)]
    lines = ["![Seconds for the same files, hotfolder and others](docs/speed.svg)", ""]
    lines += [f"| seconds for | {' | '.join(KINDS[column].title for column in columns)} |"]
    lines += [f"|---|{'---:|' * len(columns)}"]
    for rows in found:
        (first, *_) = filter(None, rows)
        told = " | ".join(_seconds(results, rows[column]) for column in columns)
        lines.append(f"| {where(first)} | {told} |")
    return [*lines, "", *_verdict(results)]


def _seconds(results: Results, row: Row | None) -> str:
    if row is None:
        return ""
    took = number(row.wall)
    if row.contestant == names.HOTFOLDER:
        return f"**{took}**"
    ratio = results.ratio(row)
    notes = [f"{ratio:.1f} x"] if ratio is not None else []
    notes += ["64 transfers"] if row.contestant == names.RCLONE_64 else []
    return f"{took} ({', '.join(notes)})" if notes else took


def _verdict(results: Results) -> list[str]:
    judged = goals.judged(results)
    met = sum(goal.is_met for goal in judged)
    told = f"Measured on {results.when}, {results.machine.get('cores', 'one machine')}. "
    if met == len(judged):
        return _wrapped(f"{told}All {met} goals that hotfolder had set itself are met.")
    return _wrapped(
        f"{told}Of {len(judged)} goals that hotfolder had set itself {met} are met; "
        "[which are missed, and why](docs/speed.md#goals)."
    )


def _wrapped(text: str, indent: str = "") -> list[str]:
    return textwrap.wrap(
        text, _WRAPPED, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False
    )


def write(results: Results) -> None:
    """The generated sections of docs/speed.md and of the README."""
    write_section(DOCS / "speed.md", COMMAND, "figures", page(results))
    write_section(README, COMMAND, "figures", readme(results))
