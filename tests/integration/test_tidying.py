"""Emptied folders on a real disk: who goes, who stays, and when."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from hotfolder.adapters.finishing import tidy
from hotfolder.adapters.scan import folders_below
from hotfolder.core.errors import LocalError
from hotfolder.core.ports import TidyingNotes
from hotfolder.threads import Threads
from hotfolder.tidying import Tidier, Tidiness
from tests.support.memory_tidying import MemoryTidying

AFTER = 60.0


@pytest.fixture
def threads() -> Iterator[Threads]:
    made = Threads("test-tidying", 1)
    yield made
    made.close()


class World:
    """An inbox, and a tidier whose clock is stepped."""

    def __init__(self, inbox: Path, threads: Threads, notes: TidyingNotes | None = None) -> None:
        self.inbox, self.threads, self.now = inbox, threads, 1000.0
        self.notes = notes or MemoryTidying()
        inbox.mkdir(exist_ok=True)
        self.tidier = self.make()

    def make(self, *, keeps_standing: bool = True, places: frozenset[str] = frozenset()) -> Tidier:
        self.tidier = Tidier(
            Tidiness(str(self.inbox), AFTER, keeps_standing, places),
            self.notes,
            tidy=tidy,
            folders=lambda: folders_below(str(self.inbox)),
            threads=self.threads,
            notes_threads=self.threads,
            clock=self.clock,
        )
        return self.tidier

    def clock(self) -> float:
        """As a real one, it never tells the same moment twice."""
        self.now += 1e-6
        return self.now

    def deliver(self, relpath: str) -> None:
        """A file is dropped, and leaves."""
        path = self.inbox / relpath
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")
        path.unlink()
        self.tidier.taken(relpath)

    async def wait(self, seconds: float) -> None:
        """Let time pass, with a turn whenever the tidier asks for one."""
        end, turns = self.now + seconds, 0
        while (moment := self.tidier.next_turn()) <= end:
            self.now = max(self.now, moment)
            await self.tidier.turn()
            turns += 1
            assert turns < 100, "asks for turns and makes nothing of them"
        self.now = end

    def folders(self) -> set[str]:
        return set(folders_below(str(self.inbox)))


async def test_what_came_and_was_emptied_goes_from_the_deepest_up_once_it_is_quiet(
    tmp_path: Path, threads: Threads
) -> None:
    world = World(tmp_path / "inbox", threads)
    await world.tidier.begin()
    world.deliver("shoot/day1/raw/1.mp4")
    world.deliver("shoot/day2/1.mp4")
    await world.wait(AFTER - 1)
    assert world.folders() == {"shoot", "shoot/day1", "shoot/day1/raw", "shoot/day2"}
    await world.wait(2)
    assert world.folders() == set()
    assert world.inbox.is_dir()
    assert world.notes.emptied(str(world.inbox)) == []
    assert world.tidier.next_turn() == float("inf")


async def test_what_was_there_first_stays_unless_somebody_says_otherwise(
    tmp_path: Path, threads: Threads
) -> None:
    world = World(tmp_path / "inbox", threads)
    (world.inbox / "reels").mkdir()
    await world.tidier.begin()
    world.deliver("reels/today/1.mp4")
    await world.wait(AFTER + 1)
    assert world.folders() == {"reels"}
    await world.make().begin()  # a restart learns nothing new of what is there first
    world.deliver("reels/later/1.mp4")
    await world.wait(AFTER + 1)
    assert world.folders() == {"reels"}
    await world.make(keeps_standing=False).begin()
    world.deliver("reels/1.mp4")
    await world.wait(AFTER + 1)
    assert world.folders() == set()


async def test_the_place_of_a_group_stays(tmp_path: Path, threads: Threads) -> None:
    world = World(tmp_path / "inbox", threads)
    tidier = world.make(keeps_standing=False, places=frozenset({"reels"}))
    await tidier.begin()
    world.deliver("reels/today/1.mp4")
    await world.wait(AFTER + 1)
    assert world.folders() == {"reels"}


async def test_what_holds_anything_stays_and_goes_when_that_is_delivered_too(
    tmp_path: Path, threads: Threads
) -> None:
    world = World(tmp_path / "inbox", threads)
    await world.tidier.begin()
    world.deliver("shoot/1.mp4")
    (world.inbox / "shoot/.DS_Store").write_bytes(b"")
    await world.wait(10 * AFTER)
    assert world.folders() == {"shoot"}
    (world.inbox / "shoot/.DS_Store").unlink()
    world.deliver("shoot/2.mp4")
    await world.wait(AFTER + 1)
    assert world.folders() == set()


async def test_a_folder_in_which_something_happens_is_waited_for_again(
    tmp_path: Path, threads: Threads
) -> None:
    world = World(tmp_path / "inbox", threads)
    await world.tidier.begin()
    world.deliver("shoot/1.mp4")
    for _ in range(3):
        await world.wait(AFTER - 1)
        (world.inbox / "shoot/new.part").write_bytes(b"")
        (world.inbox / "shoot/new.part").unlink()
        # The clock of the file system is too coarse for a test: the folder's time shows the change.
        stamp = os.stat(world.inbox / "shoot").st_mtime_ns + 1_000_000_000
        os.utime(world.inbox / "shoot", ns=(stamp, stamp))
    assert world.folders() == {"shoot"}
    await world.wait(2 * AFTER)
    assert world.folders() == set()


async def test_a_folder_of_the_same_name_that_is_another_one_is_not_taken_at_once(
    tmp_path: Path, threads: Threads
) -> None:
    world = World(tmp_path / "inbox", threads)
    await world.tidier.begin()
    world.deliver("shoot/1.mp4")
    await world.wait(AFTER - 1)
    (world.inbox / "shoot").rename(tmp_path / "away")
    (world.inbox / "shoot").symlink_to(tmp_path / "away")
    await world.wait(10 * AFTER)
    assert (tmp_path / "away").is_dir()
    assert (world.inbox / "shoot").is_symlink()


async def test_a_restart_goes_on_with_what_was_emptied(tmp_path: Path, threads: Threads) -> None:
    world = World(tmp_path / "inbox", threads)
    await world.tidier.begin()
    world.deliver("shoot/1.mp4")
    await world.wait(AFTER / 2)
    await world.make().begin()
    await world.wait(AFTER + 1)
    assert world.folders() == set()


class _Unwritable(MemoryTidying):
    def note_emptied(self, inbox: str, *_: object, **__: object) -> None:
        raise LocalError(f"nothing can be noted of {inbox}")


async def test_notes_that_cannot_be_written_keep_nothing_from_being_tidied(
    tmp_path: Path, threads: Threads
) -> None:
    world = World(tmp_path / "inbox", threads, _Unwritable())
    await world.tidier.begin()
    world.deliver("shoot/1.mp4")
    await world.wait(AFTER + 1)
    assert world.folders() == set()
