"""Whether the volumes are there on which a row's original stood and goes to."""

import errno
import os

from hotfolder.adapters.finishing.standing import copy_place
from hotfolder.beneath import device_of, upward
from hotfolder.core.errors import LocalError
from hotfolder.core.ports import Mounts
from hotfolder.core.records import Disposition, JournalRow


class VolumeCheck:
    """Goes by what was a mount point when it was last used."""

    def __init__(self, mounts: Mounts) -> None:
        self._mounts = mounts

    def require(self, root: str) -> None:
        """Refuse a mount point without its volume: what is moved there is hidden by the next mount."""
        is_mounted = os.stat(root).st_dev != os.stat(f"{root}/..").st_dev
        if is_mounted and not self._mounts.were(root):
            self._mounts.remember(root)
        elif not is_mounted and self._mounts.were(root) and not os.listdir(root):
            why = "its volume is not mounted any more (if it is a plain folder now, put a file into it)"
            raise OSError(errno.ENOENT, why, root)

    def require_same(self, row: JournalRow, inbox: str, target_root: str, device: int) -> None:
        """Raise `LocalError` where nothing was found because the volume that holds it is not there."""
        hint = "mount that one"
        if row.disposition is Disposition.DELETE and not self._lacks(inbox):
            # Its volume came back as another device, and it is gone as it was to be. Were it yet another
            # volume, the file would be found there once more, and its object is in the store.
            return
        if row.copy is not None and device_of(target_root) != row.copy.device:
            raise LocalError(
                f"{target_root} is another volume than the one that holds {row.target}", hint=hint
            )
        if device == row.fingerprint.device:
            return
        # A copy that has no name yet: its original was never removed.
        unnamed = copy_place(row, target_root) is not None
        if row.copy is None or unnamed or self._lacks(inbox):
            raise LocalError(
                f"{inbox} is another volume than the one that held {row.relpath}", hint=hint
            )

    def _lacks(self, inbox: str) -> bool:
        """Whether a mount that `inbox` stood on is none now."""
        return any(self._mounts.were(place) and not os.path.ismount(place) for place in upward(inbox))


def require_same_inbox(row: JournalRow, inbox: str) -> None:
    """Raise `LocalError` where nothing was found because the folder has another inbox by now."""
    was = row.entry.get("target_path")
    if row.disposition.moves and not row.root and was not in {None, f"{inbox}/{row.relpath}"}:
        raise LocalError(
            f"{was} was proven there, and the inbox of {row.folder!r} is {inbox} now",
            hint="configure the former inbox until its files are recorded",
        )


class MountsOfNow:
    """`core.ports.Mounts` of one run."""

    def __init__(self) -> None:
        self._roots: set[str] = set()

    def were(self, root: str) -> bool:
        return root in self._roots

    def remember(self, root: str) -> None:
        self._roots.add(root)

    def forget(self, root: str) -> None:
        self._roots.discard(root)
