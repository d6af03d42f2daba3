"""A store in memory that does less than S3, or something else, and can be lied to."""

import base64
import hashlib
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, TypeVar

from hotfolder.core.errors import VerificationFailed
from hotfolder.core.ports import Body, Scattered
from hotfolder.core.records import ObjectDraft, ObjectInfo, PartReceipt, Receipt
from tests.support.memory_store import MemoryStore

Said = TypeVar("Said", Receipt, PartReceipt, ObjectInfo)

FRAME = b"44\r\n%b\r\n0\r\nx-amz-checksum-crc32:AAAAAA==\r\n\r\n"


@dataclass(frozen=True, slots=True)
class Habits:
    """What a store does. The defaults are S3's.

    `checksums`: what its answers name: the SHA-256 of what it got, none, or what was announced. `etags`:
    MD5s, words, or MD5s of something else. `alters`: a byte is changed on the way to it, or by itself
    once it has compared and counted.
    """

    compares_checksums: bool = True
    compares_signatures: bool = True
    checksums: Literal["own", "none", "repeated"] = "own"
    etags: Literal["md5", "words", "other md5"] = "md5"
    etag_on_complete: bool = True
    etags_mean_bytes: bool = True  # False: it encrypts with keys of its own, and says so
    condition_on_put: bool = True
    condition_on_complete: bool = True
    capitals: bool = False
    trailers: bool = True
    alters: Literal["", "on the way", "at rest"] = ""


AS_S3 = Habits()


class WickedStore(MemoryStore):
    """`core.ports.ProbedStore`; `habits` may be changed at any time."""

    def __init__(self, habits: Habits = AS_S3) -> None:
        super().__init__()
        self.habits = habits
        self.wants_checksums = False

    async def put(
        self, draft: ObjectDraft, body: Body, *, sha256: bytes, unless_exists: bool
    ) -> Receipt:
        return await self._put(draft, body, sha256, sha256, unless_exists=unless_exists)

    async def put_claiming(
        self, draft: ObjectDraft, body: Body, *, checksum: bytes | None, signed: bytes
    ) -> Receipt:
        return await self._put(draft, body, checksum, signed, unless_exists=False)

    async def _put(
        self,
        draft: ObjectDraft,
        body: Body,
        checksum: bytes | None,
        signed: bytes,
        *,
        unless_exists: bool,
    ) -> Receipt:
        got = self._got(body, checksum, signed)
        condition = unless_exists and self.habits.condition_on_put
        receipt = await super().put(draft, got, sha256=sha(got), unless_exists=condition)
        told = self._told(receipt, got, checksum)
        self._keep_as_told(draft.key, told)
        return told

    async def put_trailing(self, draft: ObjectDraft, body: Body) -> Receipt:
        content = bytes(body) if self.habits.trailers else FRAME % bytes(body)
        return await self._put(draft, content, None, sha(content), unless_exists=False)

    async def upload_part(
        self, key: str, upload_id: str, number: int, body: Body | Scattered, *, sha256: bytes
    ) -> PartReceipt:
        return await self.part_claiming(
            key, upload_id, number, bytes(body), checksum=sha256, signed=sha256
        )

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
        got = self._got(body, checksum, signed)
        receipt = await super().upload_part(key, upload_id, number, got, sha256=sha(got))
        told = self._told(receipt, got, checksum)
        self.uploads[upload_id].parts[number] = (told, got)
        return told

    async def complete(
        self, key: str, upload_id: str, parts: Sequence[PartReceipt], *, unless_exists: bool
    ) -> Receipt:
        condition = unless_exists and self.habits.condition_on_complete
        named = [
            self.uploads[upload_id].parts[part.number][0] for part in parts if upload_id in self.uploads
        ]
        receipt = await super().complete(key, upload_id, parts, unless_exists=condition)
        etag, checksum = receipt.etag, receipt.checksum_sha256
        if self.habits.etags != "md5":
            etag = f"made-of-{len(parts)}"
            if self.habits.etags == "other md5":
                joined = b"".join(bytes.fromhex(part.etag) for part in named)
                etag = f"{md5(joined).hex()}-{len(parts)}"
        if self.habits.checksums == "none":
            checksum = None
        elif all(part.checksum_sha256 for part in named):
            joined = b"".join(base64.b64decode(part.checksum_sha256 or "") for part in named)
            checksum = f"{base64.b64encode(sha(joined)).decode()}-{len(parts)}"
        told = replace(
            receipt, etag=etag, checksum_sha256=checksum, etag_is_digest=self.habits.etags_mean_bytes
        )
        self._keep_as_told(key, told)
        return told if self.habits.etag_on_complete else replace(told, etag="")

    async def metadata_names(self, key: str) -> frozenset[str]:
        info = await self.head(key)
        names = info.metadata if info else {}
        return frozenset(name.title() if self.habits.capitals else name for name in names)

    async def get(self, key: str, *, start: int = 0) -> AsyncGenerator[bytes]:
        async for chunk in super().get(key, start=start):
            yield chunk

    def _got(self, body: Body | Scattered, checksum: bytes | None, signed: bytes) -> bytes:
        """What arrives, and is not refused."""
        got = altered(bytes(body)) if self.habits.alters == "on the way" else bytes(body)
        if self.habits.compares_checksums and checksum not in {None, sha(got)}:
            raise VerificationFailed("BadDigest")
        if self.habits.compares_signatures and signed != sha(got):
            raise VerificationFailed("XAmzContentSHA256Mismatch")
        return got

    def _told(self, said: Said, got: bytes, checksum: bytes | None) -> Said:
        etag = {"md5": md5(got).hex(), "words": "opaque", "other md5": md5(b"salt" + got).hex()}
        named = {"own": sha(got), "none": None, "repeated": checksum}[self.habits.checksums]
        changes: dict[str, Any] = {
            "etag": etag[self.habits.etags],
            "etag_is_digest": self.habits.etags_mean_bytes,
            "checksum_sha256": base64.b64encode(named).decode() if named else None,
        }
        return replace(said, **changes)

    def _keep_as_told(self, key: str, told: Receipt) -> None:
        info, content = self.objects[key]
        info = replace(
            info,
            etag=told.etag,
            checksum_sha256=told.checksum_sha256,
            etag_is_digest=told.etag_is_digest,
        )
        kept = altered(content) if self.habits.alters == "at rest" else content
        self.objects[key] = (info, kept)


def altered(content: bytes) -> bytes:
    """The same with one bit the other way, in the middle."""
    at = len(content) // 2
    return content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :] if content else content


def sha(content: bytes) -> bytes:
    return hashlib.sha256(content).digest()


def md5(content: bytes) -> bytes:
    return hashlib.md5(content, usedforsecurity=False).digest()
