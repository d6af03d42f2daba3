"""Faults of the machine under a real daemon: disks that fail or go away, lost rights, wrong clocks.

Each function prepares a box before its daemon starts and yields a `Fault`: what is wrong lasts from
`begin` to `end`, for the daemons that run then and for those that start meanwhile. Most need root, the
right to mount, or strace; `NotHere` says what is missing.
"""

import itertools
import mmap
import os
import resource
import shutil
import signal
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from tests.support.box import PATIENCE, Box

_TRACED = Path(__file__).parent / "traced.py"
_CLOCK = Path(__file__).parent / "shifted_clock"


class NotHere(Exception):
    """This machine does not let us make the fault: the message says what it lacks."""


class Fault(Protocol):
    """What is wrong with the world from `begin` to `end`."""

    def begin(self) -> None: ...
    def end(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Acts:
    """A fault made of two functions."""

    begin: Callable[[], None]
    end: Callable[[], None]


# -- disks -----------------------------------------------------------------------------------------


@contextmanager
def full_disk(box: Box, *, place: str, size: str = "24m", leave: int = 0) -> Iterator[Fault]:
    """The folder `place` of the box is a small disk of its own, and full but for `leave` bytes."""
    with _status_elsewhere(box), _tmpfs(box.root / place, f"size={size}") as disk:
        filler = disk / "filler"
        yield Acts(lambda: _fill(filler, leave), filler.unlink)


@contextmanager
def no_inodes(box: Box, *, place: str, most: int = 400) -> Iterator[Fault]:
    """The folder `place` of the box is a disk that has room, and no inode for one more name."""
    with _status_elsewhere(box), _tmpfs(box.root / place, f"size=64m,nr_inodes={most}") as disk:
        yield Acts(lambda: _use_up_inodes(disk), lambda: _free_inodes(disk))


@contextmanager
def read_only(box: Box, *, place: str) -> Iterator[Fault]:
    """The folder `place` of the box is a mount of its own that turns read-only."""
    folder = box.root / place
    with _status_elsewhere(box), _tmpfs(folder, "size=256m"):

        def remount(how: str) -> None:
            _until(
                lambda: _succeeds("mount", "-o", f"remount,bind,{how}", str(folder)), f"{how} {folder}"
            )

        yield Acts(lambda: remount("ro"), lambda: remount("rw"))


@contextmanager
def unmounted(box: Box, *, other_device: bool) -> Iterator[Fault]:
    """The inbox is a volume that goes away while files are read from it, and comes back.

    `other_device`: under another device number, as after a restart of the NAS.
    """
    image = box.root / "volume.img"
    with image.open("wb") as file:
        file.truncate(256 << 20)
    _do("mkfs.ext4", "-q", "-F", str(image))
    with ExitStack() as stack:
        # Two ways to the volume: one stays with it, the other one is what the daemon sees. A second loop
        # device under the same file, kept busy meanwhile, changes the number.
        loops = [_loop(image)]
        stack.callback(lambda: [_succeeds("losetup", "-d", loop) for loop in loops])
        stack.callback(lambda: _succeeds("umount", "-l", str(box.inbox)))
        _do("mount", loops[0], str(box.inbox))
        with suppress(OSError):
            (box.inbox / "lost+found").rmdir()

        def unmount() -> None:
            _do("umount", "-l", str(box.inbox))

        def mount() -> None:
            if other_device:
                # What still reads from the old one ends first: one image has one writer.
                _until(lambda: not _is_mounted(loops[0]), f"the end of {loops[0]}")
                former = loops.pop()
                loops.append(_loop(image))
                loops.append(former)
            _do("mount", loops[0], str(box.inbox))

        yield Acts(unmount, mount)


# -- system calls ------------------------------------------------------------------------------------


@dataclass(slots=True)
class Injected:
    """System calls that fail under strace, in every process of the box."""

    box: Box
    options: list[str]
    _tracers: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def begin(self) -> None:
        command = ["strace", "-f", "-qqq", "-o", "/dev/null", *self.options]
        self.box.wrapper = (sys.executable, str(_TRACED), *command, "--")
        for process in self.box.processes:
            if process.poll() is not None:
                continue
            self._tracers.append(subprocess.Popen([*command, "-p", str(process.pid)]))
            _until(lambda pid=process.pid: _is_traced(pid), "strace")  # type: ignore[misc]

    def end(self) -> None:
        self.box.wrapper = ()
        for process in self.box.processes:
            _until(lambda pid=process.pid: _is_let_go(pid), "the end of strace")  # type: ignore[misc]
        for tracer_process in self._tracers:
            tracer_process.terminate()
            tracer_process.wait()
        self._tracers.clear()


@contextmanager
def failing_calls(
    box: Box, *, calls: str, error: str, places: tuple[str, ...] = (), when: str = ""
) -> Iterator[Fault]:
    """Each of `calls` (comma-separated) fails with `error` where it touches `places`, or anywhere.

    `places` are paths below the box, exactly as the call names them or as its descriptor was opened.
    `when` as in strace: "1..3", "2+2".
    """
    if shutil.which("strace") is None:
        raise NotHere("strace is not installed")
    which = f":when={when}" if when else ""
    options = ["-e", f"trace={calls}", "-e", f"inject={calls}:error={error}{which}"]
    for place in places:
        options += ["-P", str(box.root / place)]
    with _status_elsewhere(box):
        fault = Injected(box, options)
        try:
            yield fault
        finally:
            fault.end()


# -- rights, descriptors, clocks, locks ----------------------------------------------------------------


@contextmanager
def shut(box: Box, *, place: str) -> Iterator[Fault]:
    """The folder `place` of the box has mode 0, which binds its daemons as it binds any user."""
    if shutil.which("setpriv") is None:
        raise NotHere("setpriv is not installed")
    folder = box.root / place
    folder.mkdir(exist_ok=True)
    box.wrapper = ("setpriv", "--bounding-set=-dac_override,-dac_read_search")
    mode = folder.stat().st_mode
    try:
        yield Acts(lambda: folder.chmod(0), lambda: folder.chmod(mode))
    finally:
        folder.chmod(mode)


_STARTED = 20  # descriptors: a daemon that works has more


@contextmanager
def few_descriptors(box: Box, *, spare: int = 2, at_start: int = 64) -> Iterator[Fault]:
    """No more than `spare` files may be opened besides those that are; `at_start` by a new process."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)

    def begin() -> None:
        box.wrapper = ("prlimit", f"--nofile={at_start}:{hard}")
        for process in box.processes:
            with suppress(ProcessLookupError):
                used = max(map(int, os.listdir(f"/proc/{process.pid}/fd"))) + 1
                # One that has only begun would not even get its event loop: no daemon yet to judge.
                most = used + spare if used > _STARTED else at_start
                resource.prlimit(process.pid, resource.RLIMIT_NOFILE, (most, hard))

    def end() -> None:
        box.wrapper = ()
        for process in box.processes:
            with suppress(ProcessLookupError):
                resource.prlimit(process.pid, resource.RLIMIT_NOFILE, (min(1024, hard), hard))

    yield Acts(begin, end)


@contextmanager
def clock_set(box: Box, *, by: float, signatures: bool = False) -> Iterator[Fault]:
    """The clock of the daemon is wrong `by` seconds; monotonic clocks go on, as they do in the kernel.

    That is what it writes into its records; with `signatures` also what boto3 signs with. awscrt asks
    the kernel itself.
    """
    offset = box.root / "clock"
    offset.write_bytes(struct.pack("d", 0.0))
    box.surroundings |= {"PYTHONPATH": str(_CLOCK), "SHIFTED_CLOCK": str(offset)}
    if signatures:
        box.surroundings["SHIFTED_SIGNATURES"] = "1"
    with offset.open("r+b") as file, mmap.mmap(file.fileno(), 8) as shared:
        yield Acts(
            lambda: struct.pack_into("d", shared, 0, by), lambda: struct.pack_into("d", shared, 0, 0.0)
        )


_LOCKING = """
import sqlite3, sys, time
while True:
    try:
        connection = sqlite3.connect(f"file:{sys.argv[1]}?mode=rw", uri=True, isolation_level=None)
        connection.execute("BEGIN IMMEDIATE")
        break
    except sqlite3.OperationalError:  # not made yet, or locked by the daemon itself
        time.sleep(0.01)
print("locked", flush=True)
sys.stdin.read()
"""


@contextmanager
def locked_state(box: Box) -> Iterator[Fault]:
    """Another program keeps state.db locked for writing."""
    with ExitStack() as stack:

        def begin() -> None:
            holder = stack.enter_context(
                subprocess.Popen(
                    [sys.executable, "-c", _LOCKING, str(box.state / "state.db")],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                )
            )
            assert holder.stdout is not None
            if holder.stdout.readline() != b"locked\n":
                raise AssertionError("state.db could not be locked")

        yield Acts(begin, stack.close)


# -- how -------------------------------------------------------------------------------------------


@contextmanager
def _status_elsewhere(box: Box) -> Iterator[None]:
    """The heartbeat stands beside the disk that fails: it is what tells of the fault."""
    box.heartbeat = box.root / "status.json"
    box.surroundings["HOTFOLDER_STATUS__FILE"] = str(box.heartbeat)
    yield


@contextmanager
def _tmpfs(place: Path, options: str) -> Iterator[Path]:
    """A small disk; a folder of it is mounted at `place`, so that what fills it up stands beside."""
    disk = place.with_name(f"{place.name}.disk")
    for folder in (place, disk):
        folder.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        _do("mount", "-t", "tmpfs", "-o", options, "box", str(disk))
        stack.callback(_do, "umount", "-l", str(disk))
        (disk / "folder").mkdir()
        _do("mount", "--bind", str(disk / "folder"), str(place))
        stack.callback(_do, "umount", "-l", str(place))
        yield disk


def _fill(filler: Path, leave: int) -> None:
    with filler.open("wb") as file:
        while (there := os.statvfs(filler.parent)).f_bavail * there.f_frsize > leave:
            with suppress(OSError):
                file.write(bytes(4096))
                file.flush()


def _use_up_inodes(disk: Path) -> None:
    (disk / "filler").mkdir()
    with suppress(OSError):
        for number in itertools.count():
            (disk / "filler" / f"{number}").touch()


def _free_inodes(disk: Path) -> None:
    shutil.rmtree(disk / "filler")


def _put(path: Path, text: str) -> None:
    new = path.with_suffix(".new")
    new.write_text(text)
    new.replace(path)


def _loop(image: Path) -> str:
    return _do("losetup", "--find", "--show", str(image)).strip()


def _is_mounted(device: str) -> bool:
    """Also where only open files keep it."""
    number = Path(device).stat().st_rdev
    held = Path(f"/sys/dev/block/{os.major(number)}:{os.minor(number)}/holders")
    with suppress(OSError):
        descriptor = os.open(device, os.O_RDWR | os.O_EXCL)
        os.close(descriptor)
        return any(held.iterdir()) if held.exists() else False
    return True


def _is_let_go(pid: int) -> bool:
    with suppress(FileNotFoundError, ProcessLookupError):
        if str(_TRACED).encode() in Path(f"/proc/{pid}/cmdline").read_bytes():
            return False  # it is about to be taken hold of
    tracer = _tracer(pid)
    with suppress(ProcessLookupError):
        if tracer:
            os.kill(tracer, signal.SIGTERM)
    return not tracer


def _is_traced(pid: int) -> bool:
    with suppress(FileNotFoundError):
        return all(_tracer(int(task)) for task in os.listdir(f"/proc/{pid}/task"))
    return True


def _tracer(pid: int) -> int:
    with suppress(FileNotFoundError, ProcessLookupError):
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("TracerPid:"):
                return int(line.split()[1])
    return 0


def _do(*command: str) -> str:
    try:
        done = subprocess.run(command, capture_output=True, check=False, text=True)
    except FileNotFoundError as error:
        raise NotHere(f"{command[0]} is not installed") from error
    if done.returncode != 0:
        raise NotHere(f"{' '.join(command)}: {done.stderr.strip()}")
    return done.stdout


def _succeeds(*command: str) -> bool:
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def _until(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"{what} did not happen within {PATIENCE:g} s")
        time.sleep(0.05)
