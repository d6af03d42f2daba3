"""Options that every command takes, and what they lead to."""

import time
from collections.abc import Callable, Mapping
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from hotfolder.adapters.logs import configure_logs
from hotfolder.config import Settings, find_file, load
from hotfolder.core.moments import parse_moment


class Level(StrEnum):
    """What `--log-level` takes."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


ConfigFile = Annotated[
    Path | None,
    typer.Option(
        "--config", metavar="FILE", help="The configuration file.", show_default=False, readable=False
    ),
]
Debug = Annotated[bool, typer.Option("--debug", help="Log everything, libraries too.")]
LogLevel = Annotated[
    Level | None,
    typer.Option(
        "--log-level",
        metavar="LEVEL",
        help="debug, info, warning or error.",
        show_default=False,
        case_sensitive=False,
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def _moment(*, end_of_day: bool) -> Callable[[str], float]:
    """A parser for an option: Typer turns its `BadParameter` into exit code 2."""

    def parse(text: str) -> float:
        try:
            return parse_moment(text, time.time(), end_of_day=end_of_day)
        except ValueError as error:
            raise typer.BadParameter(str(error)) from error

    return parse


Since = Annotated[
    float | None,
    typer.Option(
        "--since",
        metavar="WHEN",
        parser=_moment(end_of_day=False),
        help="Not before: 2026-11-01, 2026-11-01 14:30, RFC 3339, or 2h, 3d (ago).",
        show_default=False,
    ),
]
Until = Annotated[
    float | None,
    typer.Option(
        "--until",
        metavar="WHEN",
        parser=_moment(end_of_day=True),
        help="Only before; a date alone has that day in it.",
        show_default=False,
    ),
]


def settings_of(
    config: Path | None,
    *,
    debug: bool,
    log_level: Level | None,
    own_variables: Mapping[str, str] | None = None,
) -> Settings:
    """The settings that a command works with; logging is set up as they say."""
    settings = load(find_file(config), own_variables=own_variables)
    set_up_logs(settings, debug=debug, log_level=log_level)
    return settings


def set_up_logs(settings: Settings, *, debug: bool, log_level: Level | None) -> None:
    level = "debug" if debug else str(log_level or settings.log.level)
    configure_logs(level=level, format=settings.log.format)
