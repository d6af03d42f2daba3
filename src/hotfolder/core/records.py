"""The values that travel through hotfolder. All frozen: a change makes a new value."""

from collections.abc import Mapping
from dataclasses import field
from enum import StrEnum
from typing import Any

from hotfolder.core.values import value


@value(frozen=True, slots=True)
class Fingerprint:
    """What `fstat` says of a file: equal fingerprints may still differ in content, unequal ones do.

    Sizes in bytes, times in nanoseconds since the epoch. A directory that is delivered as one has its
    top's numbers, the size of all its files, and in `tree` the digest of all its entries.
    """

    device: int
    inode: int
    size: int
    mtime_ns: int
    ctime_ns: int
    tree: str = ""

    def is_still(self, seen: "Fingerprint") -> bool:
        """Whether `seen` is this file whatever number its device has now; rename may touch ctime."""
        return self._version() == seen._version()

    def survived_move(self, moved: "Fingerprint") -> bool:
        """Whether `moved` is this file after a rename: rename may touch ctime, and nothing else."""
        return self.device == moved.device and self._version() == moved._version()

    def _version(self) -> tuple[int, int, int, str]:
        return self.inode, self.size, self.mtime_ns, self.tree


def decimal_seconds(ns: int) -> str:
    """Nanoseconds since the epoch as decimal seconds, exact: -500_000_000 is "-0.500000000"."""
    seconds, nanoseconds = divmod(abs(ns), 1_000_000_000)
    return f"{'-' if ns < 0 else ''}{seconds}.{nanoseconds:09d}"


def nanoseconds(text: str) -> int | None:
    """The inverse of `decimal_seconds`; None where it is no such text."""
    seconds, dot, nanos = text.removeprefix("-").partition(".")
    if not (dot and len(nanos) == 9 and f"{seconds}{nanos}".isascii() and f"{seconds}{nanos}".isdigit()):
        return None
    ns = int(seconds) * 1_000_000_000 + int(nanos)
    return -ns if text.startswith("-") else ns


@value(frozen=True, slots=True)
class PassedOver:
    """An entry of the inbox that is never opened; `relpath` is relative to the inbox."""

    relpath: str
    why: str


@value(frozen=True, slots=True)
class Marker:
    """The file that says that another one is whole; `relpath` is relative to the inbox."""

    relpath: str
    fingerprint: Fingerprint


@value(frozen=True, slots=True)
class Job:
    """One settled file on its journey. `relpath` is relative to `root`, surrogate-escaped."""

    operation_id: str
    batch: str
    folder: str
    root: str
    relpath: str
    group: str
    fingerprint: Fingerprint
    made_at: float  # fixes {date} and {timestamp}; `upload --timestamp` sets it
    attempt: int = 1
    origin: str = ""  # where it was dropped, if it stands elsewhere by now; the ledger names it
    marker: Marker | None = None

    @property
    def path(self) -> str:
        return f"{self.root}/{self.relpath}"

    @property
    def name(self) -> str:
        return self.relpath.rpartition("/")[2]


@value(frozen=True, slots=True)
class ObjectDraft:
    """An object that is about to be made: its key and the headers that are fixed before its bytes.

    `storage_class` and `tags` are the destination's where they are None.
    """

    key: str
    metadata: Mapping[str, str] = field(default_factory=dict)
    content_type: str = "application/octet-stream"
    storage_class: str | None = None
    tags: Mapping[str, str] | None = None


@value(frozen=True, slots=True)
class Receipt:
    """What the store said of a finished PUT or CompleteMultipartUpload.

    `checksum_sha256` is as S3 writes it: base64, or base64 + "-N" for the composite of N parts;
    None where the store named none. `etag` is without quotes. `attempts` counts requests sent.
    `etag_is_digest`: False where the store encrypts with KMS keys, so that its ETag is of no bytes
    of ours, though it may look like an MD5.
    """

    etag: str
    checksum_sha256: str | None = None
    version_id: str | None = None
    attempts: int = 1
    etag_is_digest: bool = True


@value(frozen=True, slots=True)
class PartReceipt:
    """What the store said of one part. `number` counts from 1; `size` in bytes; else as `Receipt`."""

    number: int
    size: int
    etag: str
    checksum_sha256: str | None = None
    attempts: int = 1
    etag_is_digest: bool = True


@value(frozen=True, slots=True)
class ObjectInfo:
    """What HEAD or a listing says of an object (a listing knows no metadata and no checksum).

    `etag_is_digest` as in `Receipt`.
    """

    key: str
    size: int
    etag: str
    checksum_sha256: str | None = None
    metadata: Mapping[str, str] = field(default_factory=dict)
    version_id: str | None = None
    storage_class: str = "STANDARD"
    etag_is_digest: bool = True


@value(frozen=True, slots=True)
class OpenUpload:
    """A multipart upload that the store lists. `initiated`: seconds since the epoch, by its clock."""

    key: str
    upload_id: str
    initiated: float


@value(frozen=True, slots=True)
class PartDigest:
    """Our own digests of one part as it was sent. `md5` only where an ETag had to prove it."""

    number: int
    size: int
    sha256: bytes
    md5: bytes | None = None


@value(frozen=True, slots=True)
class Digests:
    """What went through our hands: the original as read, and the packed stream as sent.

    `packed_sha256` is of the packed stream; None where it was not hashed as a whole. With a `part_size`
    it is of the SHA-256s of the stream's runs of so many bytes, as S3 makes that of a multipart object.
    """

    original_size: int
    original_sha256: bytes
    packed_size: int
    packed_sha256: bytes | None
    part_size: int | None = None


@value(frozen=True, slots=True)
class UploadNote:
    """A multipart upload that was begun: what it takes to go on with it after a restart.

    `relpath` is relative to `root`. `recipe` names all that the bytes of the parts depend on beside
    the original. `upload_id` is empty as long as the store's answer is not known. `made_at` is the
    job's, `begun_at` the moment at which the upload was asked for: seconds since the epoch.
    """

    operation_id: str
    folder: str
    root: str
    relpath: str
    fingerprint: Fingerprint
    made_at: float
    begun_at: float
    bucket: str
    key: str
    recipe: str
    upload_id: str = ""


@value(frozen=True, slots=True)
class SentPart:
    """A part that the store took: what we sent, and what it said."""

    ours: PartDigest
    receipt: PartReceipt


@value(frozen=True, slots=True)
class Staged:
    """A packed file that stands whole in the spool: of which original it was made, and how.

    `relpath` is relative to `root`. `recipe` names all that its bytes depend on beside the original.
    `made_at` is the job's, in seconds since the epoch.
    """

    operation_id: str
    folder: str
    root: str
    relpath: str
    fingerprint: Fingerprint
    made_at: float
    recipe: str
    digests: Digests


class Verify(StrEnum):
    """What somebody wants to be proof. AUTO: the strongest that the store really gives.

    CHECKSUM, ETAG: nothing else. HEAD: the size is enough. READBACK: every object is read again.
    """

    AUTO = "auto"
    CHECKSUM = "checksum"
    ETAG = "etag"
    HEAD = "head"
    READBACK = "readback"


class Verification(StrEnum):
    """Which proof shows that the store holds our bytes, strongest first."""

    READBACK = "readback"
    CHECKSUM = "checksum"
    ETAG = "etag"
    HEAD = "head"


class Disposition(StrEnum):
    """Where an original goes when its operation ends.

    LEAVE: nowhere, and nothing is remembered (`upload`). KEEP: nowhere, and it is never delivered again
    unless it changes. IN_PLACE: nowhere, as it stands in completed/ already.
    """

    COMPLETED = "completed"
    FAILED = "failed"
    DELETE = "delete"
    KEEP = "keep"
    LEAVE = "leave"
    IN_PLACE = "in-place"

    @property
    def moves(self) -> bool:
        return self in {Disposition.COMPLETED, Disposition.FAILED}

    @property
    def needs_journal(self) -> bool:
        """Whether there is anything to be made up for after a crash."""
        return self not in {Disposition.LEAVE, Disposition.IN_PLACE}


class Status(StrEnum):
    """How an operation ended, as the ledger words it."""

    SUCCESS = "success"
    SKIPPED = "skipped"
    FAILED = "failed"
    PARTIAL = "partial"
    CANCELLED = "cancelled"


@value(frozen=True, slots=True)
class CalledOff:
    """A file of an inbox that somebody asked not to deliver, as it looked then."""

    folder: str
    relpath: str
    fingerprint: Fingerprint
    why: str


@value(frozen=True, slots=True)
class JournalRow:
    """An operation whose end is decided and durable, but not yet acted out and recorded.

    `entry` is the ledger line to be; the recorder adds where the original went and when.
    `target` is the folder-relative place in completed/ or failed/ that the move aims at. `root` is
    what `relpath` is relative to, where that is not the folder's inbox. `copy` is the finished copy on
    the target's file system, where that is not the inbox's: from then on, it is what moves. `marker`
    goes where the original went.
    """

    operation_id: str
    folder: str
    relpath: str
    fingerprint: Fingerprint
    disposition: Disposition
    target: str
    entry: Mapping[str, Any]
    root: str = ""
    copy: Fingerprint | None = None
    marker: Marker | None = None

    @property
    def removes_source(self) -> bool:
        """Whether the original has to be removed from the inbox, as no rename takes it away."""
        return self.copy is not None or self.disposition is Disposition.DELETE

    @property
    def keeps_packed(self) -> bool:
        """Whether its packed file, which stands in the spool, is to be kept."""
        return self.entry.get("compressed_file_path") is not None
