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
from typing import Annotated, Any, Literal, Self

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

from hotfolder import config_values as values
from hotfolder.config_sentences import sentences
from hotfolder.core.errors import ConfigError
from hotfolder.core.grouping import GroupBy
from hotfolder.core.heartbeat import RESERVED
from hotfolder.core.routing import Layout, Route, could_collide, encode_path, parse_template
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


def _template(text: str | None) -> str | None:
    if text is not None:
        parse_template(text)
    return text


def _patterns(values: tuple[str, ...]) -> tuple[str, ...]:
    for value in values:
        if not value.strip() or "\n" in value:
            raise ValueError(f"{value!r} is no pattern; write one as in .gitignore")
    return values


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


def _level(value: str | int | None) -> str | int | None:
    if isinstance(value, str) and value.isdigit():
        return int(value)  # the environment gives numbers as text
    if isinstance(value, str) and value not in {"fast", "balanced", "small"}:
        raise ValueError(f'{value!r} is no level; write "fast", "balanced", "small" or a number')
    return value


def _at_least(least: int, words: str) -> AfterValidator:
    def check(value: ByteSize | None) -> ByteSize | None:
        if value is not None and value < least:
            raise ValueError(f"{value} bytes are too few; at least {words}")
        return value

    return AfterValidator(check)


def _group_key(word: str) -> str:
    if not re.fullmatch("[a-z][a-z_]*", word) or word in RESERVED:
        raise ValueError(f'{word!r} cannot name the groups; write a plural word such as "reels"')
    return word


def _extensions(values: tuple[str, ...]) -> tuple[str, ...]:
    for value in values:
        if not value.startswith(".") or "/" in value or len(value) < 2:
            raise ValueError(f'{value!r} is no extension; write it with its dot, as in ".mp4"')
    return values


def _variable(value: str) -> str:
    """A value of [vars] becomes a part of keys."""
    if not value.strip("/") or not {".", "..", ""}.isdisjoint(value.strip("/").split("/")):
        raise ValueError(f"{value!r} cannot stand in a key; leave out '.', '..' and '//'")
    return encode_path(value.strip("/"))


Duration = Annotated[float, BeforeValidator(_seconds), PlainSerializer(_duration_text)]
Text = Annotated[str, Field(min_length=1)]
Variable = Annotated[str, AfterValidator(_variable)]
Patterns = Annotated[tuple[str, ...], AfterValidator(_patterns)]
Compression = Literal["tar.gz", "gz", "tar.zst", "zst", "none"]


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


def _absolute(path: Path) -> Path:
    # From the file it is absolute already; one from the environment has nothing to start from.
    if not path.is_absolute():
        raise ValueError(f"{path} is a relative path; in the environment write an absolute one")
    return path


OwnFile = Annotated[Path, AfterValidator(_absolute)]
Tags = Annotated[dict[str, str], AfterValidator(values.tags)]
#: A value that goes into a header as it is; a store would refuse another with every object.
Token = Annotated[str, Field(pattern=r"^[!-~]*$")]

#: The key that belongs to each `auth`, and how to give it.
_AUTH_KEYS = {
    "config": ("credentials_file", 'credentials_file = "PATH", in the format of ~/.aws/credentials'),
    "profile": ("profile", 'profile = "NAME", of the AWS files'),
    "keyring": ("keyring_entry", 'keyring_entry = "SERVICE/USERNAME"'),
    "systemd": ("credential_name", ""),  # may be left out
}


class Destination(_Table):
    """The bucket, and how it is reached."""

    bucket: Annotated[Text, AfterValidator(values.bucket)]
    """The bucket. Required; `run` waits until it is there."""
    prefix: Annotated[str, AfterValidator(values.prefix)] = ""
    """The start of every key, {prefix} in templates."""
    region: Text = "us-east-1"
    """The region of the bucket."""
    endpoint_url: Annotated[str, AfterValidator(values.endpoint)] = ""
    """The address of an S3-compatible store; empty: AWS."""
    addressing_style: Literal["auto", "path", "virtual"] = "auto"
    """How the bucket is named in requests: path (host/bucket), virtual (bucket.host), or auto."""
    ca_bundle: OwnFile | None = Field(
        default=None, description="The store's CA certificates (PEM), in place of the system's."
    )
    proxy: Annotated[str, AfterValidator(values.proxy)] = Field(
        default="", description="The URL of an HTTP proxy; all requests go through it, over boto3 alone."
    )
    auth: Literal["default", "config", "profile", "instance", "keyring", "systemd"] = "default"
    """Whose keys: default (as the AWS CLI finds them), config (credentials_file), profile, instance (the
    role of the machine or container), keyring, systemd (LoadCredential)."""
    credentials_file: OwnFile | None = Field(
        default=None, description='With auth = "config": [default] of a file as ~/.aws/credentials.'
    )
    profile: Text | None = Field(
        default=None, description='With auth = "profile": a profile of the AWS files, also of SSO.'
    )
    keyring_entry: Annotated[str, AfterValidator(values.keyring_entry)] | None = Field(
        default=None,
        description='With auth = "keyring": SERVICE/USERNAME. Its secret is ACCESS_KEY:SECRET_KEY.',
    )
    credential_name: Annotated[Text, AfterValidator(values.file_name)] | None = Field(
        default=None,
        description='With auth = "systemd": the name in LoadCredential=, else "s3". '
        "Its content is as in ~/.aws/credentials, section [default].",
    )
    storage_class: Annotated[Token, Field(min_length=1)] = "STANDARD"
    """The storage class of the objects."""
    tags: Tags = Field(default={}, description="Object tags, sent with the object itself.")
    sse: Literal["", "AES256", "aws:kms"] = ""
    """Encryption by the store: AES256 or aws:kms; empty: as the bucket has it."""
    kms_key_id: Token = Field(
        default="", description='With sse = "aws:kms": the key; empty: the account\'s own for S3.'
    )
    acl: Literal[
        "",
        "private",
        "public-read",
        "public-read-write",
        "authenticated-read",
        "aws-exec-read",
        "bucket-owner-read",
        "bucket-owner-full-control",
    ] = Field(default="", description="A canned ACL; empty: the bucket's default.")

    @property
    def place(self) -> tuple[str, str]:
        """What tells one bucket from another: equal places hold the same keys."""
        return self.endpoint_url, self.bucket

    @model_validator(mode="after")
    def _auth_has_its_keys(self) -> "Destination":
        for mode, (key, example) in _AUTH_KEYS.items():
            given = getattr(self, key) is not None
            if given and self.auth != mode:
                raise ValueError(
                    f'{key} is read only with auth = "{mode}"; set that, or leave {key} out'
                )
            if example and self.auth == mode and not given:
                raise ValueError(f'auth = "{mode}" needs {example}')
        return self

    @model_validator(mode="after")
    def _options_fit(self) -> "Destination":
        if self.kms_key_id and self.sse != "aws:kms":
            raise ValueError('kms_key_id is read only with sse = "aws:kms"; set that, or leave it out')
        if self.ca_bundle is not None and self.endpoint_url.startswith("http:"):
            raise ValueError(
                f"ca_bundle is for https, and endpoint_url is {self.endpoint_url}; correct one of them"
            )
        if self.addressing_style == "virtual" and not values.is_host_name(self.bucket):
            raise ValueError(
                f"the bucket {self.bucket!r} cannot be part of a host name; "
                'write addressing_style = "path" or "auto"'
            )
        return self

    def trusted_bundle(self) -> Path | None:
        """`ca_bundle`, else $AWS_CA_BUNDLE: boto3 would obey that by itself, and awscrt would not."""
        bundle = os.environ.get("AWS_CA_BUNDLE")
        return self.ca_bundle or (Path(bundle) if bundle else None)

    def key_file(self) -> Path:
        """The AWS credentials file of auth = "config" or "systemd". Raises `ConfigError`.

        Asked only by those who connect: the other commands run outside of the unit as well.
        """
        if self.credentials_file is not None:
            return self.credentials_file
        name = self.credential_name or "s3"
        directory = os.environ.get("CREDENTIALS_DIRECTORY")
        if not directory:
            raise ConfigError(
                'auth = "systemd" finds no $CREDENTIALS_DIRECTORY',
                hint=f"start hotfolder by a unit with LoadCredential={name}:/etc/hotfolder/credentials",
            )
        return Path(directory) / name


class RouteKeys(_Table):
    """What becomes of a file; may stand in [defaults], in a folder, and in a group."""

    key: Annotated[str, AfterValidator(_template)] = "{prefix}/{relpath}{ext}"
    """The object's key. Variables: {prefix} {folder} {group} {grouppath} {name} {stem} {relpath} {ext}
    {date:%Y/%m/%d} {timestamp} {sha256} {host} {vars.NAME}."""
    compression: Compression = "tar.gz"
    """What a file is packed into: tar.gz, gz, tar.zst, zst, or none."""
    level: Annotated[str | int, AfterValidator(_level)] = "fast"
    """How hard to compress: fast, balanced, small, or a number of the codec."""
    storage_class: Annotated[Token, Field(min_length=1)] | None = None
    """Storage class of the objects; the destination's if it is not set."""
    tags: Tags | None = None
    """Tags of the objects; the destination's if they are not set."""

    @model_validator(mode="after")
    def _level_fits(self) -> Self:
        most = 22 if self.compression in {"tar.zst", "zst"} else 9
        if isinstance(self.level, int) and not 1 <= self.level <= most:
            raise ValueError(f"level {self.level} does not fit {self.compression}; write 1 to {most}")
        return self


class Group(_Table):
    """A group of a folder: what it takes, and what differs for its files."""

    extensions: Annotated[tuple[str, ...], AfterValidator(_extensions)] = ()
    """Endings of the names that it takes, as in [".mp4", ".json"]; empty: every name."""
    include: Patterns = ()
    """Patterns as in .gitignore, below the inbox; it takes only what matches one of them."""
    key: Annotated[str | None, AfterValidator(_template)] = None
    """As in the folder; the folder's if it is not set. So are the keys below."""
    compression: Compression | None = None
    """What a file is packed into."""
    level: Annotated[str | int | None, AfterValidator(_level)] = None
    """How hard to compress."""
    storage_class: Annotated[Token, Field(min_length=1)] | None = None
    """Storage class of the objects."""
    tags: Tags | None = None
    """Tags of the objects."""


class FolderKeys(RouteKeys):
    """What may stand in [defaults] and in a folder."""

    settle: Duration = 5.0
    """A file is whole after this time without a change, unless a program has it open for writing."""
    rescan: Duration = 300.0
    """How often the whole inbox is walked; events are only hints."""
    ignore: Patterns = ()
    """Patterns as in .gitignore, below the inbox; system files are left alone anyway."""
    include: Patterns = ()
    """Patterns as in .gitignore; if there are any, what matches none of them is left alone."""
    group_by: GroupBy = "top-directory"
    """What makes a group: the top directory of a file, or the folder (then its groups' extensions)."""
    completed_layout: Layout = "tree"
    """How completed/ is laid out: tree (as the inbox), flat (names only), dated (tree below a date)."""
    file_attempts: Annotated[int, Field(ge=1)] = 5
    """Tries for a file that fails by its own fault, before it goes to failed/."""


class Folder(FolderKeys):
    """One watched folder."""

    inbox: Path
    """Where files are dropped. Required; `run` waits for it, as it may be a mount."""
    completed: Path
    """Where delivered originals go; beside the inbox if it is not set."""
    failed: Path
    """Where files go that can never be delivered; beside the inbox if it is not set."""
    destination: Destination
    """Keys of [destination] that differ for this folder."""
    groups: dict[str, Group] = {}
    """The groups that this folder may hold; without any, every top directory is one."""

    @model_validator(mode="after")
    def _apart(self) -> "Folder":
        for name, path in _outputs(self):
            if path == self.inbox or self.inbox in path.parents or path in self.inbox.parents:
                raise ValueError(f"{name} ({path}) and inbox ({self.inbox}) must not lie in each other")
        if self.completed == self.failed:
            raise ValueError(f"completed and failed are both {self.completed}; give each its own folder")
        return self

    @model_validator(mode="after")
    def _groups_fit(self) -> "Folder":
        for name in self.groups:
            if not name or "/" in name or name in {".", ".."}:
                raise ValueError(f"a group cannot be named {name!r}: it is the name of a directory")
            self.rules_of(name)
        return self

    def rules_of(self, group: str) -> RouteKeys:
        """The keys that hold for the files of one group."""
        own = self.groups.get(group, Group())
        return RouteKeys(
            **{
                key: getattr(self, key) if getattr(own, key) is None else getattr(own, key)
                for key in RouteKeys.model_fields
            }
        )


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
    group_key: Annotated[str, AfterValidator(_group_key)] = "groups"
    """What the heartbeat calls the groups: "reels" gives "reels" and "current_reel"."""


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

    vars: dict[Annotated[str, Field(pattern="^[A-Za-z_][A-Za-z0-9_]*$")], Variable] = {}
    """Your own variables for keys: {vars.NAME}."""

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
        destination = raw.get("destination", {})
        if isinstance(folders, Mapping) and isinstance(defaults, Mapping):
            filled = {name: _filled(folder, defaults, destination) for name, folder in folders.items()}
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
    def _variables_are_there(self) -> "Settings":
        for name, folder in self.folders.items():
            for key in {folder.key, *(group.key for group in folder.groups.values() if group.key)}:
                for missing in sorted(parse_template(key).own_variables() - set(self.vars)):
                    raise ValueError(
                        f"the key {key!r} of folder {name!r} needs {{vars.{missing}}}; "
                        f'add {missing} = "…" under [vars]'
                    )
        return self

    @model_validator(mode="after")
    def _keys_stay_apart(self) -> "Settings":
        for one, other in itertools.combinations(self.folders, 2):
            if self.folders[one].destination.place != self.folders[other].destination.place:
                continue
            for mine, theirs in itertools.product(self._routes(one), self._routes(other)):
                if could_collide(mine, theirs):
                    raise ValueError(
                        f"the folders {one!r} and {other!r} could make the same key; "
                        'begin each key with {folder}, as in key = "{prefix}/{folder}/{relpath}{ext}"'
                    )
        return self

    def _routes(self, name: str) -> list[Route]:
        return [self.route(name, group) for group in ("", *self.folders[name].groups)]

    def route(self, name: str, group: str = "") -> Route:
        """How the files of a folder's group become keys."""
        folder = self.folders[name]
        rules = folder.rules_of(group)
        return Route(
            folder=name,
            template=parse_template(rules.key),
            prefix=folder.destination.prefix,
            ext=EXTENSIONS[rules.compression],
            host=socket.gethostname(),
            own=self.vars,
            by_directory=folder.group_by == "top-directory",
        )

    @property
    def status_file(self) -> Path:
        return self.state_dir / self.status.file

    def as_toml_table(self) -> dict[str, Any]:
        """The effective values, for people; nothing in a configuration is secret by construction."""
        table = self.model_dump(mode="json", exclude_none=True)
        for folder in table["folders"].values():
            if folder["destination"] == table["destination"]:
                del folder["destination"]
        return table


def _filled(folder: Any, defaults: Mapping[str, Any], destination: Any) -> Any:
    """A raw folder table with [defaults], the destination, and the siblings of its inbox as outputs."""
    if not isinstance(folder, Mapping):
        return folder
    filled = {**defaults, **folder}
    parent = Path(str(filled.get("inbox", ""))).parent
    filled.setdefault("completed", parent / "completed")
    filled.setdefault("failed", parent / "failed")
    own = filled.get("destination", {})
    if isinstance(destination, Mapping) and isinstance(own, Mapping):
        dropped = {key for key, _ in _AUTH_KEYS.values()} if "auth" in own else set()
        shared = {key: value for key, value in destination.items() if key not in dropped}
        filled["destination"] = {**shared, **own}
    return filled


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
