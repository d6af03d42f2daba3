"""What the daemon is doing now: status, from the heartbeat and the last lines of the ledger."""

import json
import os
import socket
import time
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from itertools import islice, takewhile
from typing import Annotated, Any

import typer
from rich.console import Group
from rich.live import Live

from hotfolder.cli import board
from hotfolder.cli.controlling import ask
from hotfolder.cli.options import ConfigFile, Debug, Json, LogLevel, settings_of
from hotfolder.cli.output import local_time, out, say, shown
from hotfolder.config import Settings
from hotfolder.core.control import Command, Request
from hotfolder.core.entries import seconds_of
from hotfolder.core.errors import LocalError
from hotfolder.core.pulse import completed, is_stale, silence
from hotfolder.state_folder import open_ledger, read_heartbeat

_REFRESH = 0.5  # seconds
_MOST_FAILURES = 5
_KEPT_FAILURES = 200  # of which the first that still lie in failed/ are shown
_FAR_ENOUGH = 50_000  # ledger lines in which the last failures are looked for: half a second


def register(app: typer.Typer) -> None:
    app.command()(status)


def status(
    watch: Annotated[bool, typer.Option("--watch", "-w", help="Draw it again until Ctrl-C.")] = False,
    live: Annotated[
        bool, typer.Option("--live", help="Ask the daemon itself, not its heartbeat file.")
    ] = False,
    config: ConfigFile = None,
    as_json: Json = False,
    debug: Debug = False,
    log_level: LogLevel = None,
) -> None:
    """What the daemon is doing.

    Exits with 1 if it is likely dead: if its heartbeat stopped and it did not say that it stops.
    """
    settings = settings_of(config, debug=debug, log_level=log_level)
    state = ask(settings, Request(Command.STATE)) if live else _beat(settings)
    stale = is_stale(state, time.time(), settings.status.interval, exists=process_exists(state))
    if as_json:
        out.file.write(json.dumps({**state, "stale": stale}, indent=2) + "\n")
    elif watch:
        _watch(settings)
        return
    else:
        view = _view(settings, state, Failures(settings, state["started_at"]))
        _print(view)
    raise typer.Exit(1 if stale else 0)


class Failures:
    """The newest failed lines of the ledger since a daemon began, whose files still lie where the line
    says: what was put back, delivered or taken away since has not failed any more. Reads each line once.
    """

    def __init__(self, settings: Settings, since: float) -> None:
        ledger = open_ledger(settings)
        self._follower = ledger.follow()
        recent = takewhile(
            lambda entry: seconds_of(entry["completed_at"]) >= since,
            islice(ledger.newest_first(), _FAR_ENOUGH),
        )
        self._newest = deque(islice(failed(recent), _KEPT_FAILURES), maxlen=_KEPT_FAILURES)

    def now(self) -> list[Mapping[str, Any]]:
        """The newest first."""
        seen = {entry["operation_id"] for entry in self._newest}
        for _, entry in self._follower.new():
            if entry["status"] == "failed" and entry["operation_id"] not in seen:
                self._newest.appendleft(entry)
            elif entry["status"] != "failed":
                kept = [each for each in self._newest if each["result_path"] != entry["target_path"]]
                self._newest = deque(kept, maxlen=_KEPT_FAILURES)
        return list(islice(filter(_still_lies, self._newest), _MOST_FAILURES))


def failed(newest_first: Iterable[Mapping[str, Any]]) -> Iterator[Mapping[str, Any]]:
    """Those that failed, without what lies where it failed and had another end there since."""
    ended = set()
    for entry in newest_first:
        if entry["status"] != "failed":
            ended.add(entry["target_path"])
        elif entry["result_path"] not in ended:
            yield entry


def _still_lies(entry: Mapping[str, Any]) -> bool:
    place = entry["result_path"]
    if place is None:
        return True
    try:
        os.lstat(place)
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError:
        return True  # who may not look into failed/ is told of all
    return True


def process_exists(state: Mapping[str, Any]) -> bool | None:
    """Whether the daemon's process exists; None where it ran on another host."""
    if state["host"] != socket.gethostname():
        return None
    try:
        os.kill(state["pid"], 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True  # it is another user's
    return True


def read_beat(settings: Settings) -> dict[str, Any] | None:
    """The last beat, of whatever version; None where there is none."""
    state = read_heartbeat(settings)
    return None if state is None else completed(state)


def _beat(settings: Settings) -> dict[str, Any]:
    state = read_beat(settings)
    if state is None:
        raise LocalError(
            f"there is no heartbeat at {settings.status_file}",
            hint="start the daemon with `hotfolder run`, or name its configuration with --config",
        )
    return state


def _view(settings: Settings, state: Mapping[str, Any], failures: Failures) -> board.View:
    now = time.time()
    stale = is_stale(state, now, settings.status.interval, exists=process_exists(state))
    return board.View(
        state=state,
        stale=stale,
        silence=silence(state, now),
        process=process_exists(state) if stale else None,
        failures=failures.now(),
        inboxes=[str(folder.inbox) for folder in settings.folders.values()],
    )


def _watch(settings: Settings) -> None:
    """Draw until Ctrl-C; what was drawn last stays on the terminal, as `top` leaves it."""
    state = _beat(settings)
    failures, started = Failures(settings, state["started_at"]), state["started_at"]
    with suppress(KeyboardInterrupt):  # the way to end it
        if not out.is_terminal:
            while True:  # `status --watch | tee`: a line a beat
                say(board.headline(_view(settings, state, failures)).plain)
                out.file.flush()
                time.sleep(settings.status.interval)
                state = read_beat(settings) or state
        with Live(console=out, screen=True, auto_refresh=False) as live:
            while True:
                if state["started_at"] != started:
                    failures, started = Failures(settings, state["started_at"]), state["started_at"]
                view = _view(settings, state, failures)
                live.update(Group(*board.picture(view, out.width, out.height)), refresh=True)
                time.sleep(_REFRESH)
                with suppress(LocalError):  # being replaced on a full disk: the last beat grows old
                    state = read_beat(settings) or state
    if out.is_terminal:
        _print(_view(settings, state, failures))


def _print(view: board.View) -> None:
    """The picture on a terminal; elsewhere plain lines with whole paths, tables with tabs."""
    if out.is_terminal:
        for drawn in board.picture(view, out.width, None):
            out.print(drawn)
        return
    say(board.headline(view).plain)
    if view.stale:
        say(board.advice(view))
    for word, fact in board.facts(view):
        say(f"{word:<11} {fact.plain}")
    rows = board.flight_rows(view)
    groups = board.group_rows(view.state["groups"])
    tables: list[list[tuple[str, ...]]] = [
        [
            ("file", "stage", "done", "size", "rate", "ETA"),
            *((row.path, row.stage, row.done, row.size, row.rate, row.eta) for row in rows),
        ],
        [board.GROUP_HEADINGS, *groups],
        [("left", "why"), *((shown(e["path"]), shown(e["why"])) for e in view.state["left"]["first"])],
        [
            ("failed", "file", "why"),
            *(
                (local_time(e["completed_at"]), shown(e["target_path"]), shown(e["error_message"]))
                for e in view.failures
            ),
        ],
    ]
    for table in tables:
        if len(table) > 1:
            out.file.write("\n" + "".join("\t".join(cells) + "\n" for cells in table))
