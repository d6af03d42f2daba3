"""Where a configuration is found, and how file and environment are read."""

import difflib
import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import platformdirs
from pydantic import (
    ValidationError,
)

from hotfolder.config.folders import outputs
from hotfolder.config.sentences import sentences
from hotfolder.config.settings import Settings
from hotfolder.core.errors import ConfigError

FILE_NAME = "hotfolder.toml"


def find_file(explicit: Path | None = None) -> Path:
    """The configuration file: `--config`, $HOTFOLDER_CONFIG, ./, XDG, /etc. Raises `ConfigError`."""
    named = explicit or (Path(env) if (env := os.environ.get("HOTFOLDER_CONFIG")) else None)
    if named is not None:
        if _is_file(named):
            return named.absolute()
        if named.is_dir():
            raise ConfigError(
                f"{named} is a folder, no configuration file", hint=f"name the file: {named / FILE_NAME}"
            )
        raise ConfigError(
            f"there is no configuration file {named}", hint="write one with `hotfolder config init`"
        )
    places = search_places()
    for place in places:
        if _is_file(place):
            return place.absolute()
    raise ConfigError(
        "no configuration found in " + ", ".join(str(place) for place in places),
        hint="write one with `hotfolder config init`, or name it with --config FILE",
    )


def _is_file(path: Path) -> bool:
    """Raises `ConfigError` where this user may not even look: another file must not be taken instead."""
    try:
        return path.is_file()
    except OSError as error:
        raise ConfigError(
            f"cannot look at {path}: {error.strerror}", hint="let this user enter the folders above it"
        ) from error


def search_places() -> list[Path]:
    """Where a configuration is looked for when none is named, in order."""
    return [
        Path(FILE_NAME),
        platformdirs.user_config_path("hotfolder") / FILE_NAME,
        Path("/etc/hotfolder") / FILE_NAME,
    ]


def load(path: Path, *, own_variables: Mapping[str, str] | None = None) -> Settings:
    """Read and validate a configuration; `own_variables` go over its [vars].

    Raises `ConfigError` with a sentence for each fault.
    """
    try:
        raw = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(
            f"cannot read {path}: {error.strerror}", hint="let this user read it"
        ) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"{path} is not valid TOML: {error}", hint="compare with `hotfolder config init`"
        ) from error
    if own_variables:
        raw["vars"] = {**raw.get("vars", {}), **own_variables}
    raw["state_dir"] = raw.get("state_dir") or _default_state_dir()
    _make_absolute(raw, path.parent)
    _refuse_unknown_variables()
    try:
        settings = Settings(**raw)
    except ValidationError as error:
        faults = sentences(error, Settings)
        raise ConfigError(
            "\n".join([f"{path} cannot be used:", *(f"  - {fault}" for fault in faults)])
        ) from error
    _require_absolute(settings)
    return settings


def _refuse_unknown_variables() -> None:
    """A misspelt variable would be obeyed by nobody. Raises `ConfigError`."""
    known = ["CONFIG", *(name.upper() for name in Settings.model_fields)]
    for variable in os.environ:
        table = variable.removeprefix("HOTFOLDER_").partition("__")[0]
        if variable.startswith("HOTFOLDER_") and table not in known:
            near = difflib.get_close_matches(table, known, n=1)
            meant = f"did you mean HOTFOLDER_{near[0]}…?" if near else f"known are {', '.join(known)}"
            raise ConfigError(f"the environment variable {variable} means nothing", hint=meant)


def _require_absolute(settings: Settings) -> None:
    """Paths from the file were made absolute; one from the environment has nothing to start from."""
    paths = [("state_dir", settings.state_dir)]
    for name, folder in settings.folders.items():
        paths += [(f"folders.{name}.inbox", folder.inbox)]
        paths += [(f"folders.{name}.{role}", path) for role, path in outputs(folder)]
    for key, path in paths:
        if not path.is_absolute():
            raise ConfigError(
                f"{key} is the relative path {path}", hint="in the environment write an absolute one"
            )


def _default_state_dir() -> str:
    return os.environ.get("STATE_DIRECTORY") or platformdirs.user_state_dir("hotfolder")


def _make_absolute(raw: dict[str, Any], base: Path) -> None:
    """Relative paths are relative to the configuration file, wherever hotfolder is started."""
    folders = raw.get("folders")
    tables: list[tuple[Any, tuple[str, ...]]] = [
        (raw, ("state_dir",)),
        (raw.get("destination"), ("credentials_file", "ca_bundle")),
    ]
    if isinstance(folders, dict):
        tables += [
            (folder.get("destination"), ("credentials_file", "ca_bundle"))
            for folder in folders.values()
            if isinstance(folder, dict)
        ]
        tables += [(folder, ("inbox", "completed", "failed")) for folder in folders.values()]
    for table, names in tables:
        for name in names:
            if isinstance(table, dict) and isinstance(table.get(name), str):
                table[name] = os.path.normpath(base / Path(table[name]).expanduser())
