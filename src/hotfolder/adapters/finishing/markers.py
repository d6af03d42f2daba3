"""The marker of a file goes where its file went, as a row of its own that needs no journal.

The journal has the file's row until the ledger has its line: after a crash the marker is taken then.
"""

import contextlib
import os
from dataclasses import replace

from hotfolder.beneath import look
from hotfolder.core.errors import AnotherFileSystem, SourceChanged
from hotfolder.core.ports import Mover
from hotfolder.core.records import Disposition, JournalRow, Marker


def take_marker(mover: Mover, row: JournalRow, marker: Marker, target: str, *, inbox: str) -> None:
    """Act out the row's disposition on its marker. `target` as in `JournalRow`. Raises `LocalError`.

    A marker is seen as soon as it has its name, before `touch` has set its times or a client has written
    into it: changed since, it goes along all the same. For a file that comes later it could not speak.
    """
    own = replace(
        row, relpath=marker.relpath, fingerprint=marker.fingerprint, target=target, copy=None, entry={}
    )
    with contextlib.suppress(SourceChanged):  # gone, or not the one that was seen
        try:
            _act(mover, own)
        except SourceChanged:
            now = look(inbox, marker.relpath)
            # In this order: what was seen of it is older than any file that comes after this look.
            if now is None or now.inode != marker.fingerprint.inode or look(inbox, row.relpath):
                return
            _act(mover, replace(own, fingerprint=now))


def _act(mover: Mover, own: JournalRow) -> None:
    if own.disposition is Disposition.DELETE:
        mover.remove(own)
    else:
        _move(mover, own)


def _move(mover: Mover, own: JournalRow) -> None:
    try:
        mover.move(own)
    except AnotherFileSystem:
        copied = replace(own, copy=mover.copy(own, lambda _: None))
        mover.move(copied)
        mover.sync()
        mover.remove(copied)


def target_of(row: JournalRow, marker: Marker, moved_to: str, target_root: str) -> str:
    """Where below `target_root` the marker belongs: beside its file, named after what that is called."""
    name, moved_name = os.path.basename(row.relpath), os.path.basename(moved_to)
    above = os.path.dirname(os.path.relpath(moved_to, target_root))
    return os.path.join(above, os.path.basename(marker.relpath).replace(name, moved_name, 1))
