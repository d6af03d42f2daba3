"""What was done, added up from the ledger: stats."""

import json
from collections.abc import Iterable
from datetime import datetime
from functools import lru_cache

import typer

from hotfolder.cli.options import ConfigFile, Debug, Json, LogLevel, Since, Until, settings_of
from hotfolder.cli.output import (
    LEFT,
    RIGHT,
    local_time,
    out,
    print_table,
    rate,
    say,
    shorten,
    shown,
    size,
    span,
)
from hotfolder.core.statistics import Statistics, Sums
from hotfolder.core.timeline import Selection
from hotfolder.state_folder import open_ledger


def register(app: typer.Typer) -> None:
    app.command()(stats)


def stats(
    since: Since = None,
    until: Until = None,
    config: ConfigFile = None,
    as_json: Json = False,
    debug: Debug = False,
    log_level: LogLevel = None,
) -> None:
    """Totals, ratios and throughput, for each group and each day."""
    settings = settings_of(config, debug=debug, log_level=log_level)
    wanted = Selection(since=since, until=until)
    statistics = Statistics(_utc_day if as_json else _local_day)
    for entry in filter(wanted.takes, open_ledger(settings).newest_first()):
        statistics.add(entry)
    if as_json:
        out.file.write(json.dumps(statistics.as_dict(), indent=2) + "\n")
        return
    for line in _totals(statistics):
        say(line)
    if statistics.total.files:
        _print_sums("group", _by_group(statistics))
        _print_sums("day", [(day, sums) for day, sums in sorted(statistics.days.items())])


def _totals(statistics: Statistics) -> list[str]:
    total, pace, busy = statistics.total, statistics.bytes_per_second, statistics.busy.seconds
    if statistics.first is None or statistics.last is None:
        return ["nothing was recorded yet, or not in that time"]
    ratio = "-" if total.ratio is None else f"{total.ratio:.2f}"
    return [
        f"from         {local_time(statistics.first)} to {local_time(statistics.last)}",
        (
            f"files        {total.files}: {total.delivered} delivered, {total.skipped} skipped, "
            f"{total.failed} failed"
        ),
        f"originals    {size(total.original_bytes)}",
        f"packed       {size(total.packed_bytes)} (ratio {ratio})",
        f"throughput   {'-' if pace is None else rate(pace)} of originals in {span(busy)} of busy time",
        "             (while a delivered file was on its way; what overlaps counts once)",
    ]


def _by_group(statistics: Statistics) -> list[tuple[str, Sums]]:
    """Named by the folder, too, where there are several."""
    several = len({folder for folder, _ in statistics.groups}) > 1
    named = [
        (f"{folder}: {group}" if several and folder != group else group, sums)
        for (folder, group), sums in statistics.groups.items()
    ]
    return sorted(named)


def _print_sums(heading: str, rows: Iterable[tuple[str, Sums]]) -> None:
    counts = ("delivered", "skipped", "failed", "size", "packed", "ratio")
    say("")
    print_table(
        {heading: LEFT} | dict.fromkeys(counts, RIGHT),
        (
            (
                shorten(shown(name), 24) if out.is_terminal else shown(name),
                *(str(count) for count in (sums.delivered, sums.skipped, sums.failed)),
                size(sums.original_bytes),
                size(sums.packed_bytes),
                "-" if sums.ratio is None else f"{sums.ratio:.2f}",
            )
            for name, sums in rows
        ),
    )


def _utc_day(moment: str) -> str:
    return moment[:10]


def _local_day(moment: str) -> str:
    return _local_day_of_minute(moment[:16])


@lru_cache(maxsize=4096)
def _local_day_of_minute(minute: str) -> str:
    """The day here of a minute in UTC: a million lines have few minutes, and no zone splits one."""
    return datetime.fromisoformat(f"{minute}:00+00:00").astimezone().strftime("%Y-%m-%d")
