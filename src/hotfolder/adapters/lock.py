"""One daemon a state folder: a lock that the kernel drops with the process."""

import fcntl
import os
import re
from pathlib import Path
from types import TracebackType
from typing import Self

from hotfolder import durable
from hotfolder.core.errors import AlreadyRunning, ConfigError


def holder(path: Path, *, locks: Path = Path("/proc/locks")) -> int | None:
    """The process that holds the lock, or None; asked of the kernel without touching the lock.

    Trying the lock could turn away a daemon that starts at that moment. The kernel's device numbers
    are not stat's on every file system: the inode and the process written into the file decide.
    """
    try:
        inode, written = path.stat().st_ino, path.read_text(errors="replace").strip()
        held = locks.read_text()
    except OSError:
        return None  # nobody made it yet, or it is not for this user to see
    # "1: FLOCK  ADVISORY  WRITE 4242 fe:00:131 0 EOF"; who waits for a lock has an arrow before FLOCK
    line = rf"^\d+: FLOCK +\w+ +\w+ +{re.escape(written)} +\S*:{inode} "
    return int(written) if written.isdecimal() and re.search(line, held, re.MULTILINE) else None


def is_held(path: Path) -> bool:
    """Whether some process holds the lock `path` now."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


class StateLock:
    """Holds `path` exclusively while used as a context manager. Raises `AlreadyRunning`.

    `instead`: what the second one may do rather than wait for the end of the first.
    """

    def __init__(self, path: Path, *, instead: str = "give this one a state_dir of its own") -> None:
        self._path, self._instead = path, instead
        self._descriptor = -1

    def __enter__(self) -> Self:
        try:
            self._descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)
        except PermissionError as error:
            raise ConfigError(
                f"cannot open the lock {self._path}: {error.strerror}",
                hint="let the user that runs hotfolder write to the state folder",
            ) from error
        except OSError as error:
            raise durable.local_error("open the lock", self._path, error) from error
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            holder = os.pread(self._descriptor, 32, 0).decode(errors="replace").strip()
            os.close(self._descriptor)
            raise AlreadyRunning(
                f"another hotfolder (process {holder or 'unknown'}) holds {self._path}",
                hint=f"stop it first, or {self._instead}",
            ) from error
        try:
            os.ftruncate(self._descriptor, 0)
            os.pwrite(self._descriptor, f"{os.getpid()}\n".encode(), 0)
        except OSError as error:
            os.close(self._descriptor)
            raise durable.local_error("write the lock", self._path, error) from error
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.close(self._descriptor)
