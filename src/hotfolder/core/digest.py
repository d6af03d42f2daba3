"""What is proof: comparing our digests with what the store said. Pure."""

import base64
import hashlib
from collections.abc import Sequence
from dataclasses import replace

from hotfolder.core.errors import VerificationFailed
from hotfolder.core.records import Digests, ObjectInfo, PartDigest, PartReceipt, Receipt, Verification

NOT_TRUSTED = "the object is not trusted and the file stays where it is; it will be uploaded again"


def b64(digest: bytes) -> str:
    """A digest as S3 writes it in checksum headers."""
    return base64.b64encode(digest).decode()


def composite_sha256(parts: Sequence[bytes]) -> str:
    """S3's SHA-256 of a multipart object: the digest of the parts' digests, "-" and their number."""
    return f"{b64(sha256_of_parts(parts))}-{len(parts)}"


def sha256_of_parts(parts: Sequence[bytes]) -> bytes:
    """The SHA-256 of the SHA-256s of all parts, in their order."""
    return hashlib.sha256(b"".join(parts)).digest()


def digests_of_parts(digests: Digests, sha256s: Sequence[bytes], part_size: int) -> Digests:
    """`digests` with one of the packed stream, as its parts were hashed: no pass of its own is needed.

    Where the stream was hashed as a whole it stays that, so that it is known for one everywhere.
    """
    if digests.packed_sha256 is not None:
        return digests
    return replace(digests, packed_sha256=sha256_of_parts(sha256s), part_size=part_size)


class RunningSha256:
    """SHA-256 of what is fed; with `part`, of the SHA-256s of its runs of so many bytes."""

    def __init__(self, part: int | None = None) -> None:
        self._part, self._room = part, part
        self._hashing = hashlib.sha256()
        self._done: list[bytes] = []

    def update(self, data: bytes | memoryview) -> None:
        if self._part is None:
            self._hashing.update(data)
            return
        view = memoryview(data)
        while view:
            if self._room == 0:
                self._done.append(self._hashing.digest())
                self._hashing, self._room = hashlib.sha256(), self._part
            run = view[: self._room]
            self._hashing.update(run)
            self._room = (self._room or 0) - len(run)
            view = view[len(run) :]

    def digest(self) -> bytes:
        last = self._hashing.digest()
        return last if self._part is None else sha256_of_parts([*self._done, last])


def composite_etag(part_md5s: Sequence[bytes]) -> str:
    """S3's ETag of a multipart object: the MD5 of the parts' MD5s, "-" and their number."""
    joined = hashlib.md5(b"".join(part_md5s), usedforsecurity=False).hexdigest()
    return f"{joined}-{len(part_md5s)}"


def is_md5(etag: str) -> bool:
    """Whether an ETag can be an MD5 at all (32 hexadecimal digits)."""
    return len(etag) == 32 and all(digit in "0123456789abcdef" for digit in etag.lower())


def prove_whole(
    receipt: Receipt | ObjectInfo, *, sha256: bytes, md5: bytes | None, checksum_counts: bool = True
) -> Verification | None:
    """Which proof a single PUT's receipt (or HEAD) gives of our bytes; None where it gives none.

    `checksum_counts`: False where the store may repeat what we announced, whatever it got. No store can
    repeat an MD5, as none is ever sent. Raises `VerificationFailed` where the store names a SHA-256 that
    is not ours. An ETag that differs proves nothing by itself: it may be no MD5 (see
    `refuse_other_md5`). One of an object under a KMS key proves nothing at all.
    """
    if receipt.checksum_sha256 is not None:
        if receipt.checksum_sha256 != b64(sha256):
            raise VerificationFailed(
                f"the store holds SHA-256 {receipt.checksum_sha256}, sent was {b64(sha256)}",
                hint=NOT_TRUSTED,
            )
        if checksum_counts:
            return Verification.CHECKSUM
    if md5 is not None and receipt.etag_is_digest and receipt.etag.lower() == md5.hex():
        return Verification.ETAG
    return None


def refuse_other_md5(said: ObjectInfo | PartReceipt, md5: bytes, what: str) -> None:
    """Raise `VerificationFailed` where an ETag that looks like an MD5 is not that of our bytes.

    Asked only where no checksum counts and the store is known to give MD5s: then it holds other bytes.
    """
    if said.etag_is_digest and is_md5(said.etag) and said.etag.lower() != md5.hex():
        raise VerificationFailed(
            f"the store says MD5 {said.etag} of {what}, sent was {md5.hex()}", hint=NOT_TRUSTED
        )


def prove_part(
    receipt: PartReceipt, ours: PartDigest, *, checksum_counts: bool = True
) -> Verification | None:
    """Which proof the store gave of one part; None where it gave none; raises as `prove_whole`."""
    said = Receipt(receipt.etag, receipt.checksum_sha256, etag_is_digest=receipt.etag_is_digest)
    return prove_whole(said, sha256=ours.sha256, md5=ours.md5, checksum_counts=checksum_counts)


def prove_assembled(
    receipt: Receipt | ObjectInfo,
    *,
    ours: Sequence[PartDigest],
    received: Sequence[PartReceipt],
    checksum_counts: bool = True,
    parts_proven: bool = True,
) -> Verification | None:
    """Which proof the store gives that the object is made of just our parts; None where none.

    With `parts_proven` one by one, their ETags stand for bytes the store confirmed: an ETag of the
    whole that is made of them binds the object to them. `checksum_counts` as in `prove_whole`. Raises
    `VerificationFailed` where the store names a composite SHA-256 that is not ours.
    """
    expected = composite_sha256([part.sha256 for part in ours])
    named = receipt.checksum_sha256
    if named is not None and named.endswith(f"-{len(ours)}"):
        if named != expected:
            raise VerificationFailed(
                f"the store assembled an object with SHA-256 {named}, expected {expected}",
                hint=NOT_TRUSTED,
            )
        if checksum_counts:
            return Verification.CHECKSUM
    if (
        parts_proven
        and all(said.etag_is_digest for said in (receipt, *received))
        and all(is_md5(part.etag) for part in received)
    ):
        etag = composite_etag([bytes.fromhex(part.etag) for part in received])
        if receipt.etag.lower() == etag:
            return Verification.ETAG
    return None


def check_size(info: ObjectInfo, expected: int) -> None:
    """Raise `VerificationFailed` unless the stored object has exactly `expected` bytes."""
    if info.size != expected:
        raise VerificationFailed(
            f"the store holds {info.size} bytes, sent were {expected}", hint=NOT_TRUSTED
        )
