"""What keeps a file or a directory in its place, told before it is sent: nothing is moved to try."""

import fcntl
import os
import stat
import sys

from hotfolder.beneath import OPEN_DIRECTORY, OPEN_FILE, parent_of

_CHANGE = os.W_OK | os.X_OK
_GET_FLAGS, _APPEND_ONLY, _IMMUTABLE = 0x8008_6601, 0x20, 0x10  # linux/fs.h: FS_IOC_GETFLAGS


def why_stuck(root: str, relpath: str) -> str | None:
    """Why it could not be renamed out of its folder; None if it could, as far as can be seen.

    None as well where nothing of the whole inbox could: that is the inbox's trouble.
    """
    above = os.path.dirname(relpath)
    try:
        with parent_of(root, relpath) as (directory, name):
            if above and not _may_change(directory) and os.access(root, _CHANGE, effective_ids=True):
                return f"this user may not move files out of {above}/: let the daemon's user write to it"
            return _why_kept(directory, name)
    except PermissionError:
        if above and os.access(root, _CHANGE, effective_ids=True):
            return f"this user may not enter {above}/: let the daemon's user do so"
    except OSError:
        pass  # whatever it is, its delivery will say
    return None


def _why_kept(directory: int, name: str) -> str | None:
    """Why an open directory that may be changed keeps what is called `name`. Raises OSError."""
    folder, kept = os.fstat(directory), os.stat(name, dir_fd=directory, follow_symlinks=False)
    if folder.st_mode & stat.S_ISVTX and os.geteuid() not in {0, folder.st_uid, kept.st_uid}:
        return "only its owner may move it out of a folder with the sticky bit: chmod -t the folder"
    if _flags(directory) & (_IMMUTABLE | _APPEND_ONLY):
        return "its folder has the attribute i or a, and keeps what is in it: chattr -ia the folder"
    is_directory = stat.S_ISDIR(kept.st_mode)
    if is_directory and not os.access(name, os.W_OK, dir_fd=directory, effective_ids=True):
        # It gets another parent, which changes the directory itself.
        return "it could not be moved: let the user that runs hotfolder write into it"
    try:
        descriptor = os.open(name, OPEN_DIRECTORY if is_directory else OPEN_FILE, dir_fd=directory)
    except PermissionError:
        return None  # it cannot be read, which is another matter
    try:
        if _flags(descriptor) & (_IMMUTABLE | _APPEND_ONLY):
            return "it has the attribute i or a, and cannot be moved: chattr -ia it"
    finally:
        os.close(descriptor)
    return None


def _may_change(directory: int) -> bool:
    return os.access(".", _CHANGE, dir_fd=directory, effective_ids=True)


def _flags(descriptor: int) -> int:
    """What chattr has set; 0 where the file system knows no such attributes."""
    flags = bytearray(8)
    try:
        fcntl.ioctl(descriptor, _GET_FLAGS, flags)
    except OSError:
        return 0  # a file system without them keeps nothing back
    return int.from_bytes(flags[:4], sys.byteorder)
