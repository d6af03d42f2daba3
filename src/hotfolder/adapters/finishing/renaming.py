"""Giving and taking names without ever hitting another file, between open directories."""

import contextlib
import ctypes
import errno
import os
import secrets
import stat
from collections.abc import Callable

from hotfolder.beneath import fingerprint_of, is_open_for_writing
from hotfolder.core.errors import SourceChanged
from hotfolder.core.naming import clash_name
from hotfolder.core.records import Fingerprint

_RENAME_NOREPLACE = 1  # linux/fs.h
_MAKE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
_libc = ctypes.CDLL(None, use_errno=True)
_FLAGS = ctypes.c_uint(_RENAME_NOREPLACE)

#: What the kernel says where a file system cannot refuse to clobber.
_CANNOT_REFUSE = frozenset({errno.EINVAL, errno.ENOSYS})
#: And where it knows no hard links either, as exFAT and some FUSE do.
_NO_LINKS = frozenset({errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK})


def rename_without_clobbering(
    source: int,
    name: str,
    target: int,
    new_name: str,
    *,
    aside: Callable[[], str] | None = None,
) -> None:
    """Rename between two open directories. Raises FileExistsError where the new name is taken.

    `aside` gives a free name in `source` for file systems that cannot rename without clobbering. There,
    a file that takes `name` meanwhile is safe only with it.
    """
    number = _rename_or_refuse(source, name, target, new_name)
    if number == 0:
        return
    if number not in _CANNOT_REFUSE:
        raise OSError(number, os.strerror(number), new_name)
    # A hard link can refuse. A crash between the two leaves the file under both names: the restart
    # sees one inode twice and takes the old name away.
    try:
        os.link(name, new_name, src_dir_fd=source, dst_dir_fd=target, follow_symlinks=False)
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        _rename_over_placeholder(source, name, target, new_name)
        return
    if aside is None:
        os.unlink(name, dir_fd=source)
        return
    hidden = aside()
    linked = os.stat(new_name, dir_fd=target, follow_symlinks=False)
    set_aside(source, name, hidden)
    if os.path.samestat(os.stat(hidden, dir_fd=source, follow_symlinks=False), linked):
        os.unlink(hidden, dir_fd=source)
    else:
        put_back(source, hidden, name, otherwise=hidden)


def _rename_over_placeholder(source: int, name: str, target: int, new_name: str) -> None:
    """Take the new name with an empty file (or directory) of our own, and rename over that one.

    A crash between the two leaves the empty one: it is nobody's, and the next try goes round it.
    """
    is_directory = stat.S_ISDIR(os.stat(name, dir_fd=source, follow_symlinks=False).st_mode)
    if is_directory:
        os.mkdir(new_name, 0o700, dir_fd=target)
    else:
        os.close(os.open(new_name, _MAKE, 0o600, dir_fd=target))
    try:
        os.rename(name, new_name, src_dir_fd=source, dst_dir_fd=target)
    except OSError:
        (os.rmdir if is_directory else os.unlink)(new_name, dir_fd=target)
        raise


def set_aside(directory: int, name: str, aside: str) -> None:
    """Rename within a directory to a name that only we make. Raises FileExistsError if it is taken."""
    number = _rename_or_refuse(directory, name, directory, aside)
    if number in _CANNOT_REFUSE:
        try:
            os.stat(aside, dir_fd=directory, follow_symlinks=False)
        except FileNotFoundError:
            os.rename(name, aside, src_dir_fd=directory, dst_dir_fd=directory)
            return
        number = errno.EEXIST
    if number:
        raise OSError(number, os.strerror(number), name)


def put_back(directory: int, aside: str, name: str, *, otherwise: str) -> None:
    """Undo `set_aside`; where another file took the name meanwhile, the name `otherwise`."""
    if otherwise != aside:
        give_back(directory, aside, directory, name, otherwise)
        return
    with contextlib.suppress(FileExistsError):  # it keeps the name that it has
        rename_without_clobbering(directory, aside, directory, name)


def give_back(source: int, name: str, target: int, *wanted: str) -> None:
    """Rename to the first of the `wanted` names that is free, else to one that nobody can foresee.

    In an inbox anybody may take the names that we are about to give, and hold us up with it.
    """
    for candidate in (*wanted, clash_name(wanted[0], secrets.token_hex(6))):
        try:
            rename_without_clobbering(source, name, target, candidate)
        except FileExistsError:
            continue  # the next name; if the last one is taken, too, it is raised below
        return
    raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), wanted[0])


def remove_aside(directory: int, aside: str, proven: Fingerprint, name: str, otherwise: str) -> None:
    """Unlink the file that was set aside, if it is `proven` and nobody is writing to it.

    Else put it back under `name` (or `otherwise`) and raise `SourceChanged`. `proven` was taken
    before the file got this name: only a rename may have come since.
    """
    descriptor = -1
    try:
        with contextlib.suppress(OSError):  # a link, a device, a file without rights: not opened
            descriptor = os.open(
                aside, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=directory
            )
        status = os.stat(aside, dir_fd=directory, follow_symlinks=False)
        same = stat.S_ISREG(status.st_mode) and proven.survived_move(fingerprint_of(status))
        if same and not (descriptor >= 0 and is_open_for_writing(descriptor)):
            os.unlink(aside, dir_fd=directory)
            return
    finally:
        if descriptor >= 0:
            os.close(descriptor)
    put_back(directory, aside, name, otherwise=otherwise)
    raise SourceChanged(f"{name} was changed or opened for writing when it was to be removed; it stays")


def rehearse(directory: str) -> None:
    """Make a hidden file in `directory`, rename it as originals are, and remove it. Raises OSError.

    Only for completed/ and failed/: in an inbox the file would be delivered.
    """
    name = f".hotfolder-check-{secrets.token_hex(8)}"
    place = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.close(os.open(name, _MAKE, 0o600, dir_fd=place))
        try:
            rename_without_clobbering(place, name, place, f"{name}-moved")
        finally:
            for left in (name, f"{name}-moved"):
                with contextlib.suppress(FileNotFoundError):  # it has the other name
                    os.unlink(left, dir_fd=place)
    finally:
        os.close(place)


def _rename_or_refuse(source: int, name: str, target: int, new_name: str) -> int:
    """Rename in one step that never clobbers; returns 0, or the number of the error."""
    done = _libc.renameat2(source, os.fsencode(name), target, os.fsencode(new_name), _FLAGS)
    return 0 if done == 0 else ctypes.get_errno()
