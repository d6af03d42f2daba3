"""The room that is left on the disks: below it nothing new starts, until there is clearly more."""

import threading
from collections.abc import Iterator

import pytest
from structlog.testing import capture_logs

from hotfolder import reserve
from hotfolder.core.errors import DiskFull
from hotfolder.core.room import Disk
from hotfolder.reserve import Reserve, WrittenFolder
from hotfolder.threads import Threads

MIB = 1 << 20
STATE = WrittenFolder("/state", frozenset({"a", "b"}))
FAR = WrittenFolder("/far/completed", frozenset({"b"}), "/inbox/b")


@pytest.fixture
def threads() -> Iterator[Threads]:
    made = Threads("test-reserve", 1)
    yield made
    made.close()


class World:
    def __init__(self, threads: Threads, reserve: int | None = None) -> None:
        self.disks: dict[WrittenFolder, Disk | None] = {STATE: Disk(2**40, 2**41), FAR: None}
        self.now = 0.0
        self.reserve = Reserve(
            [STATE, FAR],
            reserve=reserve,
            measure=self.disks.__getitem__,
            threads=threads,
            clock=lambda: self.now,
        )

    async def refusals(self) -> list[DiskFull | None]:
        await self.reserve.look()
        return [self.reserve.refusal(folder) for folder in ("a", "b")]


async def test_below_the_reserve_nothing_starts_until_a_quarter_more_is_free(threads: Threads) -> None:
    world = World(threads)
    with capture_logs() as logs:
        assert await world.refusals() == [None, None]
        for free in (255 * MIB, 100 * MIB, 256 * MIB, 319 * MIB):
            world.disks[STATE] = Disk(free, 2**41)
            assert all(await world.refusals())
        world.now = 60.0
        world.disks[STATE] = Disk(320 * MIB, 2**41)
        assert await world.refusals() == [None, None]
    assert [(line["event"], line["path"], line["free"]) for line in logs] == [
        ("disk.low", "/state", 255 * MIB),
        ("disk.roomy", "/state", 320 * MIB),
    ]
    assert logs[0]["needed"] == 256 * MIB
    assert logs[1]["lasted"] == 60.0


async def test_the_sentence_names_the_place_what_is_left_and_what_is_needed(threads: Threads) -> None:
    world = World(threads)
    world.disks[STATE] = Disk(100_000_000, 2**41)
    refusal, _ = await world.refusals()
    assert refusal is not None
    assert "/state has 100.0 MB left" in str(refusal)
    assert "268.4 MB" in str(refusal)
    assert "transfer.reserve" in refusal.hint


async def test_a_small_disk_keeps_no_more_than_a_fiftieth(threads: Threads) -> None:
    world = World(threads)
    world.disks[STATE] = Disk(21_000, 1_048_576)
    assert await world.refusals() == [None, None]
    world.disks[STATE] = Disk(20_000, 1_048_576)
    assert all(await world.refusals())


async def test_the_disk_of_one_folders_output_holds_that_folder_alone(threads: Threads) -> None:
    world = World(threads)
    world.disks[FAR] = Disk(MIB, 2**40)
    one, other = await world.refusals()
    assert one is None
    assert other is not None
    world.disks[FAR] = None  # on the inbox's own file system now, or not there
    assert await world.refusals() == [None, None]


async def test_a_reserve_that_somebody_set_is_kept_whatever_the_disk(threads: Threads) -> None:
    world = World(threads, reserve=10_000 * MIB)
    world.disks[STATE] = Disk(9_000 * MIB, 20_000 * MIB)
    assert all(await world.refusals())


async def test_without_a_reserve_nothing_is_measured(threads: Threads) -> None:
    world = World(threads, reserve=0)
    world.disks.clear()
    world.reserve.turn()
    assert await world.refusals() == [None, None]


async def test_a_start_knows_what_is_left(threads: Threads) -> None:
    world = World(threads)
    world.disks[STATE] = Disk(1, 2**41)
    await world.reserve.begin()
    assert world.reserve.refusal("a") is not None


async def test_a_disk_that_hangs_does_not_keep_a_start(
    threads: Threads, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reserve, "_FIRST_LOOK", 0.01)
    goes_on = threading.Event()

    def hang(_: WrittenFolder) -> Disk | None:
        goes_on.wait(60)
        return None

    watched = Reserve([STATE], reserve=None, measure=hang, threads=threads, clock=lambda: 0.0)
    try:
        await watched.begin()
        assert not goes_on.is_set()
        assert watched.refusal("a") is None
    finally:
        watched.stop()
        goes_on.set()
