"""What was done, from the ledger: history, log."""

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from enum import StrEnum
from itertools import islice
from typing import Annotated, Any

import typer
from rich.cells import cell_len
from rich.console import RenderableType
from rich.text import Text

from hotfolder.cli.bars import nearer
from hotfolder.cli.options import ConfigFile, Debug, Json, LogLevel, Since, Until, settings_of
from hotfolder.cli.output import (
    LEFT,
    RIGHT,
    local_time,
    out,
    print_table,
    reason_below,
    say,
    shorten,
    shown,
    size,
    status_style,
)
from hotfolder.config import Settings
from hotfolder.core import jsonline
from hotfolder.core.records import Status
from hotfolder.core.redaction import escape
from hotfolder.core.timeline import Selection
from hotfolder.state_folder import open_ledger

_POLL = 0.5  # seconds between two looks at a followed ledger
_LEAST_NAME = 16  # columns
_UNDER = 21  # columns before a reason: it begins below the status


class Operation(StrEnum):
    """What `--type` takes: the kinds of operations that a ledger tells of."""

    UPLOAD = "upload"
    DOWNLOAD = "download"
    DELETE = "delete"
    SEARCH = "search"
    VERIFY = "verify"
    STATUS = "status"
    CONFIG = "config"


def register(app: typer.Typer) -> None:
    app.command()(history)
    app.command()(log)


def history(
    types: Annotated[
        list[Operation] | None, typer.Option("--type", help="Only such operations.", show_default=False)
    ] = None,
    statuses: Annotated[
        list[Status] | None,
        typer.Option("--status", help="Only what ended so. May be repeated.", show_default=False),
    ] = None,
    groups: Annotated[
        list[str] | None, typer.Option("--group", metavar="NAME", help="Only this group.")
    ] = None,
    folders: Annotated[
        list[str] | None, typer.Option("--folder", metavar="NAME", help="Only this folder.")
    ] = None,
    since: Since = None,
    until: Until = None,
    limit: Annotated[int, typer.Option("--limit", min=1, help="How many operations.")] = 20,
    config: ConfigFile = None,
    as_json: Json = False,
    debug: Debug = False,
    log_level: LogLevel = None,
) -> None:
    """What was done, newest first: from the ledger."""
    settings = settings_of(config, debug=debug, log_level=log_level)
    wanted = Selection(
        types=frozenset(types or ()),
        statuses=frozenset(statuses or ()),
        groups=frozenset(groups or ()),
        folders=frozenset(folders or ()),
        since=since,
        until=until,
    )
    lines = open_ledger(settings).newest_first(wanted.traces())
    entries = list(islice(filter(wanted.takes, lines), limit))
    if as_json:
        for entry in entries:
            out.file.write(escape(jsonline.encode(entry).decode()) + "\n")
        return
    if not entries:
        say("nothing was recorded yet" if wanted == Selection() else "nothing recorded is like that")
        return
    inboxes = inboxes_of(settings)
    if out.is_terminal:
        for line in _history_lines(entries, inboxes, out.width):
            out.print(line)
        return
    headings = dict.fromkeys(("when", "what", "status"), LEFT)
    headings |= dict.fromkeys(("size", "packed"), RIGHT) | dict.fromkeys(("file", "why"), LEFT)
    print_table(headings, (_cells(entry, inboxes) for entry in entries))


def inboxes_of(settings: Settings) -> list[str]:
    return [str(folder.inbox) for folder in settings.folders.values()]


def _cells(entry: Mapping[str, Any], inboxes: Sequence[str]) -> tuple[str, ...]:
    return (
        local_time(entry["completed_at"]),
        str(entry["operation_type"]),
        str(entry["status"]),
        size(entry.get("original_size")),
        size(entry.get("compressed_size")),
        nearer(entry["target_path"] or "", inboxes),
        shown(entry["error_message"] or ""),
    )


def _history_lines(
    entries: Iterable[Mapping[str, Any]], inboxes: Sequence[str], width: int
) -> Iterator[RenderableType]:
    """One line an operation, the file's name shortened to fit; a reason stands below it."""
    rows = [_cells(entry, inboxes) for entry in entries]
    uploads_only = all(what == "upload" for _, what, *_ in rows)
    shown_rows = [(when, *rest) if uploads_only else (when, what, *rest) for when, what, *rest in rows]
    headings = ["when", *([] if uploads_only else ["what"]), "status", "size", "packed", "file"]
    last = len(headings) - 1
    wide = [max(len(row[i]) for row in [headings, *shown_rows]) for i in range(last)]
    room = max(_LEAST_NAME, width - sum(wide) - 2 * last)
    for number, row in enumerate([(*headings, ""), *shown_rows]):
        line = Text()
        for heading, cell, columns in zip(headings, row, wide, strict=False):
            padded = cell.rjust(columns) if heading in {"size", "packed"} else cell.ljust(columns)
            line.append(
                f"{padded}  ", style=status_style(cell) if number and heading == "status" else ""
            )
        line.append(shorten(row[last], room))
        if not number:
            line.stylize("bold")
        yield line
        if row[-1]:
            yield reason_below(row[-1], width, indent=_UNDER)


def log(
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on until Ctrl-C.")] = False,
    count: Annotated[int, typer.Option("-n", "--lines", min=0, help="How many of the last lines.")] = 20,
    config: ConfigFile = None,
    as_json: Annotated[bool, typer.Option("--json", help="The lines as they stand.")] = False,
    debug: Debug = False,
    log_level: LogLevel = None,
) -> None:
    """The ledger, one line an operation, newest last."""
    settings = settings_of(config, debug=debug, log_level=log_level)
    inboxes = inboxes_of(settings)
    follower = open_ledger(settings).follow()
    lines = follower.last(count)
    with suppress(KeyboardInterrupt):  # the way to end it
        while True:
            for raw, entry in lines:
                if as_json:
                    out.file.write(escape(raw.decode("utf-8", "replace")) + "\n")
                else:
                    for line in _log_lines(entry, inboxes):
                        out.print(line)
            out.file.flush()
            if not follow:
                break
            time.sleep(_POLL)
            lines = follower.new()
    follower.close()


def _log_lines(entry: Mapping[str, Any], inboxes: Sequence[str]) -> Iterator[RenderableType]:
    """Time, status, name, sizes, and the key or the reason.

    On a terminal names give way, and a reason stands below; elsewhere all is one line.
    """
    when, what, status, original, packed, name, why = _cells(entry, inboxes)
    line = Text(f"{when}  ")
    line.append(f"{status:<9}", style=status_style(status))
    if what != "upload":
        line.append(f" {what}")
    sizes = f"  {original}" if packed == "-" else f"  {original} -> {packed}"
    key = shown(entry.get("s3_object_key") or "")
    if out.is_terminal:
        room = out.width - cell_len(line.plain) - len(sizes) - 3
        name = shorten(name, max(_LEAST_NAME, room // 2))
        key = shorten(key, max(_LEAST_NAME, room - cell_len(name)))
    line.append(f" {name}{sizes}")
    if why and not out.is_terminal:
        line.append(f"  {why}")
    elif key and not why:
        line.append(f"  {key}", style="dim")
    yield line
    if why and out.is_terminal:
        yield reason_below(why, out.width, indent=_UNDER)
