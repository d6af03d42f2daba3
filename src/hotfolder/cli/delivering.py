"""Commands that deliver: run, once, sandbox, upload.

What delivers takes a second to import (boto3): each command does it, so that no query has to.
"""

import asyncio
import shutil
import sys
from collections.abc import Iterable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hotfolder.adapters.lock import StateLock
from hotfolder.cli.options import ConfigFile, Debug, LogLevel, set_up_logs, settings_of
from hotfolder.cli.output import err, is_terminal, say, say_error, shown, size
from hotfolder.cli.progress import display
from hotfolder.config import Settings, find_file, load
from hotfolder.leaving import leave_threads_behind

if TYPE_CHECKING:
    from hotfolder.app import RunSummary


def register(app: typer.Typer) -> None:
    app.command()(run)
    app.command()(once)
    app.command()(sandbox)
    app.command()(upload)


def run(config: ConfigFile = None, debug: Debug = False, log_level: LogLevel = None) -> None:
    """Run the daemon in the foreground, until Ctrl-C."""
    from hotfolder import service

    settings = settings_of(config, debug=debug, log_level=log_level)
    asyncio.run(
        service.run(
            settings,
            display=display() if is_terminal() else None,
            reread=partial(load, find_file(config)),
            hangup_reloads=not (sys.stdin and sys.stdin.isatty()) and not is_terminal(),
        )
    )
    leave_threads_behind()


def once(config: ConfigFile = None, debug: Debug = False, log_level: LogLevel = None) -> None:
    """Deliver what is in the inboxes now, then exit.

    Exits with 0 only if nothing failed or was left.
    """
    from hotfolder import service

    settings = settings_of(config, debug=debug, log_level=log_level)
    _finish(asyncio.run(service.run(settings, once=True, display=display())))


def sandbox(
    directory: Annotated[Path, typer.Argument(metavar="DIR")] = Path("sandbox"),
    debug: Debug = False,
    log_level: LogLevel = None,
) -> None:
    """Try hotfolder with a store of its own, in DIR.

    Makes an S3 store, bucket, inbox and configuration there and runs the daemon on them. Ctrl-C stops
    all of it; the next start with the same DIR finds all data again.
    """
    from hotfolder import service
    from hotfolder.sandbox import Sandbox

    box = Sandbox(directory.absolute())
    box.make()
    lock = StateLock(box.directory / "lock", instead="name another folder: `hotfolder sandbox DIR`")
    with lock, box.running():
        settings = load(box.config_file)
        set_up_logs(settings, debug=debug, log_level=log_level)
        for line in box.welcome(_program()):
            say(line)
        sys.stdout.flush()
        asyncio.run(
            service.run(
                settings,
                display=display() if is_terminal() else None,
                reread=partial(load, box.config_file),
            )
        )
    leave_threads_behind()


def upload(
    paths: Annotated[
        list[Path],
        typer.Argument(
            metavar="PATH|all",
            help="Files, or folders with all below them; `all`: every entry of the current directory.",
        ),
    ],
    folder: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Whose settings to use; the first folder's if not set."),
    ] = None,
    group: Annotated[
        str | None, typer.Option(metavar="NAME", help="The group of all these files.")
    ] = None,
    include: Annotated[
        list[str] | None, typer.Option(metavar="PATTERN", help="Only what matches, as in .gitignore.")
    ] = None,
    exclude: Annotated[
        list[str] | None, typer.Option(metavar="PATTERN", help="Not what matches, as in .gitignore.")
    ] = None,
    var: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=VALUE", help="Goes over [vars]; for {vars.NAME} in keys."),
    ] = None,
    timestamp: Annotated[
        str | None,
        typer.Option(metavar="YYYYMMDD_HHMM", help="What {timestamp} and {date} are in keys, in UTC."),
    ] = None,
    move: Annotated[
        bool, typer.Option("--move", help="Move proven originals to the folder's completed/.")
    ] = False,
    config: ConfigFile = None,
    debug: Debug = False,
    log_level: LogLevel = None,
) -> None:
    """Deliver files from anywhere, once; originals stay.

    Exits with 0 only if nothing failed or was left.
    """
    from hotfolder.app import UploadRequest
    from hotfolder.app import upload as deliver

    variables = _variables(var or [])
    settings = settings_of(config, debug=debug, log_level=log_level, own_variables=variables)
    name = _folder(settings, folder)
    _require_used(settings, name, variables)
    request = UploadRequest(
        paths=tuple(sorted(Path().iterdir()) if paths == [Path("all")] else paths),
        command=tuple(sys.argv[1:]),
        folder=name,
        group=_group(settings, name, group),
        include=tuple(include or ()),
        exclude=tuple(exclude or ()),
        moment=_moment(timestamp),
        move=move,
        config_file=find_file(config),
    )
    _finish(asyncio.run(deliver(settings, request, display=display())))


def _variables(assignments: list[str]) -> dict[str, str]:
    variables = {}
    for assignment in assignments:
        name, equals, value = assignment.partition("=")
        if not equals or not name:
            raise typer.BadParameter(f"{assignment!r} is no NAME=VALUE", param_hint="--var")
        variables[name] = value
    return variables


def _folder(settings: Settings, name: str | None) -> str:
    if name is not None and name not in settings.folders:
        known = ", ".join(settings.folders)
        raise typer.BadParameter(f"there is no folder {name!r}; known: {known}", param_hint="--folder")
    return name or next(iter(settings.folders))


def _group(settings: Settings, folder: str, name: str | None) -> str | None:
    known = settings.folders[folder].groups
    if name is not None and (not name or "/" in name or name in {".", ".."}):
        raise typer.BadParameter(f"{name!r} cannot name a group", param_hint="--group")
    if name is not None and known and name not in known:
        told = ", ".join(known)
        raise typer.BadParameter(
            f"{folder!r} has no group {name!r}; known: {told}", param_hint="--group"
        )
    return name


def _require_used(settings: Settings, folder: str, variables: Iterable[str]) -> None:
    """A misspelt variable would put files under keys that nobody meant."""
    groups = ("", *settings.folders[folder].groups)
    used = {name for group in groups for name in settings.route(folder, group).template.own_variables()}
    for name in variables:
        if name not in used:
            known = ", ".join(sorted(used)) or "none"
            raise typer.BadParameter(
                f"no key of {folder!r} uses {{vars.{name}}}; used: {known}", param_hint="--var"
            )


def _moment(text: str | None) -> float | None:
    if text is None:
        return None
    try:
        return datetime.strptime(text, "%Y%m%d_%H%M").replace(tzinfo=UTC).timestamp()
    except ValueError as error:
        raise typer.BadParameter(f"{text!r} is no YYYYMMDD_HHMM", param_hint="--timestamp") from error


def _program() -> str:
    """How the person can call hotfolder again: its name if PATH has it, else the path just used."""
    called, on_path = Path(sys.argv[0]).absolute(), shutil.which("hotfolder")
    if called.name == "__main__.py":
        return f"{sys.executable} -m hotfolder"
    if on_path is not None and Path(on_path).samefile(called):
        return "hotfolder"
    return str(called.relative_to(Path.cwd()) if called.is_relative_to(Path.cwd()) else called)


def _finish(summary: "RunSummary") -> None:
    """Say how a one-shot run ended, and exit accordingly."""
    totals = summary.activity.totals
    for path, reason in summary.left.items():
        if summary.trouble is not None and reason == summary.trouble.sentence:
            continue  # said once, below
        err.print(f"left {shown(path)}: {shown(reason)}", markup=False)
    rest = f"{len(summary.left)} left" if summary.trouble is None else "the rest was left"
    say(
        f"{totals.uploaded} uploaded ({size(totals.bytes_uploaded)}), {totals.skipped} skipped, "
        f"{totals.failed} failed, {rest}"
    )
    if summary.trouble is not None:
        say_error(summary.trouble)
    raise typer.Exit(summary.exit_code)
