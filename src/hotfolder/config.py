"""The settings: models, where they come from, and sentences for what is wrong with them.

This is the only module that reads the environment. A key is here only if something obeys it.
"""

import difflib
import itertools
import os
import re
import socket
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

import platformdirs
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ByteSize,
    ConfigDict,
    Field,
    PlainSerializer,
    ValidationError,
    model_validator,
)
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from hotfolder.config_sentences import sentences
from hotfolder.core.errors import ConfigError
from hotfolder.core.routing import Route, could_collide, parse_template
from hotfolder.core.segments import MIB, MIN_PART

EXTENSIONS = {"tar.gz": ".tar.gz", "gz": ".gz", "tar.zst": ".tar.zst", "zst": ".zst", "none": ""}
FILE_NAME = "hotfolder.toml"

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)")


def _seconds(value: object) -> float:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    text = str(value).replace(" ", "")
    found = _DURATION.findall(text)
    if not found or "".join(number + unit for number, unit in found) != text:
        raise ValueError(f'{value!r} is no duration; write "5s", "250ms", "5m" or "1h30m"')
    return sum(float(number) * _UNITS[unit] for number, unit in found)


def _duration_text(seconds: float) -> str:
    return f"{seconds:g}s"


def _template(text: str) -> str:
    parse_template(text)
    return text


def _workers(value: object) -> int:
    text = str(value).replace(" ", "")  # the environment gives numbers as text
    if text.isdigit() and int(text) > 0:
        return int(text)
    factor = re.fullmatch(r"cpu(?:\*([1-9]\d*))?", text)
    if factor is None:
        raise ValueError(f'{value!r} is no number of threads; write a number, "cpu" or "cpu*4"')
    return (os.cpu_count() or 1) * int(factor[1] or 1)


def _part_size(value: object) -> object:
    return None if value == "auto" else value


def _level(value: str | int) -> str | int:
    if isinstance(value, str) and value.isdigit():
        return int(value)  # the environment gives numbers as text
    if isinstance(value, str) and value not in {"fast", "balanced", "small"}:
        raise ValueError(f'{value!r} is no level; write "fast", "balanced", "small" or a number')
    return value


def _endpoint(url: str) -> str:
    parts = urlsplit(url)
    if "@" in parts.netloc or "@" in url:
        raise ValueError(
            "an address holds no user and no password; give keys with `auth` and `credentials_file`"
        )
    if url and (parts.scheme not in {"http", "https"} or not parts.hostname):
        raise ValueError(f'{url!r} is no address of a store; write "https://s3.example.com"')
    return url.rstrip("/")


def _at_least(least: int, words: str) -> AfterValidator:
    def check(value: ByteSize | None) -> ByteSize | None:
        if value is not None and value < least:
            raise ValueError(f"{value} bytes are too few; at least {words}")
        return value

    return AfterValidator(check)


Duration = Annotated[float, BeforeValidator(_seconds), PlainSerializer(_duration_text)]
Text = Annotated[str, Field(min_length=1)]


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


class Destination(_Table):
    """The bucket, and how it is reached."""

    bucket: Text
    prefix: Annotated[str, AfterValidator(lambda text: text.strip("/"))] = ""
    region: Text = "us-east-1"
    endpoint_url: Annotated[str, AfterValidator(_endpoint)] = ""
    addressing_style: Literal["auto", "path", "virtual"] = "auto"
    auth: Literal["default", "config"] = "default"
    credentials_file: Path | None = None
    storage_class: Text = "STANDARD"

    @model_validator(mode="after")
    def _auth_has_its_file(self) -> "Destination":
        if self.auth == "config" and self.credentials_file is None:
            raise ValueError(
                'auth = "config" needs credentials_file = "PATH", in the format of ~/.aws/credentials'
            )
        if self.auth == "default" and self.credentials_file is not None:
            raise ValueError(
                'credentials_file is read only with auth = "config"; set that, or leave the file out'
            )
        return self


class FolderKeys(_Table):
    """What may stand in [defaults] and in a folder."""

    settle: Duration = 5.0
    rescan: Duration = 300.0
    ignore: tuple[str, ...] = ()
    key: Annotated[str, AfterValidator(_template)] = "{prefix}/{relpath}{ext}"
    compression: Literal["tar.gz", "gz", "tar.zst", "zst", "none"] = "tar.gz"
    level: Annotated[str | int, AfterValidator(_level)] = "fast"
    file_attempts: Annotated[int, Field(ge=1)] = 5

    @model_validator(mode="after")
    def _level_fits(self) -> "FolderKeys":
        most = 22 if self.compression in {"tar.zst", "zst"} else 9
        if isinstance(self.level, int) and not 1 <= self.level <= most:
            raise ValueError(f"level {self.level} does not fit {self.compression}; write 1 to {most}")
        return self


class Folder(FolderKeys):
    """One watched folder."""

    inbox: Path
    completed: Path
    failed: Path

    @model_validator(mode="after")
    def _apart(self) -> "Folder":
        for name, path in _outputs(self):
            if path == self.inbox or self.inbox in path.parents or path in self.inbox.parents:
                raise ValueError(f"{name} ({path}) and inbox ({self.inbox}) must not lie in each other")
        if self.completed == self.failed:
            raise ValueError(f"completed and failed are both {self.completed}; give each its own folder")
        return self


def _outputs(folder: Folder) -> tuple[tuple[str, Path], tuple[str, Path]]:
    return ("completed", folder.completed), ("failed", folder.failed)


class Transfer(_Table):
    """How files are sent, and how much that may take."""

    workers: Annotated[int, BeforeValidator(_workers)] = _workers("cpu*4")
    """Packing threads: a number, or a multiple of the processors."""

    requests: Annotated[int, Field(ge=1, le=256)] = 64
    """Requests to the store at the same time."""

    attempts: Annotated[int, Field(ge=1, le=100)] = 12
    """Tries of each request, before the file or the store is given a rest."""

    connect_timeout: Duration = 20.0
    """How long a connection may take to come about."""

    read_timeout: Duration = 300.0
    """How long the store may be silent before a request is given up and tried again."""

    part_size: Annotated[
        ByteSize | None, BeforeValidator(_part_size), _at_least(MIN_PART, "5MiB, S3's limit")
    ] = None
    """A ceiling for the parts of large files. `auto`: the larger the file, the larger its parts."""

    memory: Annotated[ByteSize, _at_least(64 * MIB, "64MiB")] = ByteSize(256 * MIB)
    """The bound on all buffers together."""


class StatusKeys(_Table):
    """The heartbeat."""

    file: Path = Path("status.json")
    """The heartbeat file: in the state folder, unless the path is absolute."""

    interval: Annotated[Duration, Field(gt=0)] = 2.0
    """How often it is written."""


class Log(_Table):
    """What is told on standard error."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    """The least important events that are told."""

    format: Literal["auto", "console", "json"] = "auto"
    """`console` for people, `json` one object a line. `auto`: console on a terminal, else JSON."""


class Settings(BaseSettings):
    """All settings. The environment (`HOTFOLDER_` + key path with `__`) goes over the file."""

    model_config = SettingsConfigDict(
        extra="forbid",
        frozen=True,
        use_attribute_docstrings=True,
        env_prefix="HOTFOLDER_",
        env_nested_delimiter="__",
        nested_model_default_partial_update=True,
    )

    state_dir: Path
    """The folder of ledger, journal, heartbeat and lock. It must be on a local disk."""

    destination: Destination
    """Where the files go."""

    defaults: FolderKeys = FolderKeys()
    """Keys for every folder; a folder's own key goes before."""

    folders: Annotated[dict[str, Folder], Field(min_length=1)]
    """The watched folders: one table each, under a name of your choice."""

    transfer: Transfer = Transfer()
    """How files are sent, and how much that may take."""

    status: StatusKeys = StatusKeys()
    """The heartbeat."""

    log: Log = Log()
    """What is told on standard error."""

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],  # noqa: ARG003 - pydantic-settings' signature
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - not read
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - not read
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return env_settings, init_settings

    @model_validator(mode="before")
    @classmethod
    def _defaults_reach_folders(cls, raw: Any) -> Any:
        folders, defaults = raw.get("folders"), raw.get("defaults", {})
        if isinstance(folders, Mapping) and isinstance(defaults, Mapping):
            filled = {name: _filled(folder, defaults) for name, folder in folders.items()}
            return {**raw, "folders": filled}
        return raw

    @model_validator(mode="after")
    def _folders_stay_apart(self) -> "Settings":
        for one, other in itertools.permutations(self.folders, 2):
            inbox = self.folders[one].inbox
            theirs = self.folders[other]
            for role, path in (("inbox", theirs.inbox), *_outputs(theirs)):
                if path == inbox or inbox in path.parents or (role != "inbox" and path in inbox.parents):
                    raise ValueError(
                        f"the inbox of {one!r} ({inbox}) and the {role} folder of {other!r} ({path}) "
                        "must not be the same nor lie in each other; give each its own"
                    )
        return self

    @model_validator(mode="after")
    def _keys_stay_apart(self) -> "Settings":
        routes = [self.route(name) for name in self.folders]
        for i, one in enumerate(routes):
            for other in routes[:i]:
                if could_collide(one, other):
                    raise ValueError(
                        f"the folders {other.folder!r} and {one.folder!r} could make the same key; "
                        'begin each key with {folder}, as in key = "{prefix}/{folder}/{relpath}{ext}"'
                    )
        return self

    def route(self, name: str) -> Route:
        """How the files of a folder become keys."""
        folder = self.folders[name]
        return Route(
            folder=name,
            template=parse_template(folder.key),
            prefix=self.destination.prefix,
            ext=EXTENSIONS[folder.compression],
            host=socket.gethostname(),
        )

    @property
    def status_file(self) -> Path:
        return self.state_dir / self.status.file

    def as_toml_table(self) -> dict[str, Any]:
        """The effective values, for people; nothing in a configuration is secret by construction."""
        return self.model_dump(mode="json", exclude_none=True)


def _filled(folder: Any, defaults: Mapping[str, Any]) -> Any:
    """A raw folder table with what [defaults] says, and the siblings of its inbox as outputs."""
    if not isinstance(folder, Mapping):
        return folder
    filled = {**defaults, **folder}
    parent = Path(str(filled.get("inbox", ""))).parent
    filled.setdefault("completed", parent / "completed")
    filled.setdefault("failed", parent / "failed")
    return filled


def find_file(explicit: Path | None = None) -> Path:
    """The configuration file: `--config`, $HOTFOLDER_CONFIG, ./, XDG, /etc. Raises `ConfigError`."""
    named = explicit or (Path(env) if (env := os.environ.get("HOTFOLDER_CONFIG")) else None)
    if named is not None:
        if named.is_file():
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
        if place.is_file():
            return place.absolute()
    raise ConfigError(
        "no configuration found in " + ", ".join(str(place) for place in places),
        hint="write one with `hotfolder config init`, or name it with --config FILE",
    )


def search_places() -> list[Path]:
    """Where a configuration is looked for when none is named, in order."""
    return [
        Path(FILE_NAME),
        platformdirs.user_config_path("hotfolder") / FILE_NAME,
        Path("/etc/hotfolder") / FILE_NAME,
    ]


def load(path: Path) -> Settings:
    """Read and validate a configuration. Raises `ConfigError` with a sentence for each fault."""
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
        paths += [(f"folders.{name}.{role}", path) for role, path in _outputs(folder)]
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
        (raw.get("destination"), ("credentials_file",)),
    ]
    if isinstance(folders, dict):
        tables += [(folder, ("inbox", "completed", "failed")) for folder in folders.values()]
    for table, names in tables:
        for name in names:
            if isinstance(table, dict) and isinstance(table.get(name), str):
                table[name] = os.path.normpath(base / Path(table[name]).expanduser())
