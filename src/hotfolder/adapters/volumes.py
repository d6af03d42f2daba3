"""Whether an inbox is there, with the volume that it was seen on.

Where a volume is unmounted its mount point stays behind: an empty folder, which is no empty inbox.
"""

import os

import structlog

from hotfolder.beneath import upward
from hotfolder.core.errors import LocalError
from hotfolder.core.ports import Mounts

log = structlog.get_logger()


class Volumes:
    """`mounts` knows from run to run which folders were mount points. Blocking."""

    def __init__(self, mounts: Mounts) -> None:
        self._mounts = mounts
        # real path -> the device that shows there once the volume is gone; a link may be set elsewhere
        self._below: dict[str, int] = {}
        self._complained = False

    def find(self, path: str) -> tuple[int, int] | None:
        """Device and inode of an inbox.

        None while it is not there, may not be read, or is only the place where its volume belongs:
        of a volume that went in this run whatever stands there, of one of a former run while it is
        empty. Who put files there says that it is a plain folder now.
        """
        try:
            there = os.stat(path)
            with os.scandir(path) as entries:
                # A disk that fails may open the folder and not read it.
                is_empty = next(entries, None) is None
            if self._lacks_volume(path, there.st_dev, is_empty=is_empty):
                return None
        except OSError:
            return None  # whatever it is: the inbox is held, and looked at again
        return there.st_dev, there.st_ino

    def _lacks_volume(self, path: str, device: int, *, is_empty: bool) -> bool:
        real = os.path.realpath(path)
        if self._below.get(real) == device:
            return True
        if self._lacked_before(path, is_empty=is_empty):
            return True
        below = _device_below(path, device)
        if below is not None:
            self._below[real] = below
        return False

    def _lacked_before(self, path: str, *, is_empty: bool) -> bool:
        try:
            for place in upward(path):
                if is_mount(place):
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
                log.warning("inbox.unsure", path=path, reason=error.sentence)
            self._complained = True
        return False


def is_mount(place: str) -> bool:
    """`os.path.ismount` of a path without links, and without its looks at all above it.

    It is asked of every folder above every inbox, every second.
    """
    try:
        there, above = os.lstat(place), os.lstat(os.path.dirname(place))
    except OSError:
        return False  # it is not there
    return there.st_dev != above.st_dev or there.st_ino == above.st_ino


def _device_below(path: str, device: int) -> int | None:
    """What the volume that holds `path` is mounted on; None for that of the root. Raises OSError."""
    for place in upward(os.path.dirname(os.path.realpath(path))):
        above = os.stat(place).st_dev
        if above != device:
            return above
    above = os.stat("/").st_dev
    return above if above != device else None
