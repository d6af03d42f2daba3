"""What stands where a row's original was, or went, or waits for its name: between open directories."""

import os
import stat
from dataclasses import replace

from hotfolder.beneath import fingerprint_of, is_open_for_writing, look
from hotfolder.core.errors import SourceChanged, SourceUnreadable
from hotfolder.core.naming import copy_name, detours
from hotfolder.core.records import Fingerprint, JournalRow
from hotfolder.trees import look_as, see

_OPEN = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


def stand(row: JournalRow, directory: int, name: str) -> Fingerprint:
    """What stands there, as a file or as a whole tree, as the row's was."""
    if row.fingerprint.tree:
        seen = see(directory, name)
        if seen is None or not seen.tree:
            raise SourceChanged(f"{name} is no longer a directory")
        return seen
    status = os.stat(name, dir_fd=directory, follow_symlinks=False)
    if not stat.S_ISREG(status.st_mode):
        raise SourceChanged(f"{name} is no longer a regular file")
    return fingerprint_of(status)


def look_at(row: JournalRow, root: str, relpath: str) -> Fingerprint | None:
    return look_as(root, relpath, row.fingerprint)


def as_then(row: JournalRow, there: Fingerprint | None, device: int) -> Fingerprint | None:
    """`there` as the row would have seen it: the inbox's device now stands for its device then."""
    if there is None or there.device != device:
        return there
    return replace(there, device=row.fingerprint.device)


def copy_place(row: JournalRow, target_root: str) -> str | None:
    """The folder below `target_root` in which the row's finished copy waits for its name."""
    for place in detours(os.path.dirname(row.target)):
        there = look(target_root, os.path.join(place, copy_name(row.operation_id)))
        if there is not None and row.copy is not None and row.copy.is_still(there):
            return place
    return None


def open_to_copy(directory: int, name: str) -> int:
    """A descriptor to copy from. Raises `SourceUnreadable` where this user may rename but not read."""
    try:
        return os.open(name, _OPEN, dir_fd=directory)
    except PermissionError as error:
        raise SourceUnreadable(
            f"{name} may not be read, and so not be copied to another file system",
            hint="let the user that runs hotfolder read it",
        ) from error


def refuse_writer(directory: int, name: str) -> None:
    descriptor = open_to_copy(directory, name)
    try:
        if is_open_for_writing(descriptor):
            raise SourceChanged(f"a program has {name} open for writing; it is delivered anew")
    finally:
        os.close(descriptor)


def is_name(directory: int, name: str) -> bool:
    try:
        os.stat(name, dir_fd=directory, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return True
