"""One multipart upload: parts sent side by side, completed, proven; gone on with, or taken back."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

from hotfolder.budget import Lease
from hotfolder.conflicts import Conflicts
from hotfolder.core import digest
from hotfolder.core.conflict import Replaced, replaced_by
from hotfolder.core.errors import (
    DestinationError,
    HotfolderError,
    KeyTaken,
    LocalError,
    SourceChanged,
    UploadLost,
    without_traces,
)
from hotfolder.core.objects import Label, Sent
from hotfolder.core.ports import Scattered
from hotfolder.core.records import (
    Digests,
    ObjectInfo,
    PartDigest,
    PartReceipt,
    Receipt,
    SentPart,
)
from hotfolder.packing import Packed
from hotfolder.parts import Part
from hotfolder.proving import Prover
from hotfolder.resuming import Known, Resumer
from hotfolder.wire import Wire


class Upload:
    """One multipart upload, from its creation to its proof.

    `recipe` names all that its parts depend on beside the original. An outage, or the end of the
    process, leaves it open for the next try; any other error takes it back.
    """

    def __init__(
        self,
        wire: Wire,
        resumer: Resumer,
        prover: Prover,
        packed: Packed,
        label: Label,
        *,
        key: str,
        recipe: str,
        part_size: int,
        in_flight: int,
        condition: bool | None = None,
        conflicts: Conflicts | None = None,
        replaced: Replaced | None = None,
        broken: str | None = None,
        lease: Lease | None = None,
    ) -> None:
        """`condition`: whether the store honours If-None-Match at the completion, None if nobody knows.

        `conflicts`: looks out for other writers; without, whatever stands under the key is overwritten.
        `replaced` stands there by now. `broken`: ETag of an object of ours that is not to be taken for
        this upload's, whose answer was lost. `lease`: of the buffers. It grows where more parts could be
        in flight, and what only waits for answers at the end holds nothing of it.
        """
        self._broken = broken
        self._condition, self._conflicts, self._replaced = condition, conflicts, replaced
        self._wire = wire
        self._resumer = resumer
        self._prover = prover
        self._packed = packed
        self._job = packed.job
        self._label = label
        self._key = key
        self._recipe = recipe
        self._part_size = part_size
        self._slots = asyncio.Semaphore(in_flight)
        self._lease = lease
        self._under_way = 0  # parts
        self._is_read = False  # to its end
        self._known = Known("")
        self._sent: dict[int, SentPart] = {}
        self._got_through = False  # whether any part did, in this try

    async def run(
        self,
        first: Part,
        rest: AsyncIterator[Part],
        sha256: bytes | None,
    ) -> Sent:
        try:
            await self._send_parts(first, rest, sha256)
            digests = self._with_parts(same_reading(self._packed, sha256))
            began = asyncio.get_running_loop().time()
            receipt = await self._complete()
            took = asyncio.get_running_loop().time() - began
        except DestinationError as error:
            if self._got_through:
                error.is_not_the_files()
            raise
        except (LocalError, asyncio.CancelledError):
            raise
        except BaseException:
            await asyncio.shield(self._resumer.end(self._job.operation_id))
            raise
        self._resumer.note_completed(self._job)
        await self._require_outlasting(receipt, took)
        sent = [self._sent[number] for number in sorted(self._sent)]
        proof = await self._prover.assembled(self._key, receipt, sent, self._in_order(), digests)
        attempts = receipt.attempts + sum(part.receipt.attempts for part in self._sent.values())
        if not receipt.etag and proof.info is not None:  # Ceph leaves it out of this answer
            receipt = replace(receipt, etag=proof.info.etag)
        receipt = replace(receipt, attempts=attempts)
        return Sent(
            self._key,
            receipt,
            proof.verification,
            digests,
            len(self._sent),
            replaced=self._replaced,
        )

    async def _open(self, sha256: bytes | None) -> None:
        draft = self._label.draft(self._key, sha256, self._replaced)
        # What the object will say of itself is fixed at its creation, too.
        recipe = f"{self._recipe}, {draft.storage_class} {draft.tags} {sha256 and sha256.hex()}"
        known = await self._resumer.find(self._job, self._key, recipe)
        if known is None:
            await self._resumer.note_intent(self._job, self._key, recipe)
            upload_id = await self._wire.create_multipart(draft)
            await self._resumer.note_upload(self._job, upload_id)
            known = Known(upload_id)
        self._known = known

    async def _send_parts(self, first: Part, rest: AsyncIterator[Part], sha256: bytes | None) -> None:
        """Opens the upload meanwhile: what a far store needs for its answers, the packers can use."""
        lost_before = self._resumer.lost_before(self._job)
        opening = asyncio.create_task(self._open(sha256))
        try:
            async with asyncio.TaskGroup() as group:
                if lost_before is not None:
                    group.create_task(self._resumer.clear_lost(self._key, lost_before, opening))
                part = first
                while True:
                    await self._place()
                    group.create_task(
                        self._send_part(part.number, part.take(), opening, is_last=part.is_last)
                    )
                    if part.is_last:
                        self._is_read = True
                        self._let_go()
                        break
                    part = await anext(rest)
        except BaseExceptionGroup as failed:
            # Asked for is opened, whatever becomes of us: its answer says what is to be taken back.
            await asyncio.wait({opening})
            typed = failed.subgroup(HotfolderError)
            if typed is not None:  # they hold the parts, and the file may be sent anew at once
                without_traces(typed)
            raise (typed or failed).exceptions[0] from failed
        finally:
            opening.cancel()
            await asyncio.gather(opening, return_exceptions=True)

    async def _place(self) -> None:
        """For one part more in flight; one that is new, where there is memory that nobody waits for."""
        if self._slots.locked() and self._lease is not None and self._lease.grow(self._part_size):
            self._slots.release()
        await self._slots.acquire()
        self._under_way += 1

    def _let_go(self) -> None:
        """All is read: of the buffers only the parts that are under way are needed."""
        if self._lease is not None:
            self._lease.shrink(self._under_way * self._part_size)

    async def _send_part(
        self, number: int, body: Scattered, opening: asyncio.Task[None], *, is_last: bool
    ) -> None:
        try:
            ours = PartDigest(number, len(body), await self._wire.sha256(body))
            await asyncio.shield(opening)
            sent = await self._already_there(ours, body, is_last=is_last)
            if sent is None:
                sent = await self._send(ours, body)
                self._got_through = True
                await self._resumer.note_part(self._job, sent)
            self._sent[number] = sent
        finally:
            del body  # before its bytes are another file's
            self._slots.release()
            self._under_way -= 1
            if self._is_read:
                self._let_go()

    async def _already_there(
        self, ours: PartDigest, body: Scattered, *, is_last: bool
    ) -> SentPart | None:
        """The part as a former try sent it. An MD5 is made only of what was not noted.

        Where nothing was noted the last part is sent again: only an answer tells whether the store
        names checksums, and then wants them at the completion.
        """
        if ours.number not in self._known.listed or (is_last and not self._known.noted):
            return None
        return self._known.has(ours) or self._known.has(replace(ours, md5=await self._wire.md5(body)))

    async def _send(self, ours: PartDigest, body: Scattered) -> SentPart:
        receipt = await self._wire.upload_part(
            self._key, self._known.upload_id, ours.number, body, sha256=ours.sha256
        )
        what = f"part {ours.number} of {self._key}"
        return SentPart(await self._prover.part(receipt, ours, body, what), receipt)

    async def _complete(self) -> Receipt:
        """Raises `KeyTaken` where something else stands under the key that is not to be replaced."""
        if self._condition is not True or self._conflicts is None:
            done = await self._look()
            if done is not None:
                return done
        conditional = self._condition is not False and self._conflicts is not None
        try:
            return await self._wire.complete(
                self._key, self._known.upload_id, self._in_order(), unless_exists=conditional
            )
        except (KeyTaken, UploadLost) as error:
            # Either the answer to our own request was lost, or another writer was faster.
            info = await self._wire.head(self._key)
            if info is not None and self._label.names(info):
                return _receipt(info)
            if info is None:
                raise
            raise KeyTaken(f"the key {self._key} was taken during the upload") from error

    async def _require_outlasting(self, receipt: Receipt, took: float) -> None:
        """Even stores that honour conditions may let two completions at the same moment both succeed."""
        if self._conflicts is not None and not await self._conflicts.outlasts(
            self._label, self._key, receipt, took
        ):
            raise KeyTaken(f"the object {self._key} was replaced by another writer's")

    async def _look(self) -> Receipt | None:
        """What stands under the key just before the completion; a receipt if it is our own object."""
        info = await self._wire.head(self._key)
        if info is not None and self._label.names(info):
            if info.etag == self._broken:
                return None
            self._replaced = replaced_by(info)
            return _receipt(info)
        if info is not None and self._conflicts is not None:
            raise KeyTaken(f"the key {self._key} was taken during the upload")
        self._replaced = None if info is None else Replaced.of(info)
        return None

    def _with_parts(self, digests: Digests) -> Digests:
        """All parts were hashed: that is a digest of the whole, too, without another pass."""
        sha256s = [self._sent[number].ours.sha256 for number in sorted(self._sent)]
        return digest.digests_of_parts(digests, sha256s, self._part_size)

    def _in_order(self) -> list[PartReceipt]:
        sent = [self._sent[number] for number in sorted(self._sent)]
        if all(part.receipt.checksum_sha256 is None for part in sent):
            return [part.receipt for part in sent]
        # Some stores list no checksums, but want each part's at the completion, or none's.
        return [
            replace(
                part.receipt,
                checksum_sha256=part.receipt.checksum_sha256 or digest.b64(part.ours.sha256),
            )
            for part in sent
        ]


def _receipt(info: ObjectInfo) -> Receipt:
    return Receipt(info.etag, info.checksum_sha256, info.version_id, etag_is_digest=info.etag_is_digest)


def same_reading(packed: Packed, sha256: bytes | None) -> Digests:
    """The digests of what was packed, which must be what was hashed in a first reading, if any."""
    digests = packed.final_digests()
    if sha256 is not None and sha256 != digests.original_sha256:
        raise SourceChanged(f"{packed.job.path} changed between its two readings")
    return digests
