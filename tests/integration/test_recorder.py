"""Journal, move, ledger: on a real disk, killed anywhere, and never twice."""

import asyncio
import errno
import hashlib
import os
import shutil
import threading
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from hotfolder.adapters.finishing import Finisher
from hotfolder.adapters.ledger import FileLedger, verify_chain
from hotfolder.adapters.state.journal import SqliteJournal
from hotfolder.core.entries import recorded
from hotfolder.core.errors import DiskFull, LocalError, SourceChanged
from hotfolder.core.naming import clash_name
from hotfolder.core.records import Disposition, Fingerprint, JournalRow
from hotfolder.recorder import Recorder
from hotfolder.threads import Threads
from tests.support.folders import Folders, MeddledFinisher, other_file_system
from tests.support.samples import MOMENT, job, operation_id, row
from tests.support.small_disk import small_disk

__all__ = ["small_disk"]


class SeenJournal(SqliteJournal):
    """The real journal, telling what it is asked."""

    def __init__(self, path: Path, steps: list[tuple[str, int]]) -> None:
        super().__init__(path)
        self._steps = steps

    def commit(self, rows: Sequence[JournalRow], *, forget: Iterable[str] = ()) -> None:
        forget = list(forget)
        super().commit(rows, forget=forget)
        if rows:
            self._steps.append(("journal", len(rows)))
        if forget:
            self._steps.append(("forget", len(forget)))


class SeenLedger(FileLedger):
    """The real ledger, telling what it is asked; `trouble` is raised while it is set."""

    def __init__(self, path: Path, steps: list[tuple[str, int]]) -> None:
        super().__init__(path)
        self._steps = steps
        self.trouble: LocalError | None = None

    def append(self, entries: Sequence[Any]) -> None:
        if self.trouble is not None:
            raise self.trouble
        super().append(entries)
        self._steps.append(("ledger", len(entries)))


class SeenFinisher(Finisher):
    """The real finisher, telling what it is asked."""

    steps: list[tuple[str, int]]

    def move(self, row: JournalRow) -> str:
        moved_to = super().move(row)
        self.steps.append(("move", 1))
        return moved_to

    def sync(self) -> None:
        owed = len(self._unsynced.owed)
        super().sync()
        if owed:
            self.steps.append(("sync", owed))


class Desk:
    """A recorder with all it writes to, below one folder. `steps` is what reached the disk, in order."""

    def __init__(self, root: Path, outputs: Path | None = None) -> None:
        self.folders = Folders(root, outputs)
        self.steps: list[tuple[str, int]] = []
        self.now = MOMENT + 60.0
        self.threads, self.copiers = Threads("test-record", 1), Threads("test-copy", 1)
        self.ledger_path = root / "ledger.jsonl"
        self.journal = SeenJournal(root / "state.db", self.steps)
        self.ledger = SeenLedger(self.ledger_path, self.steps)
        finisher = SeenFinisher({"media": self.folders.roots})
        finisher.steps = self.steps
        self.finisher: Finisher = finisher
        self.waits: list[str] = []

    def recorder(self) -> Recorder:
        return Recorder(
            journal=self.journal,
            ledger=self.ledger,
            mover=self.finisher,
            threads=self.threads,
            clock=lambda: self.now,
            copiers=self.copiers,
        )

    @asynccontextmanager
    async def at_work(self) -> AsyncIterator[Recorder]:
        recorder = self.recorder()
        running = asyncio.create_task(recorder.run())
        try:
            yield recorder
        finally:
            recorder.close()
            await running

    def lines(self) -> list[dict[str, Any]]:
        """The ledger, oldest first, after a check of its chain."""
        verify_chain(self.ledger_path)
        return list(self.ledger.newest_first())[::-1]

    def close(self) -> None:
        self.threads.close()
        self.copiers.close()
        self.journal.close()


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    made = Desk(tmp_path)
    yield made
    made.close()


async def until(condition: Callable[[], object]) -> None:
    """Let others work until the condition holds; pytest's own timeout ends what never does."""
    while not condition():  # noqa: ASYNC110 - what is waited for is seen on the disk
        await asyncio.sleep(0.001)


# -- one file, many files ----------------------------------------------------------------------


async def test_the_order_on_disk_is_journal_move_sync_ledger_forget(desk: Desk) -> None:
    desk.folders.drop("reels/clip.mp4")
    async with desk.at_work() as recorder:
        line = await recorder.finish(desk.folders.proven("reels/clip.mp4"), desk.waits.append)
    assert [name for name, _ in desk.steps] == ["journal", "move", "sync", "ledger", "forget"]
    assert desk.lines() == [{**line, "prev": "0" * 64}]
    assert line["completed_dir_path"] == str(desk.folders.completed / "reels/clip.mp4")
    assert line["result_path"] == "s3://media/nas/reels/clip.mp4.tar.gz"
    assert line["duration_seconds"] == 60.0
    assert desk.journal.rows() == []
    assert desk.waits == []


async def test_a_failed_file_is_recorded_with_where_it_lies(desk: Desk) -> None:
    desk.folders.drop("clip.mp4")
    async with desk.at_work() as recorder:
        row = desk.folders.proven("clip.mp4", disposition=Disposition.FAILED)
        line = await recorder.finish(row, desk.waits.append)
    assert line["status"] == "failed"
    assert line["result_path"] == str(desk.folders.failed / "clip.mp4")
    assert line["completed_dir_path"] is None


async def test_a_file_that_is_left_is_recorded_and_needs_no_journal(desk: Desk) -> None:
    desk.folders.drop("clip.mp4")
    async with desk.at_work() as recorder:
        row = desk.folders.proven("clip.mp4", disposition=Disposition.LEAVE)
        line = await recorder.finish(row, desk.waits.append)
    assert desk.steps == [("ledger", 1)]
    assert line["completed_dir_path"] is None
    assert desk.folders.files().keys() >= {"inbox/clip.mp4"}


async def test_two_hundred_files_share_their_fsyncs(desk: Desk) -> None:
    rows = []
    for number in range(200):
        desk.folders.drop(f"reels/{number}")
        rows.append(desk.folders.proven(f"reels/{number}", number=number))
    async with desk.at_work() as recorder:
        lines = await asyncio.gather(*(recorder.finish(row, desk.waits.append) for row in rows))
    assert [line["operation_id"] for line in lines] == [row.operation_id for row in rows]
    assert [line["operation_id"] for line in desk.lines()] == [row.operation_id for row in rows]
    kinds = [name for name, _ in desk.steps]
    assert kinds.count("journal") <= 2
    assert kinds.count("ledger") <= 2
    assert kinds.count("move") == 200
    assert kinds.index("journal") < kinds.index("move") < kinds.index("sync") < kinds.index("ledger")
    assert desk.journal.rows() == []


async def test_what_arrives_while_a_batch_is_written_is_in_the_next_one(desk: Desk) -> None:
    for number in range(20):
        desk.folders.drop(str(number))
    async with desk.at_work() as recorder:
        tasks = []
        for number in range(20):
            row = desk.folders.proven(str(number), number=number)
            tasks.append(asyncio.create_task(recorder.finish(row, desk.waits.append)))
            await asyncio.sleep(0)
        await asyncio.gather(*tasks)
    assert sorted(line["target_name"] for line in desk.lines()) == sorted(map(str, range(20)))


# -- what changed meanwhile --------------------------------------------------------------------


async def test_a_file_that_changed_is_not_moved_not_recorded_and_forgotten(desk: Desk) -> None:
    path = desk.folders.drop("clip.mp4")
    row = desk.folders.proven("clip.mp4")
    path.write_bytes(b"another version")
    async with desk.at_work() as recorder:
        with pytest.raises(SourceChanged):
            await recorder.finish(row, desk.waits.append)
    assert desk.lines() == []
    assert desk.journal.rows() == []
    assert path.read_bytes() == b"another version"


async def test_one_changed_file_does_not_hold_the_others_of_its_batch(desk: Desk) -> None:
    rows = []
    for name in "abc":
        desk.folders.drop(name)
        rows.append(desk.folders.proven(name, number=ord(name)))
    (desk.folders.inbox / "b").unlink()
    async with desk.at_work() as recorder:
        outcomes = await asyncio.gather(
            *(recorder.finish(row, desk.waits.append) for row in rows), return_exceptions=True
        )
    assert [type(outcome) for outcome in outcomes] == [dict, SourceChanged, dict]
    assert [line["target_name"] for line in desk.lines()] == ["a", "c"]


async def test_a_file_that_was_replaced_while_it_moved_is_back_and_not_recorded(desk: Desk) -> None:
    path = desk.folders.drop("clip.mp4")
    row = desk.folders.proven("clip.mp4")

    def swap() -> None:
        path.unlink()
        path.write_bytes(b"another")

    desk.finisher = MeddledFinisher(desk.folders, swap)
    async with desk.at_work() as recorder:
        with pytest.raises(SourceChanged):
            await recorder.finish(row, desk.waits.append)
    assert path.read_bytes() == b"another"
    assert os.listdir(desk.folders.completed) == []
    assert desk.lines() == []


# -- trouble with the disk -----------------------------------------------------------------------


async def test_a_target_that_is_gone_is_waited_for_and_the_file_ends_once_it_is_back(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hotfolder.recorder._FIRST_RETRY", 0.0)
    desk.folders.drop("clip.mp4")
    desk.folders.completed.rmdir()
    with capture_logs() as logs:
        async with desk.at_work() as recorder:
            ending = asyncio.create_task(
                recorder.finish(desk.folders.proven("clip.mp4"), desk.waits.append)
            )
            await until(lambda: len(desk.waits) >= 3)
            assert recorder.trouble is not None
            assert len(desk.journal.rows()) == 1
            desk.folders.completed.mkdir()
            line = await ending
            await until(lambda: recorder.trouble is None)
    assert set(desk.waits) == {"proven, waiting to move"}
    assert [one["operation_id"] for one in desk.lines()] == [line["operation_id"]]
    assert desk.steps.count(("journal", 1)) == 1
    assert [entry["event"] for entry in logs] == ["recorder.held", "recorder.resumed"]


async def test_a_folder_whose_target_refuses_is_refused_new_files_once_enough_have_piled_up(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hotfolder.recorder._FIRST_RETRY", 0.0)
    monkeypatch.setattr("hotfolder.recorder._MOST_PILED", 3)
    desk.folders.completed.rmdir()
    async with desk.at_work() as recorder:
        endings = []
        for number in range(3):
            assert recorder.refusal("media") is None, "a few odd files hold nobody"
            desk.folders.drop(f"{number}.mp4")
            row = desk.folders.proven(f"{number}.mp4", number=number + 1)
            endings.append(asyncio.create_task(recorder.finish(row, desk.waits.append)))
            waits = len(desk.waits)
            await until(lambda: len(desk.waits) >= waits + 2 * len(endings))  # noqa: B023
        assert recorder.refusal("media") is recorder.trouble is not None
        assert recorder.refusal("another") is None
        desk.folders.completed.mkdir()
        await asyncio.gather(*endings)
        await until(lambda: recorder.refusal("media") is None)


async def test_one_file_that_cannot_move_does_not_hold_the_others(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hotfolder.recorder._FIRST_RETRY", 1000.0)  # longer than the test may take
    unblock = desk.folders.block("reels")
    for name in ("reels/stuck", "a", "b"):
        desk.folders.drop(name)
    async with desk.at_work() as recorder:
        row = desk.folders.proven("reels/stuck", number=1)
        stuck = asyncio.create_task(recorder.finish(row, desk.waits.append))
        await until(lambda: desk.waits)
        for number, name in enumerate("ab", start=2):
            await recorder.finish(desk.folders.proven(name, number=number), desk.waits.append)
        assert recorder.trouble is not None, "the one still waits, and that is said"
        assert not stuck.done()
        unblock()
    assert [line["target_name"] for line in desk.lines()] == ["a", "b", "stuck"]
    assert (await stuck)["target_name"] == "stuck"
    assert set(desk.waits) == {"proven, waiting to move"}


async def test_files_that_keep_coming_do_not_put_the_retry_off(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hotfolder.recorder._FIRST_RETRY", 0.01)
    unblock = desk.folders.block("reels")
    desk.folders.drop("reels/stuck")
    async with desk.at_work() as recorder:
        row = desk.folders.proven("reels/stuck", number=1)
        stuck = asyncio.create_task(recorder.finish(row, desk.waits.append))
        await until(lambda: desk.waits)
        unblock()
        number = 2
        while not stuck.done():
            desk.folders.drop(str(number))
            row = desk.folders.proven(str(number), number=number)
            await recorder.finish(row, desk.waits.append)
            number += 1
        await until(lambda: recorder.trouble is None)


async def test_a_ledger_that_cannot_be_written_is_waited_for_and_nothing_moves_twice(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hotfolder.recorder._FIRST_RETRY", 0.0)
    desk.ledger.trouble = LocalError("cannot append: No space left on device")
    desk.folders.drop("clip.mp4")
    async with desk.at_work() as recorder:
        ending = asyncio.create_task(recorder.finish(desk.folders.proven("clip.mp4"), desk.waits.append))
        await until(lambda: len(desk.waits) >= 3)
        assert not ending.done()
        desk.ledger.trouble = None
        await ending
    assert set(desk.waits) == {"moved, waiting to be recorded"}
    assert [name for name, _ in desk.steps] == ["journal", "move", "sync", "ledger", "forget"]


async def test_a_ledger_on_a_full_disk_holds_and_each_operation_is_recorded_once_there_is_room(
    desk: Desk, small_disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hotfolder.recorder._FIRST_RETRY", 0.0)
    desk.ledger_path = small_disk / "ledger.jsonl"
    desk.ledger = SeenLedger(desk.ledger_path, desk.steps)
    filler = small_disk / "filler"
    filler.write_bytes(bytes(os.statvfs(small_disk).f_bavail * os.statvfs(small_disk).f_bsize - 4096))
    rows = []
    for number in range(40):  # more lines than the page that is left can take
        desk.folders.drop(f"{number}")
        rows.append(desk.folders.proven(f"{number}", number=number))
    async with desk.at_work() as recorder:
        endings = [asyncio.create_task(recorder.finish(row, desk.waits.append)) for row in rows]
        await until(lambda: len(desk.waits) >= 3 * len(rows))
        assert isinstance(recorder.trouble, DiskFull)
        assert not any(ending.done() for ending in endings), "nothing is believed"
        assert desk.lines() == []
        assert desk.ledger_path.stat().st_size == 0
        assert len(desk.journal.rows()) == len(rows)
        filler.unlink()
        lines = await asyncio.gather(*endings)
        await until(lambda: recorder.trouble is None)
    assert set(desk.waits) == {"moved, waiting to be recorded"}
    assert [line["operation_id"] for line in desk.lines()] == [line["operation_id"] for line in lines]
    assert desk.steps.count(("move", 1)) == len(rows)


async def test_a_ledger_that_reports_a_disk_error_and_keeps_the_lines_has_each_operation_once(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hotfolder.recorder._FIRST_RETRY", 0.0)
    real = os.fdatasync
    broken = True

    def sick(descriptor: int) -> None:
        if broken:
            raise OSError(errno.EIO, "Input/output error")
        real(descriptor)

    def uncut(*_: object) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, "fdatasync", sick)
    with monkeypatch.context() as patch:
        patch.setattr(os, "ftruncate", uncut)
        desk.folders.drop("clip.mp4")
        async with desk.at_work() as recorder:
            ending = asyncio.create_task(
                recorder.finish(desk.folders.proven("clip.mp4"), desk.waits.append)
            )
            await until(lambda: desk.waits)
            broken = False
            line = await ending
    assert [one["operation_id"] for one in desk.lines()] == [line["operation_id"]]


async def test_asked_to_end_in_trouble_it_ends_and_the_next_start_goes_on(desk: Desk) -> None:
    desk.folders.drop("clip.mp4")
    desk.folders.completed.rmdir()
    row = desk.folders.proven("clip.mp4")
    async with desk.at_work() as recorder:
        ending = asyncio.create_task(recorder.finish(row, desk.waits.append))
        await until(lambda: desk.waits)
    ending.cancel()
    assert desk.journal.rows() == [row]
    desk.folders.completed.mkdir()
    assert await desk.recorder().recover() == 1
    assert [line["operation_id"] for line in desk.lines()] == [row.operation_id]
    assert desk.folders.files().keys() >= {"completed/clip.mp4"}


async def test_a_caller_that_is_cancelled_after_the_journal_changes_nothing_on_disk(desk: Desk) -> None:
    desk.folders.drop("clip.mp4")
    async with desk.at_work() as recorder:
        ending = asyncio.create_task(recorder.finish(desk.folders.proven("clip.mp4"), desk.waits.append))
        await until(lambda: desk.steps)
        ending.cancel()
    assert [line["target_name"] for line in desk.lines()] == ["clip.mp4"]
    assert desk.folders.files().keys() >= {"completed/clip.mp4"}


# -- killed anywhere ---------------------------------------------------------------------------


def crash_before_journal(desk: Desk, row: JournalRow) -> None:
    """Nothing was promised yet."""


def crash_after_journal(desk: Desk, row: JournalRow) -> None:
    desk.journal.commit([row])


def crash_after_move(desk: Desk, row: JournalRow) -> None:
    desk.journal.commit([row])
    desk.finisher.move(row)


def crash_after_ledger(desk: Desk, row: JournalRow) -> None:
    desk.journal.commit([row])
    moved_to = desk.finisher.move(row)
    desk.finisher.sync()
    desk.ledger.append([recorded(row, moved_to, desk.now)])


def crash_after_forget(desk: Desk, row: JournalRow) -> None:
    crash_after_ledger(desk, row)
    desk.journal.commit([], forget=[row.operation_id])


CRASHES = [crash_after_journal, crash_after_move, crash_after_ledger, crash_after_forget]


@pytest.mark.parametrize("disposition", [Disposition.COMPLETED, Disposition.FAILED])
@pytest.mark.parametrize("taken", [False, True])
@pytest.mark.parametrize("crash", CRASHES)
async def test_wherever_it_was_killed_the_file_is_moved_once_and_recorded_once(
    desk: Desk, crash: Callable[[Desk, JournalRow], None], taken: bool, disposition: Disposition
) -> None:
    root = desk.folders.completed if disposition is Disposition.COMPLETED else desk.folders.failed
    if taken:
        (root / "clip.mp4").write_bytes(b"of yesterday")
    desk.folders.drop("clip.mp4")
    row = desk.folders.proven("clip.mp4", disposition=disposition)
    crash(desk, row)
    desk.steps.clear()
    for _ in range(3):  # and killed again and again after that
        await desk.recorder().recover()
    name = clash_name("clip.mp4", row.operation_id) if taken else "clip.mp4"
    (line,) = desk.lines()
    assert line["operation_id"] == row.operation_id
    where = line["result_path" if disposition is Disposition.FAILED else "completed_dir_path"]
    assert where == str(root / name)
    assert (root / name).read_bytes() == b"data"
    assert os.listdir(desk.folders.inbox) == []
    assert desk.journal.rows() == []


async def test_killed_before_the_journal_the_file_waits_in_the_inbox(desk: Desk) -> None:
    desk.folders.drop("clip.mp4")
    crash_before_journal(desk, desk.folders.proven("clip.mp4"))
    assert await desk.recorder().recover() == 0
    assert desk.lines() == []
    assert (desk.folders.inbox / "clip.mp4").exists()


@pytest.mark.parametrize("crash", CRASHES)
async def test_killed_in_the_recovery_itself_all_still_happens_once(
    desk: Desk, crash: Callable[[Desk, JournalRow], None]
) -> None:
    desk.folders.drop("clip.mp4")
    row = desk.folders.proven("clip.mp4")
    crash(desk, row)
    rows = desk.journal.rows()
    await desk.recorder().recover()
    desk.journal.commit(rows)  # as if the kill came before the journal was cleared
    await desk.recorder().recover()
    assert [line["operation_id"] for line in desk.lines()] == [row.operation_id]


async def test_a_batch_killed_in_its_middle_is_finished_file_by_file(desk: Desk) -> None:
    rows = []
    for number, crash in enumerate((crash_after_ledger, crash_after_move, crash_after_journal)):
        desk.folders.drop(f"reels/{number}")
        rows.append(desk.folders.proven(f"reels/{number}", number=number))
        crash(desk, rows[-1])
    desk.folders.drop("reels/changed")
    changed = desk.folders.proven("reels/changed", number=9)
    desk.journal.commit([changed])
    desk.folders.drop("reels/changed", b"a new version")
    assert await desk.recorder().recover() == 4
    assert sorted(line["operation_id"] for line in desk.lines()) == [row.operation_id for row in rows]
    assert desk.folders.files().keys() >= {
        *(f"completed/reels/{number}" for number in range(3)),
        "inbox/reels/changed",
    }


async def test_a_line_far_back_in_the_ledger_is_still_found(desk: Desk) -> None:
    desk.folders.drop("clip.mp4")
    row = desk.folders.proven("clip.mp4")
    crash_after_ledger(desk, row)
    later = [recorded(other(number), None, desk.now + number) for number in range(2, 500)]
    desk.ledger.append(later)
    await desk.recorder().recover()
    assert [line["operation_id"] for line in desk.lines()].count(row.operation_id) == 1


@pytest.mark.parametrize("back", [1.0, 3600.0, 86_000.0])
async def test_a_clock_that_was_set_back_does_not_make_a_second_line(desk: Desk, back: float) -> None:
    desk.folders.drop("clip.mp4")
    row = desk.folders.proven("clip.mp4")
    desk.now = MOMENT - back
    crash_after_ledger(desk, row)
    desk.ledger.append([recorded(other(2), None, desk.now + 0.5)])
    await desk.recorder().recover()
    assert [line["operation_id"] for line in desk.lines()].count(row.operation_id) == 1


def other(number: int) -> JournalRow:
    """The end of some other file."""
    return row(job(number=number))


async def test_a_ledger_line_by_another_hand_does_not_stop_the_restart(desk: Desk) -> None:
    desk.folders.drop("clip.mp4")
    crash_after_move(desk, desk.folders.proven("clip.mp4"))
    FileLedger(desk.ledger_path).append([{"note": "copied by hand"}])
    await desk.recorder().recover()
    assert [line.get("target_name") for line in desk.lines()] == [None, "clip.mp4"]


async def test_an_original_that_was_taken_away_is_recorded_and_said(desk: Desk) -> None:
    path = desk.folders.drop("clip.mp4")
    crash_after_journal(desk, desk.folders.proven("clip.mp4"))
    path.unlink()
    await desk.recorder().recover()
    (line,) = desk.lines()
    assert line["completed_dir_path"] is None
    assert "taken away" in line["error_message"]


@pytest.mark.parametrize("crash", [crash_after_journal, crash_after_move])
@pytest.mark.parametrize("how", ["gone", "another volume"])
async def test_while_the_inbox_is_not_mounted_nothing_is_recorded_that_is_not_known(
    desk: Desk, crash: Callable[[Desk, JournalRow], None], how: str
) -> None:
    # After a power cut the daemon may well start before the volume of its folders is there.
    desk.folders.drop("clip.mp4")
    row = desk.folders.proven("clip.mp4")
    crash(desk, row)
    away = [(place, place.with_name(f"{place.name}-volume")) for place in roots(desk)]
    for place, volume in away:
        place.rename(volume)
        if how == "another volume":
            place.symlink_to("/proc")  # it is on a device of its own
    recorder = desk.recorder()
    with capture_logs() as logs:
        await recorder.recover()
    assert "recovery.put_off" in [entry["event"] for entry in logs]
    assert desk.lines() == []
    assert desk.journal.rows() == [row]
    assert recorder.is_finishing(f"{desk.folders.inbox}/clip.mp4"), "it is no new file"
    with capture_logs() as logs:
        await recorder.recover()
    assert logs == [], "told once"
    assert isinstance(recorder.why_put_off, LocalError), "and in every heartbeat"
    for place, volume in away:
        if place.is_symlink():
            place.unlink()
        volume.rename(place)
    await recorder.recover()
    assert not recorder.why_put_off
    (line,) = desk.lines()
    assert line["completed_dir_path"] == str(desk.folders.completed / "clip.mp4")
    assert desk.journal.rows() == []
    assert not recorder.is_finishing(f"{desk.folders.inbox}/clip.mp4")
    assert recorder.take_freed() == [("media", "clip.mp4")]


async def test_a_volume_that_comes_back_is_caught_up_with_in_steps(desk: Desk) -> None:
    names = [f"{number}.mp4" for number in range(7)]
    for name in (*names, "other.mp4"):
        desk.folders.drop(name)
    rows = [desk.folders.proven(name, number=number) for number, name in enumerate(names, 1)]
    gone = replace(desk.folders.proven("other.mp4", number=9), folder="another")
    desk.journal.commit([gone, *rows])
    away = [(place, place.with_name(f"{place.name}-volume")) for place in roots(desk)]
    for place, volume in away:
        place.rename(volume)
    recorder = desk.recorder()
    await recorder.recover()
    assert recorder.put_off == 8
    assert [await recorder.recover(3), recorder.is_recovering] == [1, True]
    assert [await recorder.recover(3), recorder.is_recovering] == [3, False], "away: no more of it now"
    for place, volume in away:
        volume.rename(place)
    looked: list[int] = []
    while not looked or recorder.is_recovering:
        looked.append(await recorder.recover(3))
        waiting = [name for name in names if (desk.folders.inbox / name).exists()]
        assert all(recorder.is_finishing(f"{desk.folders.inbox}/{name}") for name in waiting)
    assert looked == [1, 3, 3, 1], "the folder that nobody knows any more stops nobody"
    assert len(desk.lines()) == 7
    assert desk.journal.rows() == [gone]
    assert recorder.put_off == 1
    assert sorted(recorder.take_freed()) == [("media", name) for name in names]


async def test_what_somebody_else_ended_meanwhile_is_awaited_no_longer(desk: Desk) -> None:
    desk.folders.drop("clip.mp4")
    row = replace(desk.folders.proven("clip.mp4"), folder="another")
    desk.journal.commit([row])
    recorder = desk.recorder()
    await recorder.recover()
    assert recorder.put_off == 1
    desk.journal.commit([], forget=[row.operation_id])
    assert await recorder.recover(3) == 0
    assert recorder.put_off == 0
    assert recorder.take_freed() == [("another", "clip.mp4")]


def roots(desk: Desk) -> list[Path]:
    return [desk.folders.inbox, desk.folders.completed, desk.folders.failed]


async def test_a_row_of_a_folder_that_is_no_longer_configured_stops_nobody(desk: Desk) -> None:
    for name in ("a", "b"):
        desk.folders.drop(name)
    known, unknown = desk.folders.proven("a", number=1), desk.folders.proven("b", number=2)
    unknown = replace(unknown, folder="renamed")
    desk.journal.commit([unknown, known])
    with capture_logs() as logs:
        await desk.recorder().recover()
    assert [line["operation_id"] for line in desk.lines()] == [known.operation_id]
    assert desk.journal.rows() == [unknown]
    assert "recovery.put_off" in [entry["event"] for entry in logs]


async def test_a_target_that_refuses_at_the_start_is_waited_for_like_any_other(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hotfolder.recorder._FIRST_RETRY", 0.0)
    for name in ("a", "reels/b"):
        desk.folders.drop(name)
    one, two = desk.folders.proven("a", number=1), desk.folders.proven("reels/b", number=2)
    desk.journal.commit([one, two])
    unblock = desk.folders.block("reels")
    async with desk.at_work() as recorder:
        await recorder.recover()
        assert [line["operation_id"] for line in desk.lines()] == [one.operation_id]
        await until(lambda: recorder.trouble is not None)
        unblock()
        await until(lambda: recorder.trouble is None)
    assert [line["operation_id"] for line in desk.lines()] == [one.operation_id, two.operation_id]
    assert desk.journal.rows() == []


async def test_what_is_in_flight_now_is_no_business_of_a_second_recovery(desk: Desk) -> None:
    desk.folders.drop("clip.mp4")
    recorder = desk.recorder()
    await recorder.recover()
    row = desk.folders.proven("clip.mp4")
    desk.journal.commit([row])  # as `run` does, a moment before it moves the file
    await recorder.recover()
    assert desk.lines() == []
    assert desk.journal.rows() == [row]


async def test_without_a_ledger_every_row_is_still_finished(desk: Desk) -> None:
    desk.folders.drop("clip.mp4")
    row = desk.folders.proven("clip.mp4")
    crash_after_ledger(desk, row)
    desk.ledger_path.unlink()
    await desk.recorder().recover()
    assert [line["operation_id"] for line in desk.lines()] == [row.operation_id]


async def test_without_a_journal_files_are_still_where_they_were(desk: Desk) -> None:
    desk.folders.drop("clip.mp4")
    crash_after_journal(desk, desk.folders.proven("clip.mp4"))
    desk.journal.close()
    for leftover in desk.folders.root.glob("state.db*"):
        leftover.unlink()
    assert await desk.recorder().recover() == 0
    assert (desk.folders.inbox / "clip.mp4").exists()
    shutil.rmtree(desk.folders.inbox)
    assert operation_id(1) not in [line["operation_id"] for line in desk.lines()]


# -- another file system, and removals ---------------------------------------------------------


@pytest.fixture
async def across(tmp_path: Path) -> AsyncIterator[Desk]:
    with other_file_system(tmp_path) as elsewhere:
        made = Desk(tmp_path, elsewhere)
        yield made
        made.close()


def proven(desk: Desk, relpath: str, *, number: int = 1) -> JournalRow:
    """A row with the checksum that the file really has."""
    made = desk.folders.proven(relpath, number=number)
    digest = hashlib.sha256((desk.folders.inbox / relpath).read_bytes()).hexdigest()
    return replace(made, entry={**made.entry, "checksum_original": f"sha256:{digest}"})


async def test_a_copy_is_journaled_before_it_gets_its_name_and_named_before_the_original_goes(
    across: Desk,
) -> None:
    across.folders.drop("reels/clip.mp4")
    async with across.at_work() as recorder:
        line = await recorder.finish(proven(across, "reels/clip.mp4"), across.waits.append)
    names = [name for name, _ in across.steps]
    assert names == ["journal", "journal", "move", "sync", "sync", "ledger", "forget"]
    assert across.waits[0] == "moving to another file system: 0%"
    assert line["completed_dir_path"] == str(across.folders.completed / "reels/clip.mp4")
    assert (across.folders.completed / "reels/clip.mp4").read_bytes() == b"data"
    assert not (across.folders.inbox / "reels/clip.mp4").exists()


async def test_a_long_copy_does_not_hold_the_batches_of_others(across: Desk) -> None:
    across.folders.drop("slow")
    across.folders.drop("left")
    go_on = threading.Event()

    class Slow(Finisher):
        def copy(self, row: JournalRow, progress: Callable[[int], None]) -> Fingerprint:
            go_on.wait()
            return super().copy(row, progress)

    across.finisher = Slow({"media": across.folders.roots})
    async with across.at_work() as recorder:
        slow = asyncio.create_task(recorder.finish(proven(across, "slow"), across.waits.append))
        await until(lambda: across.waits)
        row = replace(across.folders.proven("left", number=2), disposition=Disposition.LEAVE)
        await recorder.finish(row, across.waits.append)
        assert not slow.done()
        go_on.set()
        await slow
    assert [line["target_name"] for line in across.lines()] == ["left", "slow"]


async def test_a_copy_is_stopped_with_the_daemon_and_made_by_the_next(across: Desk) -> None:
    across.folders.drop("clip.mp4")
    row = proven(across, "clip.mp4")

    class Endless(Finisher):
        def copy(self, _: JournalRow, progress: Callable[[int], None]) -> Fingerprint:
            while True:
                progress(0)

    across.finisher = Endless({"media": across.folders.roots})
    async with across.at_work() as recorder:
        ending = asyncio.create_task(recorder.finish(row, across.waits.append))
        await until(lambda: across.waits)
    ending.cancel()
    assert across.lines() == []
    across.finisher = across.folders.finisher()
    async with across.at_work() as recorder:
        await recorder.recover()
        assert recorder.is_finishing(f"{across.folders.inbox}/clip.mp4"), (
            "no scan may take it for a new one"
        )
        await recorder.recovered()
    assert [line["operation_id"] for line in across.lines()] == [row.operation_id]
    assert (across.folders.completed / "clip.mp4").read_bytes() == b"data"


class CopiesAfter(Finisher):
    """Its first copies meet an error each."""

    def __init__(self, errors: Sequence[Exception], desk: Desk) -> None:
        super().__init__({"media": desk.folders.roots})
        self.errors = list(errors)

    def copy(self, row: JournalRow, progress: Callable[[int], None]) -> Fingerprint:
        if self.errors:
            raise self.errors.pop()
        return super().copy(row, progress)


async def test_a_copy_that_fails_again_and_again_is_one_trouble(
    across: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hotfolder.recorder._FIRST_RETRY", 0.0)
    across.folders.drop("clip.mp4")

    across.finisher = CopiesAfter([LocalError("full")] * 3, across)
    with capture_logs() as logs:
        async with across.at_work() as recorder:
            await recorder.finish(proven(across, "clip.mp4"), across.waits.append)
            await until(lambda: recorder.trouble is None)
    assert "proven, waiting to move" in across.waits
    assert [entry["event"] for entry in logs] == ["recorder.held", "recorder.resumed"]


async def test_a_copy_that_a_defect_of_ours_ends_is_told_and_tried_again(
    across: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hotfolder.recorder._FIRST_RETRY", 0.0)
    across.folders.drop("clip.mp4")

    across.finisher = CopiesAfter([KeyError("a defect")], across)
    with capture_logs() as logs:
        async with across.at_work() as recorder, asyncio.timeout(150):
            await recorder.finish(proven(across, "clip.mp4"), across.waits.append)
            await until(lambda: recorder.trouble is None)
    assert [entry["event"] for entry in logs][:2] == ["recorder.broken", "recorder.held"]
    assert (across.folders.completed / "clip.mp4").read_bytes() == b"data"


@pytest.mark.parametrize("again", [False, True])
async def test_a_removal_that_is_refused_goes_on_as_a_removal_even_after_a_restart(
    across: Desk, monkeypatch: pytest.MonkeyPatch, again: bool
) -> None:
    monkeypatch.setattr("hotfolder.recorder._FIRST_RETRY", 0.0)
    across.folders.drop("clip.mp4")

    class Stuck(Finisher):
        is_stuck = True

        def remove(self, row: JournalRow) -> None:
            if self.is_stuck:
                raise LocalError("read-only")
            super().remove(row)

    stuck = across.finisher = Stuck({"media": across.folders.roots})
    async with across.at_work() as recorder:
        ending = asyncio.create_task(recorder.finish(proven(across, "clip.mp4"), across.waits.append))
        await until(lambda: "proven, waiting to be removed from the inbox" in across.waits)
        if not again:
            stuck.is_stuck = False
            await ending
    ending.cancel()
    if again:
        assert across.lines() == []
        async with across.at_work() as recorder:
            await recorder.recover()
            await until(lambda: recorder.trouble is not None)
            stuck.is_stuck = False
            await until(lambda: not recorder.is_busy)
    (line,) = across.lines()
    assert line["completed_dir_path"] == str(across.folders.completed / "clip.mp4")
    assert os.listdir(across.folders.completed) == ["clip.mp4"]
    assert os.listdir(across.folders.inbox) == []


async def test_what_changed_while_a_former_runs_copy_was_made_is_free_to_be_delivered(
    across: Desk,
) -> None:
    path = across.folders.drop("clip.mp4")
    across.journal.commit([proven(across, "clip.mp4")])

    class Meddled(Finisher):
        def copy(self, row: JournalRow, progress: Callable[[int], None]) -> Fingerprint:
            path.write_bytes(b"a new version")
            return super().copy(row, progress)

    across.finisher = Meddled({"media": across.folders.roots})
    async with across.at_work() as recorder:
        await recorder.recover()
        await recorder.recovered()
        assert recorder.take_freed() == [("media", "clip.mp4")]
        assert recorder.take_freed() == []
    assert across.lines() == []
    assert path.read_bytes() == b"a new version"
    assert os.listdir(across.folders.completed) == []


@pytest.mark.parametrize("disposition", [Disposition.DELETE, Disposition.KEEP, Disposition.IN_PLACE])
async def test_what_does_not_move_is_recorded_where_it_is(desk: Desk, disposition: Disposition) -> None:
    desk.folders.drop("clip.mp4")
    row = replace(desk.folders.proven("clip.mp4"), disposition=disposition)
    if disposition is Disposition.IN_PLACE:
        row = replace(row, root=str(desk.folders.inbox))
    async with desk.at_work() as recorder:
        line = await recorder.finish(row, desk.waits.append)
    in_place = disposition is Disposition.IN_PLACE
    assert line["completed_dir_path"] == (str(desk.folders.inbox / "clip.mp4") if in_place else None)
    assert line["result_path"].startswith("s3://")
    assert os.listdir(desk.folders.inbox) == ([] if disposition is Disposition.DELETE else ["clip.mp4"])
    assert desk.journal.rows() == []


async def test_killed_after_the_rename_of_a_file_that_changed_at_the_last_moment(desk: Desk) -> None:
    """Nobody had looked yet at what moved: it is another version than the one that was proven."""
    path = desk.folders.drop("clip.mp4", b"proven")
    row = desk.folders.proven("clip.mp4")
    desk.journal.commit([row])
    path.write_bytes(b"another version")
    os.rename(path, desk.folders.completed / "clip.mp4")
    await desk.recorder().recover()
    assert desk.folders.files()["inbox/clip.mp4"] == b"another version"
    assert desk.lines() == []
    assert desk.journal.rows() == []


async def test_what_became_of_a_recorded_file_is_nobodys_business(desk: Desk) -> None:
    """Its row may be there still: rows are forgotten lazily."""
    desk.folders.drop("clip.mp4")
    row = desk.folders.proven("clip.mp4")
    async with desk.at_work() as recorder:
        await recorder.finish(row, desk.waits.append)
    desk.journal.commit([row])
    moved = desk.folders.completed / "clip.mp4"
    moved.write_bytes(b"edited by somebody in completed/")
    await desk.recorder().recover()
    assert moved.read_bytes() == b"edited by somebody in completed/"
    assert os.listdir(desk.folders.inbox) == []
    assert len(desk.lines()) == 1
    assert desk.journal.rows() == []


async def test_a_recovery_that_fails_leaves_nothing_to_a_scan(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk.folders.drop("clip.mp4")
    row = desk.folders.proven("clip.mp4")
    desk.journal.commit([row])
    recorder = desk.recorder()

    def full(_: object) -> None:
        raise LocalError("No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(type(desk.ledger), "repair", full)
        with pytest.raises(LocalError):
            await recorder.recover()
    assert recorder.put_off == 1
    assert recorder.is_finishing(f"{desk.folders.inbox}/clip.mp4")
    await recorder.recover()
    assert [line["operation_id"] for line in desk.lines()] == [row.operation_id]
