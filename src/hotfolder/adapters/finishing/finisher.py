"""Journal rows acted out: rename without clobbering, then check what moved; copy where none can.

Rename comes first and the check after, because only the other way round leaves a moment in which a
different file could be moved unseen. What should not have moved is put back, without clobbering.
"""

import contextlib
import errno
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial

from hotfolder import durable
from hotfolder.adapters.finishing import markers
from hotfolder.adapters.finishing.copying import copy_proven
from hotfolder.adapters.finishing.entered import Entered, enter_target
from hotfolder.adapters.finishing.renaming import (
    give_back,
    put_back,
    remove_aside,
    rename_without_clobbering,
    set_aside,
)
from hotfolder.adapters.finishing.standing import (
    as_then,
    copy_place,
    is_name,
    look_at,
    open_to_copy,
    refuse_writer,
    stand,
)
from hotfolder.adapters.finishing.targets import candidates, refused, sync_names
from hotfolder.adapters.finishing.volumes import MountsOfNow, Volumes, require_same_inbox
from hotfolder.beneath import (
    NOT_THERE,
    directory_at,
    parent_of,
    refuse_steps,
)
from hotfolder.core.errors import AnotherFileSystem, HotfolderError, LocalError, SourceChanged
from hotfolder.core.ports import Mounts
from hotfolder.core.records import Disposition, Fingerprint, JournalRow
from hotfolder.core.recovery import Found
from hotfolder.core.routing import aside_name, clash_name, copy_name, detours, parts_of_aside
from hotfolder.stuck import why_stuck

_FORBIDDEN = frozenset({errno.EACCES, errno.EPERM})
_MOST_SURE = 10_000  # directories that are kept in mind


@dataclass(frozen=True, slots=True)
class Places:
    """The three roots of one folder, absolute."""

    inbox: str
    completed: str
    failed: str


class Finisher:
    """`core.ports.Mover`. Blocking; used by one thread at a time, but for `copy`."""

    def __init__(self, places: Mapping[str, Places], mounts: Mounts | None = None) -> None:
        """`mounts` None: what is seen now is remembered for this run alone."""
        self._places = places
        self._volumes = Volumes(mounts or MountsOfNow())
        # (root, directory below it) whose names changed and are not synced yet
        self._touched: set[tuple[str, str]] = set()
        self._entered = Entered()  # from the first move of a batch to its `sync`
        # Those that a power cut cannot take away
        self._sure: set[tuple[str, str]] = set()

    # -- the steps of an ending ------------------------------------------------------------------

    def move(self, row: JournalRow) -> str:
        """Move the row's original, or its copy, to its target and return where it is now.

        Raises `SourceChanged` if what stands in the inbox is not what was proven (it stays, or is
        put back), `LocalError` if the target refuses, and `AnotherFileSystem` where `copy` has to come
        first. Durable only after `sync`; then the original of a copy is still to be removed.
        """
        inbox, target_root = self._roots(row)
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
            raise self._in_words(row, error) from error
        self._touched.add((inbox, row.relpath.rpartition("/")[0]))
        self._touched.add((target_root, above))
        return os.path.join(target_root, above, moved_as)

    def copy(self, row: JournalRow, progress: Callable[[int], None]) -> Fingerprint:
        """Copy the row's original into its target folder, under a hidden name, and prove the copy.

        Returns the copy's fingerprint; its bytes are durable then. `progress` is told bytes and may
        raise to end it. May run in any thread. Raises as `move` does; nothing is left behind then.
        """
        inbox, target_root = self._roots(row)
        if row.fingerprint.tree:
            raise LocalError(
                f"{row.relpath} is a directory, and {target_root} is on another file system",
                hint="put completed/ and failed/ on the file system of the inbox (and on one mount)",
            )
        with self._refusals(row), parent_of(inbox, row.relpath) as (source, name):
            self._check_source(row, stand(row, source, name))
            self._volumes.require(target_root)
            original = open_to_copy(source, name)
            try:
                target, above = enter_target(target_root, os.path.dirname(row.target))
                try:
                    self._make_sure(target_root, above)
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
        inbox, _ = self._roots(row)
        with self._refusals(row):
            try:
                directory, name = self._entered.parent(inbox, row.relpath)
                self._remove_from(directory, name, row)
            except FileNotFoundError:  # its folder may have gone with it
                self._entered.close()
                if not row.root and not os.path.isdir(inbox):
                    raise
        self._touched.add((inbox, os.path.dirname(row.relpath)))

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
            target = markers.target_of(row, row.marker, moved_to, self._roots(row)[1])
        markers.take_marker(self, row, row.marker, target, inbox=self._roots(row)[0])

    def sync(self) -> None:
        """Make every move and removal since the last call durable. Raises `LocalError`."""
        try:
            for root, relpath in sorted(self._touched):
                sync_names(root, relpath, self._entered.get(root, relpath))
                self._touched.discard((root, relpath))
        finally:
            # After a failed fsync the same descriptor would report success for names that are lost.
            self._entered.close()

    # -- after a crash -----------------------------------------------------------------------------

    def find(self, row: JournalRow) -> Found:
        """What stands at the row's source, and where its very inode, or its copy, moved to.

        A move that is found is owed to `sync`: who made it may have been killed before. A source
        that was set aside for no reason that still holds is put back, and so is one that changed at
        the last moment, whose mover was killed before it looked. Device numbers may
        change with every mount; on one device the inode tells. Raises `LocalError` where nothing can
        be said: the volume is not there, or the folder is no longer configured.
        """
        inbox, target_root = self._roots(row)
        try:
            device = os.stat(inbox).st_dev
        except OSError as error:
            if not row.root:
                raise LocalError(
                    f"cannot look into {inbox}: {error.strerror}", hint="make it, or mount it"
                ) from error
            device = row.fingerprint.device  # the folder of an `upload` that is not there any more
        moved_to = self._find_moved(row, inbox, target_root, device) if row.disposition.moves else None
        aside = self._find_aside(row, inbox, device, may_go=moved_to is not None)
        source = aside or as_then(row, look_at(row, inbox, row.relpath), device)
        if source is None and moved_to is None and row.disposition.moves and row.copy is None:
            self._put_back_changed(row, inbox, target_root, device)
            source = as_then(row, look_at(row, inbox, row.relpath), device)
        if source is None:  # as above: who removed it may have been killed before
            self._touched.add((inbox, os.path.dirname(row.relpath)))
        if source is None and moved_to is None:
            self._volumes.require_same(row, inbox, target_root, device)
            require_same_inbox(row, inbox)
        return Found(source, moved_to, aside is not None)

    def clear(self, row: JournalRow) -> None:
        """Remove the unfinished copy that a killed run may have left. Raises `LocalError`."""
        _, target_root = self._roots(row)
        above, _ = os.path.split(row.target)
        with self._refusals(row):
            for place in detours(above):
                with (  # no copy there, or no such folder: nothing is left of it
                    contextlib.suppress(FileNotFoundError, NotADirectoryError),
                    directory_at(target_root, place) as directory,
                ):
                    os.unlink(copy_name(row.operation_id), dir_fd=directory)

    def restore(self, folder: str, relpath: str) -> None:
        """Give a file of the inbox that a killed run put aside its name back. Raises `LocalError`."""
        inbox = self._places[folder].inbox
        try:
            with parent_of(inbox, relpath) as (directory, aside):
                name, operation_id = parts_of_aside(aside)
                put_back(directory, aside, name, otherwise=clash_name(name, operation_id))
        except OSError as error:
            raise durable.local_error("put back", f"{inbox}/{relpath}", error) from error

    # -- how -----------------------------------------------------------------------------------------

    def _roots(self, row: JournalRow) -> tuple[str, str]:
        places = self._places.get(row.folder)
        if places is None:
            raise LocalError(
                f"the folder {row.folder!r} of {row.relpath} is not configured any more",
                hint="configure it under its old name until its files are recorded",
            )
        failed = row.disposition is Disposition.FAILED
        return row.root or places.inbox, places.failed if failed else places.completed

    @contextlib.contextmanager
    def _refusals(self, row: JournalRow) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise self._in_words(row, error) from error

    def _in_words(self, row: JournalRow, error: OSError) -> HotfolderError:
        """An OSError in the words of what it means for the row."""
        inbox, target_root = self._roots(row)
        if error.errno == errno.EXDEV:
            return AnotherFileSystem(f"{target_root} is on another file system")
        # A missing inbox may be a volume to come; the folder of an `upload` is gone with its file.
        is_gone = bool(row.root) or os.path.isdir(inbox)
        is_gone = is_gone and not os.path.lexists(f"{inbox}/{row.relpath}")
        if error.errno in NOT_THERE and is_gone:
            return SourceChanged(f"{inbox}/{row.relpath} is gone")
        # Shut since it settled: the file's own trouble, which must not hold its folder. Nothing is
        # recorded; it is left until that has changed, and then the store is found to have it.
        stuck = why_stuck(inbox, row.relpath) if error.errno in _FORBIDDEN else None
        if stuck is not None:
            return SourceChanged(f"{row.relpath} cannot leave the inbox: {stuck}")
        return refused(row, target_root, error)

    def _make_sure(self, root: str, relpath: str) -> None:
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
            self._make_sure(target_root, entered[1])
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
        moved_to = self._find_moved(row, inbox, target_root, row.fingerprint.device)
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

    def _find_moved(self, row: JournalRow, inbox: str, target_root: str, device: int) -> str | None:
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
                self._touched.add((target_root, os.path.dirname(candidate)))
                self._touched.add((inbox, os.path.dirname(row.relpath)))
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
                self._refusals(row),
                parent_of(target_root, candidate) as (target, moved_as),
                parent_of(inbox, row.relpath, make=True) as (source, name),
            ):
                give_back(target, moved_as, source, name, clash_name(name, row.operation_id))
            self._touched.add((target_root, os.path.dirname(candidate)))
            self._touched.add((inbox, os.path.dirname(row.relpath)))
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
        with self._refusals(row), directory_at(inbox, above) as directory:
            put_back(directory, aside, name, otherwise=clash_name(name, row.operation_id))
            self._touched.add((inbox, above))
        return None
