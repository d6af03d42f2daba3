"""Sending one packed stream: as one PUT if it fits a part, else as a multipart upload; proven.

Nothing is ever overwritten: a key that is taken by other content leads to an alternative key, one
that holds the very same bytes to `skipped`.
"""

from collections.abc import Awaitable, Callable
from contextlib import aclosing
from dataclasses import dataclass

from hotfolder.budget import ByteBudget
from hotfolder.core.errors import FileRejected, KeyTaken, ObjectRefused
from hotfolder.core.objects import Label, Sent, Terms
from hotfolder.core.ports import Body
from hotfolder.core.profile import UNKNOWN, Profile
from hotfolder.core.records import Digests, ObjectInfo, PartDigest, Receipt, Verification
from hotfolder.core.segments import PartPlan, WorkingSet, plan_parts, working_set, worst_case
from hotfolder.multipart import Upload, same_reading
from hotfolder.packing import Packed
from hotfolder.parts import cut
from hotfolder.proving import Prover
from hotfolder.resuming import Resumer
from hotfolder.wire import Wire

_PLAIN = Terms()


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
        wire: Wire,
        resumer: Resumer,
        *,
        buffers: ByteBudget,
        limits: SendLimits,
        profile: Callable[[], Profile] = lambda: UNKNOWN,
        learn: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        """`profile`: what is known of the store by now; `learn` waits until that is all there is."""
        self._profile, self._learn = profile, learn
        self._wire = wire
        self._resumer = resumer
        self._buffers = buffers
        self._limits = limits

    async def send(
        self,
        packed: Packed,
        label_for: Callable[[bytes | None], Label],
        on_stage: Callable[[str], None],
        terms: Terms = _PLAIN,
    ) -> Sent:
        """Pack and upload one file, and return the proof that the store holds it.

        `label_for` makes keys and metadata; with `terms.hash_first` it gets the original's SHA-256.

        Raises `SourceChanged`, `VerificationFailed`, and what `ObjectStore` raises. An outage, or the
        end of the process, leaves a multipart upload open: sent again, the same job goes on with it.
        Call `end` when the operation is over.
        """
        plan, need = self._plan(packed)
        # A quarter stays free for small files beside a large one.
        most = max(need.least, min(need.most, self._limits.memory * 3 // 4))
        on_stage("queued")  # for its share of the memory
        prover = await self._prover(terms)
        prover.require_possible()
        async with self._buffers.lease(need.least, most) as granted:
            packed.window, in_flight = need.within(granted)
            on_stage("packing")
            must_hash = terms.hash_first or self._must_hash_first(packed, plan)
            sha256 = await packed.hash_original() if must_hash else None
            label = label_for(sha256)
            async with aclosing(cut(packed.chunks(), plan.size)) as parts:
                first = await anext(parts)
                on_stage("uploading")
                if first.is_last:
                    same_reading(packed, sha256)
                    await self.end(packed.job.operation_id)  # begun when it was cut into parts
                    return await self._put_whole(packed, label, first.take(), prover)
                taken = await self._wire.head(label.key)
                if taken is None:
                    upload = self._upload(packed, label, label.key, plan, in_flight, prover)
                    return await upload.run(first, parts, sha256)
                first.take()
            same = await self._same_parts(packed, taken, plan, prover)
            if same is not None:
                return self._found(packed, label, taken, same)
            async with aclosing(cut(packed.chunks(), plan.size)) as parts:
                first = await anext(parts)
                upload = self._upload(packed, label, label.alternative, plan, in_flight, prover)
                return await upload.run(first, parts, sha256)

    async def disown(self, operation_id: str) -> None:
        """No later try goes on with the upload of this operation."""
        await self._resumer.disown(operation_id)

    async def end(self, operation_id: str) -> None:
        """The operation is over, however it ended: no upload of it stays open."""
        await self._resumer.end(operation_id)

    async def _prover(self, terms: Terms) -> Prover:
        if terms.cold and self._learn is not None:
            await self._learn()  # the careful way ends in reading back, which no cold class allows
        return Prover(self._wire, self._profile, terms)

    def _upload(
        self,
        packed: Packed,
        label: Label,
        key: str,
        plan: PartPlan,
        in_flight: int,
        prover: Prover,
    ) -> Upload:
        recipe = f"{packed.form.recipe}, segment {self._limits.segment}, part {plan.size}"
        return Upload(
            self._wire,
            self._resumer,
            prover,
            packed,
            label,
            key=key,
            recipe=recipe,
            in_flight=in_flight,
        )

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

    async def _put_whole(self, packed: Packed, label: Label, body: Body, prover: Prover) -> Sent:
        digests = packed.final_digests()
        try:
            receipt = await self._put(label, label.key, body, digests)
        except KeyTaken:
            taken = await self._wire.head(label.key)
            same = taken and await prover.same_whole(taken, body, digests)
            if taken and same:
                return self._found(packed, label, taken, same)
            return await self._put_alternative(packed, label, body, prover)
        proof = await prover.whole(label.key, receipt, body, digests)
        return Sent(label.key, receipt, proof.verification, digests, parts=1)

    async def _put_alternative(self, packed: Packed, label: Label, body: Body, prover: Prover) -> Sent:
        digests, key = packed.final_digests(), label.alternative
        try:
            receipt = await self._put(label, key, body, digests)
        except KeyTaken as error:
            # The key carries our operation id: what stands there is ours, its answer was lost.
            taken = await self._wire.head(key)
            same = taken and await prover.same_whole(taken, body, digests)
            if taken and same:
                return self._found(packed, label, taken, same)
            raise ObjectRefused(
                f"the keys {label.key} and {key} are both taken by other content"
            ) from error
        proof = await prover.whole(key, receipt, body, digests)
        return Sent(key, receipt, proof.verification, digests, parts=1)

    async def _put(self, label: Label, key: str, body: Body, digests: Digests) -> Receipt:
        draft = label.draft(key, digests.original_sha256)
        return await self._wire.put(draft, body, sha256=digests.packed_sha256)

    async def _same_parts(
        self, packed: Packed, taken: ObjectInfo, plan: PartPlan, prover: Prover
    ) -> Verification | None:
        """Whether a multipart object is just ours: pack once more without sending, and compare."""
        if taken.metadata.get("hotfolder-size") != str(packed.size):
            return None
        ours: list[PartDigest] = []
        async with aclosing(cut(packed.chunks(), plan.size)) as parts:
            async for part in parts:
                body = part.take()
                sha256 = await self._wire.sha256(body)
                md5 = await self._wire.md5(body)
                ours.append(PartDigest(len(ours) + 1, len(body), sha256, md5))
        return await prover.same_parts(taken, ours, packed.final_digests())

    def _found(self, packed: Packed, label: Label, taken: ObjectInfo, proof: Verification) -> Sent:
        receipt = Receipt(taken.etag, taken.checksum_sha256, taken.version_id)
        _, dash, count = taken.etag.partition("-")
        parts = int(count) if dash and count.isdigit() else 1
        return Sent(
            taken.key, receipt, proof, packed.final_digests(), parts, skipped=not label.names(taken)
        )
