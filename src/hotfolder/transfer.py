"""Sending one packed stream: as one PUT if it fits a part, else as a multipart upload; proven.

Nothing is ever overwritten: a key that is taken by other content leads to an alternative key, one
that holds the very same bytes to `skipped`.
"""

import asyncio
import hashlib
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing
from dataclasses import dataclass

import structlog

from hotfolder.budget import ByteBudget
from hotfolder.core import digest
from hotfolder.core.errors import (
    FileRejected,
    HotfolderError,
    KeyTaken,
    ObjectRefused,
    SourceChanged,
    UploadLost,
    VerificationFailed,
)
from hotfolder.core.ports import Body, ObjectStore
from hotfolder.core.records import (
    Digests,
    ObjectDraft,
    ObjectInfo,
    PartDigest,
    PartReceipt,
    Receipt,
    Verification,
)
from hotfolder.core.segments import PartCutter, PartPlan, WorkingSet, plan_parts, working_set, worst_case
from hotfolder.packing import Packed
from hotfolder.threads import Threads

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Label:
    """What is known of an object before its bytes: both keys it may get, and its metadata."""

    key: str
    alternative: str
    operation_id: str
    content_type: str
    metadata: dict[str, str]

    def draft(self, key: str, sha256: bytes | None) -> ObjectDraft:
        """The object under `key`, with the original's SHA-256 where it is known already."""
        known = {"hotfolder-sha256": sha256.hex()} if sha256 is not None else {}
        return ObjectDraft(key, self.metadata | known, self.content_type)

    def names(self, info: ObjectInfo) -> bool:
        """Whether an object was made by this very operation (an answer of the store was lost)."""
        return info.metadata.get("hotfolder-operation") == self.operation_id


@dataclass(frozen=True, slots=True)
class Sent:
    """A proven object. `skipped`: the store had it already and nothing was kept of ours."""

    key: str
    receipt: Receipt
    verification: Verification
    digests: Digests
    parts: int
    skipped: bool = False


@dataclass(frozen=True, slots=True)
class SendLimits:
    """Bytes of `memory` for buffers, the fixed `segment`, `part_size` or None for automatic."""

    memory: int
    segment: int
    part_size: int | None
    packers: int


class Sender:
    """Sends packed streams to one store within the byte and the request budget."""

    def __init__(
        self,
        store: ObjectStore,
        *,
        buffers: ByteBudget,
        requests: int,
        threads: Threads,
        limits: SendLimits,
    ) -> None:
        self._store = store
        self._buffers = buffers
        self._requests = asyncio.Semaphore(requests)
        self._threads = threads
        self._limits = limits

    async def send(self, packed: Packed, label: Label, on_stage: Callable[[str], None]) -> Sent:
        """Pack and upload one file, and return the proof that the store holds it.

        Raises `SourceChanged`, `VerificationFailed`, and what `ObjectStore` raises. On any error no
        multipart upload is left open unless the store cannot be reached, which is logged.
        """
        plan, need = self._plan(packed)
        # A quarter stays free for small files beside a large one.
        most = max(need.least, min(need.most, self._limits.memory * 3 // 4))
        async with self._buffers.lease(need.least, most) as granted:
            packed.window, in_flight = need.within(granted)
            on_stage("packing")
            sha256 = await packed.hash_original() if self._must_hash_first(packed, plan) else None
            async with aclosing(cut(packed.chunks(), plan.size)) as parts:
                first = await anext(parts)
                on_stage("uploading")
                if first.is_last:
                    return await self._put_whole(packed, label, first.take())
                taken = await self._head(label.key)
                if taken is None:
                    upload = _Upload(self, packed, label, label.key, in_flight)
                    return await upload.run(first, parts, sha256)
                first.take()
            same = await self._same_parts(packed, taken, plan)
            if same is not None:
                return self._found(packed, label, taken, same)
            async with aclosing(cut(packed.chunks(), plan.size)) as parts:
                first = await anext(parts)
                upload = _Upload(self, packed, label, label.alternative, in_flight)
                return await upload.run(first, parts, sha256)

    def _plan(self, packed: Packed) -> tuple[PartPlan, WorkingSet]:
        limits = self._limits
        worst = worst_case(packed.size, limits.segment)
        plan = plan_parts(worst, memory=limits.memory, part_size=limits.part_size)
        if plan is None:
            raise FileRejected(
                f"{packed.job.path} ({packed.size} bytes) needs larger parts than transfer.memory holds",
                hint=f"set transfer.memory to at least {worst // 9_900 * 3 // 1_000_000 + 16}MB",
            )
        need = working_set(packed.size, segment=limits.segment, parts=plan, packers=limits.packers)
        return plan, need

    @staticmethod
    def _must_hash_first(packed: Packed, plan: PartPlan) -> bool:
        """Metadata of a multipart upload comes before its bytes: what has no seal is hashed first."""
        return not packed.form.sealed and packed.size > plan.size

    async def _put_whole(self, packed: Packed, label: Label, body: Body) -> Sent:
        digests = _digests(packed)
        try:
            receipt = await self._put(label.draft(label.key, digests.original_sha256), body, digests)
        except KeyTaken:
            taken = await self._head(label.key)
            same = taken and await self._same_whole(taken, body, digests)
            if taken and same:
                return self._found(packed, label, taken, same)
            return await self._put_alternative(packed, label, body)
        proof = await self._prove_whole(label.key, receipt, body, digests)
        return Sent(label.key, receipt, proof, digests, parts=1)

    async def _put_alternative(self, packed: Packed, label: Label, body: Body) -> Sent:
        digests, key = _digests(packed), label.alternative
        try:
            receipt = await self._put(label.draft(key, digests.original_sha256), body, digests)
        except KeyTaken as error:
            # The key carries our operation id: what stands there is ours, its answer was lost.
            taken = await self._head(key)
            same = taken and await self._same_whole(taken, body, digests)
            if taken and same:
                return self._found(packed, label, taken, same)
            raise ObjectRefused(
                f"the keys {label.key} and {key} are both taken by other content"
            ) from error
        proof = await self._prove_whole(key, receipt, body, digests)
        return Sent(key, receipt, proof, digests, parts=1)

    async def _put(self, draft: ObjectDraft, body: Body, digests: Digests) -> Receipt:
        async with self._requests:
            return await self._store.put(draft, body, sha256=digests.packed_sha256, unless_exists=True)

    async def _head(self, key: str) -> ObjectInfo | None:
        async with self._requests:
            return await self._store.head(key)

    async def _prove_whole(
        self, key: str, receipt: Receipt, body: Body, digests: Digests
    ) -> Verification:
        """The strongest proof there is: checksum, else ETag, else a HEAD that shows the right size."""
        proof = digest.prove_whole(receipt, sha256=digests.packed_sha256, md5=None)
        if proof is not None:
            return proof
        md5 = await self._threads.run(md5_of, body)
        proof = digest.prove_whole(receipt, sha256=digests.packed_sha256, md5=md5)
        if proof is not None:
            return proof
        info = await self._existing(key)
        digest.check_size(info, digests.packed_size)
        return digest.prove_whole(info, sha256=digests.packed_sha256, md5=md5) or Verification.HEAD

    async def _existing(self, key: str) -> ObjectInfo:
        info = await self._head(key)
        if info is None:
            raise VerificationFailed(f"the store confirmed {key} and then did not have it")
        return info

    async def _same_whole(self, taken: ObjectInfo, body: Body, digests: Digests) -> Verification | None:
        """The proof that `taken` holds exactly `body`, or None: then it holds something else."""
        if taken.size != digests.packed_size:
            return None
        md5 = await self._threads.run(md5_of, body)
        try:
            return digest.prove_whole(taken, sha256=digests.packed_sha256, md5=md5)
        except VerificationFailed:
            return None  # a checksum that is not ours is the answer here, not a fault

    async def _same_parts(
        self, packed: Packed, taken: ObjectInfo, plan: PartPlan
    ) -> Verification | None:
        """As `_same_whole` for a multipart object: pack once more without sending, and compare."""
        if taken.metadata.get("hotfolder-size") != str(packed.size):
            return None
        ours: list[PartDigest] = []
        async with aclosing(cut(packed.chunks(), plan.size)) as parts:
            async for part in parts:
                body = part.take()
                sha256 = await self._threads.run(sha256_of, body)
                md5 = await self._threads.run(md5_of, body)
                ours.append(PartDigest(len(ours) + 1, len(body), sha256, md5))
        if taken.size != _digests(packed).packed_size:
            return None
        received = [PartReceipt(part.number, part.size, (part.md5 or b"").hex()) for part in ours]
        try:
            return digest.prove_assembled(taken, ours=ours, received=received)
        except VerificationFailed:
            return None

    def _found(self, packed: Packed, label: Label, taken: ObjectInfo, proof: Verification) -> Sent:
        receipt = Receipt(taken.etag, taken.checksum_sha256, taken.version_id)
        _, dash, count = taken.etag.partition("-")
        parts = int(count) if dash and count.isdigit() else 1
        return Sent(taken.key, receipt, proof, _digests(packed), parts, skipped=not label.names(taken))


class _Upload:
    """One multipart upload, from its creation to its proof."""

    def __init__(self, sender: Sender, packed: Packed, label: Label, key: str, in_flight: int) -> None:
        self._sender = sender
        self._store = sender._store
        self._packed = packed
        self._label = label
        self._key = key
        self._slots = asyncio.Semaphore(in_flight)
        self._ours: dict[int, PartDigest] = {}
        self._received: dict[int, PartReceipt] = {}

    async def run(self, first: "Part", rest: AsyncIterator["Part"], sha256: bytes | None) -> Sent:
        draft = self._label.draft(self._key, sha256)
        upload_id = await self._store.create_multipart(draft)
        try:
            await self._send_parts(upload_id, first, rest)
            digests = self._same_reading(sha256)
            receipt = await self._complete(upload_id)
        except BaseException:
            await asyncio.shield(self._abort(upload_id))
            raise
        proof = await self._prove(receipt, digests)
        attempts = receipt.attempts + sum(part.attempts for part in self._received.values())
        receipt = Receipt(receipt.etag, receipt.checksum_sha256, receipt.version_id, attempts)
        return Sent(self._key, receipt, proof, digests, len(self._ours))

    def _same_reading(self, sha256: bytes | None) -> Digests:
        """The digests of what was sent, which must be what was hashed in a first reading, if any."""
        digests = _digests(self._packed)
        if sha256 not in {None, digests.original_sha256}:
            raise SourceChanged(f"{self._packed.job.path} changed between its two readings")
        return digests

    async def _send_parts(self, upload_id: str, first: "Part", rest: AsyncIterator["Part"]) -> None:
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
            threads = self._sender._threads
            sha256 = await threads.run(sha256_of, body)
            async with self._sender._requests:
                receipt = await self._store.upload_part(
                    self._key, upload_id, number, body, sha256=sha256
                )
            ours = PartDigest(number, len(body), sha256)
            if digest.prove_part(receipt, ours) is None:
                ours = PartDigest(number, len(body), sha256, await threads.run(md5_of, body))
                if digest.prove_part(receipt, ours) is None:
                    log.debug("part.unproven", key=self._key, number=number, etag=receipt.etag)
            self._ours[number], self._received[number] = ours, receipt
        finally:
            self._slots.release()

    async def _complete(self, upload_id: str) -> Receipt:
        try:
            async with self._sender._requests:
                return await self._store.complete(
                    self._key, upload_id, self._in_order(), unless_exists=True
                )
        except (KeyTaken, UploadLost) as error:
            # Either the answer to our own request was lost, or another writer was faster.
            info = await self._sender._head(self._key)
            if info is not None and self._label.names(info):
                return Receipt(info.etag, info.checksum_sha256, info.version_id)
            raise ObjectRefused(f"the key {self._key} was taken during the upload") from error

    async def _prove(self, receipt: Receipt, digests: Digests) -> Verification:
        ours = [self._ours[number] for number in sorted(self._ours)]
        received = self._in_order()
        proof = digest.prove_assembled(receipt, ours=ours, received=received)
        if proof is not None:
            return proof
        info = await self._sender._existing(self._key)
        digest.check_size(info, digests.packed_size)
        return digest.prove_assembled(info, ours=ours, received=received) or Verification.HEAD

    def _in_order(self) -> list[PartReceipt]:
        return [self._received[number] for number in sorted(self._received)]

    async def _abort(self, upload_id: str) -> None:
        try:
            await self._store.abort(self._key, upload_id)
        except HotfolderError as error:
            log.warning("upload.left_open", key=self._key, upload_id=upload_id, reason=error.sentence)


class Part:
    """One part on its way: its bytes are handed over once, so that nobody else keeps them alive."""

    def __init__(self, number: int, body: Body, *, is_last: bool) -> None:
        self.number = number
        self.is_last = is_last
        self._body: Body | None = body

    def take(self) -> Body:
        if self._body is None:
            raise RuntimeError(f"part {self.number} was taken already")
        body, self._body = self._body, None
        return body


async def cut(chunks: AsyncGenerator[Body], size: int) -> AsyncGenerator[Part]:
    """The stream in parts of `size` bytes; the last may be shorter."""
    cutter = PartCutter(size)
    number = 0
    async with aclosing(chunks):
        async for chunk in chunks:
            for body in cutter.feed(chunk):
                number += 1
                part = Part(number, body, is_last=False)
                del body
                yield part
            del chunk
    yield Part(number + 1, cutter.rest(), is_last=True)


def sha256_of(body: Body) -> bytes:
    return hashlib.sha256(body).digest()


def md5_of(body: Body) -> bytes:
    return hashlib.md5(body, usedforsecurity=False).digest()


def _digests(packed: Packed) -> Digests:
    if packed.digests is None:
        raise RuntimeError("the packed stream was not read to its end")
    return packed.digests
