"""Whether an inbox is there: an empty mount point whose volume is gone is no empty inbox."""

import os
from collections.abc import Iterator

import structlog

from hotfolder.core.errors import LocalError
from hotfolder.core.ports import Mounts

log = structlog.get_logger()


class Volumes:
    """Looks for inboxes, and keeps in `mounts` on which volumes they stand. Blocking, in any thread."""

    def __init__(self, mounts: Mounts) -> None:
        self._mounts = mounts
        self._complained = False

    def find(self, inbox: str) -> tuple[int, int] | None:
        """Device and inode of an inbox.

        None while it is not there or may not be read, and while it is the empty folder below a volume
        that is not mounted. Whoever puts a file into that one says that it is a plain folder now.
        """
        try:
            status = os.stat(inbox)
            with os.scandir(inbox) as entries:
                # A disk that fails may open the folder and not read it.
                is_empty = next(entries, None) is None
            if self._lacks_volume(inbox, is_empty=is_empty):
                return None
        except OSError:
            return None
        return status.st_dev, status.st_ino

    def _lacks_volume(self, inbox: str, *, is_empty: bool) -> bool:
        try:
            for place in _upward(inbox):
                if os.path.ismount(place):
                    if not self._mounts.were(place):
                        self._mounts.remember(place)
                    return False
                if self._mounts.were(place):
                    if is_empty:
                        return True
                    self._mounts.forget(place)
        except LocalError as error:
            # What was known of mounts cannot be asked now: the folder counts as it looks.
            if not self._complained:
                log.warning("inbox.unsure", path=inbox, reason=error.sentence)
            self._complained = True
        return False


def _upward(path: str) -> Iterator[str]:
    """The folder and all above it, but for the root."""
    place = os.path.realpath(path)
    while place != "/":
        yield place
        place = os.path.dirname(place)
