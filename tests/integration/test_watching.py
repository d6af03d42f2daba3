"""What real inotify tells of an inbox: all that lands is heard, and what cannot be is said."""

import contextlib
import os
import random
import shutil
import subprocess
import sys
import tarfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from hotfolder.adapters.watching import Watcher
from hotfolder.adapters.watching.hints import Hints
from hotfolder.adapters.watching.listener import Listener
from hotfolder.core.errors import LocalError
from hotfolder.core.hints import Heard
from hotfolder.core.watching import Hearing

_PATIENCE = 150.0  # seconds that a loaded machine gets; reached only by a failure


class Ear:
    """A watcher, and all that it ever told."""

    def __init__(self, inbox: Path) -> None:
        self.inbox = inbox
        self.told: dict[str, Heard] = {}
        self._stirred = threading.Event()
        self.held = threading.Event()  # clear: the watching thread waits in its `wake`
        self.held.set()
        self.waits = threading.Event()
        self.watcher = Watcher(str(inbox), self._wake)

    def _wake(self) -> None:
        self._stirred.set()
        if not self.held.is_set():
            self.waits.set()
            self.held.wait(_PATIENCE)

    def until(self, done: Callable[[], bool]) -> None:
        """Listen until `done`."""
        end = time.monotonic() + _PATIENCE
        while not done():
            assert time.monotonic() < end, (self.told, self.watcher.hearing())
            self._stirred.wait(0.02)  # not every change of the hearing stirs
            self._stirred.clear()
            self.told.update(self.watcher.take())

    def hears(self, *relpaths: str) -> None:
        self.until(lambda: set(relpaths) <= set(self.told))

    def hold(self) -> None:
        """Keep the watching thread from reading until `held` is set."""
        self.held.clear()
        self.watcher.take()
        drop(self.inbox / "first")
        assert self.waits.wait(_PATIENCE)

    @property
    def hearing(self) -> Hearing:
        return self.watcher.hearing()

    def settles(self) -> None:
        """All that happened so far was dealt with: a canary sings behind it."""
        number = self.hearing.answered + 1
        self.watcher.sing(number)
        self.until(lambda: self.hearing.answered == number and not self.hearing.to_come)
        self.told.update(self.watcher.take())


@pytest.fixture
def inbox(tmp_path: Path) -> Path:
    (tmp_path / "inbox").mkdir()
    return tmp_path / "inbox"


@pytest.fixture
def ear(inbox: Path) -> Iterator[Ear]:
    ear = Ear(inbox)
    ear.watcher.start()
    yield ear
    ear.held.set()
    ear.watcher.stop()


def drop(*paths: Path) -> None:
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"data")


def files_in(inbox: Path) -> set[str]:
    return {str(path.relative_to(inbox)) for path in inbox.rglob("*") if path.is_file()}


def test_how_a_file_came_is_told(ear: Ear, inbox: Path, tmp_path: Path) -> None:
    drop(inbox / "written", tmp_path / "outside", tmp_path / "original", inbox / "here")
    (tmp_path / "outside").rename(inbox / "moved_in")
    (inbox / "here").rename(inbox / "renamed")
    os.link(tmp_path / "original", inbox / "linked")
    with (inbox / "open").open("wb"):
        ear.hears("open")
        assert ear.told["open"] is Heard.APPEARED
    ear.settles()
    expected = {
        "written": Heard.COMPLETED,
        "moved_in": Heard.COMPLETED,
        "renamed": Heard.COMPLETED,
        "linked": Heard.APPEARED,
        "open": Heard.COMPLETED,
    }
    assert {name: ear.told[name] for name in expected} == expected


def test_what_leaves_makes_no_noise(ear: Ear, inbox: Path, tmp_path: Path) -> None:
    drop(inbox / "a")
    ear.settles()
    ear.told.clear()
    events = ear.hearing.events
    (inbox / "a").rename(tmp_path / "a")
    ear.settles()
    assert not ear.told
    assert ear.hearing.events == events + 1  # the canary


def test_files_in_new_deep_trees_are_heard(ear: Ear, inbox: Path) -> None:
    for number in range(20):
        drop(inbox / f"{number}/a/b/c/d/file", inbox / f"{number}/a/file")
    ear.hears(*files_in(inbox))


def test_a_tree_unpacked_is_heard_to_the_last_file(ear: Ear, inbox: Path, tmp_path: Path) -> None:
    archive = tmp_path / "tree.tar"
    source = tmp_path / "source"
    drop(
        *(
            source / f"{one}/{two}/file{three}"
            for one in range(20)
            for two in range(20)
            for three in "ab"
        )
    )
    with tarfile.open(archive, "w") as tar:
        tar.add(source, arcname="tree")
    subprocess.run(["tar", "-xf", archive, "-C", inbox], check=True)
    ear.hears(*files_in(inbox))
    assert len(files_in(inbox)) == 800
    assert ear.hearing.directories == 422


def test_a_tree_moved_in_is_whole(ear: Ear, inbox: Path, tmp_path: Path) -> None:
    drop(tmp_path / "tree/a/b/file", tmp_path / "tree/file")
    (tmp_path / "tree").rename(inbox / "tree")
    ear.hears("tree", "tree/a/b/file", "tree/file")
    assert ear.told == {
        "tree": Heard.DIRECTORY,
        "tree/a/b/file": Heard.COMPLETED,
        "tree/file": Heard.COMPLETED,
    }
    drop(inbox / "tree/a/b/late")
    ear.hears("tree/a/b/late")


def test_a_tree_renamed_within_the_inbox_is_heard_under_its_new_name(ear: Ear, inbox: Path) -> None:
    drop(inbox / "old/a/file", inbox / "other/file")
    ear.hears("old/a/file", "other/file")
    (inbox / "old").rename(inbox / "other/new")
    ear.hears("other/new/a/file")
    ear.told.clear()
    drop(inbox / "other/new/a/late")
    ear.settles()
    assert ear.told == {"other/new/a/late": Heard.COMPLETED}


def test_a_tree_turned_inside_out_is_heard_where_it_is(ear: Ear, inbox: Path) -> None:
    drop(inbox / "a/b/file")
    ear.hears("a/b/file")
    (inbox / "a/b").rename(inbox / "b")
    (inbox / "a").rename(inbox / "b/a")
    drop(inbox / "b/a/late")
    ear.hears("b/file", "b/a/late")
    ear.settles()
    assert ear.hearing.directories == 3


def test_trees_that_change_places_are_heard_where_they_are(ear: Ear, inbox: Path) -> None:
    drop(inbox / "a/of_a", inbox / "b/of_b")
    ear.hears("a/of_a", "b/of_b")
    (inbox / "a").rename(inbox / "c")
    (inbox / "b").rename(inbox / "a")
    (inbox / "c").rename(inbox / "b")
    drop(inbox / "a/late", inbox / "b/later")
    ear.hears("b/of_a", "a/of_b", "a/late", "b/later")
    ear.settles()
    assert ear.hearing.directories == 3


def test_a_tree_moved_out_is_not_listened_to_and_back_it_is(
    ear: Ear, inbox: Path, tmp_path: Path
) -> None:
    drop(inbox / "tree/a/file")
    ear.hears("tree/a/file")
    (inbox / "tree").rename(tmp_path / "tree")
    ear.settles()
    ear.until(lambda: ear.hearing.directories == 1)
    ear.told.clear()
    drop(tmp_path / "tree/a/outside")
    (tmp_path / "tree").rename(inbox / "tree")
    drop(inbox / "tree/a/late")
    ear.hears("tree/a/file", "tree/a/outside", "tree/a/late")


@pytest.mark.parametrize("seed", range(4))
def test_whatever_is_done_to_folders_no_file_and_no_folder_is_missed(
    ear: Ear, inbox: Path, tmp_path: Path, seed: int
) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    turmoil = Turmoil(inbox, outside, random.Random(seed))
    for _ in range(80):
        with contextlib.suppress(OSError):  # a folder into itself, or onto another
            turmoil.stir()
    ear.settles()
    assert files_in(inbox) <= set(ear.told)
    for folder in turmoil.folders():
        drop(folder / "late")
    ear.settles()
    assert files_in(inbox) <= set(ear.told)
    assert ear.hearing.directories == len(turmoil.folders())


class Turmoil:
    """Folders that are made, moved, swapped, taken out and brought back at random."""

    def __init__(self, inbox: Path, outside: Path, dice: random.Random) -> None:
        self._inbox, self._outside, self._dice = inbox, outside, dice
        self._number = 0

    def folders(self) -> list[Path]:
        return [self._inbox, *(path for path in sorted(self._inbox.rglob("*")) if path.is_dir())]

    def stir(self) -> None:
        folders = self.folders()
        one, other = self._dice.choice(folders), self._dice.choice(folders)
        away = sorted(self._outside.iterdir())
        what = self._dice.choice(["make", "make", "write", "rename", "rename", "out", "in", "inside"])
        if what == "make":
            drop(one / self._new() / self._new() / self._new())
        elif what == "write":
            drop(one / self._new())
        elif what == "in" and away:
            self._dice.choice(away).rename(one / self._new())
        elif one == self._inbox:
            return
        elif what == "rename":
            one.rename(other / self._dice.choice([self._new(), one.name]))
        elif what == "out":
            one.rename(self._outside / self._new())
        elif what == "inside":
            moved = one.rename(one.with_name(self._new()))
            one.mkdir()
            moved.rename(one / self._new())

    def _new(self) -> str:
        self._number += 1
        return f"n{self._number}"


def test_a_folder_removed_and_remade_is_heard(ear: Ear, inbox: Path) -> None:
    for _ in range(50):
        drop(inbox / "again/file")
        shutil.rmtree(inbox / "again")
    drop(inbox / "again/file", inbox / "again/deep/file")
    ear.told.clear()
    drop(inbox / "again/late", inbox / "again/deep/late")
    ear.hears("again/late", "again/deep/late")


def test_files_that_came_while_watches_were_set_are_told_of(inbox: Path) -> None:
    """The first walk may have been there before them, and the next one comes when all are set."""
    drop(inbox / "old" / "long there", inbox / "new" / "deep" / "just now")
    for folder in ("old", "new"):
        os.utime(inbox / folder, (1e9, 1e9))
    hints = Hints(lambda: None)
    listener = Listener(str(inbox), hints, deaf=frozenset())
    listener.start()
    assert listener.surveyed.wait(_PATIENCE)
    listener.stop()
    assert hints.take() == [("new/deep/just now", Heard.APPEARED)]


def test_a_link_to_a_folder_is_not_entered(ear: Ear, inbox: Path, tmp_path: Path) -> None:
    drop(tmp_path / "outside/file")
    (inbox / "link").symlink_to(tmp_path / "outside")
    drop(tmp_path / "outside/late")
    ear.settles()
    assert ear.told == {"link": Heard.APPEARED}
    assert ear.hearing.directories == 1


def test_a_path_longer_than_the_kernel_takes_is_heard(ear: Ear, inbox: Path) -> None:
    here = os.open(inbox, os.O_RDONLY)
    name = "d" * 200
    for _ in range(30):
        os.mkdir(name, dir_fd=here)
        below = os.open(name, os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = below
    os.close(os.open("file", os.O_WRONLY | os.O_CREAT, dir_fd=here))
    os.close(here)
    ear.hears("/".join([*[name] * 30, "file"]))


# -- what goes wrong -------------------------------------------------------------------------------


def test_a_queue_that_ran_over_is_told_and_the_tree_gone_through(ear: Ear, inbox: Path) -> None:
    ear.settles()
    surveys = ear.hearing.surveys
    drop(inbox / "one", inbox / "two")
    ear.hold()
    most = int(Path("/proc/sys/fs/inotify/max_queued_events").read_text())
    if most > 100_000:
        pytest.skip("this machine keeps more events than a test can make")
    for _ in range(most // 2 + 1):  # two in turns: the kernel makes one of equal neighbours
        os.close(os.open(inbox / "one", os.O_WRONLY))
        os.close(os.open(inbox / "two", os.O_WRONLY))
    drop(inbox / "unheard/deep/file")
    ear.held.set()
    ear.until(lambda: ear.hearing.overflows == 1 and ear.hearing.surveys > surveys)
    ear.told.clear()
    drop(inbox / "unheard/deep/late")
    ear.hears("unheard/deep/late")


@pytest.mark.parametrize("end", ["removed", "moved"])
def test_an_inbox_that_goes_ends_the_watcher(ear: Ear, inbox: Path, end: str) -> None:
    if end == "removed":
        inbox.rmdir()
    else:
        inbox.rename(inbox.with_name("elsewhere"))
    ear.until(lambda: ear.hearing.dead is not None)
    assert (
        ear.hearing.dead
        == {
            "removed": "the inbox was removed",
            "moved": "the inbox was moved away",
        }[end]
    )


def test_an_inbox_remade_is_noticed_by_the_canary_alone(ear: Ear, inbox: Path) -> None:
    ear.hold()
    inbox.rename(inbox.with_name("elsewhere"))
    inbox.mkdir()
    ear.watcher.sing(1)
    ear.held.set()
    ear.until(lambda: ear.hearing.dead is not None)
    assert ear.hearing.answered == 0


def test_a_fault_in_dealing_with_an_event_is_told_and_ends_nothing(
    ear: Ear, inbox: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    listener = ear.watcher._listener
    assert listener is not None
    surveys = ear.hearing.surveys

    def refuse(*_: object) -> None:
        raise RuntimeError("a bug")

    with monkeypatch.context() as patched:
        patched.setattr(listener, "_on_entry", refuse)
        drop(inbox / "lost")
        ear.until(lambda: ear.hearing.faults > 0)
    ear.until(lambda: ear.hearing.surveys > surveys)
    assert ear.hearing.fault == "RuntimeError: a bug"
    drop(inbox / "heard")
    ear.hears("heard")


def test_an_inbox_that_is_not_there_cannot_be_watched(tmp_path: Path) -> None:
    with pytest.raises(LocalError, match="cannot watch"):
        Watcher(str(tmp_path / "absent"), lambda: None).start()


_LIMITED = """
import sys, time
from pathlib import Path
Path("/proc/sys/user/max_inotify_{what}").write_text("{limit}")
sys.path.insert(0, "{here}")
from tests.integration.test_watching import Ear, drop
from hotfolder.core.errors import LocalError
inbox = Path(sys.argv[1])
ear = Ear(inbox)
{then}
"""


def limited(inbox: Path, what: str, limit: int, then: str) -> str:
    """What a program says that runs in a user namespace with a limit of its own."""
    here = Path(__file__).parent.parent.parent
    code = _LIMITED.format(what=what, limit=limit, here=here, then=then)
    command = ["unshare", "--user", "--map-root-user", sys.executable, "-c", code, str(inbox)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=_PATIENCE)
    if "Operation not permitted" in done.stderr or "Permission denied" in done.stderr:
        pytest.skip("this machine lets nobody make a user namespace")
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_directories_beyond_the_limit_are_named_and_watched_once_it_is_raised(inbox: Path) -> None:
    for number in range(10):
        drop(inbox / f"{number}/file")
    said = limited(
        inbox,
        "watches",
        8,
        """
ear.watcher.start()
hearing = ear.hearing
print(hearing.directories, len(hearing.unwatched), hearing.obstacle)
Path("/proc/sys/user/max_inotify_watches").write_text("100")
ear.watcher.retry()
ear.until(lambda: not ear.hearing.unwatched)
ear.hears(*(f"{number.split('/')[0]}/file" for number in hearing.unwatched))
print(ear.hearing.directories)
drop(inbox / "9/late")
ear.hears("9/late")
drop(inbox / "0/late")
ear.hears("0/late")
ear.watcher.stop()
""",
    )
    assert said.splitlines() == ["8 3 this user has no inotify watch left", "11"]


def test_beyond_some_parts_the_whole_inbox_is_named(inbox: Path) -> None:
    for number in range(100):
        (inbox / str(number)).mkdir()
    said = limited(
        inbox,
        "watches",
        8,
        """
ear.watcher.start()
print(ear.hearing.unwatched, ear.hearing.directories)
drop(inbox / "late")
ear.hears("late")
ear.watcher.stop()
""",
    )
    assert said.splitlines() == ["('',) 8"]


def test_without_an_instance_left_it_cannot_start(inbox: Path) -> None:
    said = limited(
        inbox,
        "instances",
        0,
        """
try:
    ear.watcher.start()
except LocalError as error:
    print(error)
""",
    )
    assert said.splitlines() == [f"cannot watch {inbox}: this user has no inotify instance left"]
