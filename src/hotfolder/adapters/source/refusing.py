"""What keeps an original from being read, in the words of what it means for its job."""

import os

from hotfolder.beneath import EXHAUSTED, EXHAUSTED_HINT, is_open_for_writing
from hotfolder.core.errors import Exhausted, LocalError, SourceChanged, SourceUnreadable
from hotfolder.core.records import Job


def unreadable(job: Job, doing: str, error: OSError) -> LocalError | SourceUnreadable:
    """Whose trouble it is: the machine's and the volume's hold the folder, the file's do not."""
    what = f"cannot {doing} {job.path}: {error.strerror}"
    if error.errno in EXHAUSTED:
        return Exhausted(what, hint=EXHAUSTED_HINT)
    try:
        with os.scandir(job.root):
            pass
    except OSError:  # what was raised for the file itself is what is told
        return LocalError(what, hint=f"{job.root} cannot be read: mount its volume")
    return SourceUnreadable(what, hint="check the disk; first copy elsewhere what can be read")


def refuse_open_writer(descriptor: int, path: str) -> None:
    """Raise `SourceChanged` while any program has the file open for writing.

    Where leases do not work the quiet time alone decides.
    """
    try:
        is_written = is_open_for_writing(descriptor)
    except OSError as error:
        raise LocalError(f"cannot ask for a lease on {path}: {error.strerror}") from error
    if is_written:
        raise SourceChanged(f"a program has {path} open for writing")
