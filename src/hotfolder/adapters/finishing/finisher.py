"""Journal rows acted out: rename without clobbering, then check what moved; copy where none can.

Rename comes first and the check after, because only the other way round leaves a moment in which a
different file could be moved unseen. What should not have moved is put back, without clobbering.
"""

import os
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial

from hotfolder.adapters.finishing import markers
from hotfolder.adapters.finishing.copying import copy_proven
from hotfolder.adapters.finishing.entered import Entered, enter_target
from hotfolder.adapters.finishing.leftovers import Leftovers
from hotfolder.adapters.finishing.renaming import (
    give_back,
    remove_aside,
    rename_without_clobbering,
    set_aside,
)
from hotfolder.adapters.finishing.roots import Roots, RootsByFolder
from hotfolder.adapters.finishing.standing import (
    copy_place,
    is_name,
    open_to_copy,
    refuse_writer,
    stand,
)
from hotfolder.adapters.finishing.unsynced import Unsynced
from hotfolder.adapters.finishing.volumes import MountsOfNow, VolumeCheck
from hotfolder.beneath import (
    directory_at,
    parent_of,
    refuse_steps,
)
from hotfolder.core.errors import AnotherFileSystem, LocalError, SourceChanged
from hotfolder.core.naming import aside_name, clash_name, copy_name
from hotfolder.core.ports import Mounts
from hotfolder.core.records import Disposition, Fingerprint, JournalRow
from hotfolder.core.recovery import Found


class Finisher:
    """`core.ports.Mover`. Blocking; used by one thread at a time, but for `copy`."""

    def __init__(self, roots: Mapping[str, Roots], mounts: Mounts | None = None) -> None:
        """`mounts` None: what is seen now is remembered for this run alone."""
        self._roots = RootsByFolder(roots)
        self._volumes = VolumeCheck(mounts or MountsOfNow())
        self._unsynced = Unsynced()
        self._entered = Entered()  # from the first move of a batch to its `sync`
        self._leftovers = Leftovers(self._roots, self._volumes, self._unsynced)

    # -- the steps of an ending ------------------------------------------------------------------

    def move(self, row: JournalRow) -> str:
        """Move the row's original, or its copy, to its target and return where it is now.

        Raises `SourceChanged` if what stands in the inbox is not what was proven (it stays, or is
        put back), `LocalError` if the target refuses, and `AnotherFileSystem` where `copy` has to come
        first. Durable only after `sync`; then the original of a copy is still to be removed.
        """
        inbox, target_root = self._roots.of(row)
        try:
            source, name = self._entered.parent(inbox, row.relpath)
            self._check_source(row, stand(row, source, name))
            if row.copy is None:
                moved_as, above = self._rename_original(row, source, name, target_root)
            else:
                refuse_writer(source, name)
                self._volumes.require(target_root)
                moved_as, above = self._rename_copy(row, inbox, target_root)
        except OSError as error:
            # It may be of a directory that is not what it was: the next file enters it anew.
            self._entered.close()
            raise self._roots.in_words(row, error) from error
        self._unsynced.changed(inbox, row.relpath.rpartition("/")[0])
        self._unsynced.changed(target_root, above)
        return os.path.join(target_root, above, moved_as)

    def copy(self, row: JournalRow, progress: Callable[[int], None]) -> Fingerprint:
        """Copy the row's original into its target folder, under a hidden name, and prove the copy.

        Returns the copy's fingerprint; its bytes are durable then. `progress` is told bytes and may
        raise to end it. May run in any thread. Raises as `move` does; nothing is left behind then.
        """
        inbox, target_root = self._roots.of(row)
        if row.fingerprint.tree:
            raise LocalError(
                f"{row.relpath} is a directory, and {target_root} is on another file system",
                hint="put completed/ and failed/ on the file system of the inbox (and on one mount)",
            )
        with self._roots.refusals(row), parent_of(inbox, row.relpath) as (source, name):
            self._check_source(row, stand(row, source, name))
            self._volumes.require(target_root)
            original = open_to_copy(source, name)
            try:
                target, above = enter_target(target_root, os.path.dirname(row.target))
                try:
                    self._unsynced.make_sure(target_root, above)
                    return copy_proven(row, original, target, progress)
                finally:
                    os.close(target)
            finally:
                os.close(original)

    def remove(self, row: JournalRow) -> None:
        """Take the original out of the inbox: its copy is in place and durable, or it is to be deleted.

        One that is gone is fine. Raises `SourceChanged` if it is not what was proven (it stays), and
        `LocalError`. Durable only after `sync`.
        """
        inbox, _ = self._roots.of(row)
        with self._roots.refusals(row):
            try:
                directory, name = self._entered.parent(inbox, row.relpath)
                self._remove_from(directory, name, row)
            except FileNotFoundError:  # its folder may have gone with it
                self._entered.close()
                if not row.root and not os.path.isdir(inbox):
                    raise
        self._unsynced.changed(inbox, os.path.dirname(row.relpath))

    def _remove_from(self, directory: int, name: str, row: JournalRow) -> None:
        aside = aside_name(name, row.operation_id)
        if not is_name(directory, aside):  # else a killed run came so far
            seen = stand(row, directory, name)
            # A copy's owner or mode may change meanwhile; of what is deleted nothing may.
            if row.disposition is Disposition.DELETE or not row.fingerprint.survived_move(
                replace(seen, device=row.fingerprint.device)
            ):
                self._check_source(row, seen)
            set_aside(directory, name, aside)
        proven = replace(row.fingerprint, device=os.fstat(directory).st_dev)
        remove_aside(directory, aside, proven, name, clash_name(name, row.operation_id))

    def take_marker(self, row: JournalRow, moved_to: str | None) -> None:
        """See `core.ports.Mover`."""
        if row.marker is None or (moved_to is None and row.disposition is not Disposition.DELETE):
            return
        target = ""
        if moved_to is not None:
            target = markers.target_of(row, row.marker, moved_to, self._roots.of(row)[1])
        markers.take_marker(self, row, row.marker, target, inbox=self._roots.of(row)[0])

    def sync(self) -> None:
        """Make every move and removal since the last call durable. Raises `LocalError`."""
        self._unsynced.sync(self._entered)

    # -- after a crash -----------------------------------------------------------------------------

    def find(self, row: JournalRow) -> Found:
        """See `Leftovers.find`."""
        return self._leftovers.find(row)

    def clear(self, row: JournalRow) -> None:
        """See `Leftovers.clear`."""
        self._leftovers.clear(row)

    def restore(self, folder: str, relpath: str) -> None:
        """See `Leftovers.restore`."""
        self._leftovers.restore(folder, relpath)

    # -- how -----------------------------------------------------------------------------------------

    @staticmethod
    def _check_source(row: JournalRow, seen: Fingerprint) -> None:
        if seen != row.fingerprint:
            raise SourceChanged(f"{row.relpath} changed after it was read; it is delivered anew")

    def _rename_original(
        self, row: JournalRow, source: int, name: str, target_root: str
    ) -> tuple[str, str]:
        directory, _, wanted = row.target.rpartition("/")
        refuse_steps(wanted)
        entered = self._entered.target(target_root, directory)
        if entered is None:
            self._volumes.require(target_root)
            entered = self._entered.make_target(target_root, directory)
            self._unsynced.make_sure(target_root, entered[1])
        target, above = entered
        moved_as = self._rename(row, source, name, target, wanted)
        self._check_moved(row, source, name, target, moved_as)
        return moved_as, above

    def _rename_copy(self, row: JournalRow, inbox: str, target_root: str) -> tuple[str, str]:
        """Give the finished copy its name. Raises `AnotherFileSystem` where it is not there any more."""
        place = copy_place(row, target_root)
        if place is not None:
            copy, wanted = copy_name(row.operation_id), os.path.basename(row.target)
            with directory_at(target_root, place) as target:
                return self._rename(row, target, copy, target, wanted), place
        moved_to = self._leftovers.find_moved(row, inbox, target_root, row.fingerprint.device)
        if moved_to is not None:
            above, name = os.path.split(os.path.relpath(moved_to, target_root))
            return name, above
        raise AnotherFileSystem(f"the copy of {row.relpath} in {target_root} is gone")

    @staticmethod
    def _rename(row: JournalRow, source: int, name: str, target: int, wanted: str) -> str:
        aside = partial(aside_name, name, row.operation_id)
        try:
            rename_without_clobbering(source, name, target, wanted, aside=aside)
        except FileExistsError:
            wanted = clash_name(wanted, row.operation_id)
            rename_without_clobbering(source, name, target, wanted, aside=aside)
        return wanted

    @staticmethod
    def _check_moved(row: JournalRow, source: int, name: str, target: int, moved_as: str) -> None:
        try:
            if row.fingerprint.survived_move(stand(row, target, moved_as)):
                return
        except FileNotFoundError:
            return  # somebody waits for files in completed/ and took it at once: it did move
        except SourceChanged:
            pass  # it is put back below
        # Where yet another file took the name, both stay in the inbox.
        give_back(target, moved_as, source, name, clash_name(name, row.operation_id))
        raise SourceChanged(f"{row.relpath} was replaced while it moved; it was put back")
