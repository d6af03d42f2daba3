"""Walking an inbox: a stream of paths, with no stat a file and no list in memory."""

import os
from collections.abc import Callable, Iterator

from hotfolder.beneath import NOT_THERE, directory_at
from hotfolder.core.records import PassedOver


def walk(root: str, start: str, ignored: Callable[[str], bool]) -> Iterator[str | PassedOver]:
    """Every entry below `root`/`start` that is not ignored and no folder, relative to `root`.

    A regular file is its path; whatever is never opened (links, devices, folders that may not be
    read) comes with the reason. Where the root itself cannot be read, the OSError is raised.
    """
    pending = [start]
    while pending:
        directory = pending.pop()
        try:
            with directory_at(root, directory) as descriptor, os.scandir(descriptor) as entries:
                for entry in entries:
                    relpath = f"{directory}/{entry.name}" if directory else entry.name
                    if entry.is_dir(follow_symlinks=False):
                        if not ignored(f"{relpath}/"):
                            pending.append(relpath)
                    elif not ignored(relpath):
                        yield relpath if entry.is_file(follow_symlinks=False) else _odd(entry, relpath)
        except OSError as error:
            if not directory:
                raise
            if error.errno not in NOT_THERE:
                why = f"cannot be read: {error.strerror}; let the user that runs hotfolder enter it"
                yield PassedOver(directory, why)


def folders_below(root: str) -> Iterator[str]:
    """Every folder below `root`, relative to it, whatever it holds. Raises OSError for `root` alone."""
    pending = [""]
    while pending:
        directory = pending.pop()
        try:
            with directory_at(root, directory) as descriptor, os.scandir(descriptor) as entries:
                for entry in entries:
                    if entry.is_dir(follow_symlinks=False):
                        relpath = f"{directory}/{entry.name}" if directory else entry.name
                        pending.append(relpath)
                        yield relpath
        except OSError:  # it may not be entered, so nothing is ever taken from there
            if not directory:
                raise


def _odd(entry: "os.DirEntry[str]", relpath: str) -> PassedOver:
    what = "a symbolic link" if entry.is_symlink() else "a device, pipe or socket"
    return PassedOver(relpath, f"{what}: only regular files are delivered")
