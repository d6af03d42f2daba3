"""What the doctor reads from the machine: folders, free space, inotify's limits and who uses them.

Everything is read as this process meets it. What cannot be read is left out or None; only what is said
so raises.
"""

import os
import resource
import stat
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

from hotfolder.beneath import NOT_THERE, directory_at
from hotfolder.core.checkup import FolderFacts, Space
from hotfolder.core.folder_checkup import Census
from hotfolder.core.limits_checkup import InotifyLimit

_PROC = Path("/proc")


def place(path: str) -> FolderFacts:
    """A folder, or the nearest one above it that is there."""
    there = path
    try:
        is_there = stat.S_ISDIR(os.stat(path).st_mode)
        if not is_there:
            return FolderFacts(path, False, trouble="is no folder")
    except FileNotFoundError:
        is_there = False
        while not os.path.isdir(there) and there != os.path.dirname(there):
            there = os.path.dirname(there)
    except OSError as error:
        return FolderFacts(path, False, trouble=f"cannot be looked at: {error.strerror}")
    status = os.stat(there)
    is_read_only = bool(os.statvfs(there).f_flag & os.ST_RDONLY)
    return FolderFacts(
        path,
        is_there,
        readable=_may(there, os.R_OK | os.X_OK),
        writable=_may(there, os.W_OK | os.X_OK),
        sticky=bool(status.st_mode & stat.S_ISVTX) and os.geteuid() not in {0, status.st_uid},
        device=status.st_dev,
        mount=_mount_id(there),
        maker="" if is_there else there,
        read_only=is_read_only,
    )


def space(path: str) -> Space:
    """What is left to this user on the file system of `path`. Raises OSError."""
    told = os.statvfs(path)
    return Space(
        told.f_blocks * told.f_frsize, told.f_bavail * told.f_frsize, told.f_files, told.f_favail
    )


def write_probe(directory: str) -> None:
    """Write a block to a file without a name and to the disk. Raises OSError."""
    with tempfile.TemporaryFile(dir=directory) as probe:
        probe.write(bytes(4096))
        probe.flush()
        os.fsync(probe.fileno())


def census(
    inbox: str,
    *,
    ignored: Callable[[str], bool],
    most: int,
    enough: Callable[[], bool],
) -> Census:
    """Count what is in an inbox and what of it is out of reach, in a stream.

    Ends after `most` entries, or when `enough` says so. Raises OSError where the inbox itself cannot
    be read.
    """
    count = Census(0, 1)
    pending = [""]
    seen = 0
    while pending:
        directory = pending.pop()
        try:
            with directory_at(inbox, directory) as descriptor, os.scandir(descriptor) as entries:
                if directory and not _may(".", os.W_OK | os.X_OK, at=descriptor):
                    count = replace(
                        count, stuck=count.stuck + 1, first_stuck=count.first_stuck or directory
                    )
                for entry in entries:
                    seen += 1
                    if seen > most or (seen % 1000 == 0 and enough()):
                        return replace(count, whole=False)
                    relpath = f"{directory}/{entry.name}" if directory else entry.name
                    if entry.is_dir(follow_symlinks=False):
                        pending.append(relpath)  # ignored ones are watched as well
                        count = replace(count, directories=count.directories + 1)
                    elif not ignored(relpath):
                        count = _with_file(count, entry, relpath, descriptor)
        except OSError as error:
            if not directory:
                raise
            if error.errno not in NOT_THERE:
                count = replace(count, shut=count.shut + 1, first_shut=count.first_shut or directory)
    return count


def watch_limit(proc: Path = _PROC) -> InotifyLimit:
    """How many inotify watches one user may have."""
    return InotifyLimit(
        _number(proc / "sys/fs/inotify/max_user_watches"), _number(proc / "sys/user/max_inotify_watches")
    )


def instance_limit(proc: Path = _PROC) -> InotifyLimit:
    """How many inotify instances one user may have."""
    return InotifyLimit(
        _number(proc / "sys/fs/inotify/max_user_instances"),
        _number(proc / "sys/user/max_inotify_instances"),
    )


def queue_limit(proc: Path = _PROC) -> int | None:
    """How many events one inotify instance keeps."""
    return _number(proc / "sys/fs/inotify/max_queued_events")


def inotify_use(*, without: int | None, proc: Path = _PROC) -> tuple[int, int]:
    """Watches and instances that this user's processes have, but for the process `without`."""
    watches = instances = 0
    for process in _own_processes(proc):
        if process.name == str(without):
            continue
        for info in _inotify_files(process):
            instances += 1
            watches += info.count("\ninotify wd:") + info.startswith("inotify wd:")
    return watches, instances


def open_files_limit() -> int:
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]


def owner_of(pid: int, proc: Path = _PROC) -> int | None:
    """The user that a process runs as."""
    try:
        return (proc / str(pid)).stat().st_uid
    except OSError:
        return None  # it ended


def is_exposed(path: str) -> bool:
    """Whether users other than owner and group may read a file."""
    try:
        return bool(os.stat(path).st_mode & stat.S_IROTH)
    except OSError:
        return False  # not even this user can look: the credentials' own line says so


def _with_file(count: Census, entry: "os.DirEntry[str]", relpath: str, directory: int) -> Census:
    if not entry.is_file(follow_symlinks=False):
        return replace(count, odd=count.odd + 1)
    count = replace(count, files=count.files + 1)
    if _may(entry.name, os.R_OK, at=directory):
        return count
    return replace(
        count, unreadable=count.unreadable + 1, first_unreadable=count.first_unreadable or relpath
    )


def _may(path: str, mode: int, *, at: int | None = None) -> bool:
    return os.access(path, mode, dir_fd=at, effective_ids=True)


def _mount_id(path: str) -> int | None:
    """Which mount a path is reached through; two of one file system do not rename to each other."""
    try:
        descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return None  # unknown, as on a kernel that does not tell
    try:
        lines = Path(f"/proc/self/fdinfo/{descriptor}").read_text().splitlines()
        return next((int(line.split()[1]) for line in lines if line.startswith("mnt_id:")), None)
    except OSError:
        return None  # no /proc
    finally:
        os.close(descriptor)


def _number(path: Path) -> int | None:
    try:
        return int(path.read_text())
    except (OSError, ValueError):
        return None  # this kernel has no such limit


def _own_processes(proc: Path) -> Iterator[Path]:
    for process in proc.iterdir():
        if process.name.isdigit() and owner_of(int(process.name), proc) == os.geteuid():
            yield process


def _inotify_files(process: Path) -> Iterator[str]:
    """What the kernel says of each inotify instance of a process; none where it may not be asked."""
    try:
        descriptors = list((process / "fd").iterdir())
    except OSError:
        return  # it ended, or is not for this user to see
    for descriptor in descriptors:
        try:
            if os.readlink(descriptor) == "anon_inode:inotify":
                yield (process / "fdinfo" / descriptor.name).read_text()
        except OSError:
            continue  # closed meanwhile
