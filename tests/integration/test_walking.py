"""Walks of any breadth in bounded memory, and walks that wait for room."""

import asyncio
import errno
import os
import random
from collections.abc import Callable, Container, Iterator
from itertools import islice
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs

from hotfolder import walking
from hotfolder.adapters.filters import ignore_filter
from hotfolder.adapters.scan import Walk, walk
from hotfolder.beneath import look, look_at_all
from hotfolder.core.errors import Exhausted, LocalError
from hotfolder.core.hints import Heard
from hotfolder.finding import LOOKS, WINDOW, Finder
from hotfolder.threads import Threads
from hotfolder.walking import Search, Walks
from tests.support.descriptors import open_below


def keep_all(_: str) -> bool:
    return False


def drop(root: Path, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"data")


# -- the walk itself -----------------------------------------------------------------------------


@settings(max_examples=25)
@given(st.sets(st.lists(st.sampled_from("abcd"), min_size=1, max_size=4).map("/".join), max_size=40))
def test_however_few_names_are_kept_every_file_is_found_once(
    tmp_path_factory: pytest.TempPathFactory, folders: set[str]
) -> None:
    root = tmp_path_factory.mktemp("wide")
    names = [f"{folder}/file" for folder in sorted(folders)] + ["file"]
    drop(root, *names)
    assert sorted(map(str, Walk(str(root), "", keep_all, most_pending=3, least_pending=1))) == sorted(
        names
    )


def test_many_folders_in_one_place_are_kept_a_few_at_a_time(tmp_path: Path) -> None:
    names = [f"{number:03}/file" for number in range(100)]
    drop(tmp_path, *random.Random(6).sample(names, 100))
    wide = Walk(str(tmp_path), "", keep_all, most_pending=10, least_pending=1)
    most, found = 0, []
    for path in wide:
        most = max(most, wide._pending)
        found.append(path)
    assert found == names, "the folders come by name, each with what was kept of it"
    assert most <= 10


def test_a_walk_that_rests_has_nothing_open_and_goes_on_where_it_was(tmp_path: Path) -> None:
    names = [f"{folder}/{number}" for folder in "abc" for number in range(4)]
    drop(tmp_path, *names)
    entries = walk(str(tmp_path), "", keep_all)
    found = list(map(str, islice(entries, 6)))
    assert set(open_below(tmp_path)) == {"b"}
    entries.rest()
    assert open_below(tmp_path) == []
    (tmp_path / found[-1]).unlink()
    rest = list(map(str, entries))
    assert set(rest) == {name for name in names if name[0] in "bc"} - {found[-1]}
    assert len(rest) == len(set(rest))
    entries.rest()
    assert list(entries) == []


def test_a_file_among_many_folders_does_not_wait_for_the_next_one(tmp_path: Path) -> None:
    drop(tmp_path, "a/file", *(f"b{number}/deep/file" for number in range(5)))
    steps = walk(str(tmp_path), "", keep_all)
    hops = []
    while (hop := steps.some(4, lambda: True)) is not None:
        hops.append(hop)
    assert hops[:2] == [[], ["a/file"]], "the inbox itself holds no file"
    assert sum(map(len, hops)) == 6
    steps = walk(str(tmp_path), "", keep_all)
    assert len(steps.some(4, lambda: False) or []) == 4
    assert len(steps.some(4, lambda: False) or []) == 2
    assert steps.some(4, lambda: False) is None


def test_looks_are_the_same_one_by_one_and_together(tmp_path: Path) -> None:
    drop(tmp_path, "a", "sub/b", "sub/deep/c")
    (tmp_path / "link").symlink_to("a")
    (tmp_path / "sub/away").symlink_to("deep")
    names = ["sub/b", "a", "gone", "link", "sub", "sub/deep/c", "sub/away/c", "gone/d", "a/e", "sub/f"]
    assert dict(look_at_all(str(tmp_path), names)) == {name: look(str(tmp_path), name) for name in names}


# -- walks that wait -----------------------------------------------------------------------------


class Waiting:
    """The walks of one inbox, with room for as many files as the test says; each is found once."""

    def __init__(self, inbox: Path, *, rescan: float = 1000.0, dice: float = 0.5) -> None:
        self.now, self.room = 1000.0, 10**6
        self.threads = Threads("test-walk", 1)
        self.found: list[str] = []
        self.errors: list[Exception | None] = []  # what the next batches meet
        search = Search(
            inbox=str(inbox),
            settle=0.0,
            rescan=rescan,
            ignored=ignore_filter([]),
            refusal=lambda path: None,  # noqa: ARG005 - the shape of a refusal
            walk=walk,
            clock=lambda: self.now,
            wall=lambda: self.now,
            dice=lambda: dice,
        )
        self.walks = Walks(
            search,
            threads=self.threads,
            found=self._take,
            done=self._done,
            room=lambda: self.room,
            plenty=100,
            wake=lambda: None,
        )

    async def _take(self, paths: list[str]) -> None:
        error = self.errors.pop(0) if self.errors else None
        if error is not None:
            raise error
        new = [path for path in paths if path not in self.found]
        self.found += new
        self.room -= len(new)

    async def _done(self) -> None:
        self.found.sort()

    async def turns(self, count: int = 50) -> None:
        for _ in range(count):
            self.walks.begin_due()
            self.walks.go_on()
            await self.threads.run(int)  # what a walk asked of its thread before is done
            await asyncio.sleep(0)

    def is_in_trouble(self) -> bool:
        return self.walks.trouble is not None

    def waits(self) -> bool:
        return not self.walks.is_idle() and self.walks.last_walk is None


@pytest.fixture
def few_a_hop(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(walking, "BATCH", 2)


@pytest.fixture
def inbox(tmp_path: Path) -> Path:
    made = tmp_path / "inbox"
    made.mkdir()
    return made


@pytest.fixture
def waiting(inbox: Path) -> Iterator[Waiting]:
    made = Waiting(inbox)
    yield made
    made.threads.close()


@pytest.mark.usefixtures("few_a_hop")
async def test_a_walk_without_room_soon_holds_nothing_open_and_comes_to_its_end(
    inbox: Path, waiting: Waiting
) -> None:
    names = [f"sub/{number}" for number in range(8)]
    drop(inbox, *names)
    waiting.room = 1
    await waiting.turns()
    assert waiting.waits()
    assert set(open_below(inbox)) == {"sub"}, "it may go on in a moment"
    waiting.now += 10.0
    await waiting.turns()
    assert open_below(inbox) == [], "an hour of this, and nobody could unmount the volume"
    begun = len(waiting.found)
    waiting.room = 1
    await waiting.turns()
    assert len(waiting.found) == begun, "for so little room the folder is not read again at once"
    waiting.room = 100
    await waiting.turns()
    assert set(waiting.found) == set(names)
    assert not waiting.waits()


@pytest.mark.usefixtures("few_a_hop")
async def test_where_room_stays_scarce_a_walk_goes_on_all_the_same(
    inbox: Path, waiting: Waiting
) -> None:
    drop(inbox, *(f"{folder}/{number}" for folder in "abcd" for number in range(2)))
    for _ in range(6):
        waiting.room = 1
        waiting.now += 300.0
        await waiting.turns()
    assert len(set(waiting.found)) == 8
    assert not waiting.waits()


@pytest.mark.parametrize(("dice", "seconds"), [(0.0, 270.0), (0.5, 300.0), (0.999999, 330.0)])
async def test_the_time_between_two_scans_varies_a_little(
    inbox: Path, dice: float, seconds: float
) -> None:
    waiting = Waiting(inbox, rescan=300.0, dice=dice)
    await waiting.turns()
    waiting.threads.close()
    assert waiting.walks.next_begin() == pytest.approx(waiting.now + seconds, abs=0.01)


def finder_of(
    inbox: Path,
    threads: Threads,
    *,
    claimed: Container[str] = (),
    room: Callable[[], int] = lambda: WINDOW,
) -> Finder:
    """Of an inbox whose files need no quiet time."""
    return Finder(
        Search(
            inbox=str(inbox),
            settle=0.0,
            rescan=None,
            ignored=ignore_filter([]),
            refusal=lambda path: None,  # noqa: ARG005 - the shape of a refusal
            walk=walk,
            clock=lambda: 5.0,
            wall=lambda: 5.0,
        ),
        threads=threads,
        claimed=claimed.__contains__,
        news=lambda path, seen: False,  # noqa: ARG005 - the finder's shape
        room=room,
        wake=lambda: None,
    )


@pytest.mark.usefixtures("few_a_hop")
@pytest.mark.parametrize("start", ["", "new"])
@pytest.mark.parametrize("error", [LocalError("no more descriptors"), KeyError("a defect")])
async def test_a_walk_that_fails_half_way_is_begun_anew(
    inbox: Path, start: str, error: Exception
) -> None:
    waiting = Waiting(inbox)
    drop(inbox, *(f"new/{number}" for number in range(8)))
    waiting.walks._planned.clear()
    waiting.errors = [None, error]
    if start:
        waiting.walks.plan_tree(start)
        waiting.walks._planned.pop()  # not the second one
    else:
        waiting.walks.walk_now()
    with capture_logs() as logs:
        await waiting.turns()
        assert 0 < len(waiting.found) < 8
        assert waiting.is_in_trouble()
        assert not waiting.walks.is_idle(), "nor does a single run end here"
        waiting.now += 5.0
        await waiting.turns()
    waiting.threads.close()
    assert len(waiting.found) == 8
    assert not waiting.is_in_trouble()
    assert [entry["event"] for entry in logs] == ["scan.failed", "scan.resumed"]
    assert logs[1]["path"] == f"{inbox}/{start}".rstrip("/")
    assert logs[1]["lasted"] == 5.0


@pytest.mark.usefixtures("few_a_hop")
async def test_walks_work_again_once_all_that_failed_have_worked(inbox: Path) -> None:
    waiting = Waiting(inbox)
    drop(inbox, "one/1", "two/2")
    waiting.walks._planned.clear()
    waiting.errors = [OSError("one"), OSError("two")]
    waiting.walks.poll("one")
    waiting.walks.poll("two")
    with capture_logs() as logs:
        await waiting.turns()
        waiting.walks.poll("three")  # which is well, and says nothing of the others
        await waiting.turns()
        assert waiting.is_in_trouble()
        waiting.now += 5.0
        waiting.errors = [None, OSError("two, again")]
        await waiting.turns()
        assert waiting.is_in_trouble()
        waiting.now += 5.0
        await waiting.turns()
    waiting.threads.close()
    assert not waiting.is_in_trouble()
    assert [entry["event"] for entry in logs] == ["scan.failed", "scan.resumed"]
    assert logs[1]["path"] == f"{inbox}/two"
    assert logs[1]["lasted"] == 10.0


@pytest.mark.parametrize("ask", [False, True])
async def test_without_descriptors_nothing_that_was_heard_of_is_forgotten(
    inbox: Path, monkeypatch: pytest.MonkeyPatch, ask: bool
) -> None:
    threads = Threads("test-walk", 1)
    finder = finder_of(inbox, threads)
    finder.walks._planned.clear()
    drop(inbox, "sub/a", "sub/b")
    for name in ("sub/a", "sub/b"):
        finder.hint(name, Heard.COMPLETED if ask else Heard.APPEARED)
    really = os.open

    def none_left(path: str, flags: int, *args: int, dir_fd: int | None = None) -> int:
        if path == ("b" if ask else "sub"):
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
        return really(path, flags, *args, dir_fd=dir_fd)

    monkeypatch.setattr("hotfolder.beneath.os.open", none_left)
    with pytest.raises(Exhausted):
        await finder.turn()
    monkeypatch.undo()
    settled = [path for _ in range(3) for path, _ in await finder.turn()]
    threads.close()
    assert sorted(settled) == ["sub/a", "sub/b"]


def test_without_descriptors_a_walk_fails_and_passes_no_folder_over(
    inbox: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drop(inbox, "sub/a")
    really = os.open

    def none_left(path: str, flags: int, *args: int, dir_fd: int | None = None) -> int:
        if path == "sub":
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
        return really(path, flags, *args, dir_fd=dir_fd)

    monkeypatch.setattr("hotfolder.beneath.os.open", none_left)
    with pytest.raises(OSError, match="Too many open files"):
        list(walk(str(inbox), "", keep_all))


async def test_what_was_heard_of_waits_for_room_like_what_is_walked_by(inbox: Path) -> None:
    room = 0
    threads = Threads("test-walk", 1)
    finder = finder_of(inbox, threads, room=lambda: room)
    finder.walks._planned.clear()
    drop(inbox, *(f"{number}" for number in range(LOOKS + 1)))
    for number in range(LOOKS + 1):
        finder.hint(f"{number}")
    assert await finder.turn() == []
    assert (len(finder.tracker), finder.next_turn()) == (0, float("inf")), "nor does it spin"
    room = WINDOW
    assert finder.next_turn() == 5.0
    settled = [path for _ in range(4) for path, _ in await finder.turn()]
    threads.close()
    assert len(settled) == LOOKS + 1


async def test_of_much_that_was_heard_only_what_is_looked_at_soon_is_sorted_and_no_walk_looks_twice(
    inbox: Path,
) -> None:
    threads = Threads("test-walk", 1)
    finder = finder_of(inbox, threads)
    finder.walks._planned.clear()
    names = [f"{number}" for number in range(2 * LOOKS)]
    drop(inbox, *names)
    for name in names:
        finder.hint(name, Heard.COMPLETED)
    first = {path for path, _ in await finder.turn()}
    assert (first, len(finder._heard)) == (set(names[:LOOKS]), LOOKS)
    await finder._look_at_new(names[LOOKS:])
    assert len(finder.tracker) == 0
    then = {path for path, _ in await finder.turn()}
    threads.close()
    assert then == set(names[LOOKS:])


async def test_what_was_claimed_while_a_walk_looked_at_it_is_found_when_it_comes_again(
    inbox: Path,
) -> None:
    claimed: set[str] = set()
    threads = Threads("test-walk", 1)
    finder = finder_of(inbox, threads, claimed=claimed)
    finder.walks._planned.clear()
    drop(inbox, "a")
    await finder._look_at_new(["a"])
    claimed.add("a")
    assert await finder.turn() == []
    assert "a" not in finder.tracker
    claimed.clear()
    await finder._look_at_new(["a"])
    settled = [path for path, _ in await finder.turn()]
    threads.close()
    assert settled == ["a"]


async def test_only_so_many_of_what_is_passed_over_is_kept(
    inbox: Path, waiting: Waiting, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(walking, "_MOST_NOTED", 3)
    for number in range(5):
        (inbox / f"link{number}").symlink_to("nowhere")
    await waiting.turns()
    assert not waiting.waits()
    assert len(waiting.walks.passed_over) == 3
