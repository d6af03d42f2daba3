"""Giving a failed file back to its inbox."""

import errno
import os

from hotfolder import durable
from hotfolder.adapters.finishing.renaming import rename_without_clobbering
from hotfolder.beneath import parent_of
from hotfolder.core.errors import LocalError
from hotfolder.trees import see


def hand_back(failed: str, place: str, inbox: str, relpath: str, *, size: int, mtime_ns: int) -> None:
    """Move `place` below `failed` to `relpath` below `inbox`: durable, and nothing is clobbered.

    Only the file (or directory) that was recorded: `size` in bytes and `mtime_ns` in nanoseconds since
    the epoch say which. Raises `LocalError` where another one stands there, the name is taken, or the
    disk refuses: then it is where it was. A crash leaves it at one of the two places: it failed still,
    or it is delivered.
    """
    try:
        with (
            parent_of(failed, place) as (source, name),
            parent_of(inbox, relpath, make=True) as (target, new_name),
        ):
            seen = see(source, name)
            if seen is None or (seen.size, seen.mtime_ns) != (size, mtime_ns):
                raise LocalError(
                    f"{failed}/{place} is not the file that failed, or was changed since",
                    hint=f"move it to {inbox} by hand if it is to be delivered",
                )
            rename_without_clobbering(source, name, target, new_name)
            durable.sync_directory(target, named=os.path.dirname(f"{inbox}/{relpath}"))
            durable.sync_directory(source, named=os.path.dirname(f"{failed}/{place}"))
    except FileExistsError as error:
        raise LocalError(
            f"{inbox}/{relpath} is there already", hint="wait until that one is delivered, or move it"
        ) from error
    except OSError as error:
        if error.errno == errno.EXDEV:
            raise LocalError(
                f"{failed}/{place} is on another file system than {inbox}",
                hint="move it there by hand, under a name like .x.part until it is whole",
            ) from error
        raise durable.local_error("put back", f"{failed}/{place}", error) from error
