"""When files are whole: real files and real writers, on a clock that the test steps."""

import asyncio
import mmap
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from hotfolder import beneath
from hotfolder.adapters.scan import walk
from hotfolder.core.candidates import Candidates
from hotfolder.core.hints import Heard
from hotfolder.core.marker import MarkerName
from hotfolder.core.settle import OPEN, Ready, Writer
from hotfolder.finding import WINDOW, Finder
from hotfolder.threads import Threads
from hotfolder.walking import Search
from tests.support.samples import fingerprint_at

SETTLE = 5.0


class Watch:
    """A finder of one inbox with its clock."""

    def __init__(self, inbox: Path, ready: Ready) -> None:
        self.now, self.inbox = 1000.0, inbox
        self.threads = Threads("test-settle", 1)
        self.finder = Finder(
            Search(
                inbox=str(inbox),
                settle=SETTLE,
                rescan=60.0,
                ignored=lambda path: path.startswith(".hidden"),
                refusal=lambda path: None,  # noqa: ARG005 - the finder's shape
                walk=walk,
                clock=lambda: self.now,
                wall=lambda: 0.0,
                ready=ready,
                candidates=Candidates(
                    marker=MarkerName("{name}.done") if ready is Ready.MARKER else None
                ),
            ),
            threads=self.threads,
            claimed=lambda path: False,  # noqa: ARG005 - the finder's shape
            news=lambda path, seen: False,  # noqa: ARG005 - the finder's shape
            room=lambda: WINDOW,
            wake=lambda: None,
        )

    async def turns(self, after: float = 0.0) -> list[str]:
        """Some turns at one moment, `after` so many seconds; returns all that settled."""
        self.now += after
        settled = []
        for _ in range(4):
            settled += [path for path, _ in await self.finder.turn()]
            walking = self.finder.walks._walking
            if walking is not None:
                await asyncio.wait([walking])
        return settled

    async def heard(self, name: str, heard: Heard = Heard.COMPLETED) -> list[str]:
        """Let the finder hear of `name`, at the same moment; returns all that settled."""
        self.finder.hint(name, heard)
        return await self.turns()

    def why(self, name: str) -> str | None:
        return self.finder.tracker.why(name, self.now)


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Callable[[Ready], Watch]]:
    made: list[Watch] = []

    def watch(ready: Ready) -> Watch:
        made.append(Watch(tmp_path, ready))
        return made[-1]

    yield watch
    for each in made:
        each.threads.close()


def writer(path: Path) -> int:
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)


# -- open for writing ----------------------------------------------------------------------------


@pytest.mark.parametrize("ready", [Ready.QUIET, Ready.CLOSED])
async def test_a_writer_that_pauses_with_the_file_open_is_waited_for(
    make: Callable[[Ready], Watch], tmp_path: Path, ready: Ready
) -> None:
    watch = make(ready)
    await watch.turns()
    descriptor = writer(tmp_path / "clip")
    os.write(descriptor, b"half")
    assert await watch.heard("clip", Heard.APPEARED) == []
    for _ in range(100):
        assert await watch.turns(after=SETTLE) == []
        assert watch.why("clip") == OPEN
    os.write(descriptor, b" and the rest")
    assert await watch.turns(after=30.0) == []
    assert watch.why("clip") == "settling: changed 0 s ago, whole after 5 s without a change"
    os.close(descriptor)
    assert await watch.turns(after=SETTLE) == ["clip"]


async def test_a_close_ends_the_waiting_of_what_was_quiet_for_long_enough(
    make: Callable[[Ready], Watch], tmp_path: Path
) -> None:
    watch = make(Ready.QUIET)
    descriptor = writer(tmp_path / "clip")
    await watch.turns()
    assert await watch.turns(after=1000.0) == []
    os.close(descriptor)
    assert await watch.turns() == []
    assert await watch.heard("clip") == ["clip"]


async def test_what_is_mapped_to_be_written_counts_as_open(
    make: Callable[[Ready], Watch], tmp_path: Path
) -> None:
    watch = make(Ready.QUIET)
    (tmp_path / "clip").write_bytes(bytes(mmap.PAGESIZE))
    descriptor = os.open(tmp_path / "clip", os.O_RDWR)
    with mmap.mmap(descriptor, mmap.PAGESIZE):
        os.close(descriptor)
        await watch.turns()
        assert await watch.turns(after=SETTLE) == []
        assert watch.why("clip") == OPEN
    assert await watch.turns(after=SETTLE) == ["clip"]


async def test_a_reader_is_no_writer(make: Callable[[Ready], Watch], tmp_path: Path) -> None:
    watch = make(Ready.CLOSED)
    (tmp_path / "clip").write_bytes(b"data")
    with (tmp_path / "clip").open("rb"):
        assert await watch.heard("clip") == ["clip"]


@pytest.fixture
def no_leases(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a network mount: nobody can say whether there is a writer."""
    monkeypatch.setattr(beneath, "writer_of", lambda _: Writer.UNKNOWN)


@pytest.mark.usefixtures("no_leases")
@pytest.mark.parametrize("ready", [Ready.QUIET, Ready.CLOSED])
async def test_where_leases_do_not_work_the_quiet_time_decides_and_that_is_told_once(
    make: Callable[[Ready], Watch], tmp_path: Path, ready: Ready
) -> None:
    watch = make(ready)
    await watch.turns()
    with capture_logs() as logs:
        for name in ("a", "b"):
            (tmp_path / name).write_bytes(b"data")
            assert await watch.heard(name) == []
            assert await watch.turns(after=SETTLE) == [name]
    assert [line["event"] for line in logs] == ["settle.unproven"]
    assert logs[0]["path"] == f"{tmp_path}/a"


# -- closed --------------------------------------------------------------------------------------


async def test_a_closed_file_is_taken_at_once(make: Callable[[Ready], Watch], tmp_path: Path) -> None:
    watch = make(Ready.CLOSED)
    await watch.turns()
    descriptor = writer(tmp_path / "clip")
    assert await watch.heard("clip", Heard.APPEARED) == []
    os.write(descriptor, b"data")
    os.close(descriptor)
    assert await watch.heard("clip") == ["clip"]
    assert watch.finder.tracker.next_due() is None or not await watch.turns(after=SETTLE)


async def test_what_is_heard_behind_a_close_does_not_undo_it(
    make: Callable[[Ready], Watch], tmp_path: Path
) -> None:
    watch = make(Ready.CLOSED)
    await watch.turns()
    (tmp_path / "clip").write_bytes(b"data")
    watch.finder.hint("clip", Heard.COMPLETED)
    assert await watch.heard("clip", Heard.APPEARED) == ["clip"]


async def test_what_nobody_closed_waits_for_its_quiet_time(
    make: Callable[[Ready], Watch], tmp_path: Path
) -> None:
    watch = make(Ready.CLOSED)
    (tmp_path / "found").write_bytes(b"data")
    assert await watch.turns() == [], "a walk found it"
    (tmp_path / ".hidden").write_bytes(b"data")
    os.link(tmp_path / ".hidden", tmp_path / "linked")
    assert await watch.heard("linked", Heard.APPEARED) == []
    (tmp_path / "empty").touch()
    assert await watch.heard("empty") == []
    assert sorted(await watch.turns(after=SETTLE)) == ["empty", "found", "linked"]


async def test_closed_by_one_and_open_in_another_it_is_not_taken(
    make: Callable[[Ready], Watch], tmp_path: Path
) -> None:
    watch = make(Ready.CLOSED)
    await watch.turns()
    second = writer(tmp_path / "clip")
    (tmp_path / "clip").write_bytes(b"data")
    assert await watch.heard("clip") == []
    for _ in range(4):
        assert await watch.turns(after=SETTLE) == []
    os.close(second)
    assert await watch.heard("clip") == ["clip"]


# -- marker --------------------------------------------------------------------------------------


def write_behind(path: Path, other: Path) -> None:
    """Write `path` until the kernel's clock says that it is younger than `other`."""
    path.write_bytes(b"data")
    while other.exists() and fingerprint_at(path).ctime_ns <= fingerprint_at(other).ctime_ns:
        path.write_bytes(b"data")


async def test_a_marked_file_is_taken_at_once_and_an_unmarked_one_never(
    make: Callable[[Ready], Watch], tmp_path: Path
) -> None:
    watch = make(Ready.MARKER)
    (tmp_path / "clip").write_bytes(b"data")
    (tmp_path / "other").write_bytes(b"data")
    assert await watch.turns() == []
    assert await watch.turns(after=1000.0) == []
    marks = watch.finder.marks
    assert marks.left() == {"clip": "waiting for clip.done", "other": "waiting for other.done"}
    assert len(watch.finder.tracker) == 0, "what is not marked takes up no place"
    (tmp_path / "clip.done").touch()
    assert await watch.heard("clip.done") == ["clip"]
    taken = marks.take("clip")
    assert taken is not None
    assert taken.fingerprint == fingerprint_at(tmp_path / "clip.done")
    assert list(marks.left()) == ["other"]


async def test_a_walk_finds_what_nobody_heard_of(make: Callable[[Ready], Watch], tmp_path: Path) -> None:
    watch = make(Ready.MARKER)
    (tmp_path / "sub").mkdir()
    for name in ("a", "a.done", "sub/b", "sub/b.done", "alone.done", ".hidden", ".hidden.done"):
        (tmp_path / name).touch()
    assert sorted(await watch.turns()) == ["a", "sub/b"]
    assert watch.finder.marks.left() == {"alone.done": "the marker of alone, which is not there"}
    (tmp_path / "alone.done").unlink()
    assert "alone" not in await watch.turns(after=60.0)
    assert watch.finder.marks.left() == {}


async def test_a_marked_file_that_is_open_waits_for_its_writer(
    make: Callable[[Ready], Watch], tmp_path: Path
) -> None:
    watch = make(Ready.MARKER)
    descriptor = writer(tmp_path / "clip")
    (tmp_path / "clip.done").touch()
    assert await watch.turns() == []
    assert await watch.turns(after=1000.0) == []
    assert watch.why("clip") == OPEN
    os.close(descriptor)
    assert await watch.heard("clip") == ["clip"]


async def test_a_marker_left_by_a_crash_does_not_release_the_next_file_of_that_name(
    make: Callable[[Ready], Watch], tmp_path: Path
) -> None:
    watch = make(Ready.MARKER)
    (tmp_path / "clip.done").touch()
    assert await watch.turns() == []
    write_behind(tmp_path / "clip", tmp_path / "clip.done")
    assert await watch.heard("clip") == []
    assert await watch.turns(after=1000.0) == []
    assert "older than clip" in watch.finder.marks.left()["clip"]
    (tmp_path / "clip.done").touch()
    assert await watch.heard("clip.done") == ["clip"]


async def test_a_marked_file_that_changes_before_it_is_taken_needs_a_new_marker(
    make: Callable[[Ready], Watch], tmp_path: Path
) -> None:
    watch = make(Ready.MARKER)
    descriptor = writer(tmp_path / "clip")
    (tmp_path / "clip.done").touch()
    assert await watch.turns() == []
    os.close(descriptor)
    write_behind(tmp_path / "clip", tmp_path / "clip.done")
    assert await watch.heard("clip") == []
    assert await watch.turns(after=1000.0) == []
    assert len(watch.finder.tracker) == 0
    (tmp_path / "clip").unlink()
    (tmp_path / "clip.done").unlink()
    assert await watch.turns(after=60.0) == []
    assert watch.finder.marks.left() == {}
    assert watch.finder.marks.bytes == 0


async def test_each_file_is_released_by_its_own_marker_whatever_folders_they_are_in(
    make: Callable[[Ready], Watch], tmp_path: Path
) -> None:
    watch = make(Ready.MARKER)
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        for name in ("1", "2"):
            (tmp_path / folder / name).write_bytes(b"content")
    await watch.turns()
    (tmp_path / "b" / "1.done").touch()
    for path in ("a/1", "b/1", "a/2", "b/2"):  # looked at in one go, not in the order of their folders
        watch.finder.hint(path, Heard.APPEARED)
    assert await watch.turns() == ["b/1"]
