"""The only module that moves originals: rename without clobbering, then check what moved.

Rename comes first and the check after, because only the other way round leaves a moment in which a
different file could be moved unseen. What should not have moved is put back, without clobbering.
"""

import contextlib
import ctypes
import errno
import os
import secrets
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from hotfolder import durable
from hotfolder.beneath import NOT_THERE, directory_at, fingerprint_of, look, parent_of
from hotfolder.core.errors import LocalError, SourceChanged
from hotfolder.core.records import Disposition, Fingerprint, JournalRow
from hotfolder.core.recovery import Found
from hotfolder.core.routing import clash_name, detours

_RENAME_NOREPLACE = 1  # linux/fs.h
_MOST_SURE = 10_000  # directories that are kept in mind
_libc = ctypes.CDLL(None, use_errno=True)


@dataclass(frozen=True, slots=True)
class Places:
    """The three roots of one folder, absolute."""

    inbox: str
    completed: str
    failed: str


class Finisher:
    """Moves originals between the roots of their folders. Blocking; used by one thread at a time."""

    def __init__(self, places: Mapping[str, Places]) -> None:
        self._places = places
        # (root, directory below it) whose names changed and are not synced yet
        self._touched: set[tuple[str, str]] = set()
        # Those that a power cut cannot take away
        self._sure: set[tuple[str, str]] = set()

    def move(self, row: JournalRow) -> str:
        """Move the row's original to its target and return where it is now.

        Raises `SourceChanged` if what stands in the inbox is not what was proven (it stays, or is
        put back), and `LocalError` if the target refuses. Durable only after `sync`.
        """
        inbox, target_root = self._roots(row)
        try:
            with parent_of(inbox, row.relpath) as (source, name):
                self._check_source(row, _stat(source, name))
                with _target_directory(target_root, row.target) as (target, wanted, above):
                    self._make_sure(target_root, above)
                    moved_as = self._rename(row, source, name, target, wanted)
                    self._check_moved(row, source, name, target, moved_as)
        except OSError as error:
            # A missing inbox may be a volume to come; the folder of an `upload` is gone with its file.
            is_gone = bool(row.root) or os.path.isdir(inbox)
            is_gone = is_gone and not os.path.lexists(f"{inbox}/{row.relpath}")
            if error.errno in NOT_THERE and is_gone:
                raise SourceChanged(f"{inbox}/{row.relpath} is gone") from error
            raise _refused(row, target_root, error) from error
        self._touched |= {(inbox, os.path.dirname(row.relpath)), (target_root, above)}
        return os.path.join(target_root, above, moved_as)

    def _make_sure(self, root: str, relpath: str) -> None:
        """Make the names on the way to a directory durable, at its first use, before a file goes there.

        A killed run may have made them and not lived to sync them. Raises `LocalError`.
        """
        if len(self._sure) > _MOST_SURE:
            self._sure.clear()
        while relpath and (root, relpath) not in self._sure:
            self._sure.add((root, relpath))
            relpath = os.path.dirname(relpath)
            _sync(root, relpath)

    def sync(self) -> None:
        """Make every move since the last call durable. Raises `LocalError`."""
        for root, relpath in sorted(self._touched):
            _sync(root, relpath)
            self._touched.discard((root, relpath))

    def find(self, row: JournalRow) -> Found:
        """What stands at the row's source, and where its very inode moved to, if it did.

        A move that is found is owed to `sync`: who made it may have been killed before. Device numbers
        may change with every mount; on one device the inode tells. Raises `LocalError`
        where nothing can be said: the volume is not there, or the folder is no longer configured.
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
        moved_to = None
        for candidate in _candidates(row):
            there = _as_then(row, look(target_root, candidate), device)
            if there is not None and row.fingerprint.survived_move(there):
                moved_to = os.path.join(target_root, candidate)
                self._touched.add((target_root, os.path.dirname(candidate)))
                self._touched.add((inbox, os.path.dirname(row.relpath)))
        source = _as_then(row, look(inbox, row.relpath), device)
        if source is None and moved_to is None and device != row.fingerprint.device:
            raise LocalError(
                f"{inbox} is another volume than the one that held {row.relpath}", hint="mount that one"
            )
        return Found(source, moved_to)

    def _roots(self, row: JournalRow) -> tuple[str, str]:
        places = self._places.get(row.folder)
        if places is None:
            raise LocalError(
                f"the folder {row.folder!r} of {row.relpath} is not configured any more",
                hint="configure it under its old name until its files are recorded",
            )
        failed = row.disposition is Disposition.FAILED
        return row.root or places.inbox, places.failed if failed else places.completed

    @staticmethod
    def _check_source(row: JournalRow, seen: Fingerprint) -> None:
        if seen != row.fingerprint:
            raise SourceChanged(f"{row.relpath} changed after it was read; it is delivered anew")

    @staticmethod
    def _rename(row: JournalRow, source: int, name: str, target: int, wanted: str) -> str:
        for candidate in (wanted, clash_name(wanted, row.operation_id)):
            try:
                rename_without_clobbering(source, name, target, candidate)
            except FileExistsError:
                continue
            return candidate
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), wanted)

    @staticmethod
    def _check_moved(row: JournalRow, source: int, name: str, target: int, moved_as: str) -> None:
        try:
            status = os.stat(moved_as, dir_fd=target, follow_symlinks=False)
        except FileNotFoundError:
            return  # somebody waits for files in completed/ and took it at once: it did move
        if stat.S_ISREG(status.st_mode) and row.fingerprint.survived_move(fingerprint_of(status)):
            return
        try:
            rename_without_clobbering(target, moved_as, source, name)
        except FileExistsError:  # yet another file took the name: both stay in the inbox
            rename_without_clobbering(target, moved_as, source, clash_name(name, row.operation_id))
        raise SourceChanged(f"{row.relpath} was replaced while it moved; it was put back")


def _sync(root: str, relpath: str) -> None:
    """Make the names in one directory durable. Raises `LocalError`."""
    try:
        with directory_at(root, relpath) as directory:
            durable.sync_directory(directory, named=f"{root}/{relpath}")
    except OSError as error:
        if error.errno not in NOT_THERE | {errno.EACCES}:
            raise durable.local_error("sync the folder", f"{root}/{relpath}", error) from error
        # Somebody renamed, removed or shut it since. Its name leads there no more, and to wait for it
        # would hold every other file: make everything durable instead.
        os.sync()


def rename_without_clobbering(source: int, name: str, target: int, new_name: str) -> None:
    """Rename between two open directories. Raises FileExistsError where the new name is taken."""
    done = _libc.renameat2(
        source, os.fsencode(name), target, os.fsencode(new_name), ctypes.c_uint(_RENAME_NOREPLACE)
    )
    if done == 0:
        return
    number = ctypes.get_errno()
    if number not in {errno.EINVAL, errno.ENOSYS}:
        raise OSError(number, os.strerror(number), new_name)
    # This file system cannot refuse to clobber in one step; a hard link can. A crash between the
    # two leaves the file under both names, which the restart reads as "moved".
    os.link(name, new_name, src_dir_fd=source, dst_dir_fd=target, follow_symlinks=False)
    os.unlink(name, dir_fd=source)


def rehearse(directory: str) -> None:
    """Make a hidden file in `directory`, rename it as originals are, and remove it. Raises OSError.

    Only for completed/ and failed/: in an inbox the file would be delivered.
    """
    name = f".hotfolder-check-{secrets.token_hex(8)}"
    place = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.close(os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600, dir_fd=place))
        try:
            rename_without_clobbering(place, name, place, f"{name}-moved")
        finally:
            for left in (name, f"{name}-moved"):
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(left, dir_fd=place)
    finally:
        os.close(place)


@contextlib.contextmanager
def _target_directory(root: str, target: str) -> Iterator[tuple[int, str, str]]:
    """The directory for `target`, made where missing, the name in it, and its path below `root`.

    Raises OSError.
    """
    above, name = os.path.split(target)
    with contextlib.ExitStack() as stack:
        blocked = None
        for relpath in detours(above):
            whole = os.path.join(relpath, name)
            try:
                descriptor, _ = stack.enter_context(parent_of(root, whole, make=True))
            except OSError as error:
                if error.errno not in {errno.ENOTDIR, errno.ELOOP}:
                    raise
                blocked = blocked or error
                continue
            yield descriptor, name, relpath
            return
        if blocked is not None:
            raise blocked


def _candidates(row: JournalRow) -> Iterator[str]:
    """Every path at which `move` may have put the row's original."""
    directory, name = os.path.split(row.target)
    for place in detours(directory):
        yield os.path.join(place, name)
        yield os.path.join(place, clash_name(name, row.operation_id))


def _as_then(row: JournalRow, there: Fingerprint | None, device: int) -> Fingerprint | None:
    """`there` as the row would have seen it: the inbox's device now stands for its device then."""
    if there is None or there.device != device:
        return there
    return replace(there, device=row.fingerprint.device)


def _stat(directory: int, name: str) -> Fingerprint:
    status = os.stat(name, dir_fd=directory, follow_symlinks=False)
    if not stat.S_ISREG(status.st_mode):
        raise SourceChanged(f"{name} is no longer a regular file")
    return fingerprint_of(status)


def _refused(row: JournalRow, target_root: str, error: OSError) -> LocalError:
    hint = {
        errno.EXDEV: "put it on the file system of the inbox, below one ReadWritePaths parent",
        errno.EEXIST: "move the files of that name away",
        errno.ENOSPC: "free space",
        errno.ENOENT: "make the folder again, or mount it",
    }.get(error.errno or 0, "let the user that runs hotfolder write there")
    return LocalError(f"cannot move {row.relpath} to {target_root}: {error.strerror}", hint=hint)


def put_back(failed: str, place: str, inbox: str, relpath: str, *, size: int, mtime_ns: int) -> None:
    """Move `place` below `failed` to `relpath` below `inbox`: durable, and nothing is clobbered.

    Only the file that was recorded: `size` in bytes and `mtime_ns` in nanoseconds since the epoch say
    which. Raises `LocalError` where another one stands there, the name is taken, or the disk refuses:
    then the file is where it was. A crash leaves it at one of the two places: it failed still, or it
    is delivered.
    """
    try:
        with (
            parent_of(failed, place) as (source, name),
            parent_of(inbox, relpath, make=True) as (target, new_name),
        ):
            seen = os.stat(name, dir_fd=source, follow_symlinks=False)
            if not stat.S_ISREG(seen.st_mode) or (seen.st_size, seen.st_mtime_ns) != (size, mtime_ns):
                raise LocalError(
                    f"{failed}/{place} is not the file that failed, or was changed since",
                    hint=f"move it to {inbox} by hand if it is to be delivered",
                )
            rename_without_clobbering(source, name, target, new_name)
            durable.sync_directory(target, named=os.path.dirname(f"{inbox}/{relpath}"))
            durable.sync_directory(source, named=os.path.dirname(f"{failed}/{place}"))
    except FileExistsError as error:
        raise LocalError(
            f"{inbox}/{relpath} is there already", hint="wait until that one is delivered, or move it"
        ) from error
    except OSError as error:
        raise durable.local_error("put back", f"{failed}/{place}", error) from error
