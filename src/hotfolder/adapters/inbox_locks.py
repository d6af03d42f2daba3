"""One daemon an inbox: a lock on the folder itself, which the kernel drops with the process.

Two daemons with state folders of their own know nothing of each other's files in flight: either could
move what the other is about to send. Nothing is written into the inbox; an open descriptor holds the
lock, and keeps the volume from being unmounted (but for `umount -l`) as long as the daemon runs.
"""

import errno
import fcntl
import os
import re
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

import structlog

from hotfolder.beneath import EXHAUSTED, EXHAUSTED_HINT
from hotfolder.core.errors import AlreadyRunning

log = structlog.get_logger()

_HINT = "one daemon watches an inbox: stop the other one, or give this one an inbox of its own"
#: What file systems say that know no such lock. NFS wants a descriptor that can write.
_UNSUPPORTED = frozenset(
    {errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL, errno.EBADF, errno.ENOTTY}
)
# "1: FLOCK  ADVISORY  WRITE 4242 fe:00:131 0 EOF"; who waits for a lock has an arrow before FLOCK
_HELD = re.compile(r"^\d+: FLOCK +\w+ +WRITE +(-?\d+) +([0-9a-f]+):([0-9a-f]+):(\d+) ", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class _Lock:
    identity: tuple[int, int]
    descriptor: int


class InboxLocks:
    """The inboxes that this process keeps to itself, by path. One owner at a time; blocking.

    Use as a context manager, or the end of the process lets go of them.
    """

    def __init__(self, *, locks: Path = Path("/proc/locks")) -> None:
        self._locks = locks
        self._held: dict[str, _Lock] = {}
        self._told: set[str] = set()  # paths of which it was told that they cannot be locked

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.keep_only(())

    def take(self, path: str) -> None:
        """Keep the folder that stands at `path` now; what stood there before is let go.

        Raises `AlreadyRunning` where another process keeps it. An absent folder is nobody's, and one
        on a file system without such locks is used without.
        """
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError as error:
            if error.errno in EXHAUSTED:  # it may be opened in a moment, and no other may have it then
                raise AlreadyRunning(
                    f"the inbox {path} cannot be locked: {error.strerror}", hint=EXHAUSTED_HINT
                ) from error
            self.release(path)  # what cannot be opened gives no files either; the scan says why
            return
        status = os.fstat(descriptor)
        identity = (status.st_dev, status.st_ino)
        mine = self._held.get(path)
        if mine is not None and mine.identity == identity:
            os.close(descriptor)
            return
        self.release(path)  # it was remade, or mounted anew: the other volume may go
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            os.close(descriptor)
            raise AlreadyRunning(
                f"another process ({_named(holder(path, locks=self._locks))}) keeps the inbox {path}",
                hint=_HINT,
            ) from error
        except OSError as error:
            os.close(descriptor)
            if error.errno not in _UNSUPPORTED:
                raise AlreadyRunning(
                    f"the inbox {path} cannot be locked: {error.strerror}", hint=_HINT
                ) from error
            self._tell(path, error)
            return
        self._held[path] = _Lock(identity, descriptor)

    def release(self, path: str) -> None:
        """Let go of what is kept under `path`, so that its volume can go."""
        lock = self._held.pop(path, None)
        if lock is not None:
            os.close(lock.descriptor)

    def keep_only(self, paths: Collection[str]) -> None:
        """Let go of all others."""
        for path in [path for path in self._held if path not in paths]:
            self.release(path)

    def _tell(self, path: str, error: OSError) -> None:
        if path not in self._told:
            self._told.add(path)
            log.warning(
                "inbox.unlockable",
                path=path,
                reason=error.strerror,
                hint="see to it that no second daemon, on this or another machine, watches it",
            )


def holder(path: str, *, locks: Path = Path("/proc/locks")) -> int | None:
    """The process that keeps the folder `path`, asked of the kernel without touching the lock.

    0: one that this process cannot see, in another container. None: nobody, or nobody knows.
    """
    try:
        status = os.stat(path)
        held = locks.read_text()
    except OSError:
        return None  # nobody knows
    for process, major, minor, inode in _HELD.findall(held):
        if int(inode) != status.st_ino:
            continue
        device = os.makedev(int(major, 16), int(minor, 16))
        pid = max(0, int(process))
        # The kernel's device numbers are not stat's on every file system (btrfs, overlay).
        if device == status.st_dev or _has_open(pid, (status.st_dev, status.st_ino)):
            return pid
    return None


def _has_open(pid: int, identity: tuple[int, int]) -> bool:
    try:
        for descriptor in Path(f"/proc/{pid}/fd").iterdir():
            status = descriptor.stat()
            if (status.st_dev, status.st_ino) == identity:
                return True
    except OSError:
        return False  # gone, or another user's
    return False


def _named(pid: int | None) -> str:
    if not pid:
        return "in another container, or unknown"
    try:
        return f"{pid}, {Path(f'/proc/{pid}/comm').read_text().strip()}"
    except OSError:
        return str(pid)  # it ended
