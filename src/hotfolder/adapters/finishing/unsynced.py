"""Names in directories that a power cut could still take away."""

import os

from hotfolder.adapters.finishing.entered import Entered
from hotfolder.adapters.finishing.targets import sync_names

_MOST_SURE = 10_000  # directories that are kept in mind


class Unsynced:
    """What `sync` owes to moves and removals. `make_sure` may be called in any thread."""

    def __init__(self) -> None:
        # (root, directory below it) whose names changed and are not synced yet
        self.owed: set[tuple[str, str]] = set()
        # Those that a power cut cannot take away
        self._sure: set[tuple[str, str]] = set()

    def changed(self, root: str, relpath: str) -> None:
        """A name in the directory `relpath` below `root` came or went."""
        self.owed.add((root, relpath))

    def make_sure(self, root: str, relpath: str) -> None:
        """Make the names on the way to a directory durable, at its first use, before a file goes there.

        A killed run may have made them and not lived to sync them. Raises `LocalError`.
        """
        if len(self._sure) > _MOST_SURE:
            self._sure.clear()
        while relpath and (root, relpath) not in self._sure:
            above = os.path.dirname(relpath)
            sync_names(root, above)
            self._sure.add((root, relpath))
            relpath = above

    def sync(self, entered: Entered) -> None:
        """Make all that is owed durable, through what is entered; nothing is entered then.

        Raises `LocalError`; what was not synced is still owed.
        """
        try:
            for root, relpath in sorted(self.owed):
                sync_names(root, relpath, entered.get(root, relpath))
                self.owed.discard((root, relpath))
        finally:
            # After a failed fsync the same descriptor would report success for names that are lost.
            entered.close()
