"""What happens to the bytes of a file and to the file itself on this machine."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from hotfolder.core.ports.body import Body
from hotfolder.core.records import (
    Fingerprint,
    JournalRow,
)
from hotfolder.core.recovery import Found
from hotfolder.core.room import Disk
from hotfolder.core.tree import TreeEntry


@dataclass(frozen=True, slots=True)
class PackedSegment:
    """One compressed segment, already inflated and compared; CRC-32 and bytes of what went in."""

    pieces: Sequence[Body]
    crc32: int
    size: int


class Codec(Protocol):
    """Compresses segments, each on its own. Blocking and safe in any thread; keeps no state.

    `head + packed segments + end + seal` is the whole stream. `recipe` names the engine, its version
    and level: equal recipes give equal bytes.
    """

    head: bytes
    recipe: str

    def pack(self, pieces: list[Body]) -> PackedSegment:
        """Compress the joined `pieces` and prove that they come back; raises `VerificationFailed`.

        They are its own from then on: the list is emptied as they are packed, or becomes the segment's.
        """
        ...

    def combine(self, crc32: int, segment: PackedSegment) -> int:
        """The running CRC-32 with one more segment behind it."""
        ...

    def end(self, crc32: int, size: int) -> bytes:
        """What closes the stream after segments of `size` raw bytes in all."""
        ...

    def seal(self, sha256: bytes, size: int) -> bytes:
        """The self-description of the original behind the stream's end; empty where none fits."""
        ...


class Unpacker(Protocol):
    """Takes the original out of a packed stream. Blocking; used by one thread at a time.

    Raises `VerificationFailed` for a stream that is damaged or of another shape.
    """

    def feed(self, data: Body) -> Iterator[Body]:
        """The original's bytes that `data` adds, in pieces of bounded length."""
        ...

    def finish(self) -> None:
        """The stream is over; raises where it was not whole."""
        ...


class Original(Protocol):
    """One original, open for reading. Blocking; used by one thread at a time."""

    @property
    def size(self) -> int: ...
    @property
    def mode(self) -> int: ...
    @property
    def mtime_ns(self) -> int: ...
    @property
    def owner(self) -> int: ...
    @property
    def is_archive(self) -> bool:
        """Whether its bytes are a whole archive by themselves, as a directory's are."""
        ...

    def read(self, offset: int, size: int) -> Body:
        """Exactly `size` bytes from `offset`; raises `SourceChanged` if the file is shorter.

        Of an archive from its start, and then one behind the other.
        """
        ...

    def unchanged(self) -> None:
        """Raise `SourceChanged` unless the open file still is what the job's fingerprint says."""
        ...

    def close(self) -> None: ...


class Archive(Protocol):
    """What stands before and behind the bytes of the file inside the packed stream."""

    def head(self, name: str, *, size: int, mode: int, mtime_ns: int) -> bytes: ...

    def tail(self, size: int) -> bytes: ...


class Members(Protocol):
    """What stands around the files of a directory, as one archive. `end` closes it."""

    @property
    def end(self) -> bytes: ...

    def head(self, name: str, entry: TreeEntry) -> bytes:
        """The headers of one entry of the directory `name`."""
        ...

    def padding(self, size: int) -> int:
        """How many zero bytes follow a file of `size` bytes."""
        ...


class Making(Protocol):
    """A packed file in the making. Blocking; used by one thread at a time. Errors are `LocalError`.

    `is_reserved`: the file system has set aside the bytes that were asked for.
    """

    is_reserved: bool

    def write(self, chunk: Body) -> None: ...

    def finish(self) -> None:
        """Whole and under its name, durable when it returns."""
        ...

    def abandon(self) -> None:
        """Close it and take away what is not finished. Raises nothing."""
        ...


class Reading(Protocol):
    """A staged file, open. Blocking; used by one thread at a time."""

    def read(self, offset: int, size: int) -> bytes:
        """Exactly `size` bytes; raises `VerificationFailed` if the disk does not give them."""
        ...

    def close(self) -> None: ...


class SpoolFiles(Protocol):
    """The files of the spool, named by operation. Blocking. Errors are `LocalError`."""

    def disk(self) -> Disk: ...

    def make(self, operation_id: str, size: int) -> Making:
        """Begin a file of at most `size` bytes, in place of what stands under its name."""
        ...

    def open(self, operation_id: str, size: int) -> Reading | None:
        """The finished file, or None where there is none of exactly `size` bytes."""
        ...

    def discard(self, operation_ids: Iterable[str]) -> None:
        """Take files away, unfinished ones too; absent ones are fine."""
        ...

    def operation_ids(self) -> set[str]:
        """Whose files there are, unfinished ones too. Names that are not ours are passed over."""
        ...

    def place(self, operation_id: str) -> str:
        """The absolute path of a finished file."""
        ...


class Keeper(Protocol):
    """Moves packed files that are kept to completed/. Blocking and safe in any thread."""

    def keep(self, row: JournalRow, moved_to: str | None, progress: Callable[[int], None]) -> str | None:
        """See to it that the row's packed file stands beside its original, which is at `moved_to` now.

        Durable when it returns where it is; None where it is lost. May be called again after a crash.
        `progress` hears of bytes that are copied, and may raise to end that. Raises `LocalError`.
        """
        ...


class Mounts(Protocol):
    """Which folders were mount points when they were last used. Safe in any thread."""

    def were(self, root: str) -> bool: ...

    def forget(self, root: str) -> None:
        """It is a plain folder by now. Raises `LocalError`."""
        ...

    def remember(self, root: str) -> None:
        """Durable when it returns. Raises `LocalError`."""
        ...


class Mover(Protocol):
    """Moves and removes originals, and finds what it moved. Blocking; used by one thread at a time.

    Only `copy` may run in any thread, and beside the others. Raises `SourceChanged` and `LocalError`.
    """

    def move(self, row: JournalRow) -> str:
        """Move the original (or its finished copy) to its target; raises `AnotherFileSystem`."""
        ...

    def copy(self, row: JournalRow, progress: Callable[[int], None]) -> Fingerprint:
        """Make a proven, durable copy beside the target; `progress` is told bytes and may raise.

        Raises `SourceUnreadable`, too.
        """
        ...

    def remove(self, row: JournalRow) -> None:
        """Take the original out of the inbox."""
        ...

    def take_marker(self, row: JournalRow, moved_to: str | None) -> None:
        """Take the row's marker, if it has one, to where its file went, or remove it as its file was.

        One that is gone, or was made anew, stays what it is. May be called again.
        """
        ...

    def sync(self) -> None:
        """Make all moves and removals durable."""
        ...

    def find(self, row: JournalRow) -> Found:
        """What stands where; `sync` makes a move that is found durable as if it were one of ours."""
        ...

    def clear(self, row: JournalRow) -> None:
        """Remove an unfinished copy."""
        ...

    def restore(self, folder: str, relpath: str) -> None:
        """Give a file of the inbox that a killed run put aside its name back."""
        ...
