"""Whether an inbox is there, with the volume that it was seen on.

Where a volume is unmounted its mount point stays behind: an empty folder, which is no empty inbox.
"""

import contextlib
import os
from collections.abc import Iterator

from hotfolder.core.errors import LocalError
from hotfolder.core.ports import Mounts


class Volumes:
    """`mounts` knows from run to run which inboxes were mount points. Blocking."""

    def __init__(self, mounts: Mounts) -> None:
        self._mounts = mounts
        # path -> the device that shows there once the volume is gone
        self._below: dict[str, int] = {}

    def find(self, path: str) -> tuple[int, int] | None:
        """Device and inode of an inbox.

        None while it is not there, may not be read, or is only the place where its volume belongs.
        """
        try:
            there = os.stat(path)
            with os.scandir(path) as entries:
                if self._is_bare(path, there.st_dev, entries):
                    return None
        except OSError:
            return None
        return there.st_dev, there.st_ino

    def _is_bare(self, path: str, device: int, entries: Iterator[object]) -> bool:
        if self._below.get(path) == device:
            return True  # it was on another volume before, in this very run
        if os.stat(f"{path}/..").st_dev != device:
            if not self._mounts.were(path):
                # What a full disk refuses is tried again with the next look.
                with contextlib.suppress(LocalError):
                    self._mounts.remember(path)
        elif self._mounts.were(path) and next(entries, None) is None:
            return True
        below = _device_below(path, device)
        if below is not None:
            self._below[path] = below
        return False


def _device_below(path: str, device: int) -> int | None:
    """What the volume that holds `path` is mounted on; None for that of the root. Raises OSError."""
    place = os.path.realpath(path)
    while place != "/":
        place = os.path.dirname(place)
        above = os.stat(place).st_dev
        if above != device:
            return above
    return None
