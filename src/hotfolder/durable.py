"""The one helper for durable writes: what these functions report as done survives a power cut.

Standard library and `core.errors` only, so that adapters and the recorder alike may use it.
"""

import contextlib
import errno
import os
import tempfile

from hotfolder.core.errors import DiskFull, LocalError

Place = str | os.PathLike[str]

_HINTS = {
    errno.ENOSPC: "free space on this file system",
    errno.EDQUOT: "the disk quota is used up: free space or raise the quota",
    errno.EFBIG: "the file reached the size limit of the process or file system",
    errno.EROFS: "the file system is mounted read-only: look into the kernel log, then remount it",
    errno.EACCES: "give the user that runs hotfolder permission to write there",
    errno.EPERM: "give the user that runs hotfolder permission to write there",
    errno.ENOENT: "the folder is gone: is its volume mounted?",
    errno.ENOTDIR: "a part of this path is no folder",
    errno.ESTALE: "the volume went away: is it mounted?",
    errno.EIO: "the disk reports errors: look into the kernel log and check the disk",
    errno.EMFILE: "raise the limit of open files (LimitNOFILE)",
    errno.ENFILE: "the system has no free file descriptors: raise fs.file-max",
}


def local_error(doing: str, path: Place, error: OSError) -> LocalError:
    """`error` as the typed error: "cannot {doing} {path}: reason", with what to do as hint."""
    reason = error.strerror or str(error)
    hint = _HINTS.get(error.errno or 0, "")
    kind = DiskFull if error.errno in {errno.ENOSPC, errno.EDQUOT} else LocalError
    return kind(f"cannot {doing} {os.fspath(path)}: {reason}", hint=hint)


def write_all(descriptor: int, data: bytes | memoryview) -> None:
    """Write every byte of `data`, however short the single writes are. Raises `OSError`.

    A failure may leave a beginning of `data` written.
    """
    rest = memoryview(data).cast("B")
    while rest:
        written = os.write(descriptor, rest)
        if written == 0:
            raise OSError(errno.EIO, "the file system took no bytes")
        rest = rest[written:]


def append(descriptor: int, data: bytes | memoryview, *, path: Place = "") -> None:
    """Write all of `data` where the descriptor stands, and return once it is on the disk.

    `path` is named in errors. Raises `LocalError` (its cause is the `OSError`); what was written is
    then unknown and the descriptor is to be closed: after a failed fsync the kernel marks the lost
    pages clean, so a second fsync on the same descriptor would report success for bytes that are gone.
    """
    try:
        write_all(descriptor, data)
        os.fdatasync(descriptor)
    except OSError as error:
        raise local_error("append to", path or f"descriptor {descriptor}", error) from error


def sync_directory(directory: Place | int, *, named: Place = "") -> None:
    """Make names made, moved or removed in `directory` (path or descriptor) survive a power cut.

    `named` stands for a descriptor in errors.

    Some network file systems know no fsync of a directory (EINVAL): they order names themselves, and
    it counts as done. Raises `LocalError`.
    """
    try:
        if isinstance(directory, int):
            _sync_names(directory)
            return
        descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            _sync_names(descriptor)
        finally:
            os.close(descriptor)
    except OSError as error:
        raise local_error("sync the folder", named or str(directory), error) from error


def sync_file(path: Place) -> None:
    """Make durable all that can be read in the file now, and its name; an absent file is fine.

    For what another process wrote: one that was killed before its fsync leaves bytes that look as good
    as durable ones and are not. Raises `LocalError`.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    except FileNotFoundError:
        return  # nothing was begun
    except OSError as error:
        raise local_error("sync", path, error) from error
    sync_directory(os.path.dirname(os.path.abspath(path)))


def make_directory(path: Place, *, mode: int = 0o777) -> None:
    """Make `path` and what is missing above it; once this returns its name survives a power cut.

    Without that, a cut could take away the folder with all that was fsynced in it. One that is there
    already is made sure of, too: whoever made it may have been killed before its name was durable.
    `mode` is for the last one, less the umask. Raises `OSError`.
    """
    path = os.path.abspath(path)
    above = os.path.dirname(path)
    if not os.path.isdir(path):
        make_directory(above)
        with contextlib.suppress(FileExistsError):  # another process was faster, or it is a file
            os.mkdir(path, mode)
        if not os.path.isdir(path):
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), path)
    try:
        descriptor = os.open(above, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except PermissionError:
        os.sync()  # the folder above may be entered and not be read: make everything durable instead
        return
    try:
        _sync_names(descriptor)
    finally:
        os.close(descriptor)


def replace_file(path: Place, data: bytes, *, mode: int = 0o644, sync: bool = True) -> None:
    """Put a file with `data` and exactly `mode` in place of `path`: readers see the old or the new.

    With `sync` the new file survives a power cut once this returns; without (the heartbeat), the
    replacement is just as atomic to every reader, but a power cut may leave either or an empty file.
    The temporary name is hidden, ends in `.tmp`, and is removed on failure. Raises `LocalError`.
    """
    directory, name = os.path.split(os.fspath(path))
    directory = directory or os.curdir
    try:
        _replace(directory, name, data, mode=mode, sync=sync)
    except OSError as error:
        raise local_error("write", path, error) from error
    if sync:
        sync_directory(directory)


def put_in_place(descriptor: int, temporary: Place, path: Place) -> None:
    """Give a file that is written to its end its name, in place of what stands there.

    `descriptor` is the file's, `temporary` its name until now, in the folder of `path`. Raises
    `LocalError`; the temporary name then may still be there.
    """
    try:
        os.fsync(descriptor)  # before the rename: else a power cut can leave the name with an empty file
        os.rename(temporary, path)
    except OSError as error:
        raise local_error("write", path, error) from error
    sync_directory(os.path.dirname(os.fspath(path)) or os.curdir)


def _replace(directory: str, name: str, data: bytes, *, mode: int, sync: bool) -> None:
    descriptor, temporary = tempfile.mkstemp(prefix=f".{name}.", suffix=".tmp", dir=directory)
    try:
        try:
            write_all(descriptor, data)
            os.fchmod(descriptor, mode)
            if sync:
                # Before the rename: else a power cut can leave the new name with an empty file.
                os.fsync(descriptor)
        finally:
            os.close(descriptor)
        os.rename(temporary, os.path.join(directory, name))
    except BaseException:
        # The error under way says more than a second one about the same disk.
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise


def _sync_names(descriptor: int) -> None:
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
