"""[defaults], [folders.NAME] and their groups."""

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import (
    AfterValidator,
    ByteSize,
    Field,
    model_validator,
)

from hotfolder.config import values
from hotfolder.config.destination import Destination
from hotfolder.config.types import Compression, Duration, Patterns, Table, Tags, Token
from hotfolder.core.grouping import GroupBy
from hotfolder.core.naming import Layout
from hotfolder.core.order import Order
from hotfolder.core.s3_words import is_cold
from hotfolder.core.size_limits import SizeLimits


class RouteKeys(Table):
    """What becomes of a file; may stand in [defaults], in a folder, and in a group."""

    key: Annotated[str, AfterValidator(values.template)] = "{prefix}/{relpath}{ext}"
    """The object's key. Variables: {prefix} {folder} {group} {grouppath} {name} {stem} {relpath} {ext}
    {date:%Y/%m/%d} {timestamp} {sha256} {host} {vars.NAME}."""
    compression: Compression = "tar.gz"
    """What a file is packed into: tar.gz, gz, tar.zst, zst, or none."""
    level: Annotated[str | int, AfterValidator(values.level)] = "fast"
    """How hard to compress: fast, balanced, small, or a number of the codec. gzip: ISA-L, 6, 9 (1 to 9);
    zstd: 3, 9, 12 (1 to 22)."""
    storage_class: Annotated[Token, Field(min_length=1)] | None = None
    """Storage class of the objects; the destination's if it is not set."""
    tags: Tags | None = None
    """Tags of the objects; the destination's if they are not set."""
    verify: Literal["auto", "checksum", "etag", "head", "readback"] = "auto"
    """What proves that the store holds a file: auto (the strongest that this very store gives: its
    SHA-256, its ETag, or reading the object back), checksum or etag (only that will do), readback (every
    object is read again), head (the size is enough: weak, and no original is ever deleted for it)."""
    on_conflict: Literal["keep-both", "overwrite", "fail"] = "keep-both"
    """Where the key is taken by other content: keep-both (the file goes beside it, to NAME~OPERATION),
    overwrite, or fail (the file goes to failed/). What is there already is skipped in any case."""

    @model_validator(mode="after")
    def _level_fits(self) -> Self:
        most = 22 if self.compression in {"tar.zst", "zst"} else 9
        if isinstance(self.level, int) and not 1 <= self.level <= most:
            raise ValueError(f"level {self.level} does not fit {self.compression}; write 1 to {most}")
        return self


class Group(Table):
    """A group of a folder: what it takes, and what differs for its files."""

    extensions: Annotated[tuple[str, ...], AfterValidator(values.extensions)] = ()
    """Endings of the names that it takes, as in [".mp4", ".json"]; empty: every name."""
    include: Patterns = ()
    """Patterns as in .gitignore, below the inbox; it takes only what matches one of them."""
    key: Annotated[str | None, AfterValidator(values.template)] = None
    """As in the folder; the folder's if it is not set. So are the keys below."""
    compression: Compression | None = None
    """What a file is packed into."""
    level: Annotated[str | int | None, AfterValidator(values.level)] = None
    """How hard to compress."""
    storage_class: Annotated[Token, Field(min_length=1)] | None = None
    """Storage class of the objects."""
    tags: Tags | None = None
    """Tags of the objects."""
    verify: Literal["auto", "checksum", "etag", "head", "readback"] | None = None
    """What proves that the store holds a file."""
    on_conflict: Literal["keep-both", "overwrite", "fail"] | None = None
    """Where the key is taken by other content: keep-both, overwrite, or fail."""


class FolderKeys(RouteKeys):
    """What may stand in [defaults] and in a folder."""

    settle: Duration = 5.0
    """A file is whole after this time without a change, unless a program has it open for writing."""
    ready: Literal["quiet", "closed", "marker"] = "quiet"
    """What makes a file whole: quiet (the time of `settle`); closed (as soon as its writer closed it or
    renamed it into the inbox, if it surely has no writer left; else the quiet time), for programs that
    write a file in one go; marker (its marker came after its last change, and it has no writer)."""
    marker: Annotated[str, AfterValidator(values.marker)] = "{name}.done"
    """With ready = "marker": the name of the file beside a file that says it is whole. It goes where its
    file goes, and is never delivered itself."""
    watcher: Literal["auto", "inotify", "polling"] = "auto"
    """How files are noticed between two rescans: inotify (events), polling (the tree is walked every 10
    seconds, less often if that takes long), or auto: each file system in the inbox by its type, polling
    where others write behind this kernel's back (NFS, SMB, FUSE, 9p ...; overlay gets both)."""
    rescan: Annotated[Duration, values.lasting(1.0)] = 300.0
    """How often the whole inbox is walked; events are only hints."""
    ignore: Patterns = ()
    """Patterns as in .gitignore, below the inbox. System and temporary files are left alone anyway
    (`config show` lists them); "!*.tmp" takes one of those patterns back."""
    include: Patterns = ()
    """Patterns as in .gitignore; if there are any, what matches none of them is left alone."""
    min_size: ByteSize = ByteSize(0)
    """Files with fewer bytes stay in the inbox, and are looked at again whenever they change."""
    max_size: ByteSize | None = None
    """Files with more bytes stay in the inbox, and `status` says so; no limit if it is not set."""
    group_by: GroupBy = "top-directory"
    """What makes a group: the top directory of a file, or the folder (then its groups' extensions)."""
    on_complete: Literal["move", "delete", "leave"] = "move"
    """What becomes of a delivered original: move (to completed/), delete, or leave (it stays in the
    inbox, and is delivered again only if it changes)."""
    directories: Literal["recurse", "archive"] = "recurse"
    """recurse: every file of a dropped directory is delivered by itself. archive: a directory that is
    dropped into the inbox settles as a whole, becomes one object, and moves as one."""
    tidy: Literal["emptied", "all", "never"] = "emptied"
    """Folders of the inbox that are empty once their files were delivered: emptied (those go that came
    after hotfolder's first start; what was there first, and what [folders.NAME.groups] names, stays),
    all (those that were there first go, too), or never. A folder that holds anything stays."""
    tidy_after: Duration = 300.0
    """How long such a folder must be without a change, as somebody may be about to use it."""
    completed_layout: Layout = "tree"
    """How completed/ is laid out: tree (as the inbox), flat (names only), dated (tree below a date)."""
    order: Order = Order.FAIR
    """Which file goes next, of the up to 20,000 that are known at a time: fair (small ones do not wait
    behind large ones, and none waits for ever), oldest (by the last change), smallest, or name."""
    file_attempts: Annotated[int, Field(ge=1)] = 5
    """Tries for a file that fails by its own fault, before it goes to failed/."""
    spool: Literal["stream", "disk"] = "stream"
    """stream: compressed while it is sent. disk: compressed once into the state folder and sent from
    there, so that no retry compresses again; for slow links and high levels. Not for `none`."""
    keep_compressed: bool = False
    """With spool = "disk": the compressed file goes to completed/ beside its original at the end."""


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
    groups: dict[str, Group] = Field(default={})
    """The groups that this folder may hold; without any, every top directory is one."""

    @model_validator(mode="after")
    def _apart(self) -> "Folder":
        for name, path in outputs(self):
            if path == self.inbox or self.inbox in path.parents or path in self.inbox.parents:
                raise ValueError(f"{name} ({path}) and inbox ({self.inbox}) must not lie in each other")
        if self.completed == self.failed:
            raise ValueError(f"completed and failed are both {self.completed}; give each its own folder")
        return self

    @model_validator(mode="after")
    def _takes_some_size(self) -> Self:
        if self.max_size == 0:
            raise ValueError("max_size = 0 would leave every file; without max_size there is no limit")
        if self.max_size is not None and self.max_size < self.min_size:
            raise ValueError(
                f"max_size ({self.max_size:,} bytes) is less than min_size ({self.min_size:,} bytes), "
                "so that no file would be taken"
            )
        return self

    @model_validator(mode="after")
    def _kept_is_spooled(self) -> Self:
        if self.keep_compressed and self.spool != "disk":
            raise ValueError('keep_compressed needs the compressed file on disk: set spool = "disk"')
        return self

    @model_validator(mode="after")
    def _can_be_read_back(self) -> Self:
        for group in ("", *self.groups):
            rules = self.rules_of(group)
            storage_class = rules.storage_class or self.destination.storage_class
            if rules.verify == "readback" and is_cold(storage_class):
                where = f"group {group!r}: " if group else ""
                raise ValueError(
                    f'{where}verify = "readback" cannot read what lies in {storage_class}; write '
                    'verify = "auto", or another storage_class'
                )
        return self

    @model_validator(mode="after")
    def _directories_fit(self) -> Self:
        if self.directories != "archive":
            return self
        for group in ("", *self.groups):
            compression = self.rules_of(group).compression
            if not compression.startswith("tar."):
                where = f"group {group!r}: " if group else ""
                raise ValueError(
                    f'{where}directories = "archive" packs into tar files, and compression is '
                    f'"{compression}"; write compression = "tar.gz" or "tar.zst"'
                )
        if self.on_complete == "delete":
            raise ValueError(
                'directories = "archive" moves directories or leaves them, and removes none; write '
                'on_complete = "move" or "leave"'
            )
        return self

    @model_validator(mode="after")
    def _groups_fit(self) -> "Folder":
        for name in self.groups:
            if not name or "/" in name or name in {".", ".."}:
                raise ValueError(f"a group cannot be named {name!r}: it is the name of a directory")
            self.rules_of(name)
        return self

    @property
    def sizes(self) -> SizeLimits:
        """Which files it takes."""
        return SizeLimits(self.min_size, self.max_size)

    def rules_of(self, group: str) -> RouteKeys:
        """The keys that hold for the files of one group."""
        own = self.groups.get(group, Group())
        return RouteKeys(
            **{
                key: getattr(self, key) if getattr(own, key) is None else getattr(own, key)
                for key in RouteKeys.model_fields
            }
        )


def outputs(folder: Folder) -> tuple[tuple[str, Path], tuple[str, Path]]:
    return ("completed", folder.completed), ("failed", folder.failed)
