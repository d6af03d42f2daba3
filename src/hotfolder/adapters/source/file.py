"""Files as originals: found by descriptor, opened without following anything."""

import errno
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

from hotfolder.adapters.source.refusing import refuse_open_writer, unreadable
from hotfolder.beneath import (
    BUSY,
    NOT_THERE,
    OPEN_FILE,
    Directories,
    is_as,
)
from hotfolder.core.errors import FileRejected, SourceChanged
from hotfolder.core.ports import Body
from hotfolder.core.records import Job
from hotfolder.piece_memory import PIECES


class OpenOriginal:
    """`core.ports.Original` on a descriptor. Close it, or use `open_original` in a `with`."""

    def __init__(self, descriptor: int, job: Job) -> None:
        """Raises `SourceChanged` unless it is the file that `job` saw."""
        self._descriptor = descriptor
        self._job = job
        self._status = self._unchanged()

    @property
    def size(self) -> int:
        return self._status.st_size

    @property
    def mode(self) -> int:
        return stat.S_IMODE(self._status.st_mode)

    @property
    def mtime_ns(self) -> int:
        return self._status.st_mtime_ns

    @property
    def owner(self) -> int:
        return self._status.st_uid

    @property
    def is_archive(self) -> bool:
        return False

    def read(self, offset: int, size: int) -> Body:
        """See `core.ports.Original`. Raises `SourceUnreadable` and `LocalError`, too."""
        into = PIECES.room_for(size)
        missing = into
        while missing:
            try:
                count = os.preadv(self._descriptor, [missing], offset)
            except OSError as error:
                raise unreadable(self._job, f"read (at byte {offset})", error) from error
            if not count:
                raise SourceChanged(f"{self._job.path} became shorter while it was read")
            offset += count
            missing = missing[count:]
        return into.toreadonly()

    def unchanged(self) -> None:
        self._unchanged()

    def _unchanged(self) -> os.stat_result:
        status = os.fstat(self._descriptor)
        if not is_as(status, self._job.fingerprint):
            raise SourceChanged(f"{self._job.path} changed while it was read")
        return status

    def close(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


@contextmanager
def open_originals() -> Iterator[Callable[[Job], OpenOriginal]]:
    """`open_original` for many jobs, one behind the other in one thread."""
    with Directories() as directories:
        yield partial(_open_in, directories)


def open_original(job: Job) -> OpenOriginal:
    """Open the file that `job` saw, and only that one.

    Raises `SourceChanged` if it is gone, replaced, changed or open for writing elsewhere, and
    `FileRejected` if it may not be read.
    """
    with Directories() as directories:
        return _open_in(directories, job)


def _open_in(directories: Directories, job: Job) -> OpenOriginal:
    try:
        directory, name = directories.parent_of(job.root, job.relpath)
        descriptor = os.open(name, OPEN_FILE, dir_fd=directory)
    except PermissionError as error:
        raise FileRejected(
            f"{job.path} may not be read by this user",
            hint="give it read permission, then put it back into the inbox",
        ) from error
    except OSError as error:
        if error.errno in NOT_THERE | {errno.ENXIO}:
            raise SourceChanged(f"{job.path} is gone, or no longer a regular file") from error
        if error.errno in BUSY:
            raise SourceChanged(f"another program keeps {job.path} to itself") from error
        raise unreadable(job, "open", error) from error
    try:
        original = OpenOriginal(descriptor, job)
        refuse_open_writer(descriptor, job.path)
    except BaseException:
        os.close(descriptor)
        raise
    return original
