"""The care of one inbox's watching: what is restarted, walked, polled and told."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from structlog.testing import capture_logs

from hotfolder.core.errors import LocalError
from hotfolder.core.hints import Heard
from hotfolder.core.watching import CANARY_EVERY, RETRY, SHORTEST_POLL, SILENCE, Hearing, Mount, Wanted
from hotfolder.threads import Threads
from hotfolder.watching import Watching


class FakeWatcher:
    """Says what it is told to say; its canaries sing at once unless it is `deaf`."""

    def __init__(self, *, refuses: bool) -> None:
        self.refuses = refuses
        self.says = Hearing(directories=1, surveys=1)
        self.deaf = False
        self.does: list[Any] = []
        self.hints: list[tuple[str, Heard]] = []
        self.lost = False

    def start(self, deaf: frozenset[str]) -> None:
        if self.refuses:
            raise LocalError("cannot watch it: Too many open files", hint="raise it")
        self.does.append(("start", deaf))

    def stop(self) -> None:
        self.does.append("stop")

    def take(self) -> list[tuple[str, Heard]]:
        hints, self.hints = self.hints, []
        return hints

    def lost_some(self) -> bool:
        lost, self.lost = self.lost, False
        return lost

    def hearing(self) -> Hearing:
        return self.says

    def sing(self, number: int) -> None:
        if not self.deaf:
            self.says = replace(self.says, answered=number, events=self.says.events + 1)

    def replant(self, relpaths: list[str], deaf: frozenset[str]) -> None:
        self.does.append(("replant", relpaths, deaf))

    def retry(self) -> None:
        self.does.append("retry")


class FakeWalks:
    def __init__(self) -> None:
        self.took: dict[str, float] = {}
        self.asked: list[str] = []

    def walk_now(self) -> None:
        self.asked.append("all")

    def plan_tree(self, relpath: str) -> bool:
        self.asked.append(f"tree {relpath}")
        return True

    def poll(self, relpath: str) -> None:
        self.asked.append(f"poll {relpath}")


class Bench:
    def __init__(self) -> None:
        self.now = 1000.0
        self.threads = Threads("test-watching", 1)
        self.walks = FakeWalks()
        self.mounts: tuple[Mount, ...] = (Mount("", "ext4", 1),)
        self.refuses = False
        self.watchers: list[FakeWatcher] = []
        self.watching = self.make("auto")

    def make(self, wanted: Wanted) -> Watching:
        self.watching = Watching(
            "/inbox",
            wanted=wanted,
            make=self._watcher,
            mounts=lambda _: self.mounts,
            walks=self.walks,
            threads=self.threads,
            clock=lambda: self.now,
            wall=lambda: self.now + 1e9,
        )
        return self.watching

    def _watcher(self) -> FakeWatcher:
        self.watchers.append(FakeWatcher(refuses=self.refuses))
        return self.watchers[-1]

    @property
    def watcher(self) -> FakeWatcher:
        return self.watchers[-1]

    async def visit(self, seconds: float = 1.0) -> list[str]:
        """Let time pass, with a visit at its end; returns the walks that were asked for."""
        self.now += seconds
        self.walks.asked.clear()
        await self.watching.visit()
        return self.walks.asked


@pytest.fixture
def bench() -> Iterator[Bench]:
    bench = Bench()
    yield bench
    bench.threads.close()


@pytest.fixture
def logs() -> Iterator[list[Any]]:
    with capture_logs() as logs:
        yield logs


def told(logs: list[Any]) -> list[tuple[str, str]]:
    return [(line["event"].removeprefix("watcher."), line.get("kind", "")) for line in logs]


async def test_a_quiet_inbox_is_walked_at_its_beginning_and_then_left_alone(
    bench: Bench, logs: list[Any]
) -> None:
    await bench.watching.begin()
    assert bench.walks.asked == ["all"]
    for _ in range(5):
        assert await bench.visit(CANARY_EVERY) == []
    report = bench.watching.told()
    assert (report.mode, report.trouble, report.polled.count) == ("inotify", None, 0)
    assert report.last_canary == bench.now + 1e9
    assert logs == []


async def test_what_was_heard_is_handed_on_and_what_was_lost_is_walked_for(bench: Bench) -> None:
    await bench.watching.begin()
    bench.watcher.hints, bench.watcher.lost = [("a", Heard.COMPLETED)], True
    bench.walks.asked.clear()
    got = []
    bench.watching.pass_hints(lambda path, heard: got.append((path, heard)))
    assert got == [("a", Heard.COMPLETED)]
    assert bench.walks.asked == ["all"]
    assert bench.watching.told().lost == 1
    assert bench.watching.told().last_event == bench.now + 1e9


async def test_an_overflow_is_told_once_walked_for_and_over_after_a_while(
    bench: Bench, logs: list[Any]
) -> None:
    await bench.watching.begin()
    await bench.visit()
    for number in (1, 2):
        bench.watcher.says = replace(bench.watcher.says, overflows=number)
        assert await bench.visit() == []  # the survey goes on
        bench.watcher.says = replace(bench.watcher.says, surveys=1 + number)
        assert await bench.visit() == ["all"]
    assert told(logs) == [("troubled", "overflow")]
    assert bench.watching.told().trouble is not None
    await bench.visit(RETRY + 1)
    assert told(logs) == [("troubled", "overflow"), ("recovered", "overflow")]
    assert bench.watching.told().overflows == 2


async def test_what_cannot_be_watched_is_polled_and_tried_again(bench: Bench, logs: list[Any]) -> None:
    await bench.watching.begin()
    await bench.visit()
    bench.watcher.says = replace(bench.watcher.says, unwatched=("a", "b"), obstacle="No space left")
    assert sorted(await bench.visit()) == ["poll a", "poll b"]
    assert await bench.visit(SHORTEST_POLL - 1) == []
    assert sorted(await bench.visit(1)) == ["poll a", "poll b"]
    assert bench.watching.told().mode == "both"
    await bench.visit(RETRY)
    assert "retry" in bench.watcher.does
    bench.watcher.says = replace(bench.watcher.says, unwatched=())
    assert await bench.visit() == []
    kinds = [event for event in told(logs) if event[0] != "polling"]
    assert kinds == [("troubled", "limit"), ("recovered", "limit")]
    assert bench.watching.told().mode == "inotify"


async def test_without_an_instance_the_inbox_is_polled_until_there_is_one(
    bench: Bench, logs: list[Any]
) -> None:
    bench.refuses = True
    await bench.watching.begin()
    assert await bench.visit() == ["poll "]
    assert bench.watching.told().mode == "polling"
    await bench.visit(RETRY)
    assert len(bench.watchers) == 2
    bench.refuses = False
    assert "all" in await bench.visit(RETRY + 1)
    assert bench.watching.told().mode == "inotify"
    kinds = [event for event in told(logs) if event[0] != "polling"]
    assert kinds == [("troubled", "unstarted"), ("recovered", "unstarted")]


async def test_a_dead_watcher_is_replaced_and_the_inbox_walked(bench: Bench, logs: list[Any]) -> None:
    await bench.watching.begin()
    dead = bench.watcher
    dead.says = replace(dead.says, dead="the inbox was removed", overflows=3)
    assert "all" in await bench.visit()
    assert bench.watcher is not dead
    assert dead.does[-1] == "stop"
    assert told(logs)[1:] == [("troubled", "dead"), ("recovered", "dead")]
    assert "removed" in logs[1]["reason"]
    report = bench.watching.told()
    assert (report.restarts, report.overflows, report.trouble) == (1, 3, logs[0]["reason"])


async def test_a_watcher_whose_canary_is_silent_is_dead(bench: Bench, logs: list[Any]) -> None:
    await bench.watching.begin()
    bench.watcher.deaf = True
    await bench.visit()
    await bench.visit(1000.0)  # the process was stopped meanwhile
    for _ in range(SILENCE - 1):
        await bench.visit()
    assert len(bench.watchers) == 1
    await bench.visit()
    assert len(bench.watchers) == 2
    assert "no event" in logs[0]["reason"]


async def test_a_canary_behind_many_events_is_waited_for(bench: Bench) -> None:
    await bench.watching.begin()
    bench.watcher.deaf = True
    for visit in range(4 * SILENCE):
        bench.watcher.says = replace(bench.watcher.says, events=visit // 20)
        await bench.visit()
    assert len(bench.watchers) == 1


async def test_an_inbox_whose_watchers_keep_dying_is_polled_meanwhile(bench: Bench) -> None:
    await bench.watching.begin()
    for _ in range(4):
        bench.watcher.says = replace(bench.watcher.says, dead="gone")
        await bench.visit()
    assert len(bench.watchers) == 4
    assert bench.watching.told().mode == "polling"
    assert await bench.visit(SHORTEST_POLL) == ["poll "]
    await bench.visit(RETRY)
    assert len(bench.watchers) == 5
    assert bench.watching.told().mode == "inotify"


async def test_a_share_that_is_mounted_while_running_is_polled_and_then_listened_to_again(
    bench: Bench, logs: list[Any]
) -> None:
    await bench.watching.begin()
    bench.mounts = (Mount("", "ext4", 1), Mount("nas", "cifs", 2))
    assert await bench.visit() == ["tree nas", "poll nas"]
    assert bench.watcher.does[-1] == ("replant", ["nas"], frozenset({"nas"}))
    bench.mounts = (Mount("", "ext4", 1),)
    assert await bench.visit() == ["tree nas"]
    assert bench.watcher.does[-1] == ("replant", ["nas"], frozenset())
    assert [line["path"] for line in logs] == ["/inbox/nas"]


async def test_another_file_system_under_the_inbox_is_begun_anew(bench: Bench) -> None:
    await bench.watching.begin()
    bench.mounts = (Mount("", "nfs4", 2),)
    assert await bench.visit() == ["all", "poll "]
    assert bench.watcher.does[-1] == "stop"
    assert bench.watching.told().mode == "polling"


async def test_a_big_tree_is_polled_less_often(bench: Bench) -> None:
    bench.make("polling")
    await bench.watching.begin()
    assert await bench.visit() == ["poll "]
    bench.walks.took[""] = 4.0
    assert await bench.visit(99.0) == []
    assert await bench.visit(1.0) == ["poll "]
    assert bench.watching.told().polled.first[0].every == 100.0


async def test_an_inbox_that_is_gone_is_neither_watched_nor_polled(bench: Bench) -> None:
    bench.mounts = (Mount("", "overlay", 1),)
    await bench.watching.begin()
    assert bench.watching.told().mode == "both"
    await bench.watching.end()
    assert await bench.visit(1000.0) == []
    assert bench.watching.told().mode == "off"
    assert bench.watcher.does[-1] == "stop"
