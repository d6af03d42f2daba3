"""All settings together, and what must hold between them."""

import itertools
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BeforeValidator,
    ByteSize,
    Field,
    model_validator,
)
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from hotfolder.config import values
from hotfolder.config.bandwidth import Bandwidth
from hotfolder.config.destination import AUTH_KEYS, Destination
from hotfolder.config.folders import Folder, FolderKeys, outputs
from hotfolder.config.types import Duration, Table, Variable
from hotfolder.core.bandwidth import Timetable
from hotfolder.core.routing import Route, could_collide, parse_template
from hotfolder.core.segments import MIB, MIN_PART

EXTENSIONS = {"tar.gz": ".tar.gz", "gz": ".gz", "tar.zst": ".tar.zst", "zst": ".zst", "none": ""}


class Transfer(Table):
    """How files are sent, and how much that may take."""

    workers: Annotated[int, BeforeValidator(values.workers)] = values.workers("cpu*4")
    """Packing threads: a number, or a multiple of the processors."""

    requests: Annotated[int, Field(ge=1, le=256)] = 64
    """Requests to each store at the same time. Beside them PUTs of up to 64 KiB: four times as many (256
    at most). Half as many of both after each SlowDown. Where boto3 sends small ones, too (`engine`, a
    proxy), they count among the former."""

    engine: Literal["auto", "direct", "crt", "boto3"] = "auto"
    """What sends the bytes. `direct`: the daemon itself, the leanest; `crt`: awscrt
    (pip install 'hotfolder[crt]'), but parts by boto3, and boto3 in its place while `bandwidth`
    limits anything or the environment names a proxy; `boto3`: what sends all else, and repeats what
    failed. `auto`: direct. Through a proxy goes boto3 alone."""

    attempts: Annotated[int, Field(ge=1, le=100)] = 12
    """Tries of each request, before the file or the store is given a rest."""

    connect_timeout: Duration = 20.0
    """How long a connection may take to come about."""

    read_timeout: Duration = 300.0
    """How long a request may stand still before it is given up and tried again."""

    min_speed: Annotated[ByteSize, BeforeValidator(values.speed)] = ByteSize(16 * 1024)
    """What the line carries at least: all requests in flight together. One that gets less than its share
    for as long as `read_timeout` is given up and tried again. 0: any speed will do."""

    part_size: Annotated[
        ByteSize | None, BeforeValidator(values.auto), values.at_least(MIN_PART, "5MiB, S3's limit")
    ] = None
    """A ceiling for the parts of large files. `auto`: the larger the file, the larger its parts."""

    memory: Annotated[ByteSize, values.at_least(64 * MIB, "64MiB")] = ByteSize(256 * MIB)
    """The bound on all buffers together."""

    bandwidth: Bandwidth = ()
    """What the line may carry, all folders and destinations of this daemon together: `"40MB/s"`, or a
    timetable in local time, `[{ days = "mon-fri", from = "08:00", to = "18:00", limit = "5MB/s" }]`. Of
    windows that overlap the first counts; outside of all there is no limit. `"0"` is not now: uploads
    wait until it is over. Empty: no limit. A reload changes it at once, for what is on its way, too."""

    reserve: Annotated[ByteSize | None, BeforeValidator(values.auto)] = None
    """Free space that is left alone on the disks of `state_dir`, and of completed/ and failed/ where
    files are copied there. Below it nothing new starts. `auto`: 256MiB, or a fiftieth of a small disk.
    0: none."""

    @property
    def small_requests(self) -> int:
        """How many PUTs of small bodies there may be at the same time."""
        return max(self.requests, min(256, 4 * self.requests))


class StatusKeys(Table):
    """The heartbeat."""

    file: Path = Path("status.json")
    """The heartbeat file: in the state folder, unless the path is absolute."""

    interval: Annotated[Duration, Field(gt=0)] = 2.0
    """How often it is written."""
    group_key: Annotated[str, AfterValidator(values.group_key)] = "groups"
    """What the heartbeat calls the groups: "reels" gives "reels" and "current_reel"."""


class LedgerKeys(Table):
    """The record of all operations."""

    rotate: Annotated[ByteSize, values.at_least(64 * 1024, "64KiB")] = ByteSize(64 * MIB)
    """A ledger file of this size is put away as `ledger-000001.jsonl`, later packed to `.gz`."""


class Log(Table):
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

    ledger: LedgerKeys = LedgerKeys()
    """The record of all operations."""

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
            for role, path in (("inbox", theirs.inbox), *outputs(theirs)):
                if path == inbox or inbox in path.parents or (role != "inbox" and path in inbox.parents):
                    raise ValueError(
                        f"the inbox of {one!r} ({inbox}) and the {role} folder of {other!r} ({path}) "
                        "must not be the same nor lie in each other; give each its own"
                    )
        own = {"state_dir": self.state_dir, "the folder of status.file": self.status_file.parent}
        for name, folder in self.folders.items():
            for role, path in (("inbox", folder.inbox), *outputs(folder)):
                for what, mine in own.items():
                    if mine == path or path in mine.parents:
                        raise ValueError(
                            f"{what} ({mine}) lies in the {role} folder of {name!r} ({path}); move it"
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

    def destinations(self) -> list[Destination]:
        """Every destination that some folder delivers to, once."""
        known: list[Destination] = []
        for folder in self.folders.values():
            if folder.destination not in known:
                known.append(folder.destination)
        return known

    @model_validator(mode="after")
    def _memory_suffices(self) -> "Settings":
        least, destinations = 64 * MIB, len(self.destinations())
        if self.transfer.memory < least * destinations:
            raise ValueError(
                f"{destinations} destinations share transfer.memory, and each needs 64MiB; "
                f'set it to at least "{64 * destinations}MiB"'
            )
        return self

    def timetable(self) -> Timetable:
        """What the line may carry, and when."""
        return Timetable(tuple(each.window() for each in self.transfer.bandwidth))

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
        dropped = {key for key, _ in AUTH_KEYS.values()} if "auth" in own else set()
        shared = {key: value for key, value in destination.items() if key not in dropped}
        filled["destination"] = {**shared, **own}
    return filled
