"""One file's journey, whole: a real file, a real move, and a store that does what stores do."""

import asyncio
import gzip
import hashlib
import io
import random
import re
import tarfile
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import pytest

from hotfolder.core.errors import (
    DestinationError,
    DestinationTrouble,
    FileRejected,
    KeyTaken,
    ObjectRefused,
    SourceChanged,
    UploadLost,
    VerificationFailed,
)
from hotfolder.core.ports import Body, Scattered
from hotfolder.core.records import Disposition, ObjectDraft, ObjectInfo, PartReceipt, Receipt, Verify
from hotfolder.core.segments import GIB, MIB, read_seal
from hotfolder.delivery import quarantine
from tests.support.checksums import as_said
from tests.support.memory_store import MemoryStore
from tests.support.packing_line import Meddled, form, write
from tests.support.samples import job_at
from tests.support.works import KEY, MEMORY, Works

SMALL = b"a line of text\n" * 1000
LARGE = random.Random(7).randbytes(11 * MIB)  # three parts of 5 MiB and less


Said = TypeVar("Said", Receipt, PartReceipt, ObjectInfo)
Making = Callable[[MemoryStore], Works]


@pytest.fixture
async def works_over(tmp_path: Path) -> AsyncIterator[Making]:
    made: list[Works] = []

    def make(store: MemoryStore) -> Works:
        made.append(Works(tmp_path, store))
        return made[-1]

    yield make
    for works in made:
        await works.close()


@pytest.fixture
async def works(works_over: Making) -> Works:
    return works_over(MemoryStore())


def unpacked(stream: bytes) -> bytes:
    """The one member of a .tar.gz, by the numbers: header blocks end before the data."""
    with tarfile.open(fileobj=io.BytesIO(stream)) as archive:
        file = archive.extractfile(archive.getmembers()[0])
        assert file is not None
        return file.read()


# -- success -----------------------------------------------------------------------------------


@pytest.mark.parametrize(("data", "parts"), [(b"", 1), (SMALL, 1), (LARGE, 3)])
async def test_a_file_is_stored_proven_moved_and_recorded(works: Works, data: bytes, parts: int) -> None:
    job = works.drop(data)
    line = await works.deliver(job)
    info, stored = works.store.objects[KEY]
    assert unpacked(stored) == data
    assert (line["status"], line["verification"], line["parts"]) == ("success", "checksum", parts)
    assert line["checksum_original"] == f"sha256:{hashlib.sha256(data).hexdigest()}"
    assert line["checksum_compressed"] == as_said(line["checksum_compressed"], stored)
    assert (line["original_size"], line["compressed_size"]) == (len(data), len(stored))
    assert line["checksum_s3_etag"] == info.etag
    assert line["result_path"] == f"s3://media/{KEY}"
    assert works.folders.files() == {"completed/clip.mp4": data}
    assert line["completed_dir_path"] == str(works.folders.completed / "clip.mp4")
    assert [one["operation_id"] for one in works.ledger.newest_first()] == [job.operation_id]
    assert info.metadata["hotfolder-size"] == str(len(data))
    assert info.metadata["hotfolder-operation"] == job.operation_id
    assert read_seal(stored[-80:]) == (hashlib.sha256(data).digest(), len(data))
    opened_first = ["opening"] if data is LARGE else []  # a small file is opened when it is packed
    assert works.log.stages == [*opened_first, "queued", "packing", "uploading", "recording"]
    assert works.log.bytes_read == len(data)
    assert works.buffers.free == MEMORY
    assert works.store.uploads == {}


async def test_a_small_object_says_its_sha256_in_its_metadata(works: Works) -> None:
    await works.deliver(works.drop(SMALL))
    assert works.store.objects[KEY][0].metadata["hotfolder-sha256"] == hashlib.sha256(SMALL).hexdigest()


async def test_a_large_file_without_a_seal_is_hashed_first(works: Works) -> None:
    reads: list[int] = []
    works.opener = lambda job: Meddled(job, reads.append)
    line = await works.deliver(works.drop(LARGE), works.tools("none"))
    info, stored = works.store.objects["nas1/clip.mp4"]
    assert stored == LARGE
    assert info.metadata["hotfolder-sha256"] == hashlib.sha256(LARGE).hexdigest()
    assert line["parts"] == 3
    assert len(reads) == 2 * 11, "eleven segments, twice"


async def test_a_file_without_a_seal_that_changes_between_its_readings_is_not_recorded(
    works: Works,
) -> None:
    job = works.drop(LARGE)
    other = b"x" * len(LARGE)

    def meddle(read: int) -> None:
        if read == 11:
            Path(job.path).write_bytes(other)

    works.opener = lambda job: Meddled(job, meddle)
    with pytest.raises(SourceChanged):
        await works.deliver(job, works.tools("none"))
    works.nothing_ended(other)


@pytest.mark.parametrize("data", [SMALL, LARGE])
async def test_a_file_that_changes_while_it_is_sent_leaves_nothing_behind(
    works: Works, data: bytes
) -> None:
    job = works.drop(data)
    changed = data + b"more"
    at = 0 if data is SMALL else 9

    def meddle(read: int) -> None:
        if read == at:
            Path(job.path).write_bytes(changed)

    works.opener = lambda job: Meddled(job, meddle)
    with pytest.raises(SourceChanged):
        await works.deliver(job)
    works.nothing_ended(changed)
    assert works.store.objects == {}


async def test_a_file_that_changes_after_it_was_sent_is_not_moved_nor_recorded(
    works_over: Making,
) -> None:
    class Slow(MemoryStore):
        """Somebody writes to the file while the store still answers."""

        async def put(
            self, draft: ObjectDraft, body: Body, *, sha256: bytes, unless_exists: bool
        ) -> Receipt:
            receipt = await super().put(draft, body, sha256=sha256, unless_exists=unless_exists)
            write(job.path, b"another version")
            return receipt

    works = works_over(Slow())
    job = works.drop(SMALL)
    with pytest.raises(SourceChanged):
        await works.deliver(job)
    works.nothing_ended(b"another version")


# -- the key is taken --------------------------------------------------------------------------


@pytest.mark.parametrize("data", [SMALL, LARGE])
async def test_what_the_store_has_already_is_skipped_moved_and_recorded(
    works: Works, data: bytes
) -> None:
    first = works.drop(data)
    await works.deliver(first)
    (works.folders.completed / "clip.mp4").rename(works.folders.inbox / "clip.mp4")
    again = job_at(works.folders.inbox, "clip.mp4", number=2)
    stored = dict(works.store.objects)
    line = await works.deliver(again)
    assert (line["status"], line["verification"]) == ("skipped", "checksum")
    assert line["s3_object_key"] == KEY
    assert line["parts"] == (1 if data is SMALL else 3)
    assert works.store.objects == stored, "not a byte was written"
    assert works.folders.files() == {"completed/clip.mp4": data}


@pytest.mark.parametrize("data", [SMALL, LARGE])
async def test_other_content_under_the_key_is_kept_and_ours_goes_beside_it(
    works: Works, data: bytes
) -> None:
    works.put_there(b"of somebody else")
    job = works.drop(data)
    line = await works.deliver(job)
    beside = f"nas1/clip.mp4~{job.operation_id}.tar.gz"
    assert (line["status"], line["s3_object_key"]) == ("success", beside)
    assert works.store.objects[KEY][1] == b"of somebody else"
    assert unpacked(works.store.objects[beside][1]) == data
    assert works.folders.files() == {"completed/clip.mp4": data}


@pytest.mark.parametrize("flip", ["first", "last"])
async def test_an_object_that_claims_to_be_ours_and_differs_in_one_byte_is_not_the_same(
    works: Works, flip: str
) -> None:
    # Same name, same size, same metadata: only its checksum tells, and it does.
    await works.deliver(works.drop(LARGE))
    info, stored = works.store.objects[KEY]
    damaged = bytearray(LARGE)
    damaged[0 if flip == "first" else -1] ^= 1
    line = await works.deliver(works.drop(bytes(damaged), number=2))
    assert line["status"] == "success"
    assert line["s3_object_key"] != KEY
    assert works.store.objects[KEY] == (info, stored)


@pytest.mark.parametrize("data", [SMALL, LARGE])
async def test_size_and_metadata_alone_never_make_two_files_identical(works: Works, data: bytes) -> None:
    await works.deliver(works.drop(data))
    info, stored = works.store.objects[KEY]
    # A store that names no checksum, and an ETag that is no MD5: only its bytes tell what it holds.
    other = stored[:-1] + bytes([stored[-1] ^ 1])
    works.store.objects[KEY] = (replace(info, checksum_sha256=None, etag="opaque"), other)
    (works.folders.completed / "clip.mp4").rename(works.folders.inbox / "clip.mp4")
    line = await works.deliver(job_at(works.folders.inbox, "clip.mp4", number=2))
    assert line["status"] == "success"
    assert line["s3_object_key"] != KEY
    works.store.objects[KEY] = (works.store.objects[KEY][0], stored)
    (works.folders.completed / "clip.mp4").rename(works.folders.inbox / "clip.mp4")
    line = await works.deliver(job_at(works.folders.inbox, "clip.mp4", number=3))
    assert (line["status"], line["verification"]) == ("skipped", "readback")


async def test_where_both_keys_are_taken_the_file_stays(works: Works) -> None:
    job = works.drop(SMALL)
    works.put_there(b"one")
    works.put_there(b"two", f"nas1/clip.mp4~{job.operation_id}.tar.gz")
    with pytest.raises(ObjectRefused):
        await works.deliver(job)
    works.nothing_ended(SMALL)


async def test_a_large_file_whose_key_is_taken_during_the_upload_goes_beside(
    works_over: Making,
) -> None:
    class Raced(MemoryStore):
        """Another writer is faster, once."""

        race: Callable[[], None] | None = None

        async def complete(
            self, key: str, upload_id: str, parts: Sequence[PartReceipt], *, unless_exists: bool
        ) -> Receipt:
            race, self.race = self.race, None
            if race is not None:
                race()
            return await super().complete(key, upload_id, parts, unless_exists=unless_exists)

    store = Raced()
    works = works_over(store)
    store.race = partial(works.put_there, b"of somebody else")
    job = works.drop(LARGE)
    line = await works.deliver(job)
    assert store.uploads == {}
    assert line["s3_object_key"] == f"nas1/clip.mp4~{job.operation_id}.tar.gz"
    assert works.store.objects[KEY][1] == b"of somebody else"


# -- lost answers ------------------------------------------------------------------------------


class LostAnswers(MemoryStore):
    """Does what it is asked, and the answer is lost: the second try finds it done already."""

    def __init__(self, lost: type[Exception] = KeyTaken) -> None:
        super().__init__()
        self.lost = lost
        self.losing = True

    async def put(
        self, draft: ObjectDraft, body: Body, *, sha256: bytes, unless_exists: bool
    ) -> Receipt:
        receipt = await super().put(draft, body, sha256=sha256, unless_exists=unless_exists)
        self._lose(draft.key)
        return receipt

    async def complete(
        self, key: str, upload_id: str, parts: Sequence[PartReceipt], *, unless_exists: bool
    ) -> Receipt:
        receipt = await super().complete(key, upload_id, parts, unless_exists=unless_exists)
        self._lose(key)
        return receipt

    def _lose(self, key: str) -> None:
        if self.losing:
            if self.lost is DestinationError:
                raise DestinationError(DestinationTrouble.UNREACHABLE, f"{key}: no answer")
            raise self.lost(f"{key}: exists")


@pytest.mark.parametrize("data", [SMALL, LARGE])
@pytest.mark.parametrize("lost", [KeyTaken, UploadLost])
async def test_a_lost_answer_and_an_equal_object_are_success(
    works_over: Making, data: bytes, lost: type[Exception]
) -> None:
    if data is SMALL and lost is UploadLost:
        pytest.skip("a single PUT has no upload to lose")
    works = works_over(LostAnswers(lost))
    line = await works.deliver(works.drop(data))
    assert (line["status"], line["verification"]) == ("success", "checksum")
    assert list(works.store.objects) == [KEY]
    assert works.folders.files() == {"completed/clip.mp4": data}


@pytest.mark.parametrize("data", [SMALL, LARGE])
async def test_the_next_attempt_after_a_lost_answer_finds_its_own_object(
    works_over: Making, data: bytes
) -> None:
    store = LostAnswers(DestinationError)
    works = works_over(store)
    job = works.drop(data)
    with pytest.raises(DestinationError):
        await works.deliver(job)
    works.nothing_ended(data)
    store.losing = False
    line = await works.deliver(replace(job, attempt=2))
    assert (line["status"], line["s3_object_key"]) == ("success", KEY)
    assert list(works.store.objects) == [KEY]


@pytest.mark.parametrize("data", [SMALL, LARGE])
async def test_a_lost_answer_for_the_key_beside_is_success_too(works_over: Making, data: bytes) -> None:
    works = works_over(LostAnswers())
    works.put_there(b"of somebody else")
    job = works.drop(data)
    line = await works.deliver(job)
    assert line["status"] == "success"
    assert line["s3_object_key"] == f"nas1/clip.mp4~{job.operation_id}.tar.gz"


# -- proof -------------------------------------------------------------------------------------


class Forgetful(MemoryStore):
    """Stores that say less than S3: `tell` makes their word of ours."""

    def __init__(self, tell: Callable[[Any], Any]) -> None:
        super().__init__()
        self.tell = tell
        self.wants_checksums = False

    async def put(
        self, draft: ObjectDraft, body: Body, *, sha256: bytes, unless_exists: bool
    ) -> Receipt:
        receipt = await super().put(draft, body, sha256=sha256, unless_exists=unless_exists)
        return self._told(receipt)

    async def upload_part(
        self, key: str, upload_id: str, number: int, body: Body | Scattered, *, sha256: bytes
    ) -> PartReceipt:
        receipt = await super().upload_part(key, upload_id, number, body, sha256=sha256)
        told = self._told(receipt)
        self.uploads[upload_id].parts[number] = (told, bytes(body))
        return told

    async def complete(
        self, key: str, upload_id: str, parts: Sequence[PartReceipt], *, unless_exists: bool
    ) -> Receipt:
        return self._told(await super().complete(key, upload_id, parts, unless_exists=unless_exists))

    async def head(self, key: str) -> ObjectInfo | None:
        info = await super().head(key)
        return self._told(info) if info else None

    def _told(self, said: Said) -> Said:
        told: Said = self.tell(said)
        return told


def no_checksum(said: Any) -> Any:
    return replace(said, checksum_sha256=None)


def nothing(said: Any) -> Any:
    return replace(said, checksum_sha256=None, etag="opaque")


@pytest.mark.parametrize("data", [SMALL, LARGE])
async def test_a_size_is_no_proof_to_delete_the_only_copy_on(works_over: Making, data: bytes) -> None:
    for store, is_deleted in ((MemoryStore(), True), (Forgetful(nothing), False)):
        works = works_over(store)
        works.verify = Verify.HEAD
        job = works.drop(data)
        line = await works.deliver(job, replace(works.tools(), on_success=Disposition.DELETE))
        assert line["verification"] == ("checksum" if is_deleted else "head")
        assert not (works.folders.inbox / "clip.mp4").exists(), "a scan would send it again and again"
        assert (works.folders.completed / "clip.mp4").exists() is not is_deleted


def another_checksum(said: Any) -> Any:
    number = said.checksum_sha256.partition("-")[2]
    return replace(said, checksum_sha256="A" * 43 + "=" + (f"-{number}" if number else ""))


@pytest.mark.parametrize("data", [SMALL, LARGE])
@pytest.mark.parametrize(("tell", "proof"), [(no_checksum, "etag"), (nothing, "readback")])
async def test_the_ledger_names_the_proof_that_there_was(
    works_over: Making, data: bytes, tell: Callable[[Any], Any], proof: str
) -> None:
    works = works_over(Forgetful(tell))
    line = await works.deliver(works.drop(data))
    assert (line["status"], line["verification"]) == ("success", proof)


@pytest.mark.parametrize("data", [SMALL, LARGE])
async def test_another_checksum_is_a_failure_and_the_file_stays(works_over: Making, data: bytes) -> None:
    works = works_over(Forgetful(another_checksum))
    with pytest.raises(VerificationFailed) as caught:
        await works.deliver(works.drop(data))
    assert caught.value.hint
    works.nothing_ended(data)


def other_md5(said: Any) -> Any:
    return replace(said, checksum_sha256=None, etag="d41d8cd98f00b204e9800998ecf8427e")


@pytest.mark.parametrize("data", [SMALL, LARGE])
async def test_the_md5_of_other_bytes_is_a_failure_where_no_checksum_says_otherwise(
    works_over: Making, data: bytes
) -> None:
    works = works_over(Forgetful(other_md5))
    with pytest.raises(VerificationFailed, match="MD5"):
        await works.deliver(works.drop(data))
    works.nothing_ended(data)


def under_kms(said: Any) -> Any:
    """An ETag that looks like an MD5 and is none, as S3 gives where it encrypts with a KMS key."""
    return replace(other_md5(said), etag_is_digest=False)


@pytest.mark.parametrize("data", [SMALL, LARGE])
async def test_under_a_kms_key_the_etag_is_not_asked(works_over: Making, data: bytes) -> None:
    works = works_over(Forgetful(under_kms))
    line = await works.deliver(works.drop(data))
    assert (line["status"], line["verification"]) == ("success", "readback")


@pytest.mark.parametrize("data", [SMALL, LARGE])
async def test_an_object_of_another_size_is_a_failure_and_the_file_stays(
    works_over: Making, data: bytes
) -> None:
    def shorter(said: Any) -> Any:
        told = nothing(said)
        return replace(told, size=told.size - 1) if isinstance(told, ObjectInfo) else told

    works = works_over(Forgetful(shorter))
    with pytest.raises(VerificationFailed, match="bytes"):
        await works.deliver(works.drop(data))
    works.nothing_ended(data)


@pytest.mark.parametrize("data", [SMALL, LARGE])
async def test_an_object_that_is_gone_when_asked_for_is_a_failure(
    works_over: Making, data: bytes
) -> None:
    class Losing(Forgetful):
        async def head(self, key: str) -> ObjectInfo | None:  # noqa: ARG002 - it has nothing
            return None

    works = works_over(Losing(nothing))
    with pytest.raises(VerificationFailed, match="did not have it"):
        await works.deliver(works.drop(data))
    works.nothing_ended(data)


# -- trouble on the way --------------------------------------------------------------------------


class Troubled(MemoryStore):
    """The second part meets `trouble`."""

    def __init__(self, trouble: Exception) -> None:
        super().__init__()
        self.trouble = trouble
        self.aborted: list[str] = []

    async def upload_part(
        self, key: str, upload_id: str, number: int, body: Body | Scattered, *, sha256: bytes
    ) -> PartReceipt:
        if number == 2:
            raise self.trouble
        return await super().upload_part(key, upload_id, number, body, sha256=sha256)

    async def abort(self, key: str, upload_id: str) -> None:
        self.aborted.append(upload_id)
        await super().abort(key, upload_id)


class Oblivious(Troubled):
    """Forgets its first `times` uploads in their second part."""

    def __init__(self, times: int) -> None:
        super().__init__(UploadLost("no such upload"))
        self.times = times

    async def upload_part(
        self, key: str, upload_id: str, number: int, body: Body | Scattered, *, sha256: bytes
    ) -> PartReceipt:
        forgets = int(upload_id.removeprefix("upload-")) <= self.times
        if number == 2 and not forgets:
            return await MemoryStore.upload_part(self, key, upload_id, number, body, sha256=sha256)
        return await super().upload_part(key, upload_id, number, body, sha256=sha256)


@pytest.mark.parametrize("times", [1, 3])
async def test_an_upload_that_the_store_forgot_is_begun_anew_at_no_cost(
    works_over: Making, times: int
) -> None:
    works = works_over(store := Oblivious(times))
    line = await works.deliver(works.drop(LARGE))
    assert (line["status"], line["attempts"]) == ("success", 1)
    assert store.aborted == [f"upload-{number}" for number in range(1, times + 1)]
    assert works.folders.files() == {"completed/clip.mp4": LARGE}
    assert works.buffers.free == MEMORY


async def test_it_is_not_begun_anew_for_ever(works_over: Making) -> None:
    works = works_over(store := Oblivious(1000))
    with pytest.raises(UploadLost):
        await works.deliver(works.drop(LARGE))
    assert len(store.aborted) == 6
    works.nothing_ended(LARGE)


@pytest.mark.parametrize(
    "trouble",
    [
        VerificationFailed("BadDigest"),
        RuntimeError("a defect"),
    ],
)
async def test_a_part_that_fails_takes_the_whole_upload_back(
    works_over: Making, trouble: Exception
) -> None:
    store = Troubled(trouble)
    works = works_over(store)
    with pytest.raises(type(trouble), match=str(trouble)):
        await works.deliver(works.drop(LARGE))
    assert store.aborted == ["upload-1"]
    works.nothing_ended(LARGE)


async def test_an_abort_that_fails_does_not_hide_what_went_wrong(works_over: Making) -> None:
    class Unreachable(Troubled):
        async def abort(self, key: str, upload_id: str) -> None:  # noqa: ARG002 - cannot be reached
            raise DestinationError(DestinationTrouble.UNREACHABLE, "no answer to the abort")

    works = works_over(Unreachable(VerificationFailed("BadDigest")))
    with pytest.raises(VerificationFailed, match="BadDigest"):
        await works.deliver(works.drop(LARGE))
    assert works.buffers.free == MEMORY


async def test_an_outage_costs_the_file_nothing_and_the_next_try_succeeds(works: Works) -> None:
    for data in (SMALL, LARGE):
        job = works.drop(data, f"{len(data)}.mp4", number=len(data))
        works.store.outage = DestinationError(DestinationTrouble.UNREACHABLE, "no answer")
        with pytest.raises(DestinationError):
            await works.deliver(job)
        works.store.outage = None
        assert (await works.deliver(job))["status"] == "success"


async def test_a_key_that_is_too_long_rejects_the_file_before_a_byte_is_sent(works: Works) -> None:
    job = works.drop(SMALL, "/".join(["d" * 200] * 5) + "/clip.mp4")
    with pytest.raises(FileRejected, match="bytes, S3 takes 1024"):
        await works.deliver(job)
    assert works.store.objects == {}
    assert works.log.bytes_read == 0
    works.nothing_ended(SMALL, job.relpath)


async def test_a_long_key_has_an_alternative_all_the_same(works: Works) -> None:
    relpath = "/".join(["d" * 200] * 5)
    job = works.drop(SMALL, relpath)
    works.put_there(b"other", key=relpath)
    key = (await works.deliver(job, works.tools("none", "{relpath}{ext}")))["s3_object_key"]
    assert len(key.encode()) == 1024
    assert key.endswith(f"~{job.operation_id}")
    assert key in works.store.objects


async def test_a_file_whose_parts_are_too_large_for_the_memory_is_rejected_with_the_way_out(
    works: Works,
) -> None:
    path = works.folders.inbox / "huge.bin"
    with path.open("wb") as file:
        file.truncate(400 * GIB)  # sparse: it takes no room
    with pytest.raises(FileRejected) as caught:
        await works.deliver(job_at(works.folders.inbox, "huge.bin"))
    named = re.search(r"at least (\d+)MB", caught.value.hint)
    assert named is not None
    enough = int(named[1]) * 1_000_000
    sender = works.tools(memory=enough).sender
    packer = works.tools().packer
    async with await packer.open(
        job_at(works.folders.inbox, "huge.bin"), form("tar.gz"), lambda _: None, lambda _: None
    ) as packed:
        sender._needs_of(packed)  # what the hint says is true


async def test_a_file_that_is_given_up_lies_in_failed_with_its_reason(works: Works) -> None:
    job = works.drop(SMALL)
    line = await quarantine(job, "the key is too long", works.tools(), works.log)
    assert (line["status"], line["error_message"]) == ("failed", "the key is too long")
    assert line["result_path"] == str(works.folders.failed / "clip.mp4")
    assert works.folders.files() == {"failed/clip.mp4": SMALL}


async def test_many_files_at_once_share_the_memory_and_all_arrive(works: Works) -> None:
    jobs = [
        works.drop(LARGE[: 6 * MIB + number], f"{number}.bin", number=number + 1) for number in range(6)
    ]
    jobs += [works.drop(SMALL, f"small/{number}", number=number + 100) for number in range(50)]
    lines = await asyncio.gather(*(works.deliver(job) for job in jobs))
    assert {line["status"] for line in lines} == {"success"}
    assert len(works.store.objects) == len(jobs)
    assert works.buffers.free == MEMORY
    stored = works.store.objects["nas1/3.bin.tar.gz"][1]
    assert gzip.decompress(stored)[-1024:] == bytes(1024)
    assert unpacked(stored) == LARGE[: 6 * MIB + 3]


class Holding(MemoryStore):
    """Parts wait until they are let through; `begun` are those that arrived."""

    def __init__(self) -> None:
        super().__init__()
        self.let_through = {number: asyncio.Event() for number in (1, 2, 3)}
        self.begun: asyncio.Queue[int] = asyncio.Queue()

    async def upload_part(
        self, key: str, upload_id: str, number: int, body: Body | Scattered, *, sha256: bytes
    ) -> PartReceipt:
        self.begun.put_nowait(number)
        await self.let_through[number].wait()
        return await super().upload_part(key, upload_id, number, body, sha256=sha256)


async def test_a_file_that_was_read_holds_the_memory_of_its_parts_under_way_alone(
    works_over: Making,
) -> None:
    store = Holding()
    works = works_over(store)
    buffers = works.buffers
    delivery = asyncio.create_task(works.deliver(works.drop(LARGE)))
    for _ in range(2):  # its share of the memory has room for two in flight
        await store.begun.get()
    store.let_through[1].set()
    assert await store.begun.get() == 3
    store.let_through[2].set()
    async with buffers.lease(MEMORY - 5 * MIB, MEMORY):  # all but one part's memory is another file's
        assert not delivery.done()
    store.let_through[3].set()
    assert (await delivery)["status"] == "success"
    assert buffers.free == MEMORY
