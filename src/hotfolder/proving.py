"""Proving that a store holds what was sent: by what it says, as far as that counts, else by reading.

What counts depends on the store: some repeat a checksum that they never compared. An equal ETag always
does, as no MD5 is ever sent that could be repeated.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

from hotfolder.core import digest
from hotfolder.core.errors import VerificationFailed
from hotfolder.core.objects import Proof, Terms
from hotfolder.core.ports import Body, Scattered
from hotfolder.core.profile import Profile
from hotfolder.core.records import (
    Digests,
    ObjectInfo,
    PartDigest,
    PartReceipt,
    Receipt,
    SentPart,
    Verification,
    Verify,
)
from hotfolder.core.s3_words import is_cold
from hotfolder.wire import Wire

#: What a store says of an object, as a proof of it; raises `VerificationFailed` where it refutes it.
Judge = Callable[[Receipt | ObjectInfo], Verification | None]

_CHOICE = (
    'set verify = "auto", which takes the strongest proof that this store gives; '
    "`hotfolder check` shows which"
)
_COLD = (
    "what lies in this storage class cannot be read: choose another storage_class, a store that "
    'compares checksums, or verify = "head" if a size is proof enough for you'
)


class Prover:
    """Proves the object of one file. `profile`: what is known of the store by now.

    Raises `VerificationFailed`, and what `ObjectStore` raises.
    """

    def __init__(
        self,
        wire: Wire,
        profile: Callable[[], Profile],
        terms: Terms,
        on_stage: Callable[[str], None],
    ) -> None:
        self._on_stage = on_stage
        self._wire, self._known = wire, profile
        self._verify, self._cold = terms.verify, terms.cold

    @property
    def _profile(self) -> Profile:
        return self._known()

    def require_possible(self) -> None:
        """Raise where it is known by now that no proof will be had, before anything is sent."""
        if not self._cold or self._verify is Verify.HEAD:
            return
        hopeless = self._verify is Verify.AUTO and self._profile.put_proof is Verification.READBACK
        if hopeless or self._verify is Verify.READBACK:
            raise VerificationFailed(
                "nothing can prove an object there: reading it back is all that would", hint=_COLD
            )

    async def whole(self, key: str, receipt: Receipt, body: Body, digests: Digests) -> Proof:
        """The proof that a single PUT was kept under `key` as it was sent."""
        profile = self._profile
        if self._reads_anyway(profile):
            return Proof(await self._read_back(key, digests))
        sha256 = packed_sha256(digests)
        counts = self._counts(profile.put_checksum_counts)
        proof = digest.prove_whole(receipt, sha256=sha256, md5=None, checksum_counts=counts)
        if proof is not None:
            return Proof(proof)
        gives_md5s = profile.put_etag_is_md5
        md5 = await self._wire.md5(body) if self._wants_md5(gives_md5s) else None
        judge = partial(digest.prove_whole, sha256=sha256, md5=md5, checksum_counts=counts)
        return await self._looked_up(key, digests, judge, refuting=md5 if gives_md5s else None)

    async def part(
        self, receipt: PartReceipt, ours: PartDigest, body: Scattered, what: str
    ) -> PartDigest:
        """`ours`, with its MD5 where only that can prove the part; raises where `receipt` refutes it."""
        if self._reads_anyway(self._profile) or self._proves_part(receipt, ours):
            return ours
        gives_md5s = self._profile.part_etag_is_md5
        if not self._wants_md5(gives_md5s):
            return ours
        ours = replace(ours, md5=(md5 := await self._wire.md5(body)))
        if gives_md5s and not self._proves_part(receipt, ours):
            digest.refuse_other_md5(receipt, md5, what)
        return ours

    async def assembled(
        self,
        key: str,
        receipt: Receipt,
        sent: Sequence[SentPart],
        received: Sequence[PartReceipt],
        digests: Digests,
    ) -> Proof:
        """The proof that the object under `key` is made of just the parts `sent`.

        `received`: what the store said of them, as it was named at the completion.
        """
        if self._reads_anyway(self._profile):
            return Proof(await self._read_back(key, digests))
        judge = partial(
            digest.prove_assembled,
            ours=[part.ours for part in sent],
            received=received,
            checksum_counts=self._counts(self._profile.part_checksum_counts),
            parts_proven=self._verify in {Verify.AUTO, Verify.ETAG}
            and all(self._proves_part(part.receipt, part.ours) for part in sent),
        )
        proof = judge(receipt)
        return Proof(proof) if proof is not None else await self._looked_up(key, digests, judge)

    async def same_whole(self, taken: ObjectInfo, body: Body, digests: Digests) -> Verification | None:
        """What shows, by the store's word, that an object which stands there holds exactly `body`."""
        if taken.size != digests.packed_size:
            return None
        judge = partial(
            digest.prove_whole,
            sha256=packed_sha256(digests),
            md5=None if self._verify is Verify.CHECKSUM else await self._wire.md5(body),
            checksum_counts=self._counts(self._profile.put_checksum_counts),
        )
        return self._same(taken, judge)

    def same_parts(
        self, taken: ObjectInfo, ours: Sequence[PartDigest], digests: Digests
    ) -> Verification | None:
        """The same of an object that would be made of `ours`, which have their MD5s."""
        if taken.size != digests.packed_size:
            return None
        judge = partial(
            digest.prove_assembled,
            ours=ours,
            received=[PartReceipt(part.number, part.size, (part.md5 or b"").hex()) for part in ours],
            checksum_counts=self._counts(self._profile.part_checksum_counts),
            parts_proven=self._verify is not Verify.CHECKSUM,
        )
        return self._same(taken, judge)

    def may_read(self, taken: ObjectInfo) -> bool:
        """Whether an object that stands there already may be read, to see what it holds."""
        return self._verify in {Verify.AUTO, Verify.READBACK} and not is_cold(taken.storage_class)

    def _same(self, taken: ObjectInfo, judge: Judge) -> Verification | None:
        try:
            return None if self._reads_anyway(self._profile) else judge(taken)
        except VerificationFailed:
            return None  # a checksum that is not ours is the answer here, not a fault

    async def _looked_up(
        self, key: str, digests: Digests, judge: Judge, *, refuting: bytes | None = None
    ) -> Proof:
        """By what HEAD says; where that is not enough, what is left to do. `refuting`: see below."""
        info = await self._wire.existing(key)
        digest.check_size(info, digests.packed_size)
        proof = judge(info)
        if proof is not None:
            return Proof(proof, info)
        match self._verify:
            case Verify.HEAD:
                return Proof(Verification.HEAD, info)
            case Verify.CHECKSUM | Verify.ETAG:
                raise VerificationFailed(
                    f"the store gave no {_WORDS[self._verify]} that proves {key}, "
                    f'and verify = "{self._verify}" wants one',
                    hint=_CHOICE,
                )
        if refuting is not None:
            digest.refuse_other_md5(info, refuting, key)
        return Proof(await self._read_back(key, digests), info)

    async def _read_back(self, key: str, digests: Digests) -> Verification:
        if self._cold:
            raise VerificationFailed(
                f"nothing that the store says proves {key}, and it cannot be read back", hint=_COLD
            )
        self._on_stage("reading back")
        expected = _hashed(digests)
        sha256, size = await self._wire.read_back(key, most=digests.packed_size, part=digests.part_size)
        if (sha256, size) != (expected, digests.packed_size):
            raise VerificationFailed(
                f"what was read back from {key} is not what was sent "
                f"({size} bytes of SHA-256 {digest.b64(sha256)}, sent were {digests.packed_size} "
                f"of {digest.b64(expected)})",
                hint=digest.NOT_TRUSTED,
            )
        return Verification.READBACK

    def _reads_anyway(self, profile: Profile) -> bool:
        """Whether no word of the store counts: by choice, or as it keeps other bytes than it got."""
        broken = profile.keeps_bytes is False
        return self._verify is Verify.READBACK or (broken and self._verify is Verify.AUTO)

    def _counts(self, seen: bool | None) -> bool:
        """Whether an equal checksum is proof. Who asks for it vouches for a store that nobody knows."""
        if self._verify is Verify.CHECKSUM:
            return seen is not False
        return seen is True and self._verify is not Verify.ETAG

    def _wants_md5(self, is_md5: bool | None) -> bool:
        if self._verify is Verify.AUTO:
            return is_md5 is not False
        return self._verify is Verify.ETAG

    def _proves_part(self, receipt: PartReceipt, ours: PartDigest) -> bool:
        counts = self._counts(self._profile.part_checksum_counts)
        return digest.prove_part(receipt, ours, checksum_counts=counts) is not None


def _hashed(digests: Digests) -> bytes:
    if digests.packed_sha256 is None:
        raise ValueError("the packed stream was not hashed")
    return digests.packed_sha256


def packed_sha256(digests: Digests) -> bytes:
    """Of a packed stream that is sent in one piece."""
    if digests.part_size is not None:
        raise ValueError("the packed stream was hashed in parts")
    return _hashed(digests)


_WORDS = {Verify.CHECKSUM: "checksum", Verify.ETAG: "ETag"}
