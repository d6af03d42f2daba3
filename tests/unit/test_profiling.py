"""When a store is looked at, and what is remembered of it."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest
from structlog.testing import capture_logs

from hotfolder import probing
from hotfolder.core.errors import ConfigError, DestinationError, DestinationTrouble, LocalError
from hotfolder.core.profile import UNKNOWN, Seen
from hotfolder.core.store_survey import Answers
from hotfolder.profiling import Profiler
from hotfolder.threads import Threads
from tests.support.memory_profiles import MemoryProfiles
from tests.support.profiles import AS_S3
from tests.support.wicked_store import Habits, WickedStore
from tests.unit.test_gate import Way

UNREACHABLE = DestinationError(DestinationTrouble.UNREACHABLE, "no answer")
DAY = 86_400.0
NOW = 1_800_000_000.0


class Looking:
    """A profiler over a store in memory, with clocks that are set by hand."""

    def __init__(self, threads: Threads, seen: Seen | None = None) -> None:
        self.way = Way()
        self.store, self.notes = WickedStore(), MemoryProfiles()
        self.now, self.surveys = NOW, 0
        self.error: ConfigError | None = None
        self.hangs = False
        self.profiler = Profiler(
            self.survey,
            self.notes,
            key="key",
            seen=seen,
            gate=self.way.gate,
            threads=threads,
            clock=self.way.clock,
            wall=lambda: self.now,
        )

    async def survey(self) -> tuple[Answers, float | None]:
        self.surveys += 1
        if self.hangs:
            await asyncio.Event().wait()
        if self.error:
            raise self.error
        return await probing.ask(self.store, prefix="", token="t"), 0.04

    async def turn(self) -> None:
        self.profiler.turn()
        while not self.profiler.is_idle():  # noqa: ASYNC110 - it has no event of its own
            await asyncio.sleep(0)


@pytest.fixture
async def threads() -> AsyncIterator[Threads]:
    threads = Threads("test-notes", 1)
    yield threads
    threads.close()


async def test_a_store_is_looked_at_once_it_answers_and_remembered(threads: Threads) -> None:
    looking = Looking(threads)
    await looking.turn()
    assert (looking.surveys, looking.profiler.profile()) == (0, UNKNOWN)
    await looking.way.gate.probe()
    with capture_logs() as logs:
        await looking.turn()
        await looking.turn()
    assert looking.surveys == 1
    assert looking.profiler.profile() == AS_S3
    assert looking.notes.kept == {"key": Seen(AS_S3, NOW)}
    assert [entry["event"] for entry in logs] == ["store.profiled", "store.profile"]
    assert (logs[0]["small_files"], logs[0]["unknown"], logs[0]["left"]) == ("checksum", [], [])


async def test_what_a_former_run_saw_is_known_at_once_and_looked_at_again_at_the_start_and_after_days(
    threads: Threads,
) -> None:
    looking = Looking(threads, Seen(replace(AS_S3, trailers=False), NOW))
    await looking.way.gate.probe()
    assert (looking.surveys, looking.profiler.profile().trailers) == (0, False)
    await looking.turn()
    await looking.turn()
    assert (looking.surveys, looking.profiler.profile().trailers) == (1, True)
    looking.way.clock.now += 600
    looking.now += 6 * DAY
    await looking.turn()
    assert looking.surveys == 1
    looking.now += DAY
    await looking.turn()
    assert looking.surveys == 2


async def test_who_stands_there_after_an_outage_may_be_another_store(threads: Threads) -> None:
    looking = Looking(threads)
    await looking.way.gate.probe()
    await looking.turn()
    assert looking.profiler.profile().put_checksum_counts
    looking.way.gate.hold(UNREACHABLE)
    looking.store.habits = Habits(
        compares_checksums=False, compares_signatures=False, checksums="repeated"
    )
    looking.way.clock.now += 600
    await looking.turn()
    assert looking.surveys == 1
    await looking.way.gate.probe()
    await looking.turn()
    await looking.turn()
    assert (looking.surveys, looking.profiler.profile().put_checksum_counts) == (2, False)


async def test_what_was_cut_short_is_not_remembered_and_tried_again_later(threads: Threads) -> None:
    looking = Looking(threads)
    await looking.way.gate.probe()
    looking.store.outage = UNREACHABLE
    with capture_logs() as logs:
        await looking.turn()
        await looking.turn()
    assert [entry["event"] for entry in logs] == ["store.not_profiled"]
    assert (looking.surveys, looking.notes.kept) == (1, {})
    looking.store.outage = None
    looking.way.clock.now += 600
    await looking.turn()
    assert looking.profiler.profile() == AS_S3


async def test_where_not_even_an_honest_request_gets_through_nothing_is_concluded(
    threads: Threads,
) -> None:
    looking = Looking(threads)
    await looking.way.gate.probe()
    looking.store.habits = Habits(alters="on the way")
    await looking.turn()
    assert (looking.notes.kept, looking.profiler.profile()) == ({}, UNKNOWN)
    looking.store.habits = Habits()
    looking.way.clock.now += 600
    await looking.turn()
    assert looking.profiler.profile() == AS_S3


async def test_a_faulty_address_is_no_defect(threads: Threads) -> None:
    looking = Looking(threads)
    await looking.way.gate.probe()
    looking.error = ConfigError("no address")
    with capture_logs() as logs:
        await looking.turn()
    assert [entry["reason"] for entry in logs] == ["no address"]


async def test_where_it_cannot_be_kept_it_is_known_all_the_same(threads: Threads) -> None:
    looking = Looking(threads)
    await looking.way.gate.probe()

    def refuse(key: str, seen: Seen) -> None:
        raise LocalError(f"no room for {key} of {seen.at}")

    looking.notes.keep = refuse  # type: ignore[method-assign] # a disk that is full
    with capture_logs() as logs:
        await looking.turn()
    assert [entry["event"] for entry in logs][-1] == "store.profile_not_kept"
    assert looking.profiler.profile() == AS_S3


async def test_who_has_to_know_waits_for_one_look_of_all(threads: Threads) -> None:
    looking = Looking(threads)
    await asyncio.gather(looking.profiler.learn(), looking.profiler.learn())
    await looking.profiler.learn()
    assert looking.surveys == 1
    assert looking.profiler.profile() == AS_S3


async def test_who_has_to_know_is_held_by_an_outage_and_looks_again_after_it(threads: Threads) -> None:
    # Else a file of a cold class would be sent without a proof that is to be had, and fail for it.
    looking = Looking(threads)
    looking.store.outage = UNREACHABLE
    for _ in range(2):
        with pytest.raises(DestinationError, match="no answer"):
            await looking.profiler.learn()
    looking.store.outage = None
    await asyncio.gather(looking.profiler.learn(), looking.profiler.learn())
    assert looking.profiler.profile() == AS_S3
    assert looking.surveys == 3


async def test_who_has_to_know_goes_on_where_a_look_shows_nothing(threads: Threads) -> None:
    looking = Looking(threads)
    looking.store.habits = Habits(alters="on the way")
    await looking.profiler.learn()
    await looking.profiler.learn()
    assert looking.profiler.profile() == UNKNOWN
    assert looking.surveys == 1, "the next look comes in its own time"


async def test_it_can_be_stopped_while_it_looks(threads: Threads) -> None:
    looking = Looking(threads)
    await looking.way.gate.probe()
    looking.hangs = True
    looking.profiler.turn()
    await asyncio.sleep(0)
    await looking.profiler.stop()
    assert (looking.surveys, looking.profiler.is_idle()) == (1, True)
    assert looking.profiler.profile() == UNKNOWN
