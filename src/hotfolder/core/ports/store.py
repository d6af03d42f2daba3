"""What the journey asks of a store."""

from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from hotfolder.core.ports.body import Body, Scattered
from hotfolder.core.pulse import Step
from hotfolder.core.records import (
    ObjectDraft,
    ObjectInfo,
    OpenUpload,
    PartReceipt,
    Receipt,
)
from hotfolder.core.refusals import Answer


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
        self, key: str, upload_id: str, number: int, body: Body | Scattered, *, sha256: bytes
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

    def get(self, key: str, *, start: int = 0) -> AsyncGenerator[bytes]:
        """The object's bytes from offset `start`, in chunks. Raises `FileNotFoundError` if absent."""
        ...

    async def delete(self, key: str) -> None:
        """Remove the object; an absent one is fine."""
        ...

    def list(self, prefix: str) -> AsyncIterator[ObjectInfo]:
        """Every object whose key starts with `prefix`, in key order, page by page."""
        ...


class ProbedStore(ObjectStore, Protocol):
    """A store that can be lied to, to see what it makes of it: for probes alone. Raises as its base."""

    async def put_claiming(
        self, draft: ObjectDraft, body: Body, *, checksum: bytes | None, signed: bytes
    ) -> Receipt:
        """PUT `body` with this SHA-256 as its checksum (None: without one), signed as if of another."""
        ...

    async def part_claiming(
        self,
        key: str,
        upload_id: str,
        number: int,
        body: Body,
        *,
        checksum: bytes | None,
        signed: bytes,
    ) -> PartReceipt:
        """The same of a part."""
        ...

    async def put_trailing(self, draft: ObjectDraft, body: Body) -> Receipt:
        """PUT `body` with its checksum behind it, in a frame that is not to be kept."""
        ...

    async def metadata_names(self, key: str) -> frozenset[str]:
        """The names of an object's metadata as the store writes them; empty where it is absent."""
        ...


@dataclass(frozen=True, slots=True)
class SigningKeys:
    """What signs a request. Its repr shows no secret, as tracebacks may print it."""

    access_key: str
    secret_key: str = field(repr=False)
    token: str | None = field(default=None, repr=False)


class PutEngine(Protocol):
    """Sends one PUT without a thread for it. Decides nothing: the store adapter reads the answer.

    One that `sees_progress` ends what does not get on by itself, and needs no deadline; to others a body
    in several pieces is no good.
    """

    @property
    def sees_progress(self) -> bool: ...

    async def put(
        self,
        url: str,
        headers: Mapping[str, str],
        body: Body | Scattered,
        *,
        sha256: bytes,
        keys: SigningKeys,
        deadline: float | None,
    ) -> Answer:
        """Sign and send; `deadline` in seconds from now.

        `url` is complete and percent-encoded, the fields of its query sorted by name. Of `headers` the
        names are in lower case, and no value has a space at an end.
        Whatever happens on the wire is an `Answer`; cancelling the caller cancels the request.
        """
        ...

    def steps(self) -> list[Step]:
        """The requests under way."""
        ...

    async def close(self) -> None:
        """Let go of all connections; what is under way is ended."""
        ...
