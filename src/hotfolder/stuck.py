"""What keeps a file or a directory in its place, told before it is sent: nothing is moved to try."""

import os
import stat
from collections.abc import Container, Iterable

from hotfolder.beneath import OPEN_DIRECTORY, OPEN_FILE, directory_at, keeps

_CHANGE = os.W_OK | os.X_OK


def why_stuck(root: str, relpath: str) -> str | None:
    """Why it could not be renamed out of its folder; None if it could, as far as can be seen.

    None as well where nothing of the whole inbox could: that is the inbox's trouble.
    """
    return whys_stuck(root, [relpath]).get(relpath)


def whys_stuck(
    root: str, relpaths: Iterable[str], may_leave: Container[str] = frozenset()
) -> dict[str, str]:
    """`why_stuck` of those that are stuck; each directory is looked at once for all that it holds.

    `may_leave`: files that were just seen to have no attribute of their own that keeps them.
    """
    directories: dict[str, list[str]] = {}
    for relpath in relpaths:
        directories.setdefault(os.path.dirname(relpath), []).append(relpath)
    stuck: dict[str, str] = {}
    for above, inside in directories.items():
        stuck |= _whys_stuck_in(root, above, inside, may_leave)
    return stuck


def _whys_stuck_in(
    root: str, above: str, inside: list[str], may_leave: Container[str]
) -> dict[str, str]:
    """Of those that the directory `above` holds."""
    try:
        with directory_at(root, above) as directory:
            why = _why_all_kept(root, above, directory)
            if why is not None:
                return dict.fromkeys(inside, why)
            folder = os.fstat(directory)
            is_sticky = bool(folder.st_mode & stat.S_ISVTX) and os.geteuid() not in {0, folder.st_uid}
            doubtful = inside if is_sticky else [each for each in inside if each not in may_leave]
            whys = (
                (relpath, _why_kept(directory, relpath, is_sticky=is_sticky)) for relpath in doubtful
            )
            return {relpath: why for relpath, why in whys if why is not None}
    except PermissionError:
        if above and os.access(root, _CHANGE, effective_ids=True):
            why = f"this user may not enter {above}/: let the daemon's user do so"
            return dict.fromkeys(inside, why)
    except OSError:
        pass  # whatever it is, its delivery will say
    return {}


def _why_all_kept(root: str, above: str, directory: int) -> str | None:
    """Why nothing can leave a directory that is open. Raises OSError."""
    if above and not _may_change(directory) and os.access(root, _CHANGE, effective_ids=True):
        return f"this user may not move files out of {above}/: let the daemon's user write to it"
    if keeps(directory):
        return "its folder has the attribute i or a, and keeps what is in it: chattr -ia the folder"
    return None


def _why_kept(directory: int, relpath: str, *, is_sticky: bool) -> str | None:
    """Why a directory that may be changed keeps this one. `is_sticky`: others' files stay in it."""
    name = os.path.basename(relpath)
    try:
        kept = os.stat(name, dir_fd=directory, follow_symlinks=False)
        if is_sticky and os.geteuid() != kept.st_uid:
            return "only its owner may move it out of a folder with the sticky bit: chmod -t the folder"
        is_directory = stat.S_ISDIR(kept.st_mode)
        if is_directory and not os.access(name, os.W_OK, dir_fd=directory, effective_ids=True):
            # It gets another parent, which changes the directory itself.
            return "it could not be moved: let the user that runs hotfolder write into it"
        descriptor = os.open(name, OPEN_DIRECTORY if is_directory else OPEN_FILE, dir_fd=directory)
    except OSError:
        return None  # it is gone, or cannot be read, which is another matter
    try:
        if keeps(descriptor):
            return "it has the attribute i or a, and cannot be moved: chattr -ia it"
    finally:
        os.close(descriptor)
    return None


def _may_change(directory: int) -> bool:
    return os.access(".", _CHANGE, dir_fd=directory, effective_ids=True)
