"""What an inbox really holds: what is found, what is passed over, and what is opened."""

import asyncio
import errno
import itertools
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import ParamSpec, TypeVar

import pytest
from structlog.testing import capture_logs

from hotfolder.adapters.filters import OWN_NAMES, builtin_patterns, ignore_filter
from hotfolder.adapters.scan import folders_below, walk
from hotfolder.adapters.source import open_original, user_name
from hotfolder.beneath import look_for_writers
from hotfolder.core.errors import FileRejected, LocalError, SourceChanged
from hotfolder.core.hints import Heard
from hotfolder.core.records import Fingerprint, Job, PassedOver
from hotfolder.core.size_limits import SizeLimits
from hotfolder.finding import LOOKS, WINDOW, Finder
from hotfolder.stuck import why_stuck, whys_stuck
from hotfolder.threads import Threads
from hotfolder.walking import Search
from tests.support.descriptors import open_below
from tests.support.folders import make_steps
from tests.support.samples import job_at
from tests.support.unprivileged import Bound, permissions_hold

P = ParamSpec("P")
T = TypeVar("T")
Disk = TypeVar("Disk", bound=Threads)


def keep_all(_: str) -> bool:
    return False


@pytest.fixture
def inbox(tmp_path: Path) -> Path:
    place = tmp_path / "inbox"
    place.mkdir()
    return place


def drop(inbox: Path, *relpaths: str) -> None:
    for relpath in relpaths:
        path = inbox / relpath
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"data")


def found(inbox: Path, start: str = "", ignored: Callable[[str], bool] = keep_all) -> list[str]:
    return sorted(entry for entry in walk(str(inbox), start, ignored) if isinstance(entry, str))


def passed_over(inbox: Path) -> dict[str, str]:
    entries = walk(str(inbox), "", keep_all)
    return {entry.relpath: entry.why for entry in entries if isinstance(entry, PassedOver)}


# -- the walk ----------------------------------------------------------------------------------


def test_every_regular_file_at_any_depth_is_found(inbox: Path) -> None:
    deep = "/".join(["d"] * 200)
    drop(inbox, "a", "reels/b", "reels/june/c", f"{deep}/e", ".hidden")
    (inbox / "empty").mkdir()
    assert found(inbox) == sorted(["a", "reels/b", "reels/june/c", f"{deep}/e", ".hidden"])


def test_a_walk_may_begin_below_the_inbox(inbox: Path) -> None:
    drop(inbox, "a", "reels/b", "reels/june/c")
    assert found(inbox, "reels") == ["reels/b", "reels/june/c"]
    assert found(inbox, "gone") == []
    assert found(inbox, "a") == []


def test_no_symlink_is_followed_nor_found(inbox: Path, tmp_path: Path) -> None:
    drop(tmp_path, "outside/secret")
    drop(inbox, "a", "reels/b")
    (inbox / "to_file").symlink_to(tmp_path / "outside/secret")
    (inbox / "to_folder").symlink_to(tmp_path / "outside")
    (inbox / "to_itself").symlink_to("to_itself")
    (inbox / "reels/loop").symlink_to(inbox)
    (inbox / "dangling").symlink_to("nowhere")
    assert found(inbox) == ["a", "reels/b"]
    links = {"to_file", "to_folder", "to_itself", "reels/loop", "dangling"}
    assert passed_over(inbox) == dict.fromkeys(
        links, "a symbolic link: only regular files are delivered"
    )
    assert found(inbox, "to_folder") == []
    assert found(inbox, "reels/loop") == []


def test_the_inbox_itself_may_be_a_symlink(inbox: Path, tmp_path: Path) -> None:
    drop(inbox, "a")
    (tmp_path / "link").symlink_to(inbox)
    assert found(tmp_path / "link") == ["a"]


def test_what_is_no_regular_file_is_passed_over(inbox: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    drop(inbox, "a")
    os.mkfifo(inbox / "fifo")
    monkeypatch.chdir(inbox)  # a socket's path is short
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind("socket")
        assert found(inbox) == ["a"]
        assert set(passed_over(inbox)) == {"fifo", "socket"}


def test_a_folder_that_may_not_be_read_is_named_and_the_rest_is_found(inbox: Path) -> None:
    drop(inbox, "a", "closed/b", "open/c")
    (inbox / "closed").chmod(0)
    with permissions_hold():
        assert found(inbox) == ["a", "open/c"]
        (why,) = passed_over(inbox).values()
    (inbox / "closed").chmod(0o755)
    assert why.startswith("cannot be read: Permission denied")


def test_an_inbox_that_is_gone_or_closed_is_an_error_and_not_an_empty_inbox(inbox: Path) -> None:
    inbox.chmod(0)
    with permissions_hold(), pytest.raises(PermissionError):
        found(inbox)
    inbox.rmdir()
    with pytest.raises(FileNotFoundError):
        found(inbox)


def test_names_that_are_no_text_are_found_as_they_are(inbox: Path) -> None:
    names = [b"\xff\xfe", b"new\nline", b" ", b"x" * 255, "🎬".encode(), b"-rf"]
    for name in names:
        Path(os.fsdecode(os.path.join(os.fsencode(inbox), name))).write_bytes(b"")
    assert sorted(os.fsencode(path) for path in found(inbox)) == sorted(names)


def test_a_folder_that_vanishes_under_the_walk_is_no_trouble(inbox: Path) -> None:
    drop(inbox, "one/a", "two/b")
    steps = iter(walk(str(inbox), "", keep_all))
    first = next(steps)
    assert isinstance(first, str)
    other = inbox / ("two" if first.startswith("one") else "one")
    next(other.iterdir()).unlink()
    other.rmdir()
    with capture_logs() as logs:
        assert list(steps) == []
    assert logs == []


class Stale(os.PathLike[str]):
    """An entry of a file system that does not say what it is, and then fails to."""

    name = "stale"

    def __fspath__(self) -> str:
        return self.name

    def is_file(self, *, follow_symlinks: bool) -> bool:  # noqa: ARG002 - as of os.DirEntry
        raise OSError(errno.ESTALE, os.strerror(errno.ESTALE))

    is_dir = is_file


def test_one_entry_that_nothing_can_be_said_of_does_not_hide_the_others(
    inbox: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drop(inbox, "a", "sub/b")
    real = os.scandir

    @contextmanager
    def listed(descriptor: int) -> Iterator[Iterator[object]]:
        with real(descriptor) as entries:
            yield itertools.chain([Stale()], entries)

    monkeypatch.setattr(os, "scandir", listed)
    assert found(inbox) == ["a", "sub/b"]
    assert set(passed_over(inbox)) == {"stale", "sub/stale"}
    assert "Stale file handle" in passed_over(inbox)["stale"]


def test_a_tree_without_end_is_entered_so_far(inbox: Path) -> None:
    # Made step by step: without a bound, a hundred thousand steps keep the walk busy for good.
    drop(inbox, "a")
    make_steps(inbox, 260)
    assert len(found(inbox)) == 1 + 251
    assert len(set(folders_below(str(inbox)))) == 250
    ((path, why),) = passed_over(inbox).items()
    assert path == "/".join(["s"] * 251)
    assert why.startswith("it lies below 250 other folders")


# -- what is left alone ------------------------------------------------------------------------

JUNK_NAMES = [
    *(".DS_Store", "._clip.mp4", "Thumbs.db", "thumbs.db", "desktop.ini", "Desktop.ini"),
    *("clip.mp4.part", "clip.partial", "clip.crdownload", "clip.tmp", "~$report.docx"),
    *(".~lock.report.odt#", ".stfolder", ".nfs000000000001", ".smbdeleteAAA4"),
    *(".clip.mp4.Xa3bQ9", ".a.AAAAAA", "THUMBS.DB", "ehthumbs.db", ".report.odt.swp", ".#notes.txt"),
    *(".goutputstream-ABC123", ".syncthing.clip.mp4.tmp", ".fuse_hidden0001", "clip.filepart"),
    *("clip.!ut", "clip.mp4.aria2", ".in.clip.mp4."),
]
JUNK_FOLDERS = [
    *("@eaDir", "#recycle", "#snapshot", "@Recycle", "@Recently-Snapshot", "$RECYCLE.BIN", "lost+found"),
    *(".Spotlight-V100", ".Trashes", ".fseventsd", ".TemporaryItems", "System Volume Information"),
    *(".AppleDouble", ".stfolder", ".stversions", ".~tmp~", ".tmp", "upload.part", ".Trash-1000"),
]
KEPT_NAMES = [
    *("clip.mp4", "partial", "tmp", "a.part.mp4", ".bashrc", "#1.mp4", "DS_Store", "lock.odt"),
    *(".backup.202611", ".clip.swf", "#best of#", "notes.txt~", "lost+found", ".recycle", ".in.box"),
    *("report.~lock.x", "my.download", "~", "@Recycle", ".aria2x", "~report.docx"),
    *(".config.backup", ".env.sample", "clip.mp4.Xa3bQ9", "~file", "Thumbs.db.txt", "recycle"),
]


@pytest.mark.parametrize("where", ["", "reels/", "reels/june/"])
def test_junk_is_left_alone_in_any_folder_and_nothing_else_is(inbox: Path, where: str) -> None:
    drop(inbox, *(f"{where}{name}" for name in (*JUNK_NAMES, *KEPT_NAMES)))
    assert found(inbox, ignored=ignore_filter([])) == sorted(f"{where}{name}" for name in KEPT_NAMES)


def test_folders_of_the_system_are_not_entered_nor_is_what_is_heard_of_them_taken(inbox: Path) -> None:
    ignored = ignore_filter([])
    drop(inbox, "reels/c")
    for name in JUNK_FOLDERS:
        drop(inbox, f"{name}/a", f"reels/{name}/june/b")
        assert ignored(f"reels/{name}/june/b"), name
    assert found(inbox, ignored=ignored) == ["reels/c"]


def test_a_folder_with_the_name_of_a_junk_file_is_a_persons(inbox: Path) -> None:
    drop(inbox, "Thumbs.db/a", ".DS_Store/b", "desktop.ini/.DS_Store", "~$x/c")
    kept = [".DS_Store/b", "Thumbs.db/a", "~$x/c"]
    assert found(inbox, ignored=ignore_filter([])) == kept


def test_the_name_decides_and_no_part_of_the_path_to_the_inbox() -> None:
    ignored = ignore_filter(["/old"])
    assert not ignored("tmp/a")
    assert not ignored("x.tmp.d/a")
    assert not ignored("sub/old")


@pytest.mark.parametrize(
    ("path", "why"),
    [
        ("a.mp4", None),
        ("x.tmp", "'*.tmp' of the built-in list matches it"),
        ("sub/THUMBS.DB", "'Thumbs.db' of the built-in list matches it"),
        (".a.Xa3bQ9", "'.NAME.XXXXXX' of the built-in list matches it"),
        ("keep.log", None),
        ("a.log", "'*.log' of `ignore` matches it"),
        (
            "@eaDir/x/a.mp4",
            "its folder @eaDir/ is left alone: '@eaDir/' of the built-in list matches it",
        ),
        ("old/keep.log", "its folder old/ is left alone: 'old/' of `ignore` matches it"),
        ("a.txt", "it matches no pattern of `include`"),
        ("x.part", None),
        (".hotfolder-x.mp4", "only hotfolder's own names are like .hotfolder-*"),
    ],
)
def test_what_is_left_alone_names_the_pattern(path: str, why: str | None) -> None:
    own = ["*.log", "!keep.log", "old/", "!*.part", "!.hotfolder-*"]
    assert ignore_filter(own, ["*.mp4", "*.part", "*.log"]).why(path) == why


def test_below_a_folder_that_is_left_alone_nothing_can_be_taken_back(inbox: Path) -> None:
    drop(inbox, "@eaDir/a", "@eaDir/b", "@eaDir/sub/c")
    assert found(inbox, ignored=ignore_filter(["!@eaDir/a"])) == []
    assert found(inbox, ignored=ignore_filter(["!@eaDir/"])) == ["@eaDir/a", "@eaDir/b", "@eaDir/sub/c"]
    # As with git: open the folder, shut what is in it, and open one.
    opened = ignore_filter(["!@eaDir/", "@eaDir/*", "!@eaDir/a"])
    assert found(inbox, ignored=opened) == ["@eaDir/a"]


def test_every_pattern_of_the_junk_list_is_tried() -> None:
    ignored, taken_back = ignore_filter([]), ignore_filter(["!*"])
    for pattern in (pattern for patterns in builtin_patterns().values() for pattern in patterns):
        plain = pattern.replace("XXXXXX", "aB3xyz").replace("[g-p]", "p").replace("[0-9]", "0")
        plain = plain.replace("*", "x").replace("?", "x")
        assert ignored(plain), pattern
        assert taken_back(plain) == (pattern == OWN_NAMES), pattern


@pytest.mark.parametrize(
    ("patterns", "kept"),
    [
        (["*.log"], ["a.txt", "keep/b.txt", "keep/c.txt", "sub/keep/d.txt"]),
        (["/keep/"], ["a.log", "a.txt", "sub/keep/d.txt"]),
        (["keep/"], ["a.log", "a.txt"]),
        (["*.txt", "!c.txt"], ["a.log", "keep/c.txt"]),
        (["**/d.txt"], ["a.log", "a.txt", "keep/b.txt", "keep/c.txt"]),
        (["# a comment", ""], ["a.log", "a.txt", "keep/b.txt", "keep/c.txt", "sub/keep/d.txt"]),
        (["!*.tmp"], ["a.log", "a.txt", "keep/b.txt", "keep/c.txt", "sub/keep/d.txt", "x.tmp"]),
    ],
)
def test_patterns_are_those_of_git(inbox: Path, patterns: list[str], kept: list[str]) -> None:
    drop(inbox, "a.log", "a.txt", "keep/b.txt", "keep/c.txt", "sub/keep/d.txt", "x.tmp")
    assert found(inbox, ignored=ignore_filter(patterns)) == kept


def test_a_name_that_is_no_text_can_be_ignored_and_kept(inbox: Path) -> None:
    ignored = ignore_filter(["*.log"])
    assert ignored("\udcff.log")
    assert not ignored("\udcff.mp4")
    assert ignored("new\nline.log")


# -- opening -----------------------------------------------------------------------------------


@pytest.fixture
def job(inbox: Path) -> Job:
    drop(inbox, "reels/clip.mp4")
    return job_at(inbox, "reels/clip.mp4")


def test_the_file_that_was_seen_is_opened_and_read(inbox: Path, job: Job) -> None:
    original = open_original(job)
    try:
        assert (original.size, original.mode) == (4, 0o644)
        assert original.mtime_ns == job.fingerprint.mtime_ns
        assert original.owner == os.getuid()
        assert (original.read(0, 4), original.read(1, 2), original.read(4, 0)) == (b"data", b"at", b"")
        with pytest.raises(SourceChanged, match="shorter"):
            original.read(0, 5)
        original.unchanged()
    finally:
        original.close()
        original.close()


def gone(path: Path) -> None:
    path.unlink()


def folder_gone(path: Path) -> None:
    path.unlink()
    path.parent.rmdir()


def fifo(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def symlink(path: Path) -> None:
    path.rename(path.with_name("real"))
    path.symlink_to("real")


def symlinked_folder(path: Path) -> None:
    away = path.parent.parent.parent / "away"
    path.parent.rename(away)
    path.parent.symlink_to(away)


def directory(path: Path) -> None:
    path.unlink()
    path.mkdir()


def listening_socket(path: Path) -> None:
    path.unlink()
    os.chdir(path.parent)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path.name)


def replaced(path: Path) -> None:
    path.with_name("new").write_bytes(b"data")
    os.replace(path.with_name("new"), path)


def grown(path: Path) -> None:
    with path.open("ab") as file:
        file.write(b"more")


def touched(path: Path) -> None:
    os.utime(path, ns=(0, 0))


@pytest.mark.parametrize(
    "alter",
    [
        *(gone, folder_gone, fifo, symlink, symlinked_folder, directory, listening_socket),
        *(replaced, grown, touched),
    ],
)
def test_whatever_stands_there_instead_is_not_opened(
    inbox: Path, job: Job, alter: Callable[[Path], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(inbox)
    alter(inbox / "reels/clip.mp4")
    with pytest.raises(SourceChanged):
        open_original(job)
    assert open_below(inbox) == [], "left open"


def test_a_file_that_may_not_be_read_is_rejected_with_what_to_do(inbox: Path, job: Job) -> None:
    path = inbox / "reels/clip.mp4"
    path.chmod(0)
    job = job_at(inbox, "reels/clip.mp4")
    with permissions_hold(), pytest.raises(FileRejected) as caught:
        open_original(job)
    assert caught.value.hint


def test_no_name_leads_out_of_the_inbox(inbox: Path, tmp_path: Path) -> None:
    drop(tmp_path, "secret")
    (inbox / "reels").mkdir()
    for relpath in ("../secret", "reels/../../secret"):
        with pytest.raises(SourceChanged):
            open_original(job_at(inbox, relpath))


@pytest.fixture
def ignored_sigio() -> Iterator[None]:
    """As `app` sets it: a conflicting open of a leased file sends SIGIO."""
    before = signal.signal(signal.SIGIO, signal.SIG_IGN)
    yield
    signal.signal(signal.SIGIO, before)


_HOLD_LEASE = """
import fcntl, signal, sys
signal.signal(signal.SIGIO, signal.SIG_IGN)
file = open(sys.argv[1], "rb")
fcntl.fcntl(file, fcntl.F_SETLEASE, fcntl.F_WRLCK)
print("ready", flush=True)
sys.stdin.read()
"""


@contextmanager
def another_program(code: str, *arguments: str) -> Iterator[None]:
    """A process that runs `code` and has said that it is ready; it ends with its stdin."""
    with subprocess.Popen(
        [sys.executable, "-c", code, *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stdin is not None
        assert process.stdout.readline() == b"ready\n"
        yield
        process.stdin.close()
        process.wait()


def test_a_file_that_another_server_leases_is_put_off_and_holds_no_other(inbox: Path, job: Job) -> None:
    # As Samba does for an oplock, and nfsd for a delegation.
    with (
        another_program(_HOLD_LEASE, job.path),
        pytest.raises(SourceChanged, match="another program"),
    ):
        open_original(job)
    open_original(job).close()


_HOLD_OPEN = """
import mmap, sys
file = open(sys.argv[1], sys.argv[2])
kept = mmap.mmap(file.fileno(), 0) if sys.argv[3] == "mapped" else file
if kept is not file:
    file.close()
print("ready", flush=True)
sys.stdin.read()
"""


@pytest.mark.usefixtures("ignored_sigio")
@pytest.mark.parametrize(("mode", "how"), [("r+b", "open"), ("ab", "open"), ("r+b", "mapped")])
def test_a_file_that_another_program_has_open_for_writing_is_refused(
    inbox: Path, job: Job, mode: str, how: str
) -> None:
    with (
        another_program(_HOLD_OPEN, job.path, mode, how),
        pytest.raises(SourceChanged, match="open for writing"),
    ):
        open_original(job)
    open_original(job).close()


@pytest.mark.usefixtures("ignored_sigio")
def test_readers_and_our_own_lease_stand_in_nobodys_way(job: Job) -> None:
    with open(job.path, "rb"):
        original = open_original(job)
    with open(job.path, "r+b"):  # the lease was given back: no wait
        pass
    original.unchanged()
    original.close()


def test_owners_have_names_or_else_numbers() -> None:
    assert user_name(0) == "root"
    assert user_name(4_000_000_000) == "4000000000"


# -- the finder on a real folder, on a clock that the test steps ---------------------------------


class Watch:
    """A finder with its clock."""

    def __init__(
        self,
        inbox: Path,
        *,
        settle: float = 5.0,
        rescan: float | None = None,
        sizes: SizeLimits | None = None,
        stays: bool = True,
    ) -> None:
        self.now = 1000.0
        self.claims: set[str] = set()
        self.threads = Threads("test-find", 1)
        self.finder = Finder(
            Search(
                inbox=str(inbox),
                settle=settle,
                rescan=rescan,
                ignored=ignore_filter([]),
                refusal=lambda path: None,  # noqa: ARG005 - the finder's shape
                walk=walk,
                clock=self.clock,
                wall=lambda: 0.0,
                size_refusal=(sizes or SizeLimits()).refusal,
                whys_stuck=None if stays else whys_stuck,
            ),
            threads=self.threads,
            claimed=self.claims.__contains__,
            news=lambda path, seen: False,  # noqa: ARG005 - the finder's shape
            room=lambda: WINDOW,
            wake=lambda: None,
        )

    def use(self, threads: Disk) -> Disk:
        """Let the finder work in other threads."""
        self.threads.close()
        self.threads = self.finder._threads = self.finder.walks._threads = threads
        return threads

    def clock(self) -> float:
        return self.now

    async def turns(self, count: int = 6) -> list[tuple[str, Fingerprint]]:
        """Some turns at one moment; returns all that settled."""
        settled = []
        for _ in range(count):
            settled += await self.finder.turn()
            walking = self.finder.walks._walking
            if walking is not None:
                await asyncio.wait([walking])
        return settled


@pytest.fixture
def watch(inbox: Path) -> Iterator[Watch]:
    made = Watch(inbox)
    yield made
    made.threads.close()


async def test_a_scan_finds_what_lies_there_and_hands_it_out_once_it_is_quiet(
    inbox: Path, watch: Watch
) -> None:
    drop(inbox, "a", "reels/b", ".DS_Store")
    assert await watch.turns() == []
    watch.now += 4.9
    assert await watch.turns() == []
    watch.now += 0.1
    assert sorted(path for path, _ in await watch.turns()) == ["a", "reels/b"]
    assert watch.finder.is_empty()


async def test_a_file_that_grows_is_not_handed_out(inbox: Path, watch: Watch) -> None:
    drop(inbox, "a")
    await watch.turns()
    for _ in range(5):
        watch.now += 4.0
        with (inbox / "a").open("ab") as file:
            file.write(b"more")
        watch.finder.hint("a")
        assert await watch.turns() == []
    watch.now += 5.0
    ((path, seen),) = await watch.turns()
    assert (path, seen.size) == ("a", 24)


class SlowDisk(Threads):
    """A disk that wakes up slowly: what a look saw was so only at its end."""

    def __init__(self, watch: Watch, delay: float) -> None:
        super().__init__("test-slow", 1)
        self._watch = watch
        self.delay = delay

    async def run(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        if work == look_for_writers:
            self._watch.now += self.delay
        return await super().run(work, *args, **kwargs)


async def test_a_look_that_takes_long_does_not_make_a_file_look_quiet(inbox: Path, watch: Watch) -> None:
    slow = watch.use(SlowDisk(watch, 30.0))
    drop(inbox, "a")
    await watch.turns(1)  # the walk sees it at the end of half a minute
    slow.delay = 0.0
    assert await watch.turns() == [], "it was seen a moment ago for the first time"
    watch.now += 5.0
    assert [path for path, _ in await watch.turns()] == ["a"]


async def test_a_claimed_file_is_left_alone(inbox: Path, watch: Watch) -> None:
    drop(inbox, "a")
    watch.claims.add("a")
    await watch.turns()
    watch.finder.hint("a")
    watch.now += 60.0
    assert await watch.turns() == []
    assert watch.finder.is_empty()


async def test_one_folder_that_cannot_be_entered_does_not_hide_the_others(
    inbox: Path, watch: Watch
) -> None:
    # Readable but not searchable: its names can be listed, and nothing be said of them.
    drop(inbox, "a", "odd/b", "z/c")
    (inbox / "odd").chmod(0o644)

    watch.use(Bound())
    with capture_logs() as logs:
        await watch.turns()
        watch.finder.hint("odd/b")
        await watch.turns()
        watch.now += 5.0
        assert sorted(path for path, _ in await watch.turns()) == ["a", "z/c"]
    assert {line["event"] for line in logs} == {"scan.passed_over"}
    assert list(watch.finder.unfit.reasons) == ["odd/b"]
    assert "Permission denied" in watch.finder.unfit.reasons["odd/b"]


async def test_an_inbox_that_cannot_be_looked_into_is_trouble_and_loses_no_file(
    inbox: Path, watch: Watch
) -> None:
    drop(inbox, "a", "b")
    await watch.turns()
    watch.use(Bound())
    watch.now += 5.0
    os.chmod(inbox, 0)
    for _ in range(3):
        with pytest.raises(LocalError):
            await watch.turns()
    os.chmod(inbox, 0o700)
    assert sorted(path for path, _ in await watch.turns()) == ["a", "b"]


async def test_new_folders_are_walked_once_their_files_were_told_of(inbox: Path, watch: Watch) -> None:
    await watch.turns()
    drop(inbox, "new/early")
    watch.finder.hint("new", Heard.DIRECTORY)
    watch.finder.hint("new/early", Heard.COMPLETED)  # by whoever watches the new folder from now on
    assert watch.finder.walks.next_begin() == watch.now + 2.0
    await watch.turns()
    drop(inbox, "new/late")  # of which nobody tells
    watch.now += 2.0
    await watch.turns()
    watch.now += 5.0
    assert sorted(path for path, _ in await watch.turns()) == ["new/early", "new/late"]


async def test_a_new_folder_does_not_wait_for_the_next_scan_of_the_whole(inbox: Path) -> None:
    watch = Watch(inbox, settle=0.0, rescan=300.0)
    try:
        await watch.turns()  # the first scan is done, the next one is five minutes away
        drop(inbox, "new/file")
        watch.finder.hint("new", Heard.DIRECTORY)
        watch.now += 2.0
        assert [path for path, _ in await watch.turns()] == ["new/file"]
    finally:
        watch.threads.close()


async def test_more_new_folders_than_can_be_walked_one_by_one_are_found_by_one_scan(inbox: Path) -> None:
    watch = Watch(inbox, settle=0.0, rescan=300.0)
    try:
        await watch.turns()
        names = [f"new{number}/file" for number in range(250)]
        drop(inbox, *names)
        for name in names:
            watch.finder.hint(name.partition("/")[0], Heard.DIRECTORY)
        found = [path for path, _ in await watch.turns(3)]  # one scan of the whole comes first
        watch.now += 10.0
        found += [path for path, _ in await watch.turns(500)]
        assert sorted(set(found)) == sorted(names)
    finally:
        watch.threads.close()


async def test_hints_beyond_the_window_are_made_up_for_by_a_scan(inbox: Path) -> None:
    watch = Watch(inbox, settle=0.0, rescan=300.0)
    try:
        await watch.turns()
        for number in range(WINDOW + 1):
            watch.finder.hint(f"ghost{number}")
        drop(inbox, "unheard")
        watch.finder.hint("unheard")
        assert [path for path, _ in await watch.turns(2 * WINDOW // LOOKS)] == ["unheard"]
    finally:
        watch.threads.close()


async def test_what_is_passed_over_is_told_once_and_forgotten_when_it_is_gone(inbox: Path) -> None:
    (inbox / "link").symlink_to("nowhere")
    (inbox / "sub").mkdir()
    os.mkfifo(inbox / "sub/fifo")
    watch = Watch(inbox, rescan=10.0)
    with capture_logs() as logs:
        for _ in range(3):
            await watch.turns()
            watch.now += 10.0
        assert set(watch.finder.walks.passed_over) == {"link", "sub/fifo"}
        (inbox / "sub/fifo").unlink()
        await watch.turns()
    watch.threads.close()
    assert list(watch.finder.walks.passed_over) == ["link"]
    assert sorted(line["path"] for line in logs) == [f"{inbox}/link", f"{inbox}/sub/fifo"]


async def test_a_file_outside_the_size_limits_is_left_with_the_reason_until_it_fits(inbox: Path) -> None:
    (inbox / "small").write_bytes(b"123")
    (inbox / "large").write_bytes(bytes(101))
    (inbox / "grows").write_bytes(bytes(100))
    watch = Watch(inbox, rescan=300.0, sizes=SizeLimits(4, 100))
    with capture_logs() as logs:
        await watch.turns()
        assert watch.finder.unfit.reasons == {
            "small": "its size, 3 bytes, is below min_size (4 bytes): it is looked at again as it grows",
            "large": "its size, 101 bytes, is above max_size (100 bytes): split it, or raise the limit",
        }
        (inbox / "small").write_bytes(b"1234")
        watch.finder.hint("small")
        (inbox / "grows").write_bytes(bytes(102))
        watch.now += 5.0
        assert await watch.turns() == []
        assert sorted(watch.finder.unfit.reasons) == ["grows", "large"]
        (inbox / "large").unlink()  # without a word
        (inbox / "grows").write_bytes(bytes(99))
        watch.now += 300.0
        assert [path for path, _ in await watch.turns()] == ["small"]
        assert watch.finder.unfit.reasons == {}
        watch.claims.add("small")
        watch.now += 5.0
        assert [path for path, _ in await watch.turns()] == ["grows"]
    told = [line["path"].rpartition("/")[2] for line in logs if line["event"] == "scan.passed_over"]
    assert sorted(told) == ["grows", "large", "small"]
    watch.threads.close()


def test_the_limits_themselves_are_within() -> None:
    limits = SizeLimits(4, 100)
    assert [limits.refusal(size) is None for size in (3, 4, 100, 101)] == [False, True, True, False]
    assert SizeLimits().refusal(0) is None


async def test_a_file_that_could_not_leave_the_inbox_is_left_before_it_is_sent(inbox: Path) -> None:
    drop(inbox, "a", "shut/b", "sticky/c", "sticky/mine")
    (inbox / "shut").chmod(0o555)
    (inbox / "sticky").chmod(0o1777)
    watch = Watch(inbox, rescan=300.0, stays=False)
    watch.use(Bound())
    await watch.turns()
    watch.now += 5.0
    assert [path for path, _ in await watch.turns()] == ["a", "sticky/c", "sticky/mine"]
    assert list(watch.finder.unfit.reasons) == ["shut/b"]
    assert "may not move files out of shut/" in watch.finder.unfit.reasons["shut/b"]
    watch.claims.update({"a", "sticky/c", "sticky/mine"})
    with capture_logs() as logs:
        watch.now += 300.0
        await watch.turns()
        assert "may not move files" in watch.finder.unfit.reasons["shut/b"], "it still says so"
        watch.now += 5.0
        assert await watch.turns() == []
    assert logs == [], "it was told before"
    (inbox / "shut").chmod(0o755)  # which no hint of the file tells
    watch.now += 300.0
    await watch.turns()
    watch.now += 5.0
    assert [path for path, _ in await watch.turns()] == ["shut/b"]
    assert watch.finder.unfit.reasons == {}


def test_a_directory_that_moves_must_be_one_that_may_be_written_to(inbox: Path) -> None:
    drop(inbox, "reels/a", "shut/b")
    (inbox / "shut").chmod(0o555)
    with permissions_hold():
        assert why_stuck(str(inbox), "reels") is None
        assert "write into it" in (why_stuck(str(inbox), "shut") or "")
    (inbox / "shut").chmod(0o755)


def test_why_a_file_is_stuck(inbox: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    drop(inbox, "a", "sub/b", "sub/deep/c")
    root = str(inbox)
    assert [why_stuck(root, path) for path in ("a", "sub/b", "gone", "gone/x")] == [None] * 4
    with attribute("+a", inbox / "sub/deep"), attribute("+i", inbox / "a"):
        assert "chattr -ia it" in (why_stuck(root, "a") or "")
        assert "chattr -ia the folder" in (why_stuck(root, "sub/deep/c") or "")
        assert why_stuck(root, "sub/b") is None
    (inbox / "sub").chmod(0o1777)
    monkeypatch.setattr(os, "geteuid", lambda: 4_000_000_000)
    assert "sticky bit" in (why_stuck(root, "sub/b") or "")
    (inbox / "sub").chmod(0o555)
    inbox.chmod(0o555)
    with permissions_hold():
        assert why_stuck(root, "sub/b") is None, "nothing can leave this inbox: it is not the file"
        inbox.chmod(0o755)
        assert "out of sub/" in (why_stuck(root, "sub/b") or "")
    (inbox / "sub").chmod(0o755)


@contextmanager
def attribute(flag: str, path: Path) -> Iterator[None]:
    """Set with chattr; skips the test where this user or file system cannot."""
    made = subprocess.run(["chattr", flag, str(path)], capture_output=True, check=False)
    if made.returncode != 0:
        pytest.skip("needs root, and a file system with attributes")
    try:
        yield
    finally:
        subprocess.run(["chattr", f"-{flag[1:]}", str(path)], check=True)
