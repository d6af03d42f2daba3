"""Commands that only look: status (from the heartbeat), history (from the ledger)."""

from itertools import islice
from typing import Annotated, Any

import typer
from rich.text import Text

from hotfolder.app import open_ledger
from hotfolder.cli.options import ConfigFile, Debug, Json, LogLevel, settings_of
from hotfolder.cli.output import (
    LEFT,
    RIGHT,
    local_time,
    out,
    print_table,
    say,
    shown,
    size,
)
from hotfolder.core import jsonline

_LEAST_SILENCE = 15.0  # seconds without a beat before the daemon is called dead


def register(app: typer.Typer) -> None:
    app.command()(history)


def history(
    limit: Annotated[int, typer.Option("--limit", min=1, help="How many operations.")] = 20,
    config: ConfigFile = None,
    as_json: Json = False,
    debug: Debug = False,
    log_level: LogLevel = None,
) -> None:
    """What was done, newest first: from the ledger."""
    settings = settings_of(config, debug=debug, log_level=log_level)
    entries = list(islice(open_ledger(settings).newest_first(), limit))
    if as_json:
        for entry in entries:
            out.file.write(jsonline.encode(entry).decode() + "\n")
        return
    if not entries:
        say("nothing was recorded yet")
        return
    headings = dict.fromkeys(("when", "what", "status"), LEFT)
    headings |= dict.fromkeys(("size", "packed"), RIGHT) | dict.fromkeys(("file", "why"), LEFT)
    inboxes = {name: f"{folder.inbox}/" for name, folder in settings.folders.items()}
    print_table(headings, (_row(entry, inboxes.get(entry.get("folder", ""), "")) for entry in entries))


def _row(entry: dict[str, Any], inbox: str) -> tuple[str | Text, ...]:
    style = {"success": "green", "failed": "red"}.get(entry["status"], "yellow")
    return (
        local_time(entry["completed_at"]),
        str(entry["operation_type"]),
        Text(entry["status"], style=style),
        size(entry.get("original_size")),
        size(entry.get("compressed_size")),
        Text(shown(entry["target_path"].removeprefix(inbox))),
        Text(shown(entry["error_message"] or "")),
    )
