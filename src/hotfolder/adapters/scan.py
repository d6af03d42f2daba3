"""Walking an inbox: a stream of paths, with no stat a file and no list in memory."""

import os
from collections.abc import Callable, Iterator

import structlog

from hotfolder.beneath import NOT_THERE, directory_at

log = structlog.get_logger()


def walk(root: str, start: str, ignored: Callable[[str], bool]) -> Iterator[str]:
    """Every regular file below `root`/`start` that is not ignored, relative to `root`.

    Symlinks, devices, sockets and FIFOs are passed over. A directory that cannot be read is logged
    and passed over; if it is the root itself, the OSError is raised.
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
                    elif entry.is_file(follow_symlinks=False) and not ignored(relpath):
                        yield relpath
        except OSError as error:
            if not directory:
                raise
            if error.errno not in NOT_THERE:
                log.warning(
                    "scan.unreadable",
                    path=f"{root}/{directory}",
                    reason=error.strerror,
                    hint="let the user that runs hotfolder enter and read the folder",
                )
