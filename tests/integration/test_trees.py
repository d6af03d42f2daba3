"""Directories as one thing, on a real disk: looked at, packed, moved; and who meddles with them."""

import io
import os
import shutil
import tarfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from itertools import pairwise
from pathlib import Path

import pytest

from hotfolder.adapters.archive import TreeTar
from hotfolder.adapters.filters import ignore_filter
from hotfolder.adapters.finishing import Finisher
from hotfolder.adapters.scan import walk_top
from hotfolder.adapters.source import OpenTree, open_tree
from hotfolder.beneath import Look
from hotfolder.calling_off import CallOffs
from hotfolder.core.candidates import Candidates
from hotfolder.core.errors import AnotherFileSystem, LocalError, SourceChanged
from hotfolder.core.grouping import Grouping, GroupRule
from hotfolder.core.hints import Heard
from hotfolder.core.marker import MarkerName
from hotfolder.core.records import CalledOff, Disposition, Fingerprint, Job, PassedOver
from hotfolder.core.settle import Ready, Writer
from hotfolder.finding import LOOKS, Finder
from hotfolder.staying import Staying
from hotfolder.threads import Threads
from hotfolder.trees import entries, look_again, look_as, look_for_writers
from hotfolder.walking import Search
from tests.support.descriptors import open_below
from tests.support.folders import Folders, MeddledFinisher, old_file_system, other_file_system
from tests.support.memory_kept import MemoryKept
from tests.support.packing_line import form, packing_line
from tests.support.samples import fingerprint_at, job_at
from tests.support.trees import facts_of

SEGMENT = 1000


def plant(root: Path) -> Path:
    """A directory with a file, nested ones, an empty one, and a link."""
    (root / "raw" / "day").mkdir(parents=True)
    (root / "empty").mkdir()
    (root / "a").write_bytes(b"a" * 2500)
    (root / "raw" / "b").write_bytes(b"b" * 1024)
    (root / "raw" / "day" / "c").write_bytes(b"")
    (root / "z").write_bytes(b"z" * 3000)
    (root / "link").symlink_to("raw/b")
    return root


def unpack(stream: bytes, into: Path) -> None:
    into.mkdir()
    with tarfile.open(fileobj=io.BytesIO(stream)) as archive:
        archive.extractall(into, filter="fully_trusted")  # noqa: S202 - it was made here


def seen(inbox: Path, name: str, *, ask: bool = False) -> Fingerprint | LocalError | None:
    return look_for_writers(str(inbox), [(name, ask)])[0].there


# -- packed --------------------------------------------------------------------------------------


async def test_the_same_directory_gives_the_same_bytes_and_comes_back_whole(tmp_path: Path) -> None:
    planted = plant(tmp_path / "reels")
    job, opener = job_at(tmp_path, "reels"), partial(open_tree, members=TreeTar())
    streams = []
    for window, threads in ((1, 1), (4, 3)):
        with packing_line(segment=SEGMENT, threads=threads) as line:
            packed = await line.pack(job, form("tar.gz"), window=window, opener=opener)
            streams.append(packed.stream)
    assert streams[0] == streams[1]
    whole = zlib.decompress(streams[0], wbits=31)
    assert len(whole) == packed.digests.original_size == packed.bytes_read
    with tarfile.open(fileobj=io.BytesIO(whole)) as archive:
        names = archive.getnames()
        assert {(member.uid, member.gid, member.uname) for member in archive} == {(0, 0, "")}
    assert names == [
        *("reels", "reels/a", "reels/empty", "reels/link", "reels/raw", "reels/raw/b"),
        *("reels/raw/day", "reels/raw/day/c", "reels/z"),
    ]
    unpack(whole, tmp_path / "restored")
    restored, original = facts_of(tmp_path / "restored" / "reels"), facts_of(planted)
    assert {name: facts[2] for name, facts in restored.items()} == {
        name: facts[2] for name, facts in original.items()
    }


class Meddled(OpenTree):
    """An open tree with somebody else at work before the n-th read."""

    def __init__(self, job: Job, meddle: Callable[[], object], before: int) -> None:
        top = os.open(job.path, os.O_RDONLY | os.O_DIRECTORY)
        self._reads, self._before, self._meddle = 0, before, meddle
        super().__init__(top, job, TreeTar())

    def read(self, offset: int, size: int) -> bytes:
        if self._reads == self._before:
            self._meddle()
        self._reads += 1
        return super().read(offset, size)


def _replace_by_link(tree: Path) -> None:
    (tree / "z").unlink()
    (tree / "z").symlink_to("a")


def _swap(tree: Path) -> None:
    (tree / "raw").rename(tree.parent / "away")
    (tree / "raw").symlink_to(tree.parent / "away")


MEDDLING: dict[str, Callable[[Path], object]] = {
    "a file came": lambda tree: (tree / "raw" / "new").write_bytes(b""),
    "a file went": lambda tree: (tree / "raw" / "day" / "c").unlink(),
    "a file was written over": lambda tree: (tree / "z").write_bytes(b"y" * 3000),
    "a file grew": lambda tree: os.truncate(tree / "z", 3001),
    "a file that was read is another": lambda tree: (tree / "a").write_bytes(b"A" * 2500),
    "a file became a link": _replace_by_link,
    "a directory became a link": _swap,
    "a name changed": lambda tree: (tree / "empty").rename(tree / "still empty"),
    "a mode changed": lambda tree: (tree / "a").chmod(0o600),
    "a pipe came": lambda tree: os.mkfifo(tree / "zz"),
    "all of it went": lambda tree: tree.rename(tree.parent / "gone"),
}


@pytest.mark.parametrize("before", [0, 1, 4])
@pytest.mark.parametrize("meddling", MEDDLING)
async def test_a_directory_that_changes_while_it_is_read_is_never_taken(
    tmp_path: Path, meddling: str, before: int
) -> None:
    planted = plant(tmp_path / "reels")
    # The clock of a file system is too coarse for what happens within one tick of it.
    os.utime(planted / "a", ns=(1, 1))
    os.utime(planted / "z", ns=(1, 1))
    job = job_at(tmp_path, "reels")
    opener = partial(Meddled, meddle=partial(MEDDLING[meddling], planted), before=before)
    with packing_line(segment=SEGMENT) as line, pytest.raises(SourceChanged):
        await line.pack(job, form("tar.gz"), opener=opener)


async def test_a_file_that_is_open_for_writing_keeps_its_directory_from_being_read(
    tmp_path: Path,
) -> None:
    planted = plant(tmp_path / "reels")
    opener = partial(open_tree, members=TreeTar())
    with packing_line(segment=SEGMENT) as line, (planted / "raw" / "b").open("ab"):
        with pytest.raises(SourceChanged, match="raw/b open for writing"):
            await line.pack(job_at(tmp_path, "reels"), form("tar.gz"), opener=opener)
        looks = look_for_writers(str(tmp_path), [("reels", True), ("reels", False)])
        assert [look.writer for look in looks] == [Writer.OPEN, Writer.UNASKED]
    assert look_for_writers(str(tmp_path), [("reels", True)])[0].writer is Writer.NONE


# -- looked at -----------------------------------------------------------------------------------


def test_every_change_anywhere_in_a_directory_shows(tmp_path: Path) -> None:
    planted = plant(tmp_path / "reels")
    os.utime(planted / "a", ns=(1, 1))
    looks = [seen(tmp_path, "reels")]
    for meddling, meddle in MEDDLING.items():
        if meddling not in {"a pipe came", "all of it went"}:
            meddle(planted)
            looks.append(seen(tmp_path, "reels"))
    assert all(isinstance(look, Fingerprint) and look.tree for look in looks)
    assert all(one != next_one for one, next_one in pairwise(looks))


def test_a_rename_of_the_whole_changes_nothing_but_ctime(tmp_path: Path) -> None:
    plant(tmp_path / "reels")
    before = fingerprint_at(tmp_path / "reels")
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "reels").rename(tmp_path / "elsewhere" / "other")
    after = fingerprint_at(tmp_path / "elsewhere" / "other")
    assert before.survived_move(after)
    assert before.size == 2500 + 1024 + 3000


def _deep(tree: Path) -> None:
    for _ in range(120):
        tree /= "d"
        tree.mkdir()
    (tree / "f").write_bytes(b"")


@pytest.mark.parametrize(
    ("spoil", "why"),
    [
        (lambda tree: os.mkfifo(tree / "raw" / "pipe"), "raw/pipe is a device, pipe or socket"),
        (_deep, "more than 100 directories deep"),
    ],
)
def test_what_cannot_be_archived_whole_is_left_with_the_reason(
    tmp_path: Path, spoil: Callable[[Path], object], why: str
) -> None:
    spoil(plant(tmp_path / "reels"))
    told = seen(tmp_path, "reels")
    assert isinstance(told, LocalError)
    assert why in str(told)
    # And of one that was proven before it became so, it is known that it is another by now.
    then = replace(fingerprint_at(tmp_path / "reels"), tree="as it was")
    assert look_as(str(tmp_path), "reels", then) not in {None, then}


def test_what_is_nothing_to_deliver_is_nothing(tmp_path: Path) -> None:
    (tmp_path / "empty" / "still").mkdir(parents=True)
    (tmp_path / "file").write_bytes(b"1")
    (tmp_path / "link").symlink_to("empty")
    plant(tmp_path / "reels")
    assert [seen(tmp_path, name) for name in ("empty", "link", "gone")] == [None, None, None]
    assert seen(tmp_path, "file") == fingerprint_at(tmp_path / "file")
    tree, file = fingerprint_at(tmp_path / "reels"), fingerprint_at(tmp_path / "file")
    (tmp_path / "reels").rename(tmp_path / "away")
    (tmp_path / "reels").symlink_to("away")
    assert look_again(str(tmp_path), [("reels", tree), ("file", tree), ("file", file)]) == [
        ("reels", None),
        ("file", None),
        ("file", file),
    ]


def test_a_walk_that_is_broken_off_leaves_nothing_open(tmp_path: Path) -> None:
    plant(tmp_path / "reels")
    top = os.open(tmp_path / "reels", os.O_RDONLY | os.O_DIRECTORY)
    before = open_below(tmp_path)
    for count in range(9):
        walk = entries(top)
        for _ in range(count):
            next(walk)
        walk.close()  # type: ignore[attr-defined]
    assert open_below(tmp_path) == before == ["reels"]
    os.close(top)


# -- found ---------------------------------------------------------------------------------------


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


class Inbox:
    """A finder of whole directories, with a clock that is stepped."""

    def __init__(
        self,
        root: Path,
        threads: Threads,
        ignore: Iterable[str] = (),
        grouping: Grouping | None = None,
        marker: MarkerName | None = None,
    ) -> None:
        self.root, self.clock, self.claimed = root, Clock(), set[str]()
        self.finder = Finder(
            Search(
                inbox=str(root),
                settle=5.0,
                rescan=1000.0,
                ignored=ignore_filter(list(ignore)),
                refusal=(grouping or Grouping("media")).refusal,
                walk=walk_top,
                clock=self.clock,
                wall=self.clock,
                look=look_for_writers,
                ready=Ready.QUIET if marker is None else Ready.MARKER,
                candidates=Candidates(whole=True, marker=marker),
            ),
            threads=threads,
            claimed=self.claimed.__contains__,
            news=lambda *_: False,
            room=lambda: 1000,
            wake=lambda: None,
        )

    async def after(self, seconds: float) -> set[str]:
        """What has settled by then."""
        self.clock.now += seconds
        settled = {path for path, _ in await self.finder.turn()}
        while self.finder.walks._walking is not None:
            await self.finder.walks._walking
            settled |= {path for path, _ in await self.finder.turn()}
        return settled


@pytest.fixture
def threads() -> Iterator[Threads]:
    made = Threads("test-trees", 1)
    yield made
    made.close()


async def test_a_directory_settles_as_a_whole(tmp_path: Path, threads: Threads) -> None:
    inbox = Inbox(tmp_path, threads)
    assert await inbox.after(0) == set()
    plant(tmp_path / "reels")
    (tmp_path / "loose").write_bytes(b"1")
    inbox.finder.hint("reels/raw/day/c")
    inbox.finder.hint("reels", Heard.DIRECTORY)
    inbox.finder.hint("loose", Heard.APPEARED)
    assert await inbox.after(0) == set()
    assert await inbox.after(4) == set()
    (tmp_path / "reels" / "raw" / "day" / "late").write_bytes(b"1")
    inbox.finder.hint("reels/raw/day/late")
    assert await inbox.after(1) == {"loose"}
    assert await inbox.after(4) == set()
    with (tmp_path / "reels" / "a").open("ab"):
        assert await inbox.after(1) == set()
    assert await inbox.after(30) == {"reels"}


async def test_of_all_that_is_heard_of_a_directory_comes_one_look(
    tmp_path: Path, threads: Threads, monkeypatch: pytest.MonkeyPatch
) -> None:
    inbox = Inbox(tmp_path, threads)
    assert await inbox.after(0) == set()
    plant(tmp_path / "reels")
    inbox.claimed.add("reels")  # it waits for its turn, say, and each look compares all of it
    looked: list[str] = []

    def look(root: str, paths: Iterable[tuple[str, bool]]) -> list[Look]:
        paths = list(paths)
        looked.extend(relpath for relpath, _ in paths)
        return look_for_writers(root, paths)

    monkeypatch.setattr(inbox.finder, "_search", replace(inbox.finder._search, look=look))
    for number in range(3 * LOOKS):
        inbox.finder.hint(f"reels/{number}", Heard.COMPLETED)
    for _ in range(5):
        assert await inbox.after(0) == set()
    assert looked == ["reels"]


async def test_a_directory_waits_for_the_marker_beside_it(tmp_path: Path, threads: Threads) -> None:
    inbox = Inbox(tmp_path, threads, marker=MarkerName("{name}.done"))
    plant(tmp_path / "reels")
    plant(tmp_path / "found")
    (tmp_path / "reels" / "raw.done").touch()
    (tmp_path / "found.done").touch()
    assert await inbox.after(0) == {"found"}
    inbox.finder.hint("reels/raw.done", Heard.COMPLETED)
    assert await inbox.after(500) == set()
    assert list(inbox.finder.unmarked()) == ["reels"]
    (tmp_path / "reels.done").touch()
    inbox.finder.hint("reels.done", Heard.COMPLETED)
    assert await inbox.after(0) == {"reels"}


async def test_what_no_hint_tells_the_walk_finds_and_leaves_what_is_ignored_or_odd(
    tmp_path: Path, threads: Threads
) -> None:
    for name in ("reels", "skip", "@eaDir"):
        plant(tmp_path / name)
    (tmp_path / "to reels").symlink_to("reels")
    (tmp_path / "new").mkdir()
    inbox = Inbox(tmp_path, threads, ["skip/"])
    assert await inbox.after(0) == set()
    assert await inbox.after(6) == {"reels"}
    assert set(inbox.finder.walks.passed_over) == {"to reels"}
    inbox.finder.hint("skip/a")
    assert await inbox.after(0) == set()
    assert "skip" not in inbox.finder.tracker


async def test_a_directory_that_cannot_be_taken_is_told_and_taken_once_it_can(
    tmp_path: Path, threads: Threads
) -> None:
    os.mkfifo(plant(tmp_path / "reels") / "pipe")
    inbox = Inbox(tmp_path, threads)
    assert await inbox.after(0) == set()
    assert "device, pipe or socket" in inbox.finder.unfit.reasons["reels"]
    (tmp_path / "reels" / "pipe").unlink()
    inbox.finder.hint("reels/pipe")
    assert await inbox.after(0) == set()
    assert inbox.finder.unfit.reasons == {}
    assert await inbox.after(6) == {"reels"}


async def test_a_group_of_its_name_takes_a_directory_whole(tmp_path: Path, threads: Threads) -> None:
    grouping = Grouping("media", rules=[GroupRule("reels", (".mp4",))])
    plant(tmp_path / "reels")
    plant(tmp_path / "other")
    inbox = Inbox(tmp_path, threads, grouping=grouping)
    assert await inbox.after(0) == set()
    assert await inbox.after(6) == {"reels"}
    assert grouping.group_of("reels/") == "reels"
    assert list(inbox.finder.walks.passed_over) == ["other/"]


async def test_a_directory_that_waits_for_its_marker_says_so(tmp_path: Path, threads: Threads) -> None:
    inbox = Inbox(tmp_path, threads, marker=MarkerName("{name}.done"))
    assert await inbox.after(0) == set()
    plant(tmp_path / "reels")
    inbox.finder.hint("reels", Heard.DIRECTORY)
    assert await inbox.after(60) == set()
    assert "waiting for reels.done" in inbox.finder.marks.unmarked["reels"].why
    (tmp_path / "reels" / "raw" / "late").write_bytes(b"1")
    inbox.finder.hint("reels/raw/late")
    assert await inbox.after(60) == set()
    (tmp_path / "reels.done").write_bytes(b"")
    inbox.finder.hint("reels.done", Heard.COMPLETED)
    assert await inbox.after(0) == {"reels"}


def test_the_walk_of_the_top_goes_on_where_it_let_go(tmp_path: Path) -> None:
    for number in range(5):
        plant(tmp_path / f"tree{number}")
    (tmp_path / "file").write_bytes(b"")
    walk = walk_top(str(tmp_path), "", ignore_filter([]))
    entries_of: list[str | PassedOver] = []
    for entry in walk:
        entries_of.append(entry)
        if len(entries_of) == 3:
            walk.rest()
    assert set(entries_of) == {"file", *(f"tree{number}/" for number in range(5))}
    assert list(walk_top(str(tmp_path), "tree1/raw", ignore_filter([]))) == ["tree1/"]


async def test_one_that_stays_or_was_called_off_is_known_by_all_that_it_holds(
    tmp_path: Path, threads: Threads
) -> None:
    planted = plant(tmp_path / "reels")
    as_it_is = fingerprint_at(planted)
    kept, call_offs = MemoryKept(), CallOffs(threads)
    kept.add("media", [("reels", as_it_is)])
    await call_offs.add(CalledOff("media", "reels", as_it_is, "somebody asked"))
    staying = Staying(kept, threads, folder="media", inbox=str(tmp_path))
    await staying.tidy()
    assert staying.count == 1
    assert await staying.delivered([("reels", as_it_is)]) == {"reels"}
    assert await call_offs.end_changed(str(tmp_path)) == []
    (planted / "raw" / "b").write_bytes(b"changed")
    assert await staying.delivered([("reels", fingerprint_at(planted))]) == set()
    assert await call_offs.end_changed(str(tmp_path)) == ["reels"]
    shutil.rmtree(planted)
    await staying.tidy()
    assert staying.count == 0


# -- moved ---------------------------------------------------------------------------------------


@pytest.fixture
def folders(tmp_path: Path) -> Folders:
    return Folders(tmp_path)


@pytest.mark.parametrize("old", [False, True])
@pytest.mark.parametrize("disposition", [Disposition.COMPLETED, Disposition.FAILED])
def test_it_moves_as_one_and_is_found_there(
    folders: Folders, disposition: Disposition, old: bool
) -> None:
    then = facts_of(plant(folders.inbox / "reels"))
    row = folders.proven("reels", disposition=disposition)
    finisher = folders.finisher()
    with ExitStack() as stack:
        if old:
            stack.enter_context(old_file_system())
        moved_to = finisher.move(row)
        finisher.sync()
    place = folders.failed if disposition is Disposition.FAILED else folders.completed
    assert moved_to == str(place / "reels")
    assert facts_of(place / "reels") == then
    assert not (folders.inbox / "reels").exists()
    assert finisher.find(row).moved_to == moved_to


def test_another_directory_of_its_name_is_gone_round(folders: Folders) -> None:
    for number in (1, 2):
        plant(folders.inbox / "reels")
        moved_to = folders.finisher().move(folders.proven("reels", number=number))
    assert moved_to.startswith(f"{folders.completed}/reels~")
    assert facts_of(Path(moved_to)).keys() == facts_of(folders.completed / "reels").keys()


@pytest.mark.parametrize("meddling", [name for name in MEDDLING if name != "all of it went"])
def test_what_was_changed_just_before_its_move_is_put_back(folders: Folders, meddling: str) -> None:
    planted = plant(folders.inbox / "reels")
    os.utime(planted / "a", ns=(1, 1))
    os.utime(planted / "z", ns=(1, 1))
    row = folders.proven("reels")
    finisher = MeddledFinisher(folders, partial(MEDDLING[meddling], planted))
    with pytest.raises(SourceChanged):
        finisher.move(row)
    assert finisher.meddled
    assert planted.is_dir()
    assert list(folders.completed.iterdir()) == []
    found = folders.finisher().find(row)
    assert found.moved_to is None
    assert found.source is not None
    assert not row.fingerprint.survived_move(found.source)


def test_a_restart_puts_back_what_changed_as_it_moved(folders: Folders) -> None:
    planted = plant(folders.inbox / "reels")
    row = folders.proven("reels")
    planted.rename(folders.completed / "reels")
    (folders.completed / "reels" / "late").write_bytes(b"written through a descriptor of old")
    found = folders.finisher().find(row)
    assert found.moved_to is None
    assert (planted / "late").is_file()


def test_a_file_in_the_place_of_the_directory_is_not_moved_for_it(folders: Folders) -> None:
    planted = plant(folders.inbox / "reels")
    row = folders.proven("reels")
    planted.rename(folders.root / "away")
    planted.symlink_to(folders.root / "away")
    with pytest.raises((SourceChanged, LocalError)):
        folders.finisher().move(row)
    assert planted.is_symlink()
    assert list(folders.completed.iterdir()) == []


def test_another_file_system_is_refused_with_the_way_out(tmp_path: Path) -> None:
    with other_file_system(tmp_path) as elsewhere:
        folders = Folders(tmp_path, elsewhere)
        plant(folders.inbox / "reels")
        row = folders.proven("reels")
        finisher: Finisher = folders.finisher()
        with pytest.raises(AnotherFileSystem):
            finisher.move(row)
        with pytest.raises(LocalError, match="is a directory") as refused:
            finisher.copy(row, lambda _: None)
        assert "file system of the inbox" in refused.value.hint
        assert (folders.inbox / "reels" / "a").is_file()
