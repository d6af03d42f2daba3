"""Packed files on their way from the spool to completed/, beside their originals.

What is to be kept is known by its content: a file of exactly the bytes that were proven. So a restart
cannot make a second copy, and a copy that somebody damaged is not taken for it.
"""

import contextlib
import errno
import os
import stat
from collections.abc import Callable, Mapping

import structlog

from hotfolder import durable
from hotfolder.beneath import NOT_THERE, parent_of
from hotfolder.core.entries import hashing_of_packed
from hotfolder.core.naming import clash_name, detours
from hotfolder.core.records import JournalRow

log = structlog.get_logger()

_CHUNK = 1024 * 1024
_LONGEST_NAME = 255  # bytes
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
#: Renames a name in one open directory to another, and raises FileExistsError where that is taken.
Rename = Callable[[int, str, int, str], None]


class Keeper:
    """`core.ports.Keeper`. `completed`: its root for each folder; `rename` never clobbers."""

    def __init__(self, completed: Mapping[str, str], *, rename: Rename) -> None:
        self._completed = completed
        self._rename = rename

    def keep(self, row: JournalRow, moved_to: str | None, progress: Callable[[int], None]) -> str | None:
        staged = row.entry["compressed_file_path"]
        root = self._completed.get(row.folder)
        if staged is None or root is None:
            return None
        relpath = _beside(row, root, moved_to)
        try:
            _share(staged, moved_to)
            return self._keep(row, root, relpath, progress)
        except OSError as error:
            raise durable.local_error("keep the packed file in", f"{root}/{relpath}", error) from error

    def _keep(
        self, row: JournalRow, root: str, relpath: str, progress: Callable[[int], None]
    ) -> str | None:
        above, name = os.path.split(relpath)
        for directory in detours(above):
            try:
                with parent_of(root, os.path.join(directory, name), make=True) as (target, wanted):
                    kept = self._put(row, target, wanted, progress)
                    return None if kept is None else os.path.join(root, directory, kept)
            except OSError as error:
                if error.errno not in {errno.ENOTDIR, errno.ELOOP}:
                    raise
        raise OSError(errno.ENOTDIR, os.strerror(errno.ENOTDIR))

    def _put(
        self, row: JournalRow, target: int, wanted: str, progress: Callable[[int], None]
    ) -> str | None:
        """The name under which the packed file stands in `target` now; None if it is lost."""
        staged = row.entry["compressed_file_path"]
        candidates = (_short(wanted, row), clash_name(wanted, row.operation_id))
        for candidate in candidates:
            if _is_the_one(row, target, candidate):
                durable.sync_directory(target, named=candidate)
                _drop(staged)
                return candidate
        for candidate in candidates:
            try:
                self._move(row, target, candidate, progress)
            except FileExistsError:
                continue  # the next name; where none is free it is said below
            except FileNotFoundError:
                log.warning("spool.lost", file=row.relpath, packed=staged)
                return None
            return candidate
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), wanted)

    def _move(self, row: JournalRow, target: int, name: str, progress: Callable[[int], None]) -> None:
        folder, own_name = os.path.split(row.entry["compressed_file_path"])
        spool = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            self._rename(spool, own_name, target, name)
        except OSError as error:
            if error.errno != errno.EXDEV:
                raise
            self._copy(row, target, name, progress)
            os.unlink(own_name, dir_fd=spool)
        else:
            durable.sync_directory(target, named=name)
        finally:
            os.close(spool)

    def _copy(self, row: JournalRow, target: int, name: str, progress: Callable[[int], None]) -> None:
        """Over to another file system: whole and durable before it gets its name."""
        temporary = f".{row.operation_id}.hotfolder.tmp"
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
        descriptor = os.open(temporary, flags, 0o600, dir_fd=target)
        try:
            try:
                with open(row.entry["compressed_file_path"], "rb") as source:
                    os.fchmod(descriptor, stat.S_IMODE(os.fstat(source.fileno()).st_mode))
                    while chunk := source.read(_CHUNK):
                        durable.write_all(descriptor, chunk)
                        progress(len(chunk))
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
            self._rename(target, temporary, target, name)
        except BaseException:
            with contextlib.suppress(OSError):  # the error under way says more
                os.unlink(temporary, dir_fd=target)
            raise
        durable.sync_directory(target, named=name)


def _beside(row: JournalRow, root: str, moved_to: str | None) -> str:
    """Where the packed file goes, below `root`: its original's place with the suffix of the format."""
    place = row.target
    if moved_to is not None and moved_to.startswith(f"{root}/"):
        place = moved_to[len(root) + 1 :]
    return f"{place}.{row.entry['metadata']['format']}"


def _short(name: str, row: JournalRow) -> str:
    """`name`, or where no file system takes it, one that is shortened."""
    fits = len(os.fsencode(name)) <= _LONGEST_NAME
    return name if fits else clash_name(name, row.operation_id)


def _is_the_one(row: JournalRow, directory: int, name: str) -> bool:
    """Whether exactly the bytes that were proven stand there."""
    try:
        descriptor = os.open(name, _READ, dir_fd=directory)
    except OSError as error:
        if error.errno in NOT_THERE:
            return False
        raise
    with open(descriptor, "rb") as file:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode) or status.st_size != row.entry["compressed_size"]:
            return False
        hashing, digest = hashing_of_packed(row.entry["checksum_compressed"])
        while chunk := file.read(_CHUNK):
            hashing.update(chunk)
        os.fsync(descriptor)  # whoever made it
    return hashing.digest().hex() == digest


def _share(staged: str, moved_to: str | None) -> None:
    """Who may read the original may read its packed file; in the spool it is the daemon's alone."""
    with contextlib.suppress(FileNotFoundError):  # taken out of completed/ at once: it stays private
        mode = 0o640 if moved_to is None else os.stat(moved_to, follow_symlinks=False).st_mode & 0o666
        os.chmod(staged, mode | 0o600)


def _drop(staged: str) -> None:
    with contextlib.suppress(FileNotFoundError):  # a killed run came so far
        os.unlink(staged)
