"""Copying an original to another file system: every byte hashed on the way and read back after.

The copy keeps mode, times, extended attributes and, where permitted, the owner. Holes stay holes.
"""

import contextlib
import errno
import hashlib
import os
from collections.abc import Callable, Iterator

from hotfolder.beneath import fingerprint_of
from hotfolder.core.errors import LocalError, SourceChanged, SourceUnreadable
from hotfolder.core.naming import copy_name
from hotfolder.core.records import Fingerprint, JournalRow

_MAKE = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC

_CHUNK = 4 * 1024 * 1024
_ZEROS = bytes(_CHUNK)

#: Attributes that a file system or an unprivileged user cannot give are no loss of the file's bytes.
_NOT_KEPT = frozenset({errno.EPERM, errno.EACCES, errno.EOPNOTSUPP, errno.EINVAL, errno.ENOSYS})

#: Told the bytes gone through; raises to end the copy.
Progress = Callable[[int], None]


def copy_proven(row: JournalRow, original: int, target: int, progress: Progress) -> Fingerprint:
    """Copy the open original of `row` into the open directory `target`, and prove the copy.

    It has the hidden name of the row's operation; one that a killed run left is replaced. Returns its
    fingerprint once its bytes are on the disk. Raises OSError, `SourceChanged`, `LocalError`; nothing
    is left behind then.
    """
    name = copy_name(row.operation_id)
    with contextlib.suppress(FileNotFoundError):  # mostly no run was killed here
        os.unlink(name, dir_fd=target)
    descriptor = os.open(name, _MAKE, 0o600, dir_fd=target)
    try:
        read = copy_content(original, descriptor, row.fingerprint.size, progress)
        copy_attributes(original, descriptor)
        os.fsync(descriptor)
        _require_proven(row, original, read)
        _require_on_disk(row, descriptor, read, progress)
        return fingerprint_of(os.fstat(descriptor))
    except BaseException:
        with contextlib.suppress(OSError):  # the error under way says more
            os.unlink(name, dir_fd=target)
        raise
    finally:
        os.close(descriptor)


def _require_proven(row: JournalRow, original: int, read: bytes) -> None:
    if fingerprint_of(os.fstat(original)) != row.fingerprint:
        raise SourceChanged(f"{row.relpath} changed while it was copied; it is delivered anew")
    proven = row.entry.get("checksum_original")  # a file that was given up has none
    if proven is not None and proven != f"sha256:{read.hex()}":
        raise SourceChanged(f"{row.relpath} has other bytes than were proven; it is delivered anew")


def _require_on_disk(row: JournalRow, descriptor: int, read: bytes, progress: Progress) -> None:
    if digest_on_disk(descriptor, progress) != read:
        raise LocalError(
            f"the copy of {row.relpath} reads back with other bytes than were written",
            hint="check the target's disk and the memory",
        )


def copy_content(source: int, target: int, size: int, progress: Progress) -> bytes:
    """Copy `size` bytes between open files and return their SHA-256. Raises OSError.

    A source that became shorter ends the copy early; its fingerprint then tells.
    """
    digest = hashlib.sha256()
    for start, end, is_hole in _stretches(source, size):
        position = start
        while position < end:
            want = min(_CHUNK, end - position)
            if is_hole:
                digest.update(memoryview(_ZEROS)[:want])
                position += want
                progress(want)
                continue
            piece = _read(source, want, position)
            if not piece:
                return digest.digest()
            digest.update(piece)
            _write_at(target, piece, position)
            position += len(piece)
            progress(len(piece))
    os.ftruncate(target, size)
    return digest.digest()


def _read(source: int, size: int, position: int) -> bytes:
    try:
        return os.pread(source, size, position)
    except OSError as error:
        raise SourceUnreadable(
            f"the original cannot be read to be copied: {error.strerror} at byte {position}",
            hint="check the disk; first copy elsewhere what can be read",
        ) from error


def copy_attributes(source: int, target: int) -> None:
    """Owner, mode, extended attributes and times of an open file, as far as they can be given."""
    status, mode = os.fstat(source), 0o777
    with _as_far_as_possible():
        os.fchown(target, status.st_uid, status.st_gid)
        mode = 0o7777  # else a setuid bit would lend our own rights to whoever dropped the file
    for name in _attributes(source):
        with _as_far_as_possible():
            os.setxattr(target, name, os.getxattr(source, name))
    with _as_far_as_possible():  # behind the owner and the ACL, which change it
        os.fchmod(target, status.st_mode & mode)
    with _as_far_as_possible():
        os.utime(target, ns=(status.st_atime_ns, status.st_mtime_ns))


def digest_on_disk(descriptor: int, progress: Progress) -> bytes:
    """SHA-256 of what stands on the disk now. Raises OSError."""
    # What the page cache holds is what we wrote; ask the disk.
    with _as_far_as_possible():
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
    digest, position = hashlib.sha256(), 0
    while piece := os.pread(descriptor, _CHUNK, position):
        digest.update(piece)
        position += len(piece)
        progress(len(piece))
    return digest.digest()


def _stretches(source: int, size: int) -> Iterator[tuple[int, int, bool]]:
    """(start, end, is it a hole) over the whole file; all data where the file system does not say."""
    position = 0
    while position < size:
        try:
            data = min(size, os.lseek(source, position, os.SEEK_DATA))
        except OSError as error:
            if error.errno == errno.ENXIO:  # nothing but a hole up to the end
                yield position, size, True
            else:
                yield position, size, False
            return
        if data > position:
            yield position, data, True
        end = min(size, os.lseek(source, data, os.SEEK_HOLE)) if data < size else data
        if end > data:
            yield data, end, False
        position = max(end, data)


def _write_at(target: int, piece: bytes, position: int) -> None:
    rest = memoryview(piece)
    while rest:
        written = os.pwrite(target, rest, position)
        if written == 0:
            raise OSError(errno.EIO, "the file system took no bytes")
        rest, position = rest[written:], position + written


def _attributes(source: int) -> list[str]:
    try:
        return os.listxattr(source)
    except OSError as error:
        if error.errno not in _NOT_KEPT:
            raise
        return []


@contextlib.contextmanager
def _as_far_as_possible() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno not in _NOT_KEPT:
            raise
