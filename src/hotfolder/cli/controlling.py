"""Commands for the running daemon: pause, resume, scan, reload, retry, cancel."""

import json
import os
from collections.abc import Mapping
from typing import Annotated, Any

import typer

from hotfolder.adapters import control
from hotfolder.adapters.control import NoDaemon
from hotfolder.adapters.lock import StateLock
from hotfolder.cli.options import ConfigFile, Debug, Json, LogLevel, settings_of
from hotfolder.cli.output import err, local_time, out, say, shown
from hotfolder.config import Settings
from hotfolder.core.control import Command, Request
from hotfolder.core.errors import HotfolderError

_TIMEOUT = 30.0  # seconds: a daemon with a thousand files to think of answers in less than one
_RELOAD_TIMEOUT = 180.0  # files in flight get their moment to land, and long journals theirs
_RETRY_TIMEOUT = 600.0  # a ledger of millions of lines is read


def register(app: typer.Typer) -> None:
    for command in (pause, resume, scan, reload, retry, cancel):
        app.command()(command)


def pause(
    config: ConfigFile = None, as_json: Json = False, debug: Debug = False, log_level: LogLevel = None
) -> None:
    """Start no new files; those in flight go on.

    Holds until `resume`, or until the daemon is restarted.
    """
    settings = settings_of(config, debug=debug, log_level=log_level)
    told = ask(settings, Request(Command.PAUSE))
    moment = f"{'already ' if told['already'] else ''}paused, since {local_time(told['since'])}"
    _say(told, f"{moment} by {shown(told['by'])}; {told['active']} in flight go on", as_json=as_json)


def resume(
    config: ConfigFile = None, as_json: Json = False, debug: Debug = False, log_level: LogLevel = None
) -> None:
    """Go on after `pause`."""
    settings = settings_of(config, debug=debug, log_level=log_level)
    told = ask(settings, Request(Command.RESUME))
    _say(told, "goes on" if told["was_paused"] else "it was not paused", as_json=as_json)


def scan(
    config: ConfigFile = None, as_json: Json = False, debug: Debug = False, log_level: LogLevel = None
) -> None:
    """Walk through all inboxes now.

    Exits with 1 if one of them is not there.
    """
    settings = settings_of(config, debug=debug, log_level=log_level)
    told = ask(settings, Request(Command.SCAN))
    count = told["folders"]
    _say(told, f"walking through {count} {'inbox' if count == 1 else 'inboxes'}", as_json=as_json)
    for inbox in told["missing"]:
        err.print(f"not there: {shown(inbox)}", markup=False)
    raise typer.Exit(1 if told["missing"] else 0)


def reload(
    config: ConfigFile = None, as_json: Json = False, debug: Debug = False, log_level: LogLevel = None
) -> None:
    """Let the daemon go on with the configuration as it stands in its file now.

    Files in flight land first, or stay for later. A faulty configuration is refused (exit code 78),
    and the daemon goes on with the one it has.
    """
    settings = settings_of(config, debug=debug, log_level=log_level)
    told = ask(settings, Request(Command.RELOAD), timeout=_RELOAD_TIMEOUT)
    _say(told, f"reloaded: {shown(', '.join(told['folders']))}", as_json=as_json)


def retry(
    wanted: Annotated[
        str, typer.Argument(metavar="[ID|NAME]", help="An operation id, or a file's name or path.")
    ] = "",
    everything: Annotated[bool, typer.Option("--all", help="All that failed.")] = False,
    group: Annotated[str, typer.Option(metavar="NAME", help="All of this group that failed.")] = "",
    config: ConfigFile = None,
    as_json: Json = False,
    debug: Debug = False,
    log_level: LogLevel = None,
) -> None:
    """Put failed files back into the inbox.

    What was put off is tried now; a cancelled file is delivered if it is named. Without a daemon the
    next one takes up what was put back. Exits with 1 if something was not put back, or nothing was
    found.
    """
    if sum(map(bool, (wanted, everything, group))) != 1:
        raise typer.BadParameter("give a name or an id, or --all, or --group", param_hint="retry")
    settings = settings_of(config, debug=debug, log_level=log_level)
    request = Request(Command.RETRY, _whole(wanted), group, everything)
    try:
        told = ask(settings, request, timeout=_RETRY_TIMEOUT)
    except NoDaemon:
        # Takes a second to import, and is seldom needed.
        from hotfolder.app import prepare_state
        from hotfolder.service import retry as put_back

        prepare_state(settings)
        with StateLock(settings.state_dir / "lock"):
            files = [file.as_json() for file in put_back(settings, request)]
        told = {"files": files, "again": []}
    if not told["files"] and not told["again"]:
        raise HotfolderError(
            f"nothing to retry: no file in failed/ was recorded {_as_asked(request)}",
            hint="`hotfolder history --status failed` lists what failed, `hotfolder show` finds one",
        )
    refused = [file for file in told["files"] if file["why"] is not None]
    if as_json:
        out.file.write(json.dumps(told, indent=2) + "\n")
    else:
        _print_retried(told)
    raise typer.Exit(1 if refused else 0)


def cancel(
    wanted: Annotated[
        str, typer.Argument(metavar="ID|NAME", help="An operation id, or a file's name or path.")
    ],
    config: ConfigFile = None,
    as_json: Json = False,
    debug: Debug = False,
    log_level: LogLevel = None,
) -> None:
    """Stop the delivery of one file, which stays in the inbox.

    It is not delivered until it changes, or `retry` names it. Exits with 1 if it is too late.
    """
    settings = settings_of(config, debug=debug, log_level=log_level)
    told = ask(settings, Request(Command.CANCEL, _whole(wanted)))
    stays = "it stays there until it changes, or `hotfolder retry` names it"
    _say(told, f"cancelled {shown(told['path'])}; {stays}", as_json=as_json)


def ask(settings: Settings, request: Request, *, timeout: float = _TIMEOUT) -> dict[str, Any]:
    """What the running daemon answers."""
    return control.ask(settings.state_dir, request, timeout=timeout)


def _whole(wanted: str) -> str:
    """A path as seen from the current directory is made whole; a name or an id stays."""
    return os.path.abspath(wanted) if "/" in wanted and os.path.lexists(wanted) else wanted


def _as_asked(request: Request) -> str:
    if request.everything:
        return "at all"
    return f"in the group {request.group}" if request.group else f"as {shown(request.wanted)}"


def _print_retried(told: Mapping[str, Any]) -> None:
    for file in told["files"]:
        if file["why"] is None:
            say(f"put back {shown(file['path'])}")
        else:
            err.print(f"not put back {shown(file['was_at'])}: {shown(file['why'])}", markup=False)
    for path in told["again"]:
        say(f"tried now {shown(path)}")


def _say(told: Mapping[str, Any], line: str, *, as_json: bool) -> None:
    if as_json:
        out.file.write(json.dumps(told, indent=2) + "\n")
    else:
        say(line)
