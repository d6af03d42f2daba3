"""Where in completed/ or failed/ a row's original goes, and what it means when that refuses."""

import errno
import os
from collections.abc import Iterator

from hotfolder import durable
from hotfolder.beneath import NOT_THERE, directory_at
from hotfolder.core.errors import DiskFull, LocalError
from hotfolder.core.naming import clash_name, detours
from hotfolder.core.records import Disposition, JournalRow


def sync_names(root: str, relpath: str, descriptor: int | None = None) -> None:
    """Make the names in one directory durable, which may be open already. Raises `LocalError`."""
    if descriptor is not None:
        durable.sync_directory(descriptor, named=f"{root}/{relpath}")
        return
    try:
        with directory_at(root, relpath) as directory:
            durable.sync_directory(directory, named=f"{root}/{relpath}")
    except OSError as error:
        if error.errno not in NOT_THERE | {errno.EACCES}:
            raise durable.local_error("sync the folder", f"{root}/{relpath}", error) from error
        # Somebody renamed, removed or shut it since. Its name leads there no more, and to wait for it
        # would hold every other file: make everything durable instead.
        os.sync()


def candidates(row: JournalRow) -> Iterator[str]:
    """Every path at which `move` may have put the row's original."""
    directory, name = os.path.split(row.target)
    for place in detours(directory):
        yield os.path.join(place, name)
        yield os.path.join(place, clash_name(name, row.operation_id))


def refused(row: JournalRow, target_root: str, error: OSError) -> LocalError:
    hint = {
        errno.EEXIST: "move the files of that name away",
        errno.ENOSPC: "free space on its file system",
        errno.EDQUOT: "free space there, or raise the quota",
        errno.EROFS: "remount it for writing; the kernel log says why it is read-only",
        errno.EIO: "look into the kernel log and check the disk",
        errno.ENOENT: "make the folder again, or mount it",
    }.get(error.errno or 0, "let the user that runs hotfolder write there")
    kind = DiskFull if error.errno in {errno.ENOSPC, errno.EDQUOT} else LocalError
    if row.disposition is Disposition.DELETE:
        return kind(f"cannot remove {row.relpath}: {error.strerror}", hint=hint)
    return kind(f"cannot move {row.relpath} to {target_root}: {error.strerror}", hint=hint)
