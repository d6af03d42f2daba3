"""One multipart upload: parts sent side by side, completed, proven, or aborted."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

import structlog

from hotfolder.core import digest
from hotfolder.core.errors import HotfolderError, KeyTaken, ObjectRefused, SourceChanged, UploadLost
from hotfolder.core.objects import Label, Sent
from hotfolder.core.ports import Body
from hotfolder.core.records import Digests, PartDigest, PartReceipt, Receipt, Verification
from hotfolder.packing import Packed
from hotfolder.parts import Part
from hotfolder.wire import Wire

log = structlog.get_logger()


class Upload:
    """One multipart upload, from its creation to its proof."""

    def __init__(self, wire: Wire, packed: Packed, label: Label, key: str, in_flight: int) -> None:
        self._wire = wire
        self._packed = packed
        self._label = label
        self._key = key
        self._slots = asyncio.Semaphore(in_flight)
        self._ours: dict[int, PartDigest] = {}
        self._received: dict[int, PartReceipt] = {}

    async def run(self, first: Part, rest: AsyncIterator[Part], sha256: bytes | None) -> Sent:
        draft = self._label.draft(self._key, sha256)
        upload_id = await self._wire.create_multipart(draft)
        try:
            await self._send_parts(upload_id, first, rest)
            digests = same_reading(self._packed, sha256)
            receipt = await self._complete(upload_id)
        except BaseException:
            await asyncio.shield(self._abort(upload_id))
            raise
        proof = await self._prove(receipt, digests)
        attempts = receipt.attempts + sum(part.attempts for part in self._received.values())
        receipt = replace(receipt, attempts=attempts)
        return Sent(self._key, receipt, proof, digests, len(self._ours))

    async def _send_parts(self, upload_id: str, first: Part, rest: AsyncIterator[Part]) -> None:
        try:
            async with asyncio.TaskGroup() as group:
                part = first
                while True:
                    await self._slots.acquire()
                    group.create_task(self._send_part(upload_id, part.number, part.take()))
                    if part.is_last:
                        break
                    part = await anext(rest)
        except BaseExceptionGroup as failed:
            typed = failed.subgroup(HotfolderError)
            raise (typed or failed).exceptions[0] from failed

    async def _send_part(self, upload_id: str, number: int, body: Body) -> None:
        try:
            sha256 = await self._wire.sha256(body)
            receipt = await self._wire.upload_part(self._key, upload_id, number, body, sha256=sha256)
            ours = PartDigest(number, len(body), sha256)
            if digest.prove_part(receipt, ours) is None:
                ours = replace(ours, md5=await self._wire.md5(body))
                if digest.prove_part(receipt, ours) is None and ours.md5 is not None:
                    digest.refuse_other_md5(receipt, ours.md5, f"part {number} of {self._key}")
            self._ours[number], self._received[number] = ours, receipt
        finally:
            self._slots.release()

    async def _complete(self, upload_id: str) -> Receipt:
        try:
            return await self._wire.complete(self._key, upload_id, self._in_order())
        except (KeyTaken, UploadLost) as error:
            # Either the answer to our own request was lost, or another writer was faster.
            info = await self._wire.head(self._key)
            if info is not None and self._label.names(info):
                return Receipt(
                    info.etag,
                    info.checksum_sha256,
                    info.version_id,
                    etag_is_digest=info.etag_is_digest,
                )
            raise ObjectRefused(f"the key {self._key} was taken during the upload") from error

    async def _prove(self, receipt: Receipt, digests: Digests) -> Verification:
        ours = [self._ours[number] for number in sorted(self._ours)]
        received = self._in_order()
        proof = digest.prove_assembled(receipt, ours=ours, received=received)
        if proof is not None:
            return proof
        info = await self._wire.existing(self._key)
        digest.check_size(info, digests.packed_size)
        return digest.prove_assembled(info, ours=ours, received=received) or Verification.HEAD

    def _in_order(self) -> list[PartReceipt]:
        return [self._received[number] for number in sorted(self._received)]

    async def _abort(self, upload_id: str) -> None:
        try:
            await self._wire.abort(self._key, upload_id)
        except HotfolderError as error:
            log.warning("upload.left_open", key=self._key, upload_id=upload_id, reason=error.sentence)


def same_reading(packed: Packed, sha256: bytes | None) -> Digests:
    """The digests of what was packed, which must be what was hashed in a first reading, if any."""
    digests = packed.final_digests()
    if sha256 not in {None, digests.original_sha256}:
        raise SourceChanged(f"{packed.job.path} changed between its two readings")
    return digests
