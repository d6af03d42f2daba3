"""What a killed run left of a row: found, cleared away, or given back."""

import contextlib
import os

from hotfolder import durable
from hotfolder.adapters.finishing.renaming import give_back, put_back
from hotfolder.adapters.finishing.roots import RootsByFolder
from hotfolder.adapters.finishing.standing import as_then, look_at
from hotfolder.adapters.finishing.targets import candidates
from hotfolder.adapters.finishing.unsynced import Unsynced
from hotfolder.adapters.finishing.volumes import VolumeCheck, require_same_inbox
from hotfolder.beneath import directory_at, parent_of
from hotfolder.core.errors import LocalError
from hotfolder.core.naming import aside_name, clash_name, copy_name, detours, parts_of_aside
from hotfolder.core.records import Disposition, Fingerprint, JournalRow
from hotfolder.core.recovery import Found


class Leftovers:
    """What `Finisher` does at a start. What it finds or puts back is owed to `unsynced`."""

    def __init__(self, roots: RootsByFolder, volumes: VolumeCheck, unsynced: Unsynced) -> None:
        self._roots, self._volumes, self._unsynced = roots, volumes, unsynced

    def find(self, row: JournalRow) -> Found:
        """What stands at the row's source, and where its very inode, or its copy, moved to.

        A move that is found is owed to `sync`: who made it may have been killed before. A source
        that was set aside for no reason that still holds is put back, and so is one that changed at
        the last moment, whose mover was killed before it looked. Device numbers may
        change with every mount; on one device the inode tells. Raises `LocalError` where nothing can
        be said: the volume is not there, or the folder is no longer configured.
        """
        inbox, target_root = self._roots.of(row)
        try:
            device = os.stat(inbox).st_dev
        except OSError as error:
            if not row.root:
                raise LocalError(
                    f"cannot look into {inbox}: {error.strerror}", hint="make it, or mount it"
                ) from error
            device = row.fingerprint.device  # the folder of an `upload` that is not there any more
        moved_to = self.find_moved(row, inbox, target_root, device) if row.disposition.moves else None
        aside = self._find_aside(row, inbox, device, may_go=moved_to is not None)
        source = aside or as_then(row, look_at(row, inbox, row.relpath), device)
        if source is None and moved_to is None and row.disposition.moves and row.copy is None:
            self._put_back_changed(row, inbox, target_root, device)
            source = as_then(row, look_at(row, inbox, row.relpath), device)
        if source is None:  # as above: who removed it may have been killed before
            self._unsynced.changed(inbox, os.path.dirname(row.relpath))
        if source is None and moved_to is None:
            self._volumes.require_same(row, inbox, target_root, device)
            require_same_inbox(row, inbox)
        return Found(source, moved_to, aside is not None)

    def clear(self, row: JournalRow) -> None:
        """Remove the unfinished copy that a killed run may have left. Raises `LocalError`."""
        _, target_root = self._roots.of(row)
        above, _ = os.path.split(row.target)
        with self._roots.refusals(row):
            for place in detours(above):
                with (  # no copy there, or no such folder: nothing is left of it
                    contextlib.suppress(FileNotFoundError, NotADirectoryError),
                    directory_at(target_root, place) as directory,
                ):
                    os.unlink(copy_name(row.operation_id), dir_fd=directory)

    def restore(self, folder: str, relpath: str) -> None:
        """Give a file of the inbox that a killed run put aside its name back. Raises `LocalError`."""
        inbox = self._roots.inbox(folder)
        try:
            with parent_of(inbox, relpath) as (directory, aside):
                name, operation_id = parts_of_aside(aside)
                put_back(directory, aside, name, otherwise=clash_name(name, operation_id))
        except OSError as error:
            raise durable.local_error("put back", f"{inbox}/{relpath}", error) from error

    def find_moved(self, row: JournalRow, inbox: str, target_root: str, device: int) -> str | None:
        """Where the row's very inode, or its copy, is by now; the move is owed to `unsynced`."""
        moved_to = None
        for candidate in candidates(row):
            there = look_at(row, target_root, candidate)
            if there is None:
                continue
            then = as_then(row, there, device)
            is_ours = (
                row.copy.is_still(there)
                if row.copy is not None
                else then is not None and row.fingerprint.survived_move(then)
            )
            if is_ours:
                moved_to = os.path.join(target_root, candidate)
                # Who moved it may have been killed before it was durable.
                self._unsynced.changed(target_root, os.path.dirname(candidate))
                self._unsynced.changed(inbox, os.path.dirname(row.relpath))
        return moved_to

    def _put_back_changed(self, row: JournalRow, inbox: str, target_root: str, device: int) -> None:
        """Undo the move of the very inode of the row that is another version now: nobody proved it."""
        for candidate in candidates(row):
            there = as_then(row, look_at(row, target_root, candidate), device)
            if there is None or (there.device, there.inode) != (
                row.fingerprint.device,
                row.fingerprint.inode,
            ):
                continue
            with (
                self._roots.refusals(row),
                parent_of(target_root, candidate) as (target, moved_as),
                parent_of(inbox, row.relpath, make=True) as (source, name),
            ):
                give_back(target, moved_as, source, name, clash_name(name, row.operation_id))
            self._unsynced.changed(target_root, os.path.dirname(candidate))
            self._unsynced.changed(inbox, os.path.dirname(row.relpath))
            return

    def _find_aside(
        self, row: JournalRow, inbox: str, device: int, *, may_go: bool
    ) -> Fingerprint | None:
        """The original under its hidden name, if it may be removed; else it is put back."""
        above, name = os.path.split(row.relpath)
        aside = aside_name(name, row.operation_id)
        there = as_then(row, look_at(row, inbox, os.path.join(above, aside)), device)
        if there is None:
            return None
        may_go = may_go or row.disposition is Disposition.DELETE
        if may_go and row.fingerprint.survived_move(there):
            return there
        with self._roots.refusals(row), directory_at(inbox, above) as directory:
            put_back(directory, aside, name, otherwise=clash_name(name, row.operation_id))
            self._unsynced.changed(inbox, above)
        return None
