"""Taking folders away that hotfolder has emptied. Only `rmdir`: what holds anything stays."""

import errno
import os
import stat
from collections.abc import Sequence

from hotfolder.beneath import fingerprint_of, parent_of
from hotfolder.core.records import Fingerprint


def tidy(inbox: str, folders: Sequence[tuple[str, Fingerprint | None]]) -> dict[str, Fingerprint | bool]:
    """Remove those of `folders` (below `inbox`) that are empty and look as they did, deepest first.

    For each: True if it was removed; what it looks like now if that has changed (None: never looked
    at); False if it is over: it is gone, holds something, or may not be removed. Raises nothing.
    """
    looked = dict(folders)
    ends: dict[str, Fingerprint | bool] = {}
    for relpath in sorted(looked, key=lambda path: path.count("/"), reverse=True):
        try:
            ends[relpath] = _tidy(inbox, relpath, looked)
        except OSError:  # ENOTEMPTY above all; whatever else it is, an empty folder harms nobody
            ends[relpath] = False
    return ends


def _tidy(inbox: str, relpath: str, looked: dict[str, Fingerprint | None]) -> Fingerprint | bool:
    with parent_of(inbox, relpath) as (above, name):
        status = os.stat(name, dir_fd=above, follow_symlinks=False)
        if not stat.S_ISDIR(status.st_mode):
            raise OSError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), relpath)
        seen = fingerprint_of(status)
        if looked[relpath] != seen:
            return seen
        parent, before = os.path.dirname(relpath), fingerprint_of(os.fstat(above))
        # If somebody makes a file in it at this very moment, one of the two fails: never both succeed.
        os.rmdir(name, dir_fd=above)
        if looked.get(parent) == before:  # our own doing is no sign of life
            looked[parent] = fingerprint_of(os.fstat(above))
        return True
