"""The command line: one module a family of commands. Exit codes are decided here and nowhere else."""

import sys

import typer

from hotfolder.cli import configuration, delivering, queries
from hotfolder.cli.output import say_error
from hotfolder.core.errors import (
    AlreadyRunning,
    ConfigError,
    DestinationError,
    HotfolderError,
    LocalError,
)

app = typer.Typer(
    name="hotfolder",
    help="The watch-folder daemon to trust with your only copy.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
delivering.register(app)
queries.register(app)
app.add_typer(configuration.app, name="config")

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
    try:
        app()
    except HotfolderError as error:
        say_error(error)
        sys.exit(exit_code(error))
    except BrokenPipeError:
        # The reader of our output went away (`hotfolder history | head`): not an error of ours.
        sys.stderr.close()
        sys.exit(0)
