"""An object store in memory that is as strict as S3: it refuses what S3 refuses."""

import base64
import hashlib
import time
import unicodedata
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from dataclasses import dataclass, field, replace

from hotfolder.core.errors import (
    FileRejected,
    HotfolderError,
    KeyTaken,
    ObjectRefused,
    UploadLost,
    VerificationFailed,
)
from hotfolder.core.ports import Body, Scattered
from hotfolder.core.records import ObjectDraft, ObjectInfo, OpenUpload, PartReceipt, Receipt

_CHUNK = 64 * 1024
_SMALLEST_PART = 5 * 1024 * 1024


@dataclass
class Upload:
    """A multipart upload that is not yet an object."""

    draft: ObjectDraft
    parts: dict[int, tuple[PartReceipt, bytes]] = field(default_factory=dict)
    initiated: float = field(default_factory=time.time)


class MemoryStore:
    """`ObjectStore` over dictionaries: `objects`, `uploads` and `tags` are there to be looked at.

    While `outage` is set every call raises it; what the store holds stays. `smallest_part` in bytes
    binds all parts but the last, which must also be equal, as R2 demands.
    """

    def __init__(self, *, smallest_part: int = _SMALLEST_PART) -> None:
        self.objects: dict[str, tuple[ObjectInfo, bytes]] = {}
        self.uploads: dict[str, Upload] = {}
        self.tags: dict[str, dict[str, str]] = {}
        self.outage: HotfolderError | None = None
        self._smallest_part = smallest_part
        self._opened = 0
        self.wants_checksums = True  # of each part at the completion, as S3 does

    async def check(self) -> None:
        self._serve()

    async def put(
        self, draft: ObjectDraft, body: Body, *, sha256: bytes, unless_exists: bool
    ) -> Receipt:
        self._serve()
        _check_draft(draft)
        content = _verified(body, sha256)
        self._claim(draft.key, unless_exists)
        etag = hashlib.md5(content, usedforsecurity=False).hexdigest()
        return self._store(draft, content, etag, _base64(sha256))

    async def head(self, key: str) -> ObjectInfo | None:
        self._serve()
        stored = self.objects.get(_checked_key(key))
        return stored[0] if stored else None

    async def create_multipart(self, draft: ObjectDraft) -> str:
        self._serve()
        _check_draft(draft)
        self._opened += 1
        upload_id = f"upload-{self._opened}"
        self.uploads[upload_id] = Upload(draft)
        return upload_id

    async def upload_part(
        self, key: str, upload_id: str, number: int, body: Body | Scattered, *, sha256: bytes
    ) -> PartReceipt:
        upload = self._upload(key, upload_id)
        if not 1 <= number <= 10_000:
            raise ObjectRefused(f"part number {number} is not within 1 to 10,000")
        content = _verified(body, sha256)
        etag = hashlib.md5(content, usedforsecurity=False).hexdigest()
        receipt = PartReceipt(number, len(content), etag, _base64(sha256))
        upload.parts[number] = (receipt, content)
        return receipt

    async def list_parts(self, key: str, upload_id: str) -> list[PartReceipt]:
        parts = self._upload(key, upload_id).parts
        return [parts[number][0] for number in sorted(parts)]

    async def complete(
        self, key: str, upload_id: str, parts: Sequence[PartReceipt], *, unless_exists: bool
    ) -> Receipt:
        upload = self._upload(key, upload_id)
        if self.wants_checksums and any(part.checksum_sha256 is None for part in parts):
            raise ObjectRefused("InvalidRequest: a part is named without its checksum")
        contents = _named_parts(upload, parts, self._smallest_part)
        self._claim(key, unless_exists)
        del self.uploads[upload_id]
        sha256s = b"".join(hashlib.sha256(content).digest() for content in contents)
        md5s = b"".join(hashlib.md5(content, usedforsecurity=False).digest() for content in contents)
        composite = f"{_base64(hashlib.sha256(sha256s).digest())}-{len(contents)}"
        etag = f"{hashlib.md5(md5s, usedforsecurity=False).hexdigest()}-{len(contents)}"
        return self._store(upload.draft, b"".join(contents), etag, composite)

    async def list_uploads(self, prefix: str) -> AsyncIterator[OpenUpload]:
        self._serve()
        for upload_id, upload in list(self.uploads.items()):
            if upload.draft.key.startswith(prefix):
                yield OpenUpload(upload.draft.key, upload_id, upload.initiated)

    async def abort(self, key: str, upload_id: str) -> None:
        self._serve()
        _checked_key(key)
        self.uploads.pop(upload_id, None)

    async def get(self, key: str, *, start: int = 0) -> AsyncGenerator[bytes]:
        self._serve()
        if _checked_key(key) not in self.objects:
            raise FileNotFoundError(f"no object {key!r}")
        content = self.objects[key][1]
        for offset in range(start, len(content), _CHUNK):
            yield content[offset : offset + _CHUNK]

    async def delete(self, key: str) -> None:
        self._serve()
        self.objects.pop(_checked_key(key), None)

    async def list(self, prefix: str) -> AsyncIterator[ObjectInfo]:
        self._serve()
        for key in sorted(self.objects, key=str.encode):
            if key.startswith(prefix):
                yield replace(self.objects[key][0], checksum_sha256=None, metadata={})

    def _serve(self) -> None:
        if self.outage is not None:
            raise self.outage

    def _claim(self, key: str, unless_exists: bool) -> None:
        if unless_exists and key in self.objects:
            raise KeyTaken(f"{key!r} exists")

    def _upload(self, key: str, upload_id: str) -> Upload:
        self._serve()
        upload = self.uploads.get(upload_id)
        if upload is None or upload.draft.key != _checked_key(key):
            raise UploadLost(f"no upload {upload_id!r} of {key!r}")
        return upload

    def _store(self, draft: ObjectDraft, content: bytes, etag: str, checksum: str) -> Receipt:
        metadata = {name.lower(): value for name, value in draft.metadata.items()}
        storage_class = draft.storage_class or "STANDARD"
        info = ObjectInfo(draft.key, len(content), etag, checksum, metadata, storage_class=storage_class)
        self.tags[draft.key] = dict(draft.tags or {})
        self.objects[draft.key] = (info, content)
        return Receipt(etag, checksum)


def _named_parts(upload: Upload, parts: Sequence[PartReceipt], smallest: int) -> list[bytes]:
    if not parts or [part.number for part in parts] != sorted({part.number for part in parts}):
        raise VerificationFailed("InvalidPartOrder: the parts are not named once each in order")
    held = [upload.parts.get(part.number) for part in parts]
    contents = []
    for named, kept in zip(parts, held, strict=True):
        if kept is None or kept[0].etag != named.etag:
            raise VerificationFailed(f"InvalidPart: {named}")
        if named.checksum_sha256 not in (None, kept[0].checksum_sha256):
            raise VerificationFailed(f"InvalidPart: {named}")
        contents.append(kept[1])
    sizes = {len(content) for content in contents[:-1]}
    if len(sizes) > 1 or (sizes and min(sizes) < max(smallest, len(contents[-1]))):
        raise ObjectRefused("the parts before the last are too small or not equal")
    return contents


def _checked_key(key: str) -> str:
    try:
        size = len(key.encode())
    except UnicodeEncodeError as error:
        raise FileRejected(f"the key {key!r} is not UTF-8") from error
    if not 0 < size <= 1024:
        raise FileRejected(f"KeyTooLongError: {size} bytes")
    return key


def _check_draft(draft: ObjectDraft) -> None:
    _checked_key(draft.key)
    for value in draft.metadata.values():
        printable = all(unicodedata.category(c) != "Cc" for c in value)
        if not (value.isascii() and printable and value == value.strip()):
            raise FileRejected(f"metadata is not plain ASCII: {value!r}")
    if sum(len(name) + len(value) for name, value in draft.metadata.items()) > 2048:
        raise FileRejected("MetadataTooLarge")


def _verified(body: Body | Scattered, sha256: bytes) -> bytes:
    content = bytes(body)  # a copy: the body is the caller's again when the call returns
    if hashlib.sha256(content).digest() != sha256:
        raise VerificationFailed("BadDigest: the body has another SHA-256 than its checksum header")
    return content


def _base64(digest: bytes) -> str:
    return base64.b64encode(digest).decode()
