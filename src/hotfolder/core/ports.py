"""The ports: what the journey asks of the outside. Each has one contract suite under tests/contract."""

from collections.abc import AsyncIterator, Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from hotfolder.core.answers import Answer
from hotfolder.core.ledger_marks import Mark, Stretch
from hotfolder.core.records import (
    CalledOff,
    Fingerprint,
    JournalRow,
    ObjectDraft,
    ObjectInfo,
    OpenUpload,
    PartReceipt,
    Receipt,
    SentPart,
    Staged,
    UploadNote,
)
from hotfolder.core.recovery import Found
from hotfolder.core.room import Disk

Body = bytes | memoryview


class ObjectStore(Protocol):
    """One bucket of an S3 store. Safe to call concurrently from one event loop.

    Every call retries what passes by itself within seconds and raises `core.errors` only:
    `DestinationError` (the store as a whole), `ObjectRefused` or `FileRejected` (this object).
    Keys are UTF-8, without the bucket. Bodies stay the caller's until the call returns.
    """

    async def check(self) -> None:
        """Prove that the bucket answers; raises `DestinationError` with the reason."""
        ...

    async def put(
        self, draft: ObjectDraft, body: Body, *, sha256: bytes, unless_exists: bool
    ) -> Receipt:
        """Store `body` in one request that carries its SHA-256; the store refuses other bytes.

        `unless_exists` raises `KeyTaken` where the key is taken and the store honours the condition.
        A lost answer followed by 412 is told from a foreign object by the caller, with `head`.
        """
        ...

    async def head(self, key: str) -> ObjectInfo | None:
        """The object's size, ETag, checksum and metadata (names lower-cased), or None if absent."""
        ...

    async def create_multipart(self, draft: ObjectDraft) -> str:
        """Open a multipart upload with SHA-256 part checksums; returns its upload id."""
        ...

    async def upload_part(
        self, key: str, upload_id: str, number: int, body: Body, *, sha256: bytes
    ) -> PartReceipt:
        """Send part `number` (from 1). Raises `UploadLost` if the store forgot the upload."""
        ...

    async def list_parts(self, key: str, upload_id: str) -> list[PartReceipt]:
        """The parts that the store has, by number. Raises `UploadLost`."""
        ...

    async def complete(
        self, key: str, upload_id: str, parts: Sequence[PartReceipt], *, unless_exists: bool
    ) -> Receipt:
        """Make the object of its parts. Raises `KeyTaken` as `put` does, or `UploadLost`."""
        ...

    def list_uploads(self, prefix: str) -> AsyncIterator[OpenUpload]:
        """Every multipart upload that is open under a key that starts with `prefix`, page by page."""
        ...

    async def abort(self, key: str, upload_id: str) -> None:
        """Drop the upload and its parts; an upload that is already gone is fine."""
        ...

    def get(self, key: str, *, start: int = 0) -> AsyncIterator[bytes]:
        """The object's bytes from offset `start`, in chunks. Raises `FileNotFoundError` if absent."""
        ...

    async def delete(self, key: str) -> None:
        """Remove the object; an absent one is fine."""
        ...

    def list(self, prefix: str) -> AsyncIterator[ObjectInfo]:
        """Every object whose key starts with `prefix`, in key order, page by page."""
        ...


class Ledger(Protocol):
    """The append-only record. Blocking: called from the recorder's thread or a command."""

    def append(self, entries: Sequence[Mapping[str, Any]]) -> None:
        """Chain, write and fsync the entries as one batch; returns only when they are durable.

        An entry whose operation id stands among the newest lines is passed over, so that a batch of
        which it cannot be told whether it was written may be appended again.
        """
        ...

    def repair(self) -> None:
        """Cut what a killed process or a power cut left torn, and make durable what is left of it."""
        ...

    def newest_first(self) -> Iterator[dict[str, Any]]:
        """Every whole line, newest first, without holding the file in memory."""
        ...

    def recorded(self, wanted: Collection[str], *, since: str) -> frozenset[str]:
        """Which of the operation ids have a line; may end at one that was completed before `since`."""
        ...


class ReadLedger(Ledger, Protocol):
    """A ledger that can be read on from where reading stood."""

    def recorded(
        self, wanted: Collection[str], *, since: str, behind: Mark | None = None
    ) -> frozenset[str]:
        """As `Ledger.recorded`, of the lines behind the mark."""
        ...

    def fits(self, mark: Mark) -> bool:
        """Whether what was read up to the mark still stands there."""
        ...

    def read_on(self, mark: Mark | None, most: int) -> Iterator[Stretch]:
        """What stands behind `mark` (None: all) as of now, oldest first, `most` lines at a time."""
        ...


class LedgerIndex(Protocol):
    """A cache made of the ledger alone. Blocking; one owner at a time, others may have their own."""

    def mark(self) -> Mark | None:
        """How far the ledger was read; None: not at all."""
        ...

    def add(self, stretch: Stretch, *, after: Mark | None) -> bool:
        """Add what was read from `after` on; False, and nothing is added, if it stands elsewhere."""
        ...

    def recorded(self, wanted: Collection[str]) -> tuple[Mark | None, frozenset[str]]:
        """How far the ledger was read, and which of the operation ids have a line up to there."""
        ...

    def clear(self) -> None:
        """Forget all."""
        ...

    def close(self) -> None: ...


class Journal(Protocol):
    """Operations decided but not yet recorded. Blocking; one owner at a time."""

    def commit(self, rows: Sequence[JournalRow], *, forget: Iterable[str] = ()) -> None:
        """Make `rows` durable and drop the operations `forget`: one transaction, one fsync.

        `forget` names rows whose ledger line is durable; losing that is harmless.
        """
        ...

    def rows(self) -> list[JournalRow]:
        """What a former run decided and did not finish, oldest first."""
        ...


class CallOffNotes(Protocol):
    """Files that somebody asked not to deliver. Blocking; one owner at a time."""

    def all(self) -> list[CalledOff]:
        """Of every folder, ordered by folder and path."""
        ...

    def add(self, called: CalledOff) -> None:
        """Durable when it returns; takes the place of an older note of the same file."""
        ...

    def drop(self, folder: str, relpath: str) -> None:
        """Unknown files are fine. A power cut may bring it back: it is dropped again then."""
        ...


class UploadNotes(Protocol):
    """Multipart uploads that were begun. Blocking; one owner at a time."""

    def all(self) -> list[UploadNote]:
        """What was begun and not forgotten."""
        ...

    def begin(self, note: UploadNote) -> None:
        """Durable when it returns: the store is asked for the upload only after it."""
        ...

    def name(self, operation_id: str, upload_id: str) -> None:
        """The store's answer. Survives a killed process; a power cut may take it back."""
        ...

    def add(self, operation_id: str, part: SentPart) -> None:
        """One more part that the store has; as durable as `name`."""
        ...

    def parts(self, operation_id: str) -> dict[int, SentPart]:
        """The parts that were noted, by number."""
        ...

    def forget(self, operation_id: str) -> None:
        """The upload is complete or aborted. Unknown ids are fine."""
        ...


@dataclass(frozen=True, slots=True)
class PackedSegment:
    """One compressed segment, already inflated and compared; CRC-32 and bytes of what went in."""

    data: Body
    crc32: int
    size: int


class Codec(Protocol):
    """Compresses segments, each on its own. Blocking and safe in any thread; keeps no state.

    `head + packed segments + end + seal` is the whole stream. `recipe` names the engine, its version
    and level: equal recipes give equal bytes.
    """

    head: bytes
    recipe: str

    def pack(self, pieces: Sequence[Body]) -> PackedSegment:
        """Compress the joined `pieces` and prove that they come back; raises `VerificationFailed`."""
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

    def read(self, offset: int, size: int) -> bytes:
        """Exactly `size` bytes from `offset`; raises `SourceChanged` if the file is shorter."""
        ...

    def unchanged(self) -> None:
        """Raise `SourceChanged` unless the open file still is what the job's fingerprint says."""
        ...

    def close(self) -> None: ...


class Archive(Protocol):
    """What stands before and behind the bytes of the file inside the packed stream."""

    def head(self, name: str, *, size: int, mode: int, mtime_ns: int) -> bytes: ...

    def tail(self, size: int) -> bytes: ...


@dataclass(frozen=True, slots=True)
class SigningKeys:
    """What signs a request. Its repr shows no secret, as tracebacks may print it."""

    access_key: str
    secret_key: str = field(repr=False)
    token: str | None = field(default=None, repr=False)


class PutEngine(Protocol):
    """Sends one PUT without a thread for it. Decides nothing: the store adapter reads the answer."""

    async def put(
        self,
        url: str,
        headers: Mapping[str, str],
        body: Body,
        *,
        sha256: bytes,
        keys: SigningKeys,
        deadline: float,
    ) -> Answer:
        """Sign and send; `url` is complete and percent-encoded, `deadline` in seconds from now.

        Whatever happens on the wire is an `Answer`; cancelling the caller cancels the request.
        """
        ...


class Kept(Protocol):
    """Delivered files that stay in their inboxes. Blocking; one owner at a time.

    The journal adds a file in one transaction with its row; a file is known as long as its fingerprint
    is the same, whatever number its device has.
    """

    def known(self, folder: str, seen: Sequence[tuple[str, Fingerprint]]) -> set[str]:
        """Which of these (path below the inbox, what stands there) were delivered as they are."""
        ...

    def add(self, folder: str, seen: Sequence[tuple[str, Fingerprint]]) -> None:
        """Keep these, durably; those that are kept already stay as they are."""
        ...

    def page(self, folder: str, after: str, count: int) -> list[tuple[str, Fingerprint]]:
        """The next `count` in the order of their paths, behind the path `after`."""
        ...

    def drop(self, folder: str, relpaths: Sequence[str]) -> None:
        """Forget these."""
        ...

    def count(self, folder: str) -> int: ...


class Chores(Protocol):
    """What is to be done once for a new `state.db`. Blocking; one owner at a time."""

    def begin(self, names: Sequence[str]) -> None:
        """If nothing was ever begun, `names` are to be done."""
        ...

    def state(self, name: str) -> bool | None:
        """True: done; False: to be done; None: never heard of."""
        ...

    def finish(self, name: str) -> None:
        """It is done, durably."""
        ...


class StagedIndex(Protocol):
    """Which packed files stand in the spool. Blocking; one owner at a time."""

    def all(self) -> list[Staged]: ...

    def note(self, staged: Staged) -> None:
        """Durable when it returns. A row of a known operation id is replaced."""
        ...

    def forget(self, operation_ids: Iterable[str]) -> None:
        """A power cut may bring them back. Unknown ids are fine."""
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
