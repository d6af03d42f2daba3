"""Directories that are entered once for a whole batch, and not once for each of its files."""

import contextlib
import errno
import os

from hotfolder.beneath import enter, refuse_steps
from hotfolder.core.naming import detours

_MOST = 64  # open at a time


class Entered:
    """Open directories below the roots of the folders, kept until `close`. One owner.

    A batch takes hundreds of files from few directories to few others; walking down to them for each
    file costs more than its rename. Who renames or removes such a directory meanwhile does it as in
    the moment between entering it and renaming: what is entered stays the directory that it was.
    """

    def __init__(self) -> None:
        self._open: dict[tuple[str, str], int] = {}  # (root, path below it)
        self._taken: dict[tuple[str, str], str] = {}  # (root, wanted target) -> what it is

    def parent(self, root: str, relpath: str) -> tuple[int, str]:
        """The directory that holds `relpath`, and the name in it. Raises OSError.

        Descriptors of former calls may be closed by this one.
        """
        if len(self._open) >= _MOST:
            self.close()
        above, _, name = relpath.rpartition("/")
        refuse_steps(name)
        descriptor = self._open.get((root, above))
        if descriptor is None:
            descriptor = self._open[root, above] = enter(root, above)
        return descriptor, name

    def target(self, root: str, wanted: str) -> tuple[int, str] | None:
        """The directory for what goes to `wanted`, and its path below `root`, if it was made already."""
        above = self._taken.get((root, wanted))
        return None if above is None else (self._open[root, above], above)

    def make_target(self, root: str, wanted: str) -> tuple[int, str]:
        """As `target`; made where it is missing. Raises OSError."""
        descriptor, above = enter_target(root, wanted)
        known = self._open.setdefault((root, above), descriptor)
        if known != descriptor:
            os.close(descriptor)
        self._taken[root, wanted] = above
        return known, above

    def get(self, root: str, relpath: str) -> int | None:
        """The descriptor of a directory that is open, else None."""
        return self._open.get((root, relpath))

    def close(self) -> None:
        """Leave them all; a later call enters anew."""
        descriptors = list(self._open.values())
        self._open, self._taken = {}, {}
        for descriptor in descriptors:
            with contextlib.suppress(OSError):  # nothing was written through it
                os.close(descriptor)


def enter_target(root: str, wanted: str) -> tuple[int, str]:
    """A descriptor of the directory `wanted` below `root` (or a detour), and its path.

    Made where missing; the caller's to close. Raises OSError.
    """
    blocked = None
    for above in detours(wanted):
        try:
            return enter(root, above, make=True), above
        except OSError as error:
            if error.errno not in {errno.ENOTDIR, errno.ELOOP}:
                raise
            blocked = blocked or error
    raise blocked or OSError(errno.ENOENT, os.strerror(errno.ENOENT), wanted)
