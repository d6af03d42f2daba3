"""Where is my file: show, from the heartbeat, the inboxes and the ledger."""

import json
import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table
from rich.text import Text

from hotfolder.cli import sightings
from hotfolder.cli.bars import nearer
from hotfolder.cli.options import ConfigFile, Debug, Json, LogLevel, settings_of
from hotfolder.cli.output import (
    LEFT,
    RIGHT,
    out,
    print_table,
    say,
    shorten,
    shown,
    size,
    span,
    status_style,
)
from hotfolder.cli.records import inboxes_of
from hotfolder.cli.sightings import Sighting
from hotfolder.cli.watching import process_exists, read_beat
from hotfolder.config import Settings
from hotfolder.core.errors import HotfolderError
from hotfolder.core.pulse import is_living, is_stale

_MOST_LISTED = 20
_LABEL = 11  # columns


def register(app: typer.Typer) -> None:
    app.command()(show)


def show(
    wanted: Annotated[
        str,
        typer.Argument(
            metavar="NAME|ID|KEY",
            help="A file's name or path, an operation id (its first 8 digits do), or a key.",
        ),
    ],
    everything: Annotated[bool, typer.Option("--all", help="All that is found in full.")] = False,
    config: ConfigFile = None,
    as_json: Json = False,
    debug: Debug = False,
    log_level: LogLevel = None,
) -> None:
    """Where is my file: its whole timeline, and if it waits, why and until when."""
    settings = settings_of(config, debug=debug, log_level=log_level)
    state, now = read_beat(settings), time.time()
    exists = None if state is None else process_exists(state)
    living = state is not None and is_living(state, now, settings.status.interval, exists=exists)
    flights = list(sightings.in_flight(state, wanted)) if state is not None and living else []
    operations = list(sightings.recorded(settings, wanted))
    delivered = {each.path for each in operations if sightings.is_kept(each.as_json)}
    waiting = list(
        sightings.waiting(
            settings,
            state,
            wanted,
            delivered,
            living=living,
            told=sightings.told_by_daemon(settings, wanted) if living else {},
        )
    )
    if as_json:
        found = {"in_flight": flights, "waiting": waiting, "operations": operations}
        named = {kind: [each.as_json for each in seen] for kind, seen in found.items()}
        out.file.write(json.dumps({"wanted": wanted, **named}, indent=2) + "\n")
    told = [*flights, *waiting, *operations]
    if not told:
        raise _not_found(settings, wanted, state)
    if as_json:
        return
    if state is not None and is_stale(state, now, settings.status.interval, exists=exists):
        silent = span(now - state["last_update"])
        say(f"no heartbeat for {silent}: the daemon is likely dead, see `status`", style="red")
    if len(told) > 1:
        _list(told, inboxes_of(settings))
    for number, sighting in enumerate(told if everything else told[:1], start=1):
        if len(told) > 1:
            say("")
        _print(sighting, f"{number}. " if len(told) > 1 else "")


def _list(told: Sequence[Sighting], inboxes: Sequence[str]) -> None:
    """All of them in a line each, numbered."""
    room = max(16, out.width - 54) if out.is_terminal else 1_000
    rows = [
        (
            str(number),
            each.when,
            Text(each.status, style=status_style(each.status)),
            size(each.size),
            shorten(nearer(each.path, inboxes), room),
        )
        for number, each in enumerate(told[:_MOST_LISTED], start=1)
    ]
    headings = {"": RIGHT, "when": LEFT, "status": LEFT, "size": RIGHT, "file": LEFT}
    print_table(headings, rows)
    if len(told) > _MOST_LISTED:
        say(f"and {len(told) - _MOST_LISTED} more; --all has them in full")


def _print(sighting: Sighting, number: str) -> None:
    style = status_style(sighting.status)
    say(f"{number}{shown(sighting.path)}", style="bold")
    if not out.is_terminal:
        for word, fact in sighting.facts:
            say(f"  {word:<{_LABEL}} {fact}".rstrip())
        return
    grid = Table.grid(padding=(0, 1))
    width = max(_LABEL, *(len(word) for word, _ in sighting.facts))
    grid.add_column(width=width + 2, no_wrap=True, style="dim")
    grid.add_column(overflow="fold", width=max(20, out.width - width - 4))
    for word, fact in sighting.facts:
        telling = word in {"status", "now", "why", "reason"}
        grid.add_row(f"  {word}", Text(fact, style=style if telling else ""))
    out.print(grid)


def _not_found(settings: Settings, wanted: str, state: Mapping[str, Any] | None) -> HotfolderError:
    """Says where it was looked for, and which of these places were not there."""
    near = _near_miss(settings, wanted)
    if near is not None:
        return HotfolderError(shown(near[0]), hint=shown(near[1]))
    inboxes = [
        str(folder.inbox) + ("" if Path(folder.inbox).is_dir() else " (not there)")
        for folder in settings.folders.values()
    ]
    beat = "" if state is not None else " (there is none)"
    return HotfolderError(
        f"nothing is called {shown(wanted)}: it is not in {', '.join(inboxes)}, not in flight by the "
        f"heartbeat {settings.status_file}{beat}, and not in {settings.state_dir / 'ledger.jsonl'}",
        hint="give the whole name with its suffix, the path in the inbox, an operation id, or a key; "
        "`history` lists what was recorded",
    )


def _near_miss(settings: Settings, wanted: str) -> tuple[str, str] | None:
    """Of a path that is in an inbox and no delivery of its own: what it is, and what to ask for."""
    for folder in settings.folders.values():
        inbox = str(folder.inbox)
        for path in dict.fromkeys((os.path.abspath(wanted), os.path.join(inbox, wanted.rstrip("/")))):
            relpath = os.path.relpath(path, inbox)
            if relpath.split("/")[0] in {".", ".."} or not os.path.lexists(path):
                continue
            top = relpath.split("/")[0]
            if folder.directories == "archive" and top != relpath:
                return (
                    f"{path} goes with {inbox}/{top}, which is delivered as one",
                    f"`hotfolder show {top}`",
                )
            if os.path.isdir(path):
                return f"{path} is a folder: its files go their way one by one", "name one of them"
    return None
