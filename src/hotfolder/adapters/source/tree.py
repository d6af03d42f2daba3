"""Dropped directories as originals: a tar archive of many members, made while it is read.

Opened by descriptors, without following anything. What is read is what settled: every entry goes into
the digest that the job's fingerprint names, every file is compared before and after it is read, and at
the end the whole tree once more.
"""

import contextlib
import os
from collections.abc import Iterator

from hotfolder.adapters.source.refusing import refuse_open_writer, unreadable
from hotfolder.beneath import (
    BUSY,
    NOT_THERE,
    OPEN_DIRECTORY,
    OPEN_FILE,
    fingerprint_of,
    parent_of,
)
from hotfolder.core.errors import FileRejected, SourceChanged
from hotfolder.core.ports import Members
from hotfolder.core.records import Fingerprint, Job
from hotfolder.core.tree import EntryKind, TreeDigest, TreeEntry
from hotfolder.trees import (
    NotWhole,
    entries,
    fingerprint_of_tree,
    tree_fingerprint,
)

_PIECE = 1024 * 1024  # bytes


class OpenTree:
    """`core.ports.Original` of a directory: its bytes are the archive's. Close it."""

    is_archive = True

    def __init__(self, top: int, job: Job, members: Members) -> None:
        """Looks through the whole tree. Raises `SourceChanged`, `FileRejected` and OSError."""
        self._top, self._job, self._members = top, job, members
        self._status = os.fstat(top)
        self._bytes: Iterator[bytes] = iter(())
        self._rest, self._at = b"", 0
        self.size = self._measured()

    @property
    def mode(self) -> int:
        return self._status.st_mode & 0o7777

    @property
    def mtime_ns(self) -> int:
        return self._status.st_mtime_ns

    @property
    def owner(self) -> int:
        return self._status.st_uid

    def read(self, offset: int, size: int) -> bytes:
        """See `core.ports.Original`. Raises `SourceUnreadable` and `LocalError`, too."""
        if offset == 0:
            self._rest, self._at = b"", 0
            self._bytes = self._archive()
        if offset != self._at:
            raise ValueError(f"an archive is read in order: at {self._at}, not at {offset}")
        with _told(self._job):
            pieces, missing = [], size
            while missing:
                piece = self._rest or next(self._bytes, b"")
                if not piece:
                    raise SourceChanged(f"{self._job.path} became smaller while it was read")
                pieces.append(piece[:missing])
                self._rest = piece[missing:]
                missing -= len(pieces[-1])
        self._at += size
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def unchanged(self) -> None:
        """Raise `SourceChanged` unless all of the tree still is what the job's fingerprint says."""
        with _told(self._job):
            self._require(fingerprint_of_tree(self._top)[0])

    def close(self) -> None:
        if self._top >= 0:
            self._bytes = iter(())  # lets go of its descriptors
            os.close(self._top)
            self._top = -1

    def _measured(self) -> int:
        """The size of the archive of what settled."""
        digest, size = TreeDigest(), 0
        for entry, _ in entries(self._top):
            digest.add(entry)
            size += len(self._members.head(self._job.name, entry))
            if entry.kind is EntryKind.FILE:
                size += entry.size + self._members.padding(entry.size)
        self._require(tree_fingerprint(os.fstat(self._top), digest))
        return size + len(self._members.end)

    def _archive(self) -> Iterator[bytes]:
        """The archive, in pieces of bounded size."""
        digest = TreeDigest()
        for entry, directory in entries(self._top):
            digest.add(entry)
            yield self._members.head(self._job.name, entry)
            if entry.kind is EntryKind.FILE:
                yield from self._content(entry, directory)
                if padding := self._members.padding(entry.size):
                    yield bytes(padding)
        self._require(tree_fingerprint(os.fstat(self._top), digest))
        yield self._members.end

    def _content(self, entry: TreeEntry, directory: int) -> Iterator[bytes]:
        """Exactly the file's bytes, of one version."""
        descriptor = self._open(entry, directory)
        try:
            missing = entry.size
            while missing:
                piece = os.read(descriptor, min(missing, _PIECE))
                if not piece:
                    raise self._changed(entry)
                missing -= len(piece)
                yield piece
            self._compare(entry, descriptor)
        finally:
            os.close(descriptor)

    def _open(self, entry: TreeEntry, directory: int) -> int:
        """The very file that the walk saw, open. Raises where a program has it open for writing."""
        name = os.path.basename(entry.relpath)
        try:
            descriptor = os.open(name, OPEN_FILE, dir_fd=directory)
        except PermissionError as error:
            raise FileRejected(
                f"{self._job.path}/{entry.relpath} may not be read by this user",
                hint="give it read permission, then put the directory back into the inbox",
            ) from error
        try:
            self._compare(entry, descriptor)
            refuse_open_writer(descriptor, f"{self._job.path}/{entry.relpath}")
        except BaseException:
            os.close(descriptor)
            raise
        return descriptor

    def _compare(self, entry: TreeEntry, descriptor: int) -> None:
        seen = fingerprint_of(os.fstat(descriptor))
        if (seen.inode, seen.size, seen.mtime_ns, seen.ctime_ns) != (
            entry.inode,
            entry.size,
            entry.mtime_ns,
            entry.ctime_ns,
        ):
            raise self._changed(entry)

    def _changed(self, entry: TreeEntry) -> SourceChanged:
        return SourceChanged(f"{self._job.path}/{entry.relpath} changed while it was read")

    def _require(self, seen: Fingerprint) -> None:
        if seen != self._job.fingerprint:
            raise SourceChanged(f"something in {self._job.path} changed while it was read")


def open_tree(job: Job, members: Members) -> OpenTree:
    """Open the directory that `job` saw, and only that one, with all that it holds.

    Raises `SourceChanged` if anything in it is gone, replaced, changed or open for writing elsewhere,
    and `FileRejected` if a file may not be read.
    """
    with _told(job):
        with parent_of(job.root, job.relpath) as (directory, name):
            top = os.open(name, OPEN_DIRECTORY, dir_fd=directory)
        try:
            return OpenTree(top, job, members)
        except BaseException:
            os.close(top)
            raise


@contextlib.contextmanager
def _told(job: Job) -> Iterator[None]:
    """What the disk says, in the words of what it means for the job."""
    try:
        yield
    except NotWhole as error:  # the next look says so, and leaves it
        raise SourceChanged(f"{job.path} changed: {error}") from error
    except OSError as error:
        if error.errno in NOT_THERE:
            raise SourceChanged(f"{job.path} is gone, or something in it was replaced") from error
        if error.errno in BUSY:
            raise SourceChanged(f"another program keeps something in {job.path} to itself") from error
        raise unreadable(job, "read", error) from error
