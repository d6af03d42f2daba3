"""Whether an object that stands in the store already holds a file: proven, or else another one.

Size, time and metadata only make it worth a proof. The proof is, in the order of what it costs: what the
store says of its bytes, compared with the file as it would be sent; the same with the file packed as it
was then (the archive holds a time, and a copy of a file may have another); the object read back and
unpacked.
"""

import hashlib
from collections.abc import Callable
from contextlib import aclosing
from dataclasses import dataclass, replace

import structlog

from hotfolder.core.conflict import EarlierObject, is_told_otherwise
from hotfolder.core.digest import digests_of_parts
from hotfolder.core.errors import (
    DestinationError,
    DestinationTrouble,
    FileRejected,
    ObjectRefused,
    VerificationFailed,
)
from hotfolder.core.ports import Body, Unpacker
from hotfolder.core.records import Digests, ObjectInfo, PartDigest, Verification, nanoseconds
from hotfolder.core.segments import read_seal
from hotfolder.packing import Packed
from hotfolder.parts import cut
from hotfolder.proving import Prover
from hotfolder.wire import Wire

log = structlog.get_logger()

_SEAL = 80  # bytes at the end of an object that hold its seal

#: Of a format's name; None for one that nobody knows.
Unpackers = Callable[[str], Unpacker | None]


@dataclass(frozen=True, slots=True)
class Same:
    """An object that is proven to hold the original; `digests` are of that object, in `format`."""

    info: ObjectInfo
    verification: Verification
    digests: Digests
    format: str


class Comparison:
    """Compares one file with objects. `whole`: all of it, packed, where that fits into one part.

    Raises `SourceChanged`, and the `DestinationError` of a store that cannot be asked.
    """

    def __init__(
        self,
        wire: Wire,
        prover: Prover,
        packed: Packed,
        *,
        part: int,
        unpackers: Unpackers,
        whole: tuple[Body, Digests] | None = None,
    ) -> None:
        self._wire, self._prover, self._packed = wire, prover, packed
        self._part, self._unpackers, self._whole = part, unpackers, whole
        self._sha256 = whole[1].original_sha256 if whole is not None else None

    @property
    def size(self) -> int:
        """Of the original, in bytes."""
        return self._packed.size

    async def sha256(self) -> bytes:
        """Of the original. It is read for that unless it was already."""
        if self._sha256 is None:
            self._sha256 = await self._packed.hash_original()
        return self._sha256

    async def proof(self, taken: ObjectInfo, told: EarlierObject | None = None) -> Same | None:
        """The proof that `taken` holds the file, or None. `told`: what the ledger says of the object."""
        if self._whole is not None and (same := await self._as_sent(*self._whole, taken)) is not None:
            return same
        if not self._is_candidate(taken, told):
            return None
        twin = self._as_it_was(taken)
        if twin is not None and (same := await self._packed_again(twin, taken)) is not None:
            return same
        if not self._prover.may_read(taken) or not await self._is_told(taken, told):
            return None
        return await self._read_back(taken)

    async def _as_sent(self, body: Body, digests: Digests, taken: ObjectInfo) -> Same | None:
        proof = await self._prover.same_whole(taken, body, digests)
        return None if proof is None else Same(taken, proof, digests, self._packed.form.name)

    def _is_candidate(self, taken: ObjectInfo, told: EarlierObject | None) -> bool:
        """By size and metadata, where that is known without another pass over the file."""
        size = taken.metadata.get("hotfolder-size")
        if size is not None:
            return size == str(self.size)
        packs_alike = self._whole is not None and taken.size == len(self._whole[0])
        is_bare = self._packed.form.name == "none" and taken.size == self.size
        return packs_alike or is_bare or (told is not None and told.original_size == self.size)

    def _as_it_was(self, taken: ObjectInfo) -> Packed | None:
        """The file as it was packed for `taken`, as far as that can be made; None: compared already."""
        mtime_ns = nanoseconds(taken.metadata.get("hotfolder-mtime", ""))
        if mtime_ns is None or mtime_ns == self._packed.mtime_ns:
            return self._packed if self._whole is None else None
        return self._packed.as_of(mtime_ns)

    async def _packed_again(self, twin: Packed, taken: ObjectInfo) -> Same | None:
        """Pack without sending, and compare what the store would say of that."""
        ours: list[PartDigest] = []
        proof = None
        async with aclosing(cut(twin.chunks(), self._part)) as parts:
            async for part in parts:
                body = part.take()
                if part.is_last and not ours:
                    whole, sha256 = await self._wire.joined(body)
                    digests = replace(twin.final_digests(), packed_sha256=sha256, part_size=None)
                    proof = await self._prover.same_whole(taken, whole, digests)
                    break
                sha256, md5 = await self._wire.sha256(body), await self._wire.md5(body)
                ours.append(PartDigest(part.number, len(body), sha256, md5))
                del body
        self._sha256 = twin.final_digests().original_sha256
        if ours:
            sha256s = [part.sha256 for part in ours]
            digests = digests_of_parts(twin.final_digests(), sha256s, self._part)
            proof = self._prover.same_parts(taken, ours, digests)
        return None if proof is None else Same(taken, proof, digests, self._packed.form.name)

    async def _is_told(self, taken: ObjectInfo, told: EarlierObject | None) -> bool:
        """Whether the object is said to hold this original, or nothing says otherwise."""
        sha256 = await self.sha256()
        if is_told_otherwise(taken.metadata, sha256):
            return False
        if "hotfolder-sha256" in taken.metadata or (told is not None and told.is_of(sha256)):
            return True
        tail = bytearray()

        def take(chunk: bytes) -> bool:
            tail.extend(chunk)
            return True

        start = max(0, taken.size - _SEAL)
        if not await self._read(taken, take, start=start):
            return False
        seal = read_seal(bytes(tail))
        if seal is None:  # of somebody who names no original; of ours, it is damaged
            return "hotfolder-size" not in taken.metadata
        return seal == (sha256, self.size)

    async def _read_back(self, taken: ObjectInfo) -> Same | None:
        """Read the object, unpack it, and compare the original's SHA-256."""
        form = taken.metadata.get("hotfolder-format", self._packed.form.name)
        unpacker = self._unpackers(form)
        if unpacker is None:
            return None
        log.info("conflict.reading_back", file=self._packed.job.path, key=taken.key, bytes=taken.size)
        content = _Content(unpacker, most=self.size)
        if not await self._read(taken, content.take) or not content.is_whole():
            return None
        if content.original != (await self.sha256(), self.size):
            return None
        now = await self._wire.head(taken.key)
        if now is None or now.etag != taken.etag:
            return None  # it became another one while it was read
        digests = Digests(self.size, content.original[0], content.packed_size, content.packed.digest())
        return Same(taken, Verification.READBACK, digests, form)

    async def _read(self, taken: ObjectInfo, take: Callable[[bytes], bool], *, start: int = 0) -> bool:
        """Whether the object could be read to its end. One that cannot be read proves nothing."""
        try:
            return await self._wire.read(taken.key, take, start=start)
        except (VerificationFailed, ObjectRefused, FileRejected, DestinationError) as error:
            # Who may look at objects may still not be allowed to read them; else it is an outage.
            if isinstance(error, DestinationError) and error.trouble is not DestinationTrouble.DENIED:
                raise
            log.warning("conflict.unreadable", key=taken.key, reason=str(error))
            return False


class _Content:
    """What an object holds, digested as it is read. `most`: bytes of the original that are expected."""

    def __init__(self, unpacker: Unpacker, *, most: int) -> None:
        self._unpacker, self._most = unpacker, most
        self._hashing = hashlib.sha256()
        self._size = 0
        self.packed, self.packed_size = hashlib.sha256(), 0

    def take(self, chunk: bytes) -> bool:
        """Blocking. False once it holds more than is expected."""
        self.packed.update(chunk)
        self.packed_size += len(chunk)
        for piece in self._unpacker.feed(chunk):
            self._size += len(piece)
            if self._size > self._most:
                return False
            self._hashing.update(piece)
        return True

    def is_whole(self) -> bool:
        try:
            self._unpacker.finish()
        except VerificationFailed:
            return False
        return True

    @property
    def original(self) -> tuple[bytes, int]:
        return self._hashing.digest(), self._size
