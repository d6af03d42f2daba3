"""Commands about the configuration: config init, show, path."""

import json
import shlex
from pathlib import Path
from typing import Annotated

import tomli_w
import typer

from hotfolder.adapters.filters import builtin_patterns
from hotfolder.cli.options import ConfigFile, Debug, Json, LogLevel, settings_of
from hotfolder.cli.output import out, say
from hotfolder.config import FILE_NAME, find_file
from hotfolder.config.template import TEMPLATE
from hotfolder.core.errors import ConfigError

_BUILT_IN = "".join(
    [
        "\n# Left alone in every inbox, by name in any folder (/: only folders); ",
        'ignore = ["!*.tmp"] takes such a pattern back:\n',
        *(f"#   {kind}: {'  '.join(patterns)}\n" for kind, patterns in builtin_patterns().items()),
    ]
)

app = typer.Typer(help="Write, show or find the configuration.", no_args_is_help=True)


@app.command()
def init(
    config: Annotated[Path, typer.Option("--config", metavar="FILE", help="Where to write it.")] = Path(
        FILE_NAME
    ),
) -> None:
    """Write a commented configuration to start from.

    An existing file is never touched.
    """
    try:
        with config.open("x", encoding="utf-8") as file:
            file.write(TEMPLATE)
    except FileExistsError as error:
        raise ConfigError(
            f"{config} exists already", hint="edit it, or name another with --config"
        ) from error
    except OSError as error:
        raise ConfigError(
            f"cannot write {config}: {error.strerror}", hint="name another with --config"
        ) from error
    named = "" if config == Path(FILE_NAME) else f" --config {shlex.quote(str(config))}"
    say(f"wrote {config}; set destination.bucket and folders.media.inbox in it,")
    say(f"then `hotfolder check{named}` and `hotfolder run{named}`")


@app.command()
def show(
    config: ConfigFile = None, as_json: Json = False, debug: Debug = False, log_level: LogLevel = None
) -> None:
    """Print the configuration in effect.

    File, environment and defaults together.
    """
    settings = settings_of(config, debug=debug, log_level=log_level)
    table = settings.as_toml_table()
    out.file.write(json.dumps(table, indent=2) + "\n" if as_json else tomli_w.dumps(table) + _BUILT_IN)


@app.command()
def path(config: ConfigFile = None) -> None:
    """Print which configuration file is used."""
    say(str(find_file(config)))
