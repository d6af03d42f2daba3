"""Commands that only look: status (from the heartbeat), history (from the ledger)."""

import json
import time
from itertools import islice
from typing import Annotated, Any

import typer
from rich.table import Table
from rich.text import Text

from hotfolder.adapters import heartbeat
from hotfolder.app import open_ledger
from hotfolder.cli.options import ConfigFile, Debug, Json, LogLevel, settings_of
from hotfolder.cli.output import ago, out, rate, say, shown, size, span
from hotfolder.config import Settings
from hotfolder.core import jsonline
from hotfolder.core.errors import LocalError

_LEAST_SILENCE = 15.0  # seconds without a beat before the daemon is called dead


def register(app: typer.Typer) -> None:
    app.command()(status)
    app.command()(history)


def status(
    config: ConfigFile = None, as_json: Json = False, debug: Debug = False, log_level: LogLevel = None
) -> None:
    """What the daemon is doing."""
    settings = settings_of(config, debug=debug, log_level=log_level)
    state = heartbeat.read(settings.status_file)
    if state is None:
        raise LocalError(
            f"there is no heartbeat at {settings.status_file}",
            hint="start the daemon with `hotfolder run`, or name its configuration with --config",
        )
    if as_json:
        out.file.write(json.dumps(state, indent=2) + "\n")
        return
    for line in status_lines(state, settings):
        say(line)
    _print_active(state["active"])


def status_lines(state: dict[str, Any], settings: Settings) -> list[str]:
    """The heartbeat in words."""
    totals, waiting, destination = state["totals"], state["waiting"], state["destination"]
    delivered = f"{totals['uploaded']} uploaded ({size(totals['bytes_uploaded'])})"
    pace = f"{rate(state['bytes_per_second'])}, ETA {span(state['eta_seconds'])}"
    lines = [
        f"phase        {state['phase']}",
        f"since        {ago(state['started_at'])} (process {state['pid']} on {state['host']})",
        f"delivered    {delivered}, {totals['skipped']} skipped, {totals['failed']} failed",
        f"in flight    {len(state['active'])}, {pace}",
        f"waiting      {waiting['count']} ({size(waiting['bytes'])})",
        f"store        {destination['state']}, since {ago(destination['since'])}",
    ]
    if waiting["oldest"]:
        lines.append(f"  oldest     {shown(waiting['oldest'])}: {shown(waiting['why'])}")
    if destination["last_error"]:
        lines.append(f"  error      {shown(destination['last_error'])}")
    if state["hold"]:
        lines.append(f"hold         {shown(state['hold'])}")
    silence = time.time() - state["last_update"]
    if state["phase"] != "stopped" and silence > max(_LEAST_SILENCE, 5 * settings.status.interval):
        lines.append(f"no heartbeat for {span(silence)}: the daemon is stuck or dead; see its log")
    return lines


def _print_active(active: list[dict[str, Any]]) -> None:
    if not active:
        return
    table = Table(box=None, pad_edge=False)
    for heading in ("file", "stage", "done", "size", "rate", "ETA"):
        table.add_column(heading, justify="left" if heading in {"file", "stage"} else "right")
    for flight in active[:20]:
        done = f"{100 * flight['bytes'] // max(flight['size'], 1)} %"
        cells = (flight["stage"], done, size(flight["size"]), rate(flight["bytes_per_second"]))
        table.add_row(Text(shown(flight["path"])), *cells, span(flight["eta_seconds"]))
    out.print(table)


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
    table = Table(box=None, pad_edge=False)
    for heading in ("when", "what", "status", "file", "size", "packed", "where, or why not"):
        table.add_column(heading, justify="right" if heading in {"size", "packed"} else "left")
    for entry in entries:
        table.add_row(*_row(entry))
    out.print(table)


def _row(entry: dict[str, Any]) -> tuple[str | Text, ...]:
    where = entry["error_message"] or entry["result_path"] or "-"
    return (
        str(entry["completed_at"])[:19].replace("T", " "),
        str(entry["operation_type"]),
        Text(
            entry["status"], style={"success": "green", "failed": "red"}.get(entry["status"], "yellow")
        ),
        Text(shown(entry["target_name"])),
        size(entry.get("original_size")),
        size(entry.get("compressed_size")),
        Text(shown(where)),
    )
