"""Commands that only look: status (from the heartbeat), history (from the ledger)."""

import json
import time
from itertools import islice
from typing import Annotated, Any

import typer
from rich.text import Text

from hotfolder.adapters import heartbeat
from hotfolder.cli.options import ConfigFile, Debug, Json, LogLevel, settings_of
from hotfolder.cli.output import (
    LEFT,
    RIGHT,
    ago,
    local_time,
    out,
    print_table,
    rate,
    say,
    shown,
    size,
    span,
)
from hotfolder.config import Settings
from hotfolder.core import jsonline
from hotfolder.core.errors import LocalError
from hotfolder.engine import open_ledger

_LEAST_SILENCE = 15.0  # seconds without a beat before the daemon is called dead


def register(app: typer.Typer) -> None:
    app.command()(status)
    app.command()(history)


def status(
    config: ConfigFile = None, as_json: Json = False, debug: Debug = False, log_level: LogLevel = None
) -> None:
    """What the daemon is doing."""
    settings = settings_of(config, debug=debug, log_level=log_level)
    state = heartbeat.read(settings.status_file, group_key=settings.status.group_key)
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
    ended = f", {ago(state['last_update'])}" if state["phase"] == "stopped" else ""
    lines = [
        f"phase        {state['phase']}{ended}",
        f"started      {ago(state['started_at'])} (process {state['pid']} on {state['host']})",
        f"delivered    {delivered}, {totals['skipped']} skipped, {totals['failed']} failed",
        f"in flight    {_flying(state)}",
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


def _flying(state: dict[str, Any]) -> str:
    if not state["active"]:
        return "0"
    pace = f"{rate(state['bytes_per_second'])}, ETA {span(state['eta_seconds'])}"
    return f"{len(state['active'])}, {pace}"


def _print_active(active: list[dict[str, Any]]) -> None:
    if not active:
        return
    headings = dict.fromkeys(("file", "stage"), LEFT) | dict.fromkeys(
        ("done", "size", "rate", "ETA"), RIGHT
    )
    print_table(headings, map(_active_row, active[:20]))


def _active_row(flight: dict[str, Any]) -> tuple[str | Text, ...]:
    done = f"{100 * flight['bytes'] // max(flight['size'], 1)} %"
    pace = (rate(flight["bytes_per_second"]), span(flight["eta_seconds"]))
    return Text(shown(flight["path"])), flight["stage"], done, size(flight["size"]), *pace


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
