"""The doctor's command: check."""

import json
import signal
import textwrap
from collections.abc import Iterable, Iterator
from contextlib import nullcontext
from functools import partial
from typing import Any

import typer
from rich.status import Status
from rich.text import Text

from hotfolder import __version__
from hotfolder.cli.options import ConfigFile, Debug, Json, LogLevel, settings_of
from hotfolder.cli.output import out, shown
from hotfolder.config import find_file
from hotfolder.core.checkup import Finding, State, counted, verdict
from hotfolder.core.errors import ConfigError

_MARKS = {State.OK: "✓", State.WARNING: "!", State.ERROR: "✗"}
_STYLES = {State.OK: "green", State.WARNING: "yellow", State.ERROR: "bold red"}
_EXIT_FAILED, _EXIT_CONFIG = 1, 78


def register(app: typer.Typer) -> None:
    app.command()(check)


def check(
    config: ConfigFile = None, as_json: Json = False, debug: Debug = False, log_level: LogLevel = None
) -> None:
    """Say what keeps hotfolder from working, and the fix.

    Looks at configuration, folders, limits, clock, credentials and bucket, and at what the store really
    does, with a tiny object that is removed again. Run it as the user that runs the daemon.

    Exits with 0 if there is no error (warnings are allowed), 1 if there is any, and 78 if the
    configuration is absent or invalid.
    """
    from hotfolder import doctor  # takes a second to import (boto3): no other command has to

    signal.signal(signal.SIGIO, signal.SIG_IGN)  # as in `engine`: leases are asked for
    failed = _EXIT_FAILED
    findings: Iterable[Finding]
    display = out.status("looking …") if _is_drawn() and not as_json else None
    try:
        file = find_file(config)
        settings = settings_of(file, debug=debug, log_level=log_level)
        findings = doctor.examine(settings, file, partial(_tell, display))
    except ConfigError as error:
        findings = [Finding("config", State.ERROR, str(error), error.hint)]
        failed = _EXIT_CONFIG
    told = []
    with display or nullcontext():
        for finding in findings:
            told.append(finding)
            if not as_json:
                _show(finding)
    errors, warnings = verdict(told)
    if as_json:
        out.file.write(json.dumps(_document(told, errors, warnings), indent=2) + "\n")
    else:
        worst = State.ERROR if errors else State.WARNING if warnings else State.OK
        out.print(Text(_verdict_line(errors, warnings), style=_style(worst)))
    raise typer.Exit(failed if errors else 0)


def _tell(display: Status | None, what: str) -> None:
    if display is not None:
        display.update(Text(f"{shown(what)} …"))


def _show(finding: Finding) -> None:
    """One finding; on a terminal folded to its width, but never a command, which is to be copied."""
    mark = _MARKS[finding.state] if _is_drawn() else f"{finding.state:<8}"
    first, *more = _lines(finding.what, len(mark) + 1)
    indent = " " * (len(mark) + 1)
    out.print(Text.assemble((mark, _style(finding.state)), f" {first}"))
    for line in [*more, *(_lines(finding.fix, len(indent)) if finding.fix else ())]:
        out.print(Text(f"{indent}{line}"))
    for command in finding.commands:
        out.print(Text(f"{indent}  {shown(command)}", style="bold" if out.is_terminal else ""))


def _is_drawn() -> bool:
    """Whether marks can be shown: a terminal that takes UTF-8."""
    return out.is_terminal and out.encoding.startswith("utf")


def _lines(text: str, indent: int) -> Iterator[str]:
    for line in text.split("\n"):
        if not out.is_terminal:
            yield shown(line)
            continue
        yield from textwrap.wrap(
            shown(line), max(20, out.width - indent), break_long_words=False, break_on_hyphens=False
        )


def _style(state: State) -> str:
    return _STYLES[state] if out.is_terminal else ""


def _verdict_line(errors: int, warnings: int) -> str:
    told = [counted(count, word) for count, word in ((errors, "error"), (warnings, "warning")) if count]
    return ", ".join(told) or "everything is fine"


def _document(findings: list[Finding], errors: int, warnings: int) -> dict[str, Any]:
    return {
        "schema": 1,
        "version": __version__,
        "errors": errors,
        "warnings": warnings,
        "checks": [
            {
                "id": finding.id,
                "state": finding.state.value,
                "what": finding.what,
                "fix": finding.fix,
                "commands": list(finding.commands),
                "numbers": dict(finding.numbers),
            }
            for finding in findings
        ],
    }
