"""Packed once, into the spool: used again by retries and restarts, believed only as it was packed."""

import asyncio
import hashlib
import os
import random
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from hotfolder.core.entries import timestamp
from hotfolder.core.errors import DestinationError, DestinationTrouble, LocalError, VerificationFailed
from hotfolder.core.ports import Body
from hotfolder.core.records import Job, JournalRow, ObjectDraft, Receipt
from hotfolder.core.retry import Deferred, Hold
from hotfolder.core.room import RESERVE, Disk, Room
from hotfolder.core.segments import MIB, worst_case
from hotfolder.courier import Ended, NotNow
from tests.support.memory_ledger import MemoryLedger
from tests.support.packing_line import packing_line
from tests.support.samples import MOMENT, operation_id
from tests.support.small_disk import small_disk
from tests.support.spooling import MEMORY, SpoolRun, SpoolWorld, counted

__all__ = ["small_disk"]

SMALL = b"a line of text\n" * 1000
LARGE = random.Random(7).randbytes(11 * MIB)  # eleven segments, three parts
OUTAGE = DestinationError(DestinationTrouble.UNREACHABLE, "no answer")


@pytest.fixture
def world(tmp_path: Path) -> SpoolWorld:
    return SpoolWorld(tmp_path)


def recorded(world: SpoolWorld) -> list[dict[str, Any]]:
    return list(world.ledger.newest_first())


def stored(world: SpoolWorld) -> dict[str, bytes]:
    return {key: data for key, (_, data) in world.store.objects.items()}


# -- the same file again ---------------------------------------------------------------------------


@pytest.mark.parametrize(("data", "packs"), [(b"", 1), (SMALL, 1), (LARGE, 11)])
async def test_the_object_is_the_one_that_streaming_makes(
    world: SpoolWorld, data: bytes, packs: int
) -> None:
    job = world.drop(data)
    with packing_line(segment=MIB) as line:
        streamed = await line.pack(job, world.form)
    world.codec.packs = 0
    async with SpoolRun(world) as run:
        ending = await run.carry(job)
    assert isinstance(ending, Ended)
    assert list(stored(world).values()) == [streamed.stream]
    entry = ending.entry
    assert entry["checksum_original"] == f"sha256:{hashlib.sha256(data).hexdigest()}"
    assert entry["checksum_compressed"] == f"sha256:{hashlib.sha256(streamed.stream).hexdigest()}"
    assert entry["compressed_file_path"] is None
    assert world.codec.packs == packs
    assert world.folders.completed.joinpath("clip.mp4").read_bytes() == data
    assert (world.staged_files(), world.rows()) == ([], [])
    assert run.buffers.free == MEMORY


async def test_the_stages_of_the_way_into_the_spool_are_told(world: SpoolWorld) -> None:
    job = world.drop(LARGE)
    stages: list[str] = []
    read: list[int] = []
    async with SpoolRun(world) as run:
        async with await run.stager.open(job, world.form, read.append, stages.append) as packed:
            assert packed.final_digests().original_sha256 == hashlib.sha256(LARGE).digest()
            assert await packed.hash_original() == hashlib.sha256(LARGE).digest()
            pieces = [len(piece) async for piece in packed.chunks()]
        await run.stager.leave(job, over=False)
        async with await run.stager.open(job, world.form, read.append, stages.append):
            pass
    assert stages == ["opening", "queued", "staging", "opening"]
    assert sum(read) == 2 * len(LARGE), "into the spool, and out of it"
    assert max(pieces) == MIB


@pytest.mark.parametrize("data", [SMALL, LARGE])
async def test_a_retry_and_a_restart_send_what_was_packed_before(world: SpoolWorld, data: bytes) -> None:
    job = world.drop(data)
    world.store.outage = OUTAGE
    async with SpoolRun(world) as run:
        for _ in range(2):
            ending = await run.carry(job)
            assert isinstance(ending, NotNow)
            assert isinstance(ending.decision, Hold)
    packs = world.codec.packs
    assert packs == max(1, len(data) // MIB)
    assert world.staged_files() == [job.operation_id]
    assert os.stat(world.spool_path / job.operation_id).st_mode & 0o777 == 0o600

    world.store.outage = None
    async with SpoolRun(world) as run:
        remembered = run.spool.remembered(job.root, job.relpath, job.fingerprint)
        assert remembered is not None
        assert (remembered.operation_id, remembered.made_at) == (job.operation_id, MOMENT)
        assert isinstance(await run.carry(job), Ended)
    assert world.codec.packs == packs
    assert (world.staged_files(), world.rows()) == ([], [])
    assert len(stored(world)) == 1


async def test_a_volume_that_was_mounted_anew_changes_nothing(world: SpoolWorld) -> None:
    job = world.drop(SMALL)
    world.store.outage = OUTAGE
    async with SpoolRun(world) as run:
        await run.carry(job)
        other_device = replace(job.fingerprint, device=job.fingerprint.device + 1)
        assert run.spool.remembered(job.root, job.relpath, other_device) is not None


async def test_a_file_that_changed_is_packed_anew(world: SpoolWorld) -> None:
    job = world.drop(SMALL)
    world.store.outage = OUTAGE
    async with SpoolRun(world) as run:
        await run.carry(job)
        world.store.outage = None
        other = world.drop(SMALL + b"more", number=2)
        assert run.spool.remembered(other.root, other.relpath, other.fingerprint) is None
        ending = await run.carry(other)
    assert isinstance(ending, Ended)
    assert world.codec.packs == 2
    assert ending.entry["original_size"] == len(SMALL) + 4
    assert (world.staged_files(), world.rows()) == ([], [])


async def test_another_recipe_packs_anew(world: SpoolWorld) -> None:
    job = world.drop(SMALL)
    world.store.outage = OUTAGE
    async with SpoolRun(world) as run:
        await run.carry(job)
    world.store.outage = None
    world.form, world.codec = counted("tar.gz", "small")
    with packing_line(segment=MIB) as line:
        expected = await line.pack(job, world.form)
    world.codec.packs = 0
    async with SpoolRun(world) as run:
        assert isinstance(await run.carry(job), Ended)
    assert world.codec.packs == 1
    assert list(stored(world).values()) == [expected.stream]


@pytest.mark.parametrize("data", [SMALL, LARGE])
async def test_a_damaged_staged_file_is_never_sent_and_packed_again(
    world: SpoolWorld, data: bytes
) -> None:
    job = world.drop(data)
    world.store.outage = OUTAGE
    async with SpoolRun(world) as run:
        await run.carry(job)
        packs = world.codec.packs
        path = world.spool_path / job.operation_id
        whole = path.read_bytes()
        path.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
        world.store.outage = None
        ending = await run.carry(job)
        assert isinstance(ending, NotNow)
        assert isinstance(ending.error, VerificationFailed)
        assert isinstance(ending.decision, Deferred)
        assert stored(world) == {}
        assert world.staged_files() == []
        assert isinstance(await run.carry(job), Ended)
    assert world.codec.packs == 2 * packs
    assert list(stored(world).values()) == [whole]


async def test_a_staged_file_that_is_cut_off_is_packed_again_at_once(world: SpoolWorld) -> None:
    job = world.drop(SMALL)
    world.store.outage = OUTAGE
    async with SpoolRun(world) as run:
        await run.carry(job)
        os.truncate(world.spool_path / job.operation_id, 10)
        world.store.outage = None
        assert isinstance(await run.carry(job), Ended)
    assert world.codec.packs == 2


async def test_a_file_that_is_given_up_leaves_nothing_in_the_spool(world: SpoolWorld) -> None:
    job = replace(world.drop(SMALL), attempt=5)
    world.store.outage = VerificationFailed("BadDigest")
    async with SpoolRun(world) as run:
        ending = await run.carry(job)
    assert isinstance(ending, Ended)
    assert ending.failed
    assert (world.staged_files(), world.rows()) == ([], [])


async def test_without_compression_nothing_is_staged(world: SpoolWorld) -> None:
    world.form, world.codec = counted("none")
    async with SpoolRun(world) as run:
        assert isinstance(await run.carry(world.drop(SMALL)), Ended)
    assert not world.spool_path.exists()


# -- what a kill leaves ----------------------------------------------------------------------------


async def test_a_start_clears_what_is_of_no_use_and_touches_nothing_else(world: SpoolWorld) -> None:
    jobs = [world.drop(SMALL, f"{name}.txt", number=n) for n, name in enumerate("abcde", 1)]
    world.store.outage = OUTAGE
    async with SpoolRun(world) as run:
        for job in jobs:
            await run.carry(job)
    gone, changed, lost, recorded, good = jobs
    (world.folders.inbox / gone.relpath).unlink()
    world.drop(b"another", changed.relpath)
    (world.spool_path / lost.operation_id).unlink()
    line = {"operation_id": recorded.operation_id, "completed_at": timestamp(MOMENT)}
    world.ledger.append([line])
    unfinished, unnoted = operation_id(80), operation_id(90)
    (world.spool_path / f".{unfinished}.tmp").write_bytes(b"half")
    (world.spool_path / unnoted).write_bytes(b"whole, but killed before its row")
    (world.spool_path / "notes.txt").write_bytes(b"somebody's own")
    (world.spool_path / f"{unnoted}.old").write_bytes(b"somebody's own")
    async with SpoolRun(world):
        pass
    assert world.staged_files() == sorted([good.operation_id, "notes.txt", f"{unnoted}.old"])
    assert [row.operation_id for row in world.rows()] == [good.operation_id]


async def test_an_inbox_that_is_not_there_does_not_cost_what_was_packed(world: SpoolWorld) -> None:
    job = world.drop(SMALL)
    world.store.outage = OUTAGE
    async with SpoolRun(world) as run:
        await run.carry(job)
    away = world.folders.root / "away"
    world.folders.inbox.rename(away)
    async with SpoolRun(world):
        pass
    assert world.staged_files() == [job.operation_id]
    away.rename(world.folders.inbox)
    world.store.outage = None
    async with SpoolRun(world) as run:
        assert isinstance(await run.carry(job), Ended)
    assert world.codec.packs == 1


async def test_nothing_waits_for_ever_for_an_inbox(world: SpoolWorld) -> None:
    job = world.drop(SMALL)
    world.store.outage = OUTAGE
    async with SpoolRun(world) as run:
        await run.carry(job)
    world.folders.inbox.rename(world.folders.root / "away")
    world.now += 8 * 86_400
    async with SpoolRun(world):
        pass
    assert (world.staged_files(), world.rows()) == ([], [])


async def test_a_decided_file_is_finished_and_its_staged_file_cleared(world: SpoolWorld) -> None:
    job = world.drop(SMALL)
    killed = _Killed()
    async with SpoolRun(world) as run:
        run.recorder._commit._ledger = killed
        carrying = asyncio.create_task(run.carry(job))
        await _until(lambda: killed.asked)
        carrying.cancel()
        await asyncio.gather(carrying, return_exceptions=True)
    assert world.staged_files() == [job.operation_id]
    async with SpoolRun(world):
        pass
    assert [line["operation_id"] for line in world.ledger.newest_first()] == [job.operation_id]
    assert (world.staged_files(), world.rows()) == ([], [])


class _Killed(MemoryLedger):
    """A ledger that takes nothing, as if the process ended before."""

    asked = False

    def append(self, _: object) -> None:
        self.asked = True
        raise LocalError("killed")


# -- room ------------------------------------------------------------------------------------------


class _Disk:
    """A disk of so many bytes under the real spool folder."""

    def __init__(self, run: SpoolRun, free: int, size: int = 1 << 40) -> None:
        self.free, self.size = free, size
        run.files.disk = lambda: Disk(self.free, self.size)  # type: ignore[method-assign]


async def test_a_file_that_the_disk_can_never_hold_is_streamed_and_that_is_told_once(
    world: SpoolWorld,
) -> None:
    job = world.drop(SMALL)
    world.store.outage = OUTAGE
    with capture_logs() as logs:
        async with SpoolRun(world) as run:
            _Disk(run, free=RESERVE, size=RESERVE)
            await run.carry(job)
            world.store.outage = None
            assert isinstance(await run.carry(job), Ended)
    told = [line for line in logs if line["event"] == "spool.passed_by"]
    assert [(line["file"], line["reason"]) for line in told] == [
        (job.path, "the disk is too small for it")
    ]
    assert world.staged_files() == []


async def test_a_full_disk_that_nobody_will_free_is_passed_by(world: SpoolWorld) -> None:
    async with SpoolRun(world) as run:
        _Disk(run, free=RESERVE)
        assert isinstance(await run.carry(world.drop(SMALL)), Ended)
    assert len(stored(world)) == 1


async def test_a_full_disk_is_cleared_of_what_nobody_will_send(world: SpoolWorld) -> None:
    job = world.drop(SMALL, "gone.txt", number=7)
    world.store.outage = OUTAGE
    async with SpoolRun(world) as run:
        await run.carry(job)
        (world.folders.inbox / "gone.txt").unlink()
        world.store.outage = None
        disk = _Disk(run, free=RESERVE)
        discard = run.files.discard

        def freeing(operation_ids: Iterable[str]) -> None:
            discard(operation_ids)
            disk.free += MIB

        run.files.discard = freeing  # type: ignore[method-assign]
        with capture_logs() as logs:
            assert isinstance(await run.carry(world.drop(SMALL)), Ended)
    assert [line for line in logs if line["event"] == "spool.passed_by"] == []
    assert (world.staged_files(), world.rows()) == ([], [])


async def test_a_file_waits_for_the_room_that_another_will_leave(world: SpoolWorld) -> None:
    first, second = world.drop(SMALL, "a.txt", number=1), world.drop(SMALL, "b.txt", number=2)
    gate = asyncio.Event()
    put = world.store.put

    async def held(draft: ObjectDraft, body: Body, *, sha256: bytes, unless_exists: bool) -> Receipt:
        await gate.wait()
        return await put(draft, body, sha256=sha256, unless_exists=unless_exists)

    world.store.put = held  # type: ignore[method-assign]
    need = worst_case(len(SMALL), MIB)
    async with SpoolRun(world) as run:
        disk = _Disk(run, free=RESERVE + need)
        flights = [asyncio.create_task(run.carry(first))]
        await _until(lambda: _stage(run, first) == "uploading")
        disk.free = RESERVE + need - 1  # what the first one took
        flights.append(asyncio.create_task(run.carry(second)))
        await _until(lambda: _stage(run, second) == "queued for disk space")
        assert world.staged_files() == [first.operation_id]
        disk.free = RESERVE + need
        gate.set()
        assert all(isinstance(ending, Ended) for ending in await asyncio.gather(*flights))
    assert world.codec.packs == 2
    assert world.staged_files() == []


async def test_what_is_granted_and_not_yet_written_is_not_granted_twice(world: SpoolWorld) -> None:
    async with SpoolRun(world) as run:
        _Disk(run, free=RESERVE + 1000)
        first, second = world.drop(SMALL, "a", number=1), world.drop(SMALL, "b", number=2)
        assert await run.spool.claim(first, 600, lambda _: None) is Room.GRANTED
        waiting = asyncio.create_task(run.spool.claim(second, 600, lambda _: None))
        await asyncio.sleep(0)
        run.spool.written(first, 300)
        assert not waiting.done()
        await run.spool.leave(first, over=False)
        assert await waiting is Room.GRANTED
        await run.spool.leave(second, over=False)


def _stage(run: SpoolRun, job: Job) -> str | None:
    flight = run.activity.flights.get(job.operation_id)
    return flight.now_at if flight else None


async def _until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(150):
        while not condition():  # noqa: ASYNC110 - of a thread, or of what tells nobody
            await asyncio.sleep(0.005)


async def test_a_disk_that_is_full_in_the_middle_holds_the_folder(
    tmp_path: Path, small_disk: Path
) -> None:
    world = SpoolWorld(tmp_path, spool=small_disk / "spool")
    job = world.drop(LARGE)
    async with SpoolRun(world) as run:
        _Disk(run, free=1 << 40)  # somebody took the space after it was counted
        ending = await run.carry(job)
        assert isinstance(ending, NotNow)
        assert isinstance(ending.error, LocalError)
        assert isinstance(ending.decision, Hold)
        assert "No space left on device" in ending.error.sentence
        assert world.staged_files() == []
        assert run.buffers.free == MEMORY
    assert (world.folders.inbox / job.relpath).read_bytes() == LARGE
    assert list(world.ledger.newest_first()) == []


async def test_without_reserving_a_full_disk_leaves_no_half_file(
    tmp_path: Path, small_disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(os, "posix_fallocate", refuse)
    world = SpoolWorld(tmp_path, spool=small_disk / "spool")
    async with SpoolRun(world) as run:
        _Disk(run, free=1 << 40)
        ending = await run.carry(world.drop(LARGE))
        assert isinstance(ending, NotNow)
        assert isinstance(ending.decision, Hold)
        assert world.staged_files() == []


# -- kept ------------------------------------------------------------------------------------------


async def test_a_kept_file_stands_beside_its_original_and_in_the_ledger(world: SpoolWorld) -> None:
    world.keep = True
    job = world.drop(SMALL, "reels/clip.mp4")
    os.chmod(job.path, 0o640)
    job = replace(job, fingerprint=world.drop(SMALL, "reels/clip.mp4").fingerprint)
    async with SpoolRun(world) as run:
        ending = await run.carry(job)
    kept = world.folders.completed / "reels" / "clip.mp4.tar.gz"
    assert isinstance(ending, Ended)
    assert ending.entry["compressed_file_path"] == str(kept)
    assert [kept.read_bytes()] == list(stored(world).values())
    assert kept.stat().st_mode & 0o777 == 0o640
    assert (world.staged_files(), world.rows()) == ([], [])


async def test_a_kept_file_clobbers_nothing(world: SpoolWorld) -> None:
    world.keep = True
    taken = world.folders.completed / "clip.mp4.tar.gz"
    taken.write_bytes(b"an original of that name")
    job = world.drop(SMALL)
    async with SpoolRun(world) as run:
        ending = await run.carry(job)
    assert isinstance(ending, Ended)
    assert taken.read_bytes() == b"an original of that name"
    kept = world.folders.completed / f"clip~{job.operation_id[-12:]}.mp4.tar.gz"
    assert ending.entry["compressed_file_path"] == str(kept)
    assert [kept.read_bytes()] == list(stored(world).values())


class _Dies:
    """A keeper that is killed: before its work, or after it."""

    def __init__(self, world: SpoolWorld, *, after: bool) -> None:
        self._world, self._after = world, after
        self.asked = False

    def keep(self, row: JournalRow, moved_to: str | None, progress: Callable[[int], None]) -> str | None:
        if self._after:
            self._world.keeper().keep(row, moved_to, progress)
        self.asked = True
        raise LocalError("killed")


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("elsewhere", [False, True])
async def test_what_is_to_be_kept_is_kept_once_by_the_next_start(
    world: SpoolWorld, after: bool, elsewhere: bool, small_disk: Path
) -> None:
    world.keep = True
    if elsewhere:
        world.spool_path = small_disk / "spool"
    job = world.drop(SMALL)
    keeper = _Dies(world, after=after)
    async with SpoolRun(world, keeper=keeper) as run:
        if elsewhere:
            _Disk(run, free=1 << 40)
        carrying = asyncio.create_task(run.carry(job))
        await _until(lambda: keeper.asked)
        carrying.cancel()
        await asyncio.gather(carrying, return_exceptions=True)
    assert recorded(world) == []
    async with SpoolRun(world):
        await _until(lambda: bool(recorded(world)))
    _is_recorded_and_kept(world)
    assert sorted(os.listdir(world.folders.completed)) == ["clip.mp4", "clip.mp4.tar.gz"]
    assert world.staged_files() == []


@pytest.mark.parametrize("data", [SMALL, LARGE])
async def test_a_file_whose_object_was_there_after_a_kill_is_kept_once_whatever_is_killed_then(
    world: SpoolWorld, data: bytes
) -> None:
    world.keep = True
    job = world.drop(data)
    async with SpoolRun(world) as run:
        run.recorder.finish = _never  # type: ignore[method-assign]
        await _cut(run, job, lambda: bool(stored(world)))
    keeper = _Dies(world, after=True)
    async with SpoolRun(world, keeper=keeper) as run:
        await _cut(run, job, lambda: keeper.asked)
    async with SpoolRun(world):
        await _until(lambda: bool(recorded(world)))
    _is_recorded_and_kept(world)
    assert world.staged_files() == []


def _is_recorded_and_kept(world: SpoolWorld) -> None:
    """One line names the packed file, which is the object."""
    (line,) = world.ledger.newest_first()
    kept = world.folders.completed / "clip.mp4.tar.gz"
    assert line["compressed_file_path"] == str(kept)
    assert [kept.read_bytes()] == list(stored(world).values())


async def _never(row: JournalRow, on_wait: Callable[[str], None]) -> dict[str, Any]:
    never: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
    return await never


async def _cut(run: SpoolRun, job: Job, reached: Callable[[], bool]) -> None:
    """Carry a file until then, and no further."""
    carrying = asyncio.create_task(run.carry(job))
    await _until(reached)
    carrying.cancel()
    await asyncio.gather(carrying, return_exceptions=True)


async def test_a_packed_file_that_cannot_be_kept_waits_and_is_recorded_then(world: SpoolWorld) -> None:
    world.keep = True
    job = world.drop(SMALL)
    keeper = _Dies(world, after=False)
    async with SpoolRun(world, keeper=keeper) as run:
        carrying = asyncio.create_task(run.carry(job))
        await _until(lambda: _stage(run, job) == "moved, waiting to be recorded")
        carrying.cancel()
        await asyncio.gather(carrying, return_exceptions=True)
    again = _Dies(world, after=False)
    async with SpoolRun(world, keeper=again):
        await _until(lambda: again.asked)
    async with SpoolRun(world):
        await _until(lambda: bool(recorded(world)))
    (line,) = world.ledger.newest_first()
    assert line["compressed_file_path"] == str(world.folders.completed / "clip.mp4.tar.gz")
    assert "clip.mp4.tar.gz" in os.listdir(world.folders.completed)


async def test_a_copy_to_another_file_system_ends_when_the_daemon_does(
    world: SpoolWorld, small_disk: Path
) -> None:
    world.keep = True
    world.spool_path = small_disk / "spool"
    job = world.drop(SMALL)
    async with SpoolRun(world) as run:
        _Disk(run, free=1 << 40)
        run.recorder._carrier.stop()
        carrying = asyncio.create_task(run.carry(job))
        await _until(lambda: "clip.mp4" in os.listdir(world.folders.completed))
        await _until(lambda: _stage(run, job) == "keeping the compressed file")
        carrying.cancel()
        await asyncio.gather(carrying, return_exceptions=True)
    assert recorded(world) == []
    assert os.listdir(world.folders.completed) == ["clip.mp4"]
    assert world.staged_files() == [job.operation_id]
    async with SpoolRun(world):
        await _until(lambda: bool(recorded(world)))
    assert sorted(os.listdir(world.folders.completed)) == ["clip.mp4", "clip.mp4.tar.gz"]


async def test_a_long_name_is_shortened_where_its_packed_file_is_kept(world: SpoolWorld) -> None:
    world.keep = True
    name = "n" * 251 + ".mp4"
    async with SpoolRun(world) as run:
        ending = await run.carry(world.drop(SMALL, name))
    assert isinstance(ending, Ended)
    (kept,) = set(os.listdir(world.folders.completed)) - {name}
    assert len(kept) == 255
    assert kept.endswith(".mp4.tar.gz")
    assert ending.entry["compressed_file_path"] == str(world.folders.completed / kept)


async def test_a_packed_file_that_somebody_took_is_told_and_the_line_names_none(
    world: SpoolWorld,
) -> None:
    world.keep = True
    job = world.drop(SMALL)

    class Late(_Dies):
        def keep(self, *asked: Any) -> str | None:
            (world.spool_path / job.operation_id).unlink()
            return world.keeper().keep(*asked)

    with capture_logs() as logs:
        async with SpoolRun(world, keeper=Late(world, after=False)) as run:
            ending = await run.carry(job)
    assert isinstance(ending, Ended)
    assert ending.entry["compressed_file_path"] is None
    assert [line["file"] for line in logs if line["event"] == "spool.lost"] == ["clip.mp4"]


async def test_with_keep_a_full_disk_is_waited_for(world: SpoolWorld) -> None:
    world.keep = True
    async with SpoolRun(world) as run:
        _Disk(run, free=RESERVE)
        ending = await run.carry(world.drop(SMALL))
    assert isinstance(ending, NotNow)
    assert isinstance(ending.decision, Hold)
    assert "no room" in ending.decision.reason
