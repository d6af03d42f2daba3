"""What the doctor reads from the machine, and the probes that it leaves no trace of."""

import fcntl
import os
import resource
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from hotfolder.adapters import lock, machine
from hotfolder.adapters.filters import ignore_filter
from hotfolder.adapters.finishing import rehearse
from hotfolder.adapters.lock import StateLock
from hotfolder.core.folder_checkup import Census
from hotfolder.core.limits_checkup import InotifyLimit
from tests.support.unprivileged import permissions_hold


def count(inbox: Path, *, most: int = 1_000_000, enough: Callable[[], bool] = lambda: False) -> Census:
    return machine.census(str(inbox), ignored=ignore_filter(["*.skip"]), most=most, enough=enough)


def test_a_census_counts_without_opening_or_following(tmp_path: Path) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "outside").symlink_to("/")
    os.mkfifo(tmp_path / "a" / "pipe")
    for name in ("1", "a/2", "a/b/3", "a/b/no.skip", "a/.DS_Store"):
        (tmp_path / name).touch()
    assert count(tmp_path) == Census(files=3, directories=3, odd=2)


def test_a_census_says_what_is_out_of_reach(tmp_path: Path) -> None:
    for name, mode in (("shut", 0o000), ("stuck", 0o555)):
        (tmp_path / name).mkdir()
        (tmp_path / name).chmod(mode)
    (tmp_path / "unreadable").touch(mode=0o000)
    with permissions_hold():
        found = count(tmp_path)
    assert (found.shut, found.first_shut) == (1, "shut")
    assert (found.stuck, found.first_stuck) == (1, "stuck")
    assert (found.unreadable, found.first_unreadable) == (1, "unreadable")
    with pytest.raises(FileNotFoundError):
        count(tmp_path / "absent")


def test_a_census_is_bounded(tmp_path: Path) -> None:
    for number in range(1200):
        (tmp_path / str(number)).touch()
    assert count(tmp_path, most=10) == Census(files=10, directories=1, whole=False)
    assert not count(tmp_path, enough=lambda: True).whole
    assert count(tmp_path).whole


def test_a_place_that_is_not_there_is_seen_through_the_folder_above(tmp_path: Path) -> None:
    found = machine.place(str(tmp_path / "a" / "b"))
    assert not found.is_there
    assert found.maker == str(tmp_path)
    assert found.writable
    assert found.device == tmp_path.stat().st_dev
    there = machine.place(str(tmp_path))
    assert there.is_there
    assert there.mount == found.mount is not None
    (tmp_path / "file").touch()
    assert machine.place(str(tmp_path / "file")).trouble == "is no folder"
    assert not machine.place(str(tmp_path / "file" / "below")).is_there


def test_a_place_that_refuses(tmp_path: Path) -> None:
    (tmp_path / "shut").mkdir(mode=0o000)
    with permissions_hold():
        shut = machine.place(str(tmp_path / "shut"))
        below = machine.place(str(tmp_path / "shut" / "below"))
    assert shut.is_there
    assert not shut.readable
    assert not shut.writable
    assert "Permission denied" in below.trouble


def test_probes_leave_nothing_behind(tmp_path: Path) -> None:
    rehearse(str(tmp_path))
    machine.write_probe(str(tmp_path))
    assert list(tmp_path.iterdir()) == []
    tmp_path.chmod(0o555)
    with permissions_hold(), pytest.raises(PermissionError):
        rehearse(str(tmp_path))
    tmp_path.chmod(0o755)


def test_the_holder_of_a_lock_is_found_without_touching_it(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    assert lock.holder(path) is None
    with StateLock(path):
        assert lock.holder(path) == os.getpid()
    assert lock.holder(path) is None  # the number is still written in it
    # Of another file system's lock with the same inode and no such process, nothing follows.
    other = tmp_path / "locks"
    other.write_text(f"1: -> FLOCK  ADVISORY  WRITE 1 00:00:{path.stat().st_ino} 0 EOF\n2: FLOCK\n")
    assert lock.holder(path, locks=other) is None


def test_inotify_is_counted_but_for_the_daemon() -> None:
    script = (
        "import ctypes, sys\n"
        "libc = ctypes.CDLL(None)\n"
        "fd = libc.inotify_init()\n"
        "for path in (b'/', b'/proc', b'/usr'):\n"
        "    libc.inotify_add_watch(fd, path, 0x100)\n"
        "print(flush=True)\n"
        "sys.stdin.read()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        descriptors = list(machine._inotify_files(Path(f"/proc/{process.pid}")))
        assert len(descriptors) == 1
        watches, instances = machine.inotify_use(without=None)
        assert watches >= 3
        assert instances >= 1
        process.communicate()
    assert machine.owner_of(os.getpid()) == os.geteuid()
    assert machine.owner_of(2**22 + 1) is None


def test_limits_of_the_kernel_and_of_a_user_namespace(tmp_path: Path) -> None:
    for name, value in (
        ("sys/fs/inotify/max_user_watches", "8192"),
        ("sys/user/max_inotify_watches", "5"),
        ("sys/fs/inotify/max_user_instances", "nonsense"),
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(f"{value}\n")
    assert machine.watch_limit(tmp_path) == InotifyLimit(8192, 5)
    assert machine.instance_limit(tmp_path) == InotifyLimit(None, None)
    assert machine.queue_limit(tmp_path) is None
    assert machine.open_files_limit() == resource.getrlimit(resource.RLIMIT_NOFILE)[0]


def test_a_lock_that_another_program_holds_is_no_daemon(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    path.write_text("1\n")
    with path.open() as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        assert lock.holder(path) is None


def test_a_file_that_everybody_may_read(tmp_path: Path) -> None:
    file = tmp_path / "credentials"
    file.touch(mode=0o644)
    file.chmod(0o644)
    assert machine.is_exposed(str(file))
    file.chmod(0o640)
    assert not machine.is_exposed(str(file))
    assert not machine.is_exposed("")
