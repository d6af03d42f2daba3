"""Sending one packed stream: as one PUT if it fits a part, else as a multipart upload; proven.

What is there already is `skipped`. A key that is taken by other content leads, as `on_conflict` says,
to an alternative key, to failed/, or to an object that is overwritten.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager, aclosing, nullcontext
from dataclasses import dataclass, replace
from functools import lru_cache, partial

from hotfolder.budget import ByteBudget, Lease
from hotfolder.comparing import Comparison, Same, Unpackers
from hotfolder.conflicts import FREE, Conflicts, Earlier, Ruling, nothing_earlier
from hotfolder.core.conflict import OnConflict, Way, looks_first, replaced_by
from hotfolder.core.errors import (
    DestinationError,
    DestinationTrouble,
    FileRejected,
    HotfolderError,
    KeyTaken,
    ObjectRefused,
    UploadLost,
    VerificationFailed,
)
from hotfolder.core.objects import Label, Sent, Terms
from hotfolder.core.ports import Body
from hotfolder.core.profile import UNKNOWN, Profile
from hotfolder.core.records import Digests, ObjectInfo, Receipt
from hotfolder.core.segments import (
    KIB,
    LARGE,
    PartPlan,
    WorkingSet,
    plan_parts,
    working_set,
    worst_case,
)
from hotfolder.core.values import value
from hotfolder.meanwhile import meanwhile
from hotfolder.multipart import Upload, same_reading
from hotfolder.packing import Packed
from hotfolder.parts import cut
from hotfolder.proving import Prover, packed_sha256
from hotfolder.resuming import Resumer
from hotfolder.wire import Wire

_PLAIN = Terms()
#: Sizes are rounded up to this many bytes, so that what a file needs is seldom reckoned twice.
_GRAIN = 16 * KIB
_PARTS_TO_BEGIN = 3  # that a file of middling size has in flight at least, where memory allows
_MOST_RACES = 5  # how often others may be faster before a file is put off


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
        earlier: Earlier = nothing_earlier,
        unpackers: Unpackers = lambda _: None,
    ) -> None:
        """`profile`: what is known of the store by now; `learn` waits until that is all there is.

        `earlier`: what the ledger knows of this bucket.
        """
        self._conflicts, self._unpackers = Conflicts(wire, earlier), unpackers
        self._profile, self._learn = profile, learn
        self._wire = wire
        self._resumer = resumer
        self._buffers = buffers
        self._limits = limits
        self._needs = lru_cache(maxsize=1024)(partial(_reckoned, limits))

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
        try:
            return await self._send(packed, label_for, on_stage, terms)
        except (VerificationFailed, ObjectRefused, FileRejected) as error:
            await self._require_store(error)
            raise

    async def _require_store(self, error: HotfolderError) -> None:
        """Raise what is wrong with the store, if that is why a file got `error`.

        What stands before a store may answer in its place, whatever it was asked.
        """
        try:
            await self._wire.check()
        except DestinationError as reason:
            # Who may write and not list is asked for nothing else than to write.
            if reason.trouble is not DestinationTrouble.DENIED:
                raise reason from error

    async def _send(
        self,
        packed: Packed,
        label_for: Callable[[bytes | None], Label],
        on_stage: Callable[[str], None],
        terms: Terms,
    ) -> Sent:
        needs = self._needs_of(packed)
        plan = needs.plan
        on_stage("queued")  # for its share of the memory
        if terms.cold and self._learn is not None:
            await self._learn()  # the careful way ends in reading back, which no cold class allows
        prover = Prover(self._wire, self._profile, terms, on_stage)
        prover.require_possible()
        # Metadata of a multipart upload comes before its bytes: what has no seal is hashed first.
        must_hash = terms.hash_first or (packed.size > plan.size and not packed.form.sealed)
        label = label_for(None) if packed.size > plan.size and not must_hash else None
        lease = self._buffers.lease(needs.least, needs.most, packed.job.folder)
        # What stands under its key is asked while a large file waits for memory, and while it is packed.
        async with self._looked_up_ahead(label) as standing, lease as granted:
            packed.window, in_flight = needs.buffers.within(granted)
            on_stage("packing")
            sha256 = await packed.hash_original() if must_hash else None
            label = label or label_for(sha256)
            errand = _Errand(packed, label, prover, terms, plan, in_flight, sha256)
            whole = await packed.whole(plan.size)
            if whole is not None:
                on_stage("uploading")
                return await self._send_whole(errand, whole, same_reading(packed, sha256))
            async with aclosing(cut(packed.chunks(), plan.size)) as parts:
                first = await anext(parts)
                on_stage("uploading")
                if first.is_last:
                    body, of_packed = await self._wire.joined(first.take())
                    digests = replace(same_reading(packed, sha256), packed_sha256=of_packed)
                    return await self._send_whole(errand, body, digests)
                if await (standing or self._wire.head(label.key)) is None:
                    with contextlib.suppress(KeyTaken, UploadLost):  # meanwhile: look again
                        return await self._upload(errand, FREE, lease).run(first, parts, sha256)
                else:
                    first.take()
        async with self._buffers.lease(needs.least, needs.most, packed.job.folder) as granted:
            packed.window, in_flight = needs.buffers.within(granted)
            return await self._upload_anew(replace(errand, in_flight=in_flight))

    def _looked_up_ahead(
        self, label: Label | None
    ) -> AbstractAsyncContextManager[asyncio.Task[ObjectInfo | None] | None]:
        """HEAD of its key beside all that follows; None where nobody asks."""
        return nullcontext() if label is None else meanwhile(self._wire.head(label.key))

    async def disown(self, operation_id: str) -> None:
        """No later try goes on with the upload of this operation."""
        await self._resumer.disown(operation_id)

    def end(self, operation_id: str) -> Awaitable[None]:
        """The operation is over, however it ended: no upload of it stays open."""
        return self._resumer.end(operation_id)

    def _upload(self, errand: "_Errand", verdict: Ruling, lease: Lease | None = None) -> Upload:
        packed, label = errand.packed, errand.label
        return Upload(
            self._wire,
            self._resumer,
            errand.prover,
            packed,
            label,
            key=label.alternative if verdict.way is Way.BESIDE else label.key,
            recipe=f"{packed.form.recipe}, segment {self._limits.segment}, part {errand.plan.size}",
            part_size=errand.plan.size,
            in_flight=errand.in_flight,
            condition=self._profile().condition_on_complete,
            conflicts=None if errand.overwrites or verdict.broken is not None else self._conflicts,
            replaced=verdict.replaced,
            broken=verdict.broken,
            lease=lease,
        )

    async def _upload_anew(self, errand: "_Errand") -> Sent:
        """Send in parts where something stands under the key, or the store forgot an upload to it."""
        packed, label = errand.packed, errand.label
        comparison = self._comparison(errand)
        lost: UploadLost | None = None
        for _ in range(_MOST_RACES):
            verdict = await self._settle(errand, comparison)
            if verdict.same is not None:
                return self._found(label, verdict.same)
            async with aclosing(cut(packed.chunks(), errand.plan.size)) as parts:
                first = await anext(parts)
                try:
                    return await self._upload(errand, verdict).run(first, parts, errand.sha256)
                except KeyTaken:
                    lost = None  # by somebody else meanwhile: look again
                except UploadLost as error:
                    lost = error  # no fault of the file: begun anew, but not for ever
        raise lost or _never_settles(label)

    def _needs_of(self, packed: Packed) -> "_Needs":
        needs = self._needs(-(-packed.size // _GRAIN) * _GRAIN)
        if needs is None:
            worst = worst_case(packed.size, self._limits.segment)
            raise FileRejected(
                f"{packed.job.path} ({packed.size} bytes) needs larger parts than transfer.memory holds",
                hint=f"set transfer.memory to at least {worst // 9_900 * 3 // 1_000_000 + 16}MB",
            )
        return needs

    async def _send_whole(self, errand: "_Errand", body: Body, digests: Digests) -> Sent:
        """Send what is in one piece by one PUT."""
        await self.end(errand.packed.job.operation_id)  # begun when it was cut into parts
        if not looks_first(errand.terms.on_conflict, self._profile().condition_on_put):
            try:
                return await self._put(errand, body, digests, FREE)
            except KeyTaken:  # by what it is compared with now
                pass
        comparison = self._comparison(errand, (body, digests))
        for _ in range(_MOST_RACES):
            verdict = await self._settle(errand, comparison)
            if verdict.same is not None:
                return self._found(errand.label, verdict.same)
            try:
                return await self._put(errand, body, digests, verdict)
            except KeyTaken as error:
                if verdict.way is Way.BESIDE:
                    return await self._found_beside(errand.label, comparison, error)
        raise _never_settles(errand.label)

    async def _put(self, errand: "_Errand", body: Body, digests: Digests, verdict: Ruling) -> Sent:
        label = errand.label
        key = label.alternative if verdict.way is Way.BESIDE else label.key
        condition = self._profile().condition_on_put
        races = condition is not True and verdict.way is Way.SEND and not errand.overwrites
        over = verdict.way is Way.REPLACE or verdict.broken is not None
        looks = verdict.way is Way.BESIDE and condition is not True and not over
        if looks and await self._wire.head(key):
            raise KeyTaken(f"{key} exists")
        began = asyncio.get_running_loop().time()
        receipt = await self._wire.put(
            label.draft(key, digests.original_sha256, verdict.replaced),
            body,
            sha256=packed_sha256(digests),
            unless_exists=not over and condition is not False,
        )
        took = asyncio.get_running_loop().time() - began
        if races and not await self._conflicts.outlasts(label, key, receipt, took):
            raise KeyTaken(f"the object {key} was replaced by another writer's")
        proof = await errand.prover.whole(key, receipt, body, digests)
        return Sent(key, receipt, proof.verification, digests, parts=1, replaced=verdict.replaced)

    async def _found_beside(self, label: Label, comparison: Comparison, error: KeyTaken) -> Sent:
        """The key beside carries our operation id: what stands there is ours, its answer was lost."""
        taken = await self._wire.head(label.alternative)
        same = await comparison.proof(taken) if taken is not None else None
        if same is None:
            raise ObjectRefused(
                f"the keys {label.key} and {label.alternative} are both taken by other content"
            ) from error
        return self._found(label, same)

    def _comparison(self, errand: "_Errand", whole: tuple[Body, Digests] | None = None) -> Comparison:
        return Comparison(
            self._wire,
            errand.prover,
            errand.packed,
            part=errand.plan.size,
            unpackers=self._unpackers,
            whole=whole,
        )

    async def _settle(self, errand: "_Errand", comparison: Comparison) -> Ruling:
        path, wanted = errand.packed.job.path, errand.terms.on_conflict
        return await self._conflicts.settle(path, errand.label, comparison, wanted)

    @staticmethod
    def _found(label: Label, same: Same) -> Sent:
        info = same.info
        receipt = Receipt(info.etag, info.checksum_sha256, info.version_id)
        _, dash, count = info.etag.partition("-")
        ours = label.names(info)
        return Sent(
            info.key,
            receipt,
            same.verification,
            same.digests,
            parts=int(count) if dash and count.isdigit() else 1,
            skipped=not ours,
            replaced=replaced_by(info) if ours else None,
            format=same.format,
        )


@value(frozen=True, slots=True)
class _Errand:
    """One file to be sent: all that its ways have in common. `sha256`: of a first reading, if any."""

    packed: Packed
    label: Label
    prover: Prover
    terms: Terms
    plan: PartPlan
    in_flight: int
    sha256: bytes | None

    @property
    def overwrites(self) -> bool:
        return self.terms.on_conflict is OnConflict.OVERWRITE


@dataclass(frozen=True, slots=True)
class _Needs:
    """How files of about one size are cut, and the bytes of buffers that they take."""

    plan: PartPlan
    buffers: WorkingSet
    least: int
    most: int


def _reckoned(limits: SendLimits, size: int) -> _Needs | None:
    """For files of up to `size` bytes; None where no parts within the memory are large enough."""
    worst = worst_case(size, limits.segment)
    plan = plan_parts(worst, memory=limits.memory, part_size=limits.part_size)
    if plan is None:
        return None
    buffers = working_set(size, segment=limits.segment, parts=plan, packers=limits.packers)
    # A third stays free for small files beside a large one; and several of middling size go side by
    # side, so that one sends while others wait for answers.
    share = limits.memory * 2 // 3 if worst >= LARGE else limits.memory // 3
    most = max(buffers.least, min(buffers.most, share))
    least = buffers.least
    if worst < LARGE:
        # With a single part in flight it would wait for each answer. So much is free beside a large
        # file, which may take hours.
        begin = buffers.cost(1, min(_PARTS_TO_BEGIN, buffers.most_parts))
        least = max(least, min(most, begin, limits.memory // 5))
    return _Needs(plan, buffers, least, most)


def _never_settles(label: Label) -> ObjectRefused:
    return ObjectRefused(
        f"what stands under the key {label.key} changes all the time",
        hint="see to it that nobody else writes and deletes there",
    )
