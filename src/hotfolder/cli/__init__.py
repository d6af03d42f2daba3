"""The command line: one module a family of commands. Exit codes are decided here and nowhere else."""

import asyncio
import errno
import io
import sys
from typing import Annotated

import typer

from hotfolder import __version__
from hotfolder.cli import (
    checking,
    configuration,
    controlling,
    delivering,
    ledger,
    records,
    sums,
    watching,
    whereabouts,
)
from hotfolder.cli.output import say, say_error
from hotfolder.core.errors import (
    AlreadyRunning,
    ConfigError,
    DestinationError,
    HotfolderError,
    LocalError,
)


def _print_version(wanted: bool) -> None:
    if wanted:
        say(f"hotfolder {__version__}")
        raise typer.Exit


app = typer.Typer(
    name="hotfolder",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback()
def options(
    _version: Annotated[
        bool,
        typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version."),
    ] = False,
) -> None:
    """The watch-folder daemon to trust with your only copy."""


delivering.register(app)
checking.register(app)
controlling.register(app)
watching.register(app)
whereabouts.register(app)
records.register(app)
sums.register(app)
app.add_typer(configuration.app, name="config")
app.add_typer(ledger.app, name="ledger")

EXIT_FAILED = 1
EXIT_UNREACHABLE = 69
EXIT_RUNNING = 75
EXIT_CONFIG = 78


def exit_code(error: HotfolderError) -> int:
    """The exit code that DESIGN gives to a typed error."""
    match error:
        case ConfigError():
            return EXIT_CONFIG
        case AlreadyRunning():
            return EXIT_RUNNING
        case DestinationError() | LocalError():
            return EXIT_UNREACHABLE
        case _:
            return EXIT_FAILED


def main() -> None:
    """Run the command line; every typed error is a sentence, never a traceback."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        # As stderr does by itself: where the locale is not UTF-8, a name must not end the command.
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        app()
    except HotfolderError as error:
        say_error(error)
        sys.exit(exit_code(error))
    except BrokenPipeError:
        # The reader of our output went away (`hotfolder history | head`): not an error of ours.
        sys.stderr.close()
        sys.exit(0)
    except OSError as error:  # files of ours raise typed errors
        told = _of_the_process(error)
        say_error(told)
        sys.exit(EXIT_UNREACHABLE if told.hint else EXIT_FAILED)
    except asyncio.CancelledError:
        say_error(LocalError("stopped before the end; what was not delivered is where it was"))
        sys.exit(EXIT_FAILED)


def _of_the_process(error: OSError) -> LocalError:
    """What Python itself could not do: open what an event loop needs, or write to a terminal."""
    if error.errno in {errno.EMFILE, errno.ENFILE}:
        return LocalError(
            f"this process may open no more files: {error.strerror}",
            hint="raise its limit: LimitNOFILE= in the unit, or `ulimit -n`",
        )
    return LocalError(f"cannot write the output: {error.strerror}")
