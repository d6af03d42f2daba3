"""What stands under a key, times `on_conflict`, times the kind of object: every outcome."""

import hashlib
import io
import os
import random
import tarfile
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from hotfolder.adapters.s3 import S3Store
from hotfolder.core.conflict import OnConflict
from hotfolder.core.errors import (
    DestinationError,
    DestinationTrouble,
    FileRejected,
    KeyTaken,
    ObjectRefused,
    VerificationFailed,
)
from hotfolder.core.ports import Body, ObjectStore
from hotfolder.core.profile import Profile
from hotfolder.core.records import Disposition, Job, ObjectDraft, ObjectInfo, Receipt, Verify
from hotfolder.core.segments import MIB
from tests.support.careless_store import WatchedStore
from tests.support.checksums import as_said
from tests.support.profiles import AS_S3
from tests.support.samples import job_at
from tests.support.works import KEY, MEMORY, Works

SMALL = b"a line of text\n" * 1000
LARGE = random.Random(7).randbytes(11 * MIB)  # three parts of 5 MiB and less
NO_CONDITIONS = replace(AS_S3, condition_on_put=False, condition_on_complete=False)
NOBODY_KNOWS = replace(AS_S3, condition_on_put=None, condition_on_complete=None)
WANTED = list(OnConflict)
kinds = pytest.mark.parametrize("data", [SMALL, LARGE], ids=["small", "large"])

Making = Callable[..., Works]


@pytest.fixture
async def works_over(tmp_path: Path) -> AsyncIterator[Making]:
    made: list[Works] = []

    def make(store: WatchedStore | None = None, profile: Profile = AS_S3) -> Works:
        works = Works(tmp_path, store or WatchedStore())
        works.profile = profile
        made.append(works)
        return works

    yield make
    for works in made:
        await works.close()


def calls(works: Works) -> list[str]:
    assert isinstance(works.store, WatchedStore)
    return works.store.calls


def drop(works: Works, data: bytes, *, number: int = 1, seconds: int = 2_000_000_000) -> Job:
    """A file of that time."""
    job = works.drop(data)
    os.utime(job.path, (seconds, seconds))
    return job_at(works.folders.inbox, "clip.mp4", number=number)


async def put_ours(
    works: Works,
    data: bytes,
    *,
    seconds: int = 2_000_000_000,
    key: str = "{prefix}/{relpath}{ext}",
    **how: Any,
) -> None:
    """An object that a hotfolder delivered on another day."""
    wanted, works.on_conflict = works.on_conflict, OnConflict.KEEP_BOTH
    await works.deliver(drop(works, data, number=7, seconds=seconds), works.tools(key=key, **how))
    works.on_conflict = wanted
    (works.folders.completed / "clip.mp4").unlink()
    calls(works).clear()


async def the_same(works: Works, data: bytes) -> None:
    await put_ours(works, data)


async def of_another_time(works: Works, data: bytes) -> None:
    await put_ours(works, data, seconds=1_000_000_000)


async def of_another_level(works: Works, data: bytes) -> None:
    await put_ours(works, data, level=9)


async def of_another_format(works: Works, data: bytes) -> None:
    await put_ours(works, data, name="tar.zst", key="{prefix}/{relpath}.tar.gz")


async def in_other_parts(works: Works, data: bytes) -> None:
    await put_ours(works, data, part_size=6 * MIB)


async def without_checksums(works: Works, data: bytes) -> None:
    """A store that says nothing of its content."""
    await put_ours(works, data)
    info, content = works.store.objects[KEY]
    works.store.objects[KEY] = (replace(info, checksum_sha256=None, etag="opaque"), content)


async def of_a_stranger(works: Works, data: bytes) -> None:
    """The very bytes, put there by another program, in one piece and without a word."""
    await put_ours(works, data)
    works.put_there(works.store.objects[KEY][1])


async def another_of_ours(works: Works, data: bytes) -> None:
    await put_ours(works, data[::-1])


async def another_of_a_stranger(works: Works, _: bytes) -> None:
    works.put_there(b"of somebody else")


async def another_of_the_same_length(works: Works, data: bytes) -> None:
    await put_ours(works, data)
    content = bytearray(works.store.objects[KEY][1])
    content[len(content) // 2] ^= 1
    works.put_there(bytes(content))


async def a_damaged_one(works: Works, data: bytes) -> None:
    """It says of itself that it is ours, and holds something else."""
    await put_ours(works, data)
    info, content = works.store.objects[KEY]
    damaged = bytearray(content)
    damaged[len(content) // 2] ^= 1
    info = replace(info, checksum_sha256=None, etag="opaque")
    works.store.objects[KEY] = (info, bytes(damaged))


SAME = [
    (the_same, "checksum"),
    (of_another_time, "checksum"),
    (of_another_level, None),
    (of_another_format, "readback"),
    (in_other_parts, None),
    (without_checksums, "readback"),
    (of_a_stranger, None),
]
OTHER = [another_of_ours, another_of_a_stranger, another_of_the_same_length, a_damaged_one]
profiles = pytest.mark.parametrize("profile", [AS_S3, NO_CONDITIONS], ids=["honoured", "ignored"])


def stays(works: Works, data: bytes) -> None:
    """The file is where it was, and nothing of it lies about."""
    assert works.folders.files() == {"inbox/clip.mp4": data}
    assert (works.store.uploads, works.buffers.free) == ({}, MEMORY)


def store_of(profile: Profile) -> WatchedStore:
    return WatchedStore(honours=profile.condition_on_put is not False)


@profiles
@kinds
@pytest.mark.parametrize("wanted", WANTED)
async def test_nothing_there_is_delivered(
    works_over: Making, data: bytes, wanted: OnConflict, profile: Profile
) -> None:
    works = works_over(store_of(profile), profile)
    works.on_conflict = wanted
    line = await works.deliver(drop(works, data))
    assert (line["status"], line["s3_object_key"]) == ("success", KEY)
    assert "replaced" not in line["metadata"]


@profiles
@kinds
@pytest.mark.parametrize("wanted", WANTED)
@pytest.mark.parametrize(("standing", "proof"), SAME)
async def test_the_same_content_is_skipped_whatever_is_wanted(
    works_over: Making,
    data: bytes,
    wanted: OnConflict,
    standing: Callable[[Works, bytes], Any],
    proof: str | None,
    profile: Profile,
) -> None:
    works = works_over(store_of(profile), profile)
    works.on_conflict = wanted
    await standing(works, data)
    there = dict(works.store.objects)
    line = await works.deliver(drop(works, data))
    assert (line["status"], line["s3_object_key"]) == ("skipped", KEY)
    assert line["verification"] == proof or proof is None
    assert works.store.objects == there, "not a byte was written"
    stored = there[KEY][1]
    form = there[KEY][0].metadata.get("hotfolder-format", "tar.gz")
    assert line["metadata"]["format"] == form, "of what is to be unpacked"
    assert line["compression_type"] == {"tar.gz": "gzip", "tar.zst": "zstd"}[form]
    assert line["compressed_size"] == len(stored)
    assert line["checksum_compressed"] == as_said(line["checksum_compressed"], stored)
    assert works.folders.files() == {"completed/clip.mp4": data}
    assert works.store.uploads == {}


@profiles
@kinds
@pytest.mark.parametrize("standing", OTHER)
async def test_other_content_is_kept_beside(
    works_over: Making, data: bytes, standing: Callable[[Works, bytes], Any], profile: Profile
) -> None:
    works = works_over(store_of(profile), profile)
    await standing(works, data)
    there = works.store.objects[KEY]
    line = await works.deliver(job := drop(works, data))
    assert (line["status"], line["verification"]) == ("success", "checksum")
    assert line["s3_object_key"] == f"nas1/clip.mp4~{job.operation_id}.tar.gz"
    assert works.store.objects[KEY] == there
    assert len(works.store.objects) == 2


@profiles
@kinds
@pytest.mark.parametrize("standing", OTHER)
async def test_other_content_is_overwritten_and_the_ledger_says_what_it_was(
    works_over: Making, data: bytes, standing: Callable[[Works, bytes], Any], profile: Profile
) -> None:
    works = works_over(store_of(profile), profile)
    works.on_conflict = OnConflict.OVERWRITE
    await standing(works, data)
    there = works.store.objects[KEY][0]
    line = await works.deliver(drop(works, data))
    assert (line["status"], line["s3_object_key"]) == ("success", KEY)
    assert line["metadata"]["replaced"] == {"etag": there.etag, "version_id": None}
    assert works.store.objects[KEY][0].metadata["hotfolder-replaced"] == there.etag
    assert list(works.store.objects) == [KEY]


@profiles
@kinds
@pytest.mark.parametrize("standing", OTHER)
async def test_other_content_stays_and_the_file_is_given_up_with_the_reason(
    works_over: Making, data: bytes, standing: Callable[[Works, bytes], Any], profile: Profile
) -> None:
    works = works_over(store_of(profile), profile)
    works.on_conflict = OnConflict.FAIL
    await standing(works, data)
    there = dict(works.store.objects)
    with pytest.raises(FileRejected) as told:
        await works.deliver(drop(works, data))
    assert KEY in str(told.value)
    assert there[KEY][0].etag in str(told.value)
    assert works.store.objects == there
    stays(works, data)


@kinds
@pytest.mark.parametrize("wanted", WANTED)
async def test_what_is_only_to_be_recorded_overwrites_nothing_and_does_not_fail(
    works_over: Making, data: bytes, wanted: OnConflict
) -> None:
    """A file of completed/ without a line: what stands under its key may be newer."""
    works = works_over()
    works.on_conflict = wanted
    works.put_there(b"a newer version")
    tools = replace(works.tools(), on_success=Disposition.IN_PLACE)
    line = await works.deliver(drop(works, data), tools)
    assert (line["status"], line["s3_object_key"] != KEY) == ("success", True)
    assert works.store.objects[KEY][1] == b"a newer version"


# -- what it costs -------------------------------------------------------------------------------


async def test_an_ordinary_small_file_is_one_request_where_conditions_are_honoured(
    works_over: Making,
) -> None:
    for wanted in (OnConflict.KEEP_BOTH, OnConflict.FAIL):
        works = works_over()
        works.on_conflict = wanted
        await works.deliver(works.drop(SMALL, f"{wanted}.mp4"))
        assert calls(works) == ["put"]


@pytest.mark.parametrize("profile", [NO_CONDITIONS, NOBODY_KNOWS])
async def test_where_they_are_not_it_looks_before_and_after(
    works_over: Making, profile: Profile
) -> None:
    works = works_over(store_of(profile), profile)
    await works.deliver(drop(works, SMALL))
    assert calls(works) == ["head", "put", "head"]
    assert isinstance(works.store, WatchedStore)
    assert works.store.conditions == [profile.condition_on_put is None]


async def test_a_large_one_looks_first_and_last(works_over: Making) -> None:
    for profile, expected in (
        (AS_S3, ["head", "complete", "head"]),
        (NO_CONDITIONS, ["head", "head", "complete", "head"]),
    ):
        works = works_over(store_of(profile), profile)
        await works.deliver(drop(works, LARGE))
        assert calls(works) == expected


@kinds
async def test_a_copy_of_another_time_is_not_downloaded_to_see_that_it_is_the_same(
    works_over: Making, data: bytes
) -> None:
    works = works_over()
    await of_another_time(works, data)
    await works.deliver(drop(works, data))
    assert "get" not in calls(works)


@pytest.mark.parametrize("verify", [Verify.CHECKSUM, Verify.ETAG, Verify.HEAD])
async def test_nothing_is_read_where_another_proof_was_asked_for(
    works_over: Making, verify: Verify
) -> None:
    works = works_over()
    await without_checksums(works, SMALL)
    works.verify = verify
    works.profile = AS_S3
    line = await works.deliver(drop(works, SMALL))
    assert (line["status"], line["s3_object_key"] != KEY) == ("success", True)
    assert "get" not in calls(works)


async def test_a_cold_object_is_not_read(works_over: Making) -> None:
    works = works_over()
    await without_checksums(works, SMALL)
    info, content = works.store.objects[KEY]
    works.store.objects[KEY] = (replace(info, storage_class="DEEP_ARCHIVE"), content)
    line = await works.deliver(drop(works, SMALL))
    assert (line["status"], "get" in calls(works)) == ("success", False)


@pytest.mark.parametrize(
    "error",
    [
        DestinationError(DestinationTrouble.DENIED, "no kms:Decrypt"),
        ObjectRefused("it changed while it was read"),
        VerificationFailed("cut off"),
    ],
)
async def test_an_object_that_cannot_be_read_is_another(works_over: Making, error: Exception) -> None:
    works = works_over()
    await without_checksums(works, SMALL)

    def refuse() -> None:
        raise error

    works.store.before["get"] = refuse  # type: ignore[attr-defined]
    line = await works.deliver(drop(works, SMALL))
    assert (line["status"], line["s3_object_key"] != KEY) == ("success", True)


async def test_an_outage_while_it_is_read_is_an_outage(works_over: Making) -> None:
    works = works_over()
    await without_checksums(works, SMALL)

    def cut() -> None:
        raise DestinationError(DestinationTrouble.UNREACHABLE, "no answer")

    works.store.before["get"] = cut  # type: ignore[attr-defined]
    with pytest.raises(DestinationError):
        await works.deliver(drop(works, SMALL))
    stays(works, SMALL)


# -- races ---------------------------------------------------------------------------------------


def racer(works: Works, data: bytes | None) -> Callable[[], None]:
    """Another writer at the last moment: the same object under another operation, or another one."""

    def put() -> None:
        if data is None:
            works.put_there(b"of somebody else")
        else:
            works.store.objects.update(ready)

    ready = {KEY: works.store.objects.pop(KEY)} if data is not None else {}
    return put


@kinds
@pytest.mark.parametrize("same", [True, False])
@pytest.mark.parametrize("wanted", WANTED)
@pytest.mark.parametrize("profile", [AS_S3, NOBODY_KNOWS], ids=["honoured", "unknown"])
async def test_a_racer_at_the_last_moment_is_noticed_by_the_condition(
    works_over: Making, data: bytes, same: bool, wanted: OnConflict, profile: Profile
) -> None:
    works = works_over(profile=profile)
    if same:
        await put_ours(works, data)
    works.on_conflict = wanted
    store = works.store
    assert isinstance(store, WatchedStore)
    last = "put" if data is SMALL else "complete"
    store.before[last] = racer(works, data if same else None)
    job = drop(works, data)
    if wanted is OnConflict.FAIL and not same:
        with pytest.raises(FileRejected):
            await works.deliver(job)
        works.nothing_ended(data)
        assert store.objects[KEY][1] == b"of somebody else"
        return
    line = await works.deliver(job)
    beside = f"nas1/clip.mp4~{job.operation_id}.tar.gz"
    in_parts_over = wanted is OnConflict.OVERWRITE and data is LARGE  # the last one wins
    expected = ("skipped", KEY) if same else ("success", beside)
    if wanted is OnConflict.OVERWRITE and (in_parts_over or not same):
        expected = ("success", KEY)
    assert (line["status"], line["s3_object_key"]) == expected
    stored = store.objects[line["s3_object_key"]][1]
    assert line["checksum_compressed"] == as_said(line["checksum_compressed"], stored)
    assert store.uploads == {}
    assert works.folders.files() == {"completed/clip.mp4": data}


@kinds
@pytest.mark.parametrize("same", [True, False])
async def test_a_writer_that_replaces_ours_at_the_same_moment_is_noticed(
    works_over: Making, data: bytes, same: bool
) -> None:
    """A store without conditions, or one that looks first and acts later: both succeed."""
    works = works_over(WatchedStore(honours=False), NO_CONDITIONS)
    if same:
        await put_ours(works, data)
    store = works.store
    assert isinstance(store, WatchedStore)
    replace_it = racer(works, data if same else None)
    last = "put" if data is SMALL else "complete"
    store.before[last] = lambda: store.before.update(head=replace_it)
    job = drop(works, data)
    line = await works.deliver(job)
    beside = f"nas1/clip.mp4~{job.operation_id}.tar.gz"
    expected = ("skipped", KEY) if same else ("success", beside)
    assert (line["status"], line["s3_object_key"]) == expected
    stored = store.objects[line["s3_object_key"]][1]
    assert line["checksum_compressed"] == as_said(line["checksum_compressed"], stored)
    assert store.uploads == {}


@kinds
async def test_an_object_that_goes_and_comes_all_the_time_puts_the_file_off(
    works_over: Making, data: bytes
) -> None:
    class Restless(WatchedStore):
        async def head(self, key: str) -> None:  # noqa: ARG002 - gone again
            return None

        def _claim(self, key: str, unless_exists: bool) -> None:  # noqa: ARG002 - there again
            raise KeyTaken("exists")

    works = works_over(Restless())
    with pytest.raises(ObjectRefused, match="all the time"):
        await works.deliver(drop(works, data))
    works.nothing_ended(data)


# -- what a try of this very operation left there ------------------------------------------------


class Corrupting(WatchedStore):
    """Keeps other bytes than it got, as long as `broken` says so, and does not notice."""

    broken = 2

    def _store(self, draft: ObjectDraft, content: bytes, etag: str, checksum: str) -> Receipt:
        receipt = super()._store(draft, content, etag, checksum)
        if self.broken == 0:
            return receipt
        self.broken -= 1
        other = content[:-1] + bytes([content[-1] ^ 1])
        info, _ = self.objects[draft.key]
        etag = f"{self.broken:032x}{'-3' * ('-' in etag)}"
        self.objects[draft.key] = (replace(info, etag=etag, checksum_sha256=None), other)
        return replace(receipt, etag=etag, checksum_sha256=None)


@kinds
@pytest.mark.parametrize("profile", [AS_S3, NO_CONDITIONS, NOBODY_KNOWS])
@pytest.mark.parametrize(
    ("wanted", "is_taken"),
    [(each, False) for each in WANTED] + [(OnConflict.KEEP_BOTH, True), (OnConflict.OVERWRITE, True)],
)
async def test_a_body_that_was_spoilt_on_its_way_is_sent_over_and_is_nobodys_conflict(
    works_over: Making, data: bytes, wanted: OnConflict, is_taken: bool, profile: Profile
) -> None:
    store = Corrupting(honours=profile.condition_on_put is not False)
    works = works_over(store, profile)
    works.on_conflict = wanted
    if is_taken:
        works.put_there(b"of somebody else")
    job = drop(works, data)
    for attempt in (1, 2):
        with pytest.raises(VerificationFailed):
            await works.deliver(replace(job, attempt=attempt))
        works.nothing_ended(data)
    line = await works.deliver(replace(job, attempt=3))
    assert line["status"] == "success"
    is_beside = is_taken and wanted is OnConflict.KEEP_BOTH
    assert (line["s3_object_key"] == KEY) == (not is_beside)
    assert len(store.objects) == 1 + is_beside
    assert ("replaced" in line["metadata"]) == (is_taken and wanted is OnConflict.OVERWRITE)
    assert store.uploads == {}


# -- a page in place of the store ------------------------------------------------------------------


@kinds
@pytest.mark.parametrize("wanted", WANTED)
async def test_what_stands_before_the_store_and_answers_for_it_is_no_fault_of_the_file(
    works_over: Making, data: bytes, wanted: OnConflict
) -> None:
    class Hidden(WatchedStore):
        async def head(self, key: str) -> ObjectInfo | None:
            return ObjectInfo(key, 55, "5f3a-1a2", None, {})

        async def put(self, *_: object, **__: object) -> Receipt:
            return Receipt("", None)

        async def create_multipart(self, _: ObjectDraft) -> str:
            raise ObjectRefused("HTTP 405")

        async def check(self) -> None:
            raise DestinationError(DestinationTrouble.UNREACHABLE, "no answer of an S3 store")

    works = works_over(Hidden())
    works.on_conflict = wanted
    with pytest.raises(DestinationError, match="no answer of an S3 store"):
        await works.deliver(drop(works, data))
    works.nothing_ended(data)


# -- lost answers --------------------------------------------------------------------------------


@kinds
async def test_what_was_overwritten_is_known_although_the_answer_was_lost(
    works_over: Making, data: bytes
) -> None:
    class Losing(WatchedStore):
        losing = True

        async def put(
            self, draft: ObjectDraft, body: Body, *, sha256: bytes, unless_exists: bool
        ) -> Receipt:
            receipt = await super().put(draft, body, sha256=sha256, unless_exists=unless_exists)
            return self._lost(receipt)

        async def complete(self, *arguments: Any, unless_exists: bool) -> Receipt:
            return self._lost(await super().complete(*arguments, unless_exists=unless_exists))

        def _lost(self, receipt: Receipt) -> Receipt:
            if self.losing:
                raise DestinationError(DestinationTrouble.UNREACHABLE, "no answer")
            return receipt

    store = Losing()
    works = works_over(store)
    works.on_conflict = OnConflict.OVERWRITE
    works.put_there(b"of somebody else")
    etag = store.objects[KEY][0].etag
    job = drop(works, data)
    with pytest.raises(DestinationError):
        await works.deliver(job)
    works.nothing_ended(data)
    store.losing = False
    line = await works.deliver(replace(job, attempt=2))
    assert (line["status"], line["s3_object_key"]) == ("success", KEY)
    assert line["metadata"]["replaced"]["etag"] == etag
    assert list(store.objects) == [KEY]


# -- what the ledger knows -------------------------------------------------------------------------


def again(works: Works, number: int) -> Job:
    (works.folders.completed / "clip.mp4").rename(works.folders.inbox / "clip.mp4")
    return job_at(works.folders.inbox, "clip.mp4", number=number)


@kinds
async def test_a_file_that_is_dropped_again_and_again_is_kept_beside_once(
    works_over: Making, data: bytes
) -> None:
    works = works_over()
    works.put_there(b"of somebody else")
    first = await works.deliver(drop(works, data))
    assert first["status"] == "success"
    for number in (2, 3):
        line = await works.deliver(again(works, number))
        assert (line["status"], line["s3_object_key"]) == ("skipped", first["s3_object_key"])
        assert line["verification"] == "checksum"
    assert len(works.store.objects) == 2
    changed = data + b"more"
    line = await works.deliver(drop(works, changed, number=4))
    assert (line["status"], len(works.store.objects)) == ("success", 3)


@kinds
@pytest.mark.parametrize("what", ["gone", "damaged"])
async def test_a_line_of_the_ledger_alone_skips_nothing(
    works_over: Making, data: bytes, what: str
) -> None:
    works = works_over()
    works.put_there(b"of somebody else")
    first = await works.deliver(drop(works, data))
    beside = first["s3_object_key"]
    info, content = works.store.objects.pop(beside)
    if what == "damaged":
        half = len(content) // 2
        damaged = content[:half] + bytes([content[half] ^ 1]) + content[half + 1 :]
        info = replace(info, checksum_sha256=None, etag="opaque")
        works.store.objects[beside] = (info, damaged)
    line = await works.deliver(again(works, 2))
    another = f"nas1/clip.mp4~{line['operation_id']}.tar.gz"
    assert (line["status"], line["s3_object_key"]) == ("success", another)


@kinds
async def test_an_object_that_only_the_ledger_knows_is_read_and_found_the_same(
    works_over: Making, data: bytes
) -> None:
    # As another program made it: its own tar and gzip, no metadata. An imported line tells of it.
    works = works_over()
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w:gz") as tar:
        member = tarfile.TarInfo("whatever.mp4")
        member.size = len(data)
        tar.addfile(member, io.BytesIO(data))
    works.put_there(made.getvalue())
    works.ledger.append(
        [
            {
                "operation_id": "imported",
                "status": "success",
                "completed_at": "2026-01-01T00:00:00.000000Z",
                "s3_bucket": "media",
                "s3_object_key": KEY,
                "checksum_original": f"sha256:{hashlib.sha256(data).hexdigest()}",
                "original_size": len(data),
            }
        ]
    )
    line = await works.deliver(drop(works, data))
    assert (line["status"], line["verification"], line["s3_object_key"]) == ("skipped", "readback", KEY)


# -- on a real store -------------------------------------------------------------------------------


class Counted:
    """Any store, with the names of what it was asked."""

    def __init__(self, store: ObjectStore) -> None:
        self._store = store
        self.calls: list[str] = []

    def __getattr__(self, name: str) -> Any:
        self.calls.append(name)
        return getattr(self._store, name)


@pytest.mark.parametrize(
    ("wanted", "expected"), [("keep-both", ["put"]), ("fail", ["put"]), ("overwrite", ["head", "put"])]
)
async def test_a_new_small_file_costs_what_it_did_on_a_real_store(
    tmp_path: Path, s3_store: S3Store, wanted: str, expected: list[str]
) -> None:
    store: Any = Counted(s3_store)
    works = Works(tmp_path, store)
    works.on_conflict = OnConflict(wanted)
    line = await works.deliver(works.drop(SMALL))
    await works.close()
    assert (line["status"], line["verification"], store.calls) == ("success", "checksum", expected)


@kinds
@pytest.mark.parametrize("wanted", WANTED)
async def test_a_real_store_agrees(
    tmp_path: Path, s3_store: S3Store, data: bytes, wanted: OnConflict
) -> None:
    store: Any = s3_store
    works = Works(tmp_path, store)
    try:
        first = await works.deliver(drop(works, data, seconds=1_000_000_000))
        same = await works.deliver(drop(works, data, number=2))
        assert (same["status"], same["verification"]) == ("skipped", "checksum")
        assert same["checksum_compressed"] == first["checksum_compressed"]
        tools = works.tools(level=9, part_size=6 * MIB)
        again = await works.deliver(drop(works, data, number=3), tools)
        assert (again["status"], again["s3_object_key"]) == ("skipped", KEY)
        works.on_conflict = wanted
        other = drop(works, data[::-1], number=4)
        if wanted is OnConflict.FAIL:
            with pytest.raises(FileRejected):
                await works.deliver(other)
            return
        line = await works.deliver(other)
        assert line["status"] == "success"
        assert (line["s3_object_key"] == KEY) is (wanted is OnConflict.OVERWRITE)
        if wanted is OnConflict.OVERWRITE:
            assert line["metadata"]["replaced"]["etag"] == first["checksum_s3_etag"]
    finally:
        await works.close()
