"""Multipart uploads that an outage, a stop or a kill cut: gone on with, or taken back."""

import asyncio
import random
import threading
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from hotfolder.activity import Activity
from hotfolder.adapters.source import OpenOriginal, open_original
from hotfolder.adapters.state.uploads import SqliteUploads
from hotfolder.core.errors import DestinationError, DestinationTrouble, SourceChanged, UploadLost
from hotfolder.core.ports import Body, Scattered
from hotfolder.core.records import Job, ObjectDraft, ObjectInfo, OpenUpload, PartReceipt, Receipt
from hotfolder.core.segments import MIB
from hotfolder.gate import Gate
from hotfolder.places import RequestPlaces
from hotfolder.resuming import Resumer
from hotfolder.sweeping import Sweeper, Territory
from hotfolder.wire import Wire
from tests.support.memory_store import MemoryStore
from tests.support.memory_uploads import MemoryUploads
from tests.support.samples import MOMENT, job_at, operation_id
from tests.support.works import KEY, Works

DATA = random.Random(7).randbytes(23 * MIB)  # five parts of 5 MiB and less
DAY = 86_400.0


class Cut(MemoryStore):
    """Parts from number `since` on meet an outage, or wait for ever where `hangs`."""

    def __init__(self, since: int = 99, *, hangs: bool = False) -> None:
        super().__init__()
        self.since, self.hangs = since, hangs
        self.reached = asyncio.Event()
        self.lists_checksums = True
        self.sent: list[int] = []
        self.aborted: list[str] = []

    async def upload_part(
        self, key: str, upload_id: str, number: int, body: Body | Scattered, *, sha256: bytes
    ) -> PartReceipt:
        if number >= self.since:
            self.reached.set()
            if self.hangs:
                await asyncio.Event().wait()
            raise DestinationError(DestinationTrouble.UNREACHABLE, "no answer")
        self.sent.append(number)
        return await super().upload_part(key, upload_id, number, body, sha256=sha256)

    async def abort(self, key: str, upload_id: str) -> None:
        self.aborted.append(upload_id)
        await super().abort(key, upload_id)

    async def list_parts(self, key: str, upload_id: str) -> list[PartReceipt]:
        listed = await super().list_parts(key, upload_id)
        return listed if self.lists_checksums else [replace(p, checksum_sha256=None) for p in listed]

    def healed(self) -> "Cut":
        self.since, self.sent = 99, []
        return self


Starting = Callable[[Cut], Works]


@pytest.fixture
async def start(tmp_path: Path) -> AsyncIterator[Starting]:
    """Another process with the same folders and the same state, each time it is called."""
    made: list[Works] = []
    state = tmp_path / "state.db"
    opened: list[SqliteUploads] = []

    def process(store: Cut) -> Works:
        opened.append(SqliteUploads(state))
        made.append(Works(tmp_path, store, opened[-1]))
        return made[-1]

    yield process
    for works in made:
        await works.close()
    for notes in opened:
        notes.close()


async def cut_off(works: Works, store: Cut, data: bytes = DATA) -> Job:
    """Deliver until the store meets its outage; what was sent until then is noted."""
    job = works.drop(data)
    with pytest.raises(DestinationError):
        await works.deliver(job)
    assert list(store.uploads) == ["upload-1"]
    return job


async def next_run(start: Starting, store: Cut) -> Works:
    works = start(store.healed())
    await works.notebook.load(is_new=False)
    return works


def delivered(works: Works, store: Cut, data: bytes = DATA) -> None:
    assert store.objects[KEY][0].size > len(data)
    assert (works.folders.completed / "clip.mp4").read_bytes() == data


async def test_after_an_outage_only_the_missing_parts_are_sent(start: Starting) -> None:
    store = Cut(since=4)
    works = start(store)
    job = await cut_off(works, store)
    before = set(store.uploads["upload-1"].parts)
    assert before
    store.healed()
    line = await works.deliver(job)
    assert set(store.sent) == {1, 2, 3, 4, 5} - before
    assert line["parts"] == 5
    assert line["verification"] == "checksum"
    assert store.aborted == []
    delivered(works, store)


async def test_a_file_that_got_further_before_it_was_cut_has_no_fault_of_its_own(
    start: Starting,
) -> None:
    class Cutting(Cut):
        async def upload_part(self, *arguments: Any, **digests: Any) -> PartReceipt:
            try:
                return await super().upload_part(*arguments, **digests)
            except DestinationError as error:
                while len(await works.notebook.parts(job.operation_id)) < 4:  # noqa: ASYNC110 - as below
                    await asyncio.sleep(0)
                error.may_be_one_keys, error.failing_for = True, 60.0
                raise

    works = start(Cutting(since=5))
    job = works.drop(DATA)
    for got_further in (True, False):
        with pytest.raises(DestinationError) as caught:
            await works.deliver(job)
        assert caught.value.may_be_one_keys is not got_further
        assert (caught.value.failing_for is None) is got_further


async def test_after_a_restart_the_same_operation_goes_on(start: Starting) -> None:
    store = Cut(since=3, hangs=True)
    works = start(store)
    job = works.drop(DATA)
    task = asyncio.create_task(works.deliver(job))
    await store.reached.wait()
    while len(await works.notebook.parts(job.operation_id)) < 2:  # noqa: ASYNC110 - it is noted by itself
        await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert store.aborted == []
    later = await next_run(start, store)
    begun = later.notebook.remembered(job.root, job.relpath, job.fingerprint)
    assert begun is not None
    assert (begun.operation_id, begun.made_at) == (job.operation_id, job.made_at)
    line = await later.deliver(job)
    assert sorted(store.sent) == [3, 4, 5]
    assert line["status"] == "success"
    delivered(later, store)


async def test_a_remembered_file_is_the_same_on_another_device_number(start: Starting) -> None:
    store = Cut(since=2)
    works = start(store)
    job = await cut_off(works, store)
    seen = replace(job.fingerprint, device=job.fingerprint.device + 1)
    assert works.notebook.remembered(job.root, job.relpath, seen) is not None
    for other in (
        replace(seen, mtime_ns=seen.mtime_ns + 1),
        replace(seen, ctime_ns=seen.ctime_ns + 1),
        replace(seen, size=seen.size + 1),
        replace(seen, inode=seen.inode + 1),
    ):
        assert works.notebook.remembered(job.root, job.relpath, other) is None


async def test_another_recipe_starts_over(start: Starting) -> None:
    store = Cut(since=4)
    job = await cut_off(start(store), store)
    later = await next_run(start, store)
    assert (await later.deliver(job, later.tools(level="balanced")))["status"] == "success"
    assert sorted(store.sent) == [1, 2, 3, 4, 5]
    assert store.aborted == ["upload-1"]
    assert store.uploads == {}


async def test_an_upload_of_another_bucket_is_not_aborted_in_this_one(start: Starting) -> None:
    store = Cut()
    works = start(store)
    job = works.drop(DATA)
    await works.notebook.begin(job, bucket="former", key=KEY, recipe="any")
    await works.notebook.name(job.operation_id, "upload-elsewhere")
    with capture_logs() as logs:
        await works.deliver(job)
    assert store.aborted == []
    left = [entry for entry in logs if entry["event"] == "upload.left_open"]
    assert [(entry["upload_id"], "former" in entry["reason"]) for entry in left] == [
        ("upload-elsewhere", True)
    ]


async def test_another_key_starts_over(start: Starting) -> None:
    store = Cut(since=4)
    job = await cut_off(start(store), store)
    later = await next_run(start, store)
    line = await later.deliver(job, later.tools(key="elsewhere/{relpath}{ext}"))
    assert line["s3_object_key"] == "elsewhere/clip.mp4.tar.gz"
    assert store.aborted == ["upload-1"]


async def test_an_upload_that_the_store_forgot_starts_over(start: Starting) -> None:
    store = Cut(since=4)
    job = await cut_off(start(store), store)
    store.uploads.clear()
    later = await next_run(start, store)
    assert (await later.deliver(job))["attempts"] == 1
    assert sorted(store.sent) == [1, 2, 3, 4, 5]
    delivered(later, store)


async def test_a_part_that_differs_is_sent_again(start: Starting) -> None:
    store = Cut(since=4)
    works = start(store)
    job = await cut_off(works, store)
    parts = store.uploads["upload-1"].parts
    number = max(parts)
    whole, missing = set(parts), {1, 2, 3, 4, 5} - set(parts)
    body = b"x" * len(parts[number][1])
    receipt = replace(parts[number][0], etag="0" * 32, checksum_sha256=None)
    parts[number] = (receipt, body)
    store.healed()
    await works.deliver(job)
    assert set(store.sent) == missing | {number}
    assert whole
    delivered(works, store)


@pytest.mark.parametrize("lists_checksums", [True, False])
async def test_a_part_that_was_kept_but_not_noted_is_not_sent_again(
    start: Starting, lists_checksums: bool
) -> None:
    store = Cut(since=4)
    works = start(store)
    job = await cut_off(works, store)
    notes = MemoryUploads()
    (note,) = works.notebook.all()
    notes.begin(note)  # its parts were lost with the power
    store.lists_checksums = lists_checksums
    before = set(store.uploads["upload-1"].parts)
    store.healed()
    later = Works(works.folders.inbox.parent, store, notes)
    await later.notebook.load(is_new=False)
    await later.deliver(job)
    assert set(store.sent) == {1, 2, 3, 4, 5} - before
    await later.close()


async def test_where_nothing_was_noted_one_part_tells_whether_the_store_names_checksums(
    start: Starting,
) -> None:
    class NeverCompletes(Cut):
        async def complete(
            self, key: str, upload_id: str, parts: Sequence[PartReceipt], *, unless_exists: bool
        ) -> Receipt:
            if self.sent:
                raise DestinationError(DestinationTrouble.UNREACHABLE, "no answer")
            return await super().complete(key, upload_id, parts, unless_exists=unless_exists)

    store = NeverCompletes()
    works = start(store)
    job = await cut_off(works, store)
    (note,) = works.notebook.all()
    notes = MemoryUploads()
    notes.begin(note)  # its parts were lost with the power
    later_store = Cut()
    later_store.uploads, later_store.lists_checksums = store.uploads, False
    later = Works(works.folders.inbox.parent, later_store, notes)
    await later.notebook.load(is_new=False)
    assert (await later.deliver(job))["verification"] == "checksum"
    assert later_store.sent == [5]
    await later.close()


async def test_an_intent_without_an_answer_is_cleared_by_its_key(start: Starting) -> None:
    store = Cut()
    works = start(store)
    job = works.drop(DATA)
    await works.notebook.begin(job, bucket="media", key=KEY, recipe="any")
    lost = await store.create_multipart(ObjectDraft(KEY))
    older = await store.create_multipart(ObjectDraft(KEY))
    longer = await store.create_multipart(ObjectDraft(KEY + "2"))
    for upload_id, initiated in ((lost, MOMENT + 2), (older, MOMENT - DAY), (longer, MOMENT)):
        store.uploads[upload_id].initiated = initiated
    await works.deliver(job)
    assert store.aborted == [lost]


async def test_a_file_that_changed_takes_its_upload_back(start: Starting) -> None:
    store = Cut(since=4)
    works = start(store)
    job = await cut_off(works, store)
    (works.folders.inbox / "clip.mp4").write_bytes(b"new")
    with pytest.raises(SourceChanged):
        await works.deliver(job)
    await works.tools().sender.end(job.operation_id)  # as the courier does
    assert store.uploads == {}
    assert works.notebook.all() == ()
    assert works.notes.all() == []


async def test_a_recorded_upload_is_forgotten_and_not_aborted(start: Starting) -> None:
    store = Cut()
    works = start(store)
    job = works.drop(DATA)
    await works.deliver(job)
    assert works.notebook.note_of(job.operation_id) is not None  # until it is recorded
    await works.tools().sender.end(job.operation_id)
    assert store.aborted == []
    assert works.notes.all() == []


async def test_a_store_that_is_away_when_an_upload_ends_is_asked_later(start: Starting) -> None:
    store = Cut(since=4)
    works = start(store)
    job = await cut_off(works, store)
    store.outage = DestinationError(DestinationTrouble.UNREACHABLE, "no answer")
    await works.tools().sender.end(job.operation_id)
    assert len(works.notes.all()) == 1


async def test_a_killed_run_after_the_completion_finds_its_object(start: Starting) -> None:
    store = Cut()
    works = start(store)
    job = works.drop(DATA)
    line = await works.deliver(job)
    moved_to = works.folders.completed / "clip.mp4"
    moved_to.rename(works.folders.inbox / "clip.mp4")  # as if it had never moved
    later = await next_run(start, store)
    again = job_at(works.folders.inbox, "clip.mp4")
    assert again.operation_id == job.operation_id
    found = await later.deliver(again)
    assert found["status"] == "success", "the object is this very operation's"
    assert found["s3_object_key"] == line["s3_object_key"]
    assert sorted(store.sent) == []


async def test_where_the_notes_were_lost_older_uploads_of_the_key_are_aborted(start: Starting) -> None:
    store = Cut()
    works = start(store)
    ids = [await store.create_multipart(ObjectDraft(key)) for key in (KEY, KEY, KEY + "2")]
    for upload_id, age in zip(ids, (60, -60, 60), strict=True):
        store.uploads[upload_id].initiated = MOMENT - age
    await works.notebook.load(is_new=True)
    await works.deliver(works.drop(DATA))
    assert store.aborted == ids[:1]


# -- the sweep -----------------------------------------------------------------------------------


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


async def sweeper_of(works: Works, store: MemoryStore, clock: Clock, flying: str = "") -> Sweeper:
    wire = Wire(store, requests=RequestPlaces(4), threads=works.threads)
    gate = Gate(
        store,
        Activity(version="0", pid=1, host="nas", clock=lambda: MOMENT),
        name="media",
        clock=clock,
        wall=lambda: MOMENT,
        jitter=lambda: 0.0,
    )
    sweeper = Sweeper(
        wire,
        Resumer(wire, works.notebook, bucket="media"),
        works.notebook,
        Territory({"nas1/"}, {str(works.folders.inbox)}),
        gate=gate,
        threads=works.threads,
        is_flying=flying.__eq__,
        clock=clock,
    )
    sweeper.turn()
    assert sweeper.is_idle(), "before the store has answered nothing is asked of it"
    await gate.probe()
    return sweeper


async def swept(sweeper: Sweeper) -> None:
    sweeper.turn()
    while not sweeper.is_idle():  # noqa: ASYNC110 - the daemon's loop looks just so
        await asyncio.sleep(0)


async def test_the_sweep_leaves_what_will_be_gone_on_with(start: Starting) -> None:
    store = Cut(since=4)
    works = start(store)
    job = await cut_off(works, store)
    clock = Clock()
    sweeper = await sweeper_of(works, store, clock)
    await swept(sweeper)
    assert store.aborted == []
    works.folders.inbox.rename(works.folders.inbox.with_name("away"))  # not mounted
    clock.now += DAY
    await swept(sweeper)
    assert store.aborted == []
    works.folders.inbox.with_name("away").rename(works.folders.inbox)
    (works.folders.inbox / "clip.mp4").unlink()
    clock.now += 1.0
    await swept(sweeper)
    assert store.aborted == [], "not before its time"
    clock.now += DAY
    await swept(sweeper)
    assert store.aborted == ["upload-1"]
    assert works.notes.all() == []
    assert works.notebook.remembered(job.root, job.relpath, job.fingerprint) is None


async def test_the_sweep_leaves_what_flies(start: Starting) -> None:
    store = Cut(since=4)
    works = start(store)
    await cut_off(works, store)
    (works.folders.inbox / "clip.mp4").unlink()
    await swept(await sweeper_of(works, store, Clock(), flying=operation_id(1)))
    assert store.aborted == []


async def test_the_sweep_aborts_what_is_old_below_our_prefix(start: Starting) -> None:
    store = Cut()
    works = start(store)
    old = await store.create_multipart(ObjectDraft("nas1/old"))
    young = await store.create_multipart(ObjectDraft("nas1/young"))
    foreign = await store.create_multipart(ObjectDraft("other/old"))
    for upload_id, days in ((old, 8), (young, 6), (foreign, 8)):
        store.uploads[upload_id].initiated = MOMENT - days * DAY
    await swept(await sweeper_of(works, store, Clock()))
    assert store.aborted == [old]


async def test_what_an_upload_command_began_is_taken_back_a_week_later(start: Starting) -> None:
    store = Cut()
    works = start(store)
    for number, begun in ((1, MOMENT - 8 * DAY), (2, MOMENT - 6 * DAY)):
        upload_id = await store.create_multipart(ObjectDraft(f"k{number}"))
        job = replace(
            works.drop(b"x", f"f{number}"), root="/elsewhere", operation_id=operation_id(number)
        )
        await works.notebook.begin(job, bucket="media", key=f"k{number}", recipe="r")
        await works.notebook.name(job.operation_id, upload_id)
        note = replace(works.notebook.all()[-1], begun_at=begun)
        works.notes.begin(note)
    later = start(store)
    await later.notebook.load(is_new=False)
    await swept(await sweeper_of(later, store, Clock()))
    assert store.aborted == ["upload-1"]


async def test_a_sweep_that_fails_is_tried_again(start: Starting) -> None:
    store = Cut()
    works = start(store)
    old = await store.create_multipart(ObjectDraft("nas1/old"))
    store.uploads[old].initiated = MOMENT - 8 * DAY
    clock = Clock()
    sweeper = await sweeper_of(works, store, clock)
    store.outage = UploadLost("as it happens")
    await swept(sweeper)
    store.outage = None
    await swept(sweeper)
    assert store.aborted == []
    clock.now += 601
    await swept(sweeper)
    assert store.aborted == [old]


async def test_a_stopped_sweep_ends(start: Starting) -> None:
    class Slow(Cut):
        async def list_uploads(self, prefix: str) -> AsyncIterator[OpenUpload]:
            await asyncio.Event().wait()
            yield OpenUpload(prefix, "", 0.0)

    store = Slow()
    works = start(store)
    sweeper = await sweeper_of(works, store, Clock())
    sweeper.turn()
    await asyncio.sleep(0)
    assert not sweeper.is_idle()
    await sweeper.stop()
    assert sweeper.is_idle()


class Far(Cut):
    """A store that answers a HEAD only once the file is read, and opens an upload once it is read on."""

    def __init__(self, works: Callable[[], Works]) -> None:
        super().__init__()
        self._works = works
        self.asked: list[str] = []

    async def _until_read(self, size: int) -> None:
        async with asyncio.timeout(150):
            while self._works().log.bytes_read < size:  # noqa: ASYNC110 - turns
                await asyncio.sleep(0)

    async def head(self, key: str) -> ObjectInfo | None:
        self.asked.append("head")
        if self.asked == ["head"]:
            await self._until_read(MIB)
        return await super().head(key)

    async def create_multipart(self, draft: ObjectDraft) -> str:
        self.asked.append("create")
        await self._until_read(12 * MIB)  # the second part is full, and a part has 5 MiB
        return await super().create_multipart(draft)


async def test_packing_goes_on_while_a_far_store_answers(start: Starting) -> None:
    made: list[Works] = []
    store = Far(lambda: made[0])
    made.append(start(store))
    works = made[0]
    line = await works.deliver(works.drop(DATA))
    assert line["parts"] == 5
    assert store.asked[:2] == ["head", "create"]
    delivered(works, store)


async def test_what_ends_while_the_upload_is_opened_leaves_nothing_open(start: Starting) -> None:
    class Opening(Cut):
        """Opens what it was asked for, whoever still waits for the answer, once the file changed."""

        def __init__(self) -> None:
            super().__init__()
            self.asked, self.changed = threading.Event(), False

        async def create_multipart(self, draft: ObjectDraft) -> str:
            self.asked.set()
            self.opening = asyncio.create_task(self._answer(draft))
            return await asyncio.shield(self.opening)

        async def _answer(self, draft: ObjectDraft) -> str:
            async with asyncio.timeout(150):
                while not self.changed:  # noqa: ASYNC110 - turns
                    await asyncio.sleep(0)
            for _ in range(100):  # turns in which somebody may ask what is open
                await asyncio.sleep(0)
            made = await super().create_multipart(draft)
            self.uploads[made].initiated = MOMENT
            return made

    store = Opening()
    works = start(store)
    job = works.drop(DATA)

    def opener(job: Job) -> OpenOriginal:
        original = open_original(job)
        read = original.read

        def read_some(offset: int, size: int) -> Body:
            if offset >= 11 * MIB:  # behind the second part: the others wait for the opening
                store.changed = store.asked.wait(30)
                raise SourceChanged("it became shorter")
            return read(offset, size)

        original.read = read_some  # type: ignore[method-assign]
        return original

    works.opener = opener
    with pytest.raises(SourceChanged):
        await works.deliver(job)
    await store.opening
    assert (store.uploads, works.notebook.all(), works.notes.all()) == ({}, (), [])


async def test_where_the_notes_were_lost_and_the_stores_clock_is_behind_our_own_upload_stays(
    start: Starting,
) -> None:
    class Behind(Cut):
        async def create_multipart(self, draft: ObjectDraft) -> str:
            made = await super().create_multipart(draft)
            self.uploads[made].initiated = MOMENT - 60
            return made

        async def list_uploads(self, prefix: str) -> AsyncIterator[OpenUpload]:
            async with asyncio.timeout(150):
                while len(self.uploads) < 2:  # noqa: ASYNC110 - turns
                    await asyncio.sleep(0)
            async for upload in super().list_uploads(prefix):
                yield upload

    store = Behind()
    works = start(store)
    lost = await store.create_multipart(ObjectDraft(KEY))
    await works.notebook.load(is_new=True)
    await works.deliver(works.drop(DATA))
    assert store.aborted == [lost]
    delivered(works, store)
