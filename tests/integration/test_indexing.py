"""The index beside a real ledger: caught up, rebuilt, never believed where it does not fit."""

import asyncio
import itertools
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from hotfolder.adapters.ledger import FileLedger
from hotfolder.adapters.state.ledger_index import SqliteLedgerIndex
from hotfolder.core.conflict import Family
from hotfolder.core.errors import LocalError
from hotfolder.indexing import IndexedLedger, Indexer
from hotfolder.threads import Threads
from hotfolder.upkeep import Upkeep


def entry(number: int, host: str = "nas") -> dict[str, Any]:
    return {"schema": 1, "operation_id": f"{number:08}", "completed_at": "2026", "host": host}


class World:
    def __init__(self, root: Path) -> None:
        self.path = root / "ledger.jsonl"
        self.db = root / "state.db"
        self.count = 0
        self.ledger = FileLedger(self.path, rotate_at=1_000)
        self.index = SqliteLedgerIndex(self.db)
        self.indexer = Indexer(self.ledger, SqliteLedgerIndex(self.db), most=7)

    def append(self, count: int, host: str = "nas") -> None:
        for _ in range(count):
            self.ledger.append([entry(self.count, host)])
            self.count += 1

    def catch_up(self) -> None:
        while self.indexer.step():
            pass

    def indexed(self) -> list[int]:
        wanted = [f"{number:08}" for number in range(100)]
        return sorted(map(int, self.index.recorded(wanted)[1]))

    def close(self) -> None:
        self.indexer.close()
        self.index.close()


@pytest.fixture
def world(tmp_path: Path) -> Any:
    made = World(tmp_path)
    yield made
    made.close()


def test_it_catches_up_over_rotated_and_packed_files(world: World) -> None:
    world.catch_up()
    assert world.index.mark() is None
    world.append(30)
    world.catch_up()
    assert world.indexed() == list(range(30))
    world.append(15)
    world.ledger.pack_rotated(lambda: True)
    world.append(15)
    world.catch_up()
    assert world.indexed() == list(range(60))
    mark = world.index.mark()
    assert mark is not None
    assert mark.lines == 60
    assert world.ledger.fits(mark)


def test_a_place_in_it_is_where_the_line_begins(world: World) -> None:
    world.append(30)
    read = [line for stretch in world.ledger.read_on(None, 7) for line in stretch.lines]
    for line in read:
        name = f"ledger-{line.file:06}.jsonl"
        file = world.path.with_name(name) if world.path.with_name(name).exists() else world.path
        (operation_id,) = [line.entry["operation_id"]] if line.entry else []
        begin = f'{{"schema":1,"operation_id":"{operation_id}"'.encode()
        assert file.read_bytes()[line.offset :].startswith(begin)


def shortened(world: World) -> None:
    whole = world.path.read_bytes()
    world.path.write_bytes(whole[: whole.rindex(b"\n", 0, -1) + 1])
    world.count -= 1


def begun_anew(world: World) -> None:
    for file in world.path.parent.glob("ledger*"):
        file.unlink()
    world.count = 0
    world.append(25, host="another")


def gone(world: World) -> None:
    for file in world.path.parent.glob("ledger*"):
        file.unlink()
    world.count = 0


@pytest.mark.parametrize("change", [shortened, begun_anew, gone])
def test_it_is_made_anew_where_the_ledger_is_another(world: World, change: Any) -> None:
    world.append(25)
    world.catch_up()
    change(world)
    world.ledger = FileLedger(world.path, rotate_at=1_000)
    with capture_logs() as logs:
        world.catch_up()
    assert [log["event"] for log in logs if log["event"].startswith("index")] == ["index.begun_anew"]
    assert world.indexed() == list(range(world.count))


def test_newest_lines_that_are_gone_contradict_the_index(world: World) -> None:
    world.append(30)
    assert world.indexer.contradiction() is None
    world.catch_up()
    assert world.indexer.contradiction() is None
    world.append(1)
    assert world.indexer.contradiction() is None, "it may only lag behind"
    world.catch_up()
    world.path.write_bytes(b"".join(world.path.read_bytes().splitlines(keepends=True)[:-1]))
    known = world.indexer.contradiction()
    assert known is not None
    assert known.lines == 31


def test_two_that_read_on_at_once_add_each_line_once(world: World) -> None:
    world.append(40)
    other = Indexer(world.ledger, SqliteLedgerIndex(world.db), most=3)
    going = [world.indexer, other]
    for turn in itertools.count():
        if not going[turn % 2].step() and not going[(turn + 1) % 2].step():
            break
    assert world.indexed() == list(range(40))
    mark = world.index.mark()
    assert mark is not None
    assert mark.lines == 40
    assert other.rebuild() == 40
    world.append(1)
    world.catch_up()
    assert world.indexed() == list(range(41))
    other.close()


class CountedLedger(FileLedger):
    """The real ledger, telling which questions reach it."""

    asked: list[tuple[set[str], int]]

    def recorded(self, wanted: Any, *, since: str, behind: Any = None) -> frozenset[str]:
        self.asked.append((set(wanted), behind.lines if behind else 0))
        return super().recorded(wanted, since=since, behind=behind)


def test_what_the_index_has_read_is_not_read_again(world: World) -> None:
    world.append(30)
    world.catch_up()
    world.append(5)
    ledger = CountedLedger(world.path)
    ledger.asked = []
    indexed = IndexedLedger(ledger, world.index)
    assert indexed.recorded({"00000003", "00000033", "x"}, since="") == {"00000003", "00000033"}
    assert ledger.asked == [({"00000033", "x"}, 30)]


def test_an_index_that_does_not_fit_or_fails_is_not_believed(world: World) -> None:
    world.append(30)
    world.catch_up()
    gone(world)
    indexed = IndexedLedger(FileLedger(world.path), world.index)
    assert indexed.recorded({"00000003"}, since="") == frozenset()
    world.append(5)
    world.close()
    world.db.write_bytes(b"this is no database, and long enough to be looked at" * 100)
    with capture_logs() as logs:
        assert indexed.recorded({"00000003"}, since="") == {"00000003"}
    assert [log["event"] for log in logs] == ["index.failed"]


async def test_the_upkeep_indexes_and_packs_once_it_has_begun(world: World) -> None:
    world.append(30)
    threads = Threads("test-keep", 1)
    packed = asyncio.Event()
    loop = asyncio.get_running_loop()

    def pack(is_wanted: Any) -> int:
        count = world.ledger.pack_rotated(is_wanted)
        loop.call_soon_threadsafe(packed.set)
        return count

    upkeep = Upkeep(
        indexer=world.indexer,
        pack=pack,
        threads=threads,
        clock=lambda: 0.0,
        idle_seconds=lambda: 0.0,
        relax=lambda: None,
    )
    running = asyncio.create_task(upkeep.run())
    await asyncio.sleep(0)
    assert world.index.mark() is None
    upkeep.begin()
    await packed.wait()
    upkeep.close()
    await running
    threads.close()
    assert world.indexed() == list(range(30))
    assert list(world.path.parent.glob("ledger-*.jsonl")) == []


async def test_memory_is_given_back_once_whenever_the_daemon_has_come_to_rest(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hotfolder.upkeep._PAUSE", 0.0)
    threads = Threads("test-keep", 1)
    loop, done = asyncio.get_running_loop(), asyncio.Event()
    idle = iter([-1.0, 1.0, 2.0, -1.0, 1.0])
    heard: list[str] = []

    def idle_seconds() -> float:
        heard.append("looked")
        seconds = next(idle, None)
        if seconds is None:
            loop.call_soon_threadsafe(done.set)
        return 2.0 if seconds is None else seconds

    upkeep = Upkeep(
        indexer=world.indexer,
        pack=lambda _: 0,
        threads=threads,
        clock=lambda: 0.0,
        idle_seconds=idle_seconds,
        relax=lambda: heard.append("relaxed"),
    )
    upkeep.begin()
    running = asyncio.create_task(upkeep.run())
    await done.wait()
    upkeep.close()
    await running
    threads.close()
    assert heard[:7] == ["looked", "looked", "relaxed", "looked", "looked", "looked", "relaxed"]
    assert heard.count("relaxed") == 2


async def test_the_upkeep_complains_once_and_goes_on(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hotfolder.upkeep._LONG_PAUSE", 0.0)
    threads = Threads("test-keep", 1)
    loop, done, tries = asyncio.get_running_loop(), asyncio.Event(), 0

    def pack(_: Any) -> int:
        nonlocal tries
        tries += 1
        if tries < 3:
            raise LocalError("no space left", hint="free some")
        loop.call_soon_threadsafe(done.set)
        return 0

    upkeep = Upkeep(
        indexer=world.indexer,
        pack=pack,
        threads=threads,
        clock=lambda: 0.0,
        idle_seconds=lambda: 0.0,
        relax=lambda: None,
    )
    upkeep.begin()
    with capture_logs() as logs:
        running = asyncio.create_task(upkeep.run())
        await done.wait()
        upkeep.close()
        await running
    threads.close()
    assert [log["event"] for log in logs] == ["upkeep.failed"]


def delivered(number: int, key: str) -> dict[str, Any]:
    said = {"status": "success", "s3_bucket": "media", "s3_object_key": key, "original_size": number}
    return entry(number) | said | {"checksum_original": f"sha256:{number:064x}"}


def test_earlier_objects_come_from_the_index_and_from_what_it_has_not_read(world: World) -> None:
    family = Family("a.gz", "a~", ".gz")
    indexed = IndexedLedger(world.ledger, world.index)
    assert indexed.delivered("media", family) == []
    world.ledger.append([delivered(1, "a.gz"), delivered(2, "a~1.gz"), delivered(3, "b~1.gz")])
    assert [line.key for line in indexed.delivered("media", family)] == ["a~1.gz", "a.gz"]
    world.catch_up()
    world.ledger.append([delivered(4, "a~2.gz")])
    assert [line.key for line in indexed.delivered("media", family)] == ["a~2.gz", "a~1.gz", "a.gz"]
    assert indexed.delivered("other", family) == []


def test_an_index_of_another_ledger_and_a_ledger_that_cannot_be_read_name_nothing(
    world: World, tmp_path: Path
) -> None:
    family = Family("a.gz", "a~", ".gz")
    world.ledger.append([delivered(1, "a.gz")])
    world.catch_up()
    world.path.unlink()
    world.ledger = FileLedger(world.path, rotate_at=1_000)
    world.ledger.append([delivered(9, "c.gz")])
    assert IndexedLedger(world.ledger, world.index).delivered("media", family) == []
    shut = FileLedger(tmp_path, rotate_at=1_000)  # a folder in its place
    with capture_logs() as told:
        assert IndexedLedger(shut, world.index).delivered("media", family) == []
    assert [line["event"] for line in told] == ["index.failed"]
