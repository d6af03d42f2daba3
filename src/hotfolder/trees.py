"""Directories as one thing, below a root: walked by descriptors, without following anything.

Memory: the names of one directory at each level.
"""

import errno
import os
import stat
import time
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import TypeVar

from hotfolder import beneath
from hotfolder.beneath import (
    BUSY,
    EXHAUSTED,
    NOT_THERE,
    OPEN_DIRECTORY,
    OPEN_FILE,
    Look,
    cannot_look,
    fingerprint_of,
    parent_of,
    require_root,
    writer_of,
)
from hotfolder.core.errors import Exhausted, LocalError, SourceChanged
from hotfolder.core.records import Fingerprint
from hotfolder.core.settle import Writer
from hotfolder.core.tree import EntryKind, TreeDigest, TreeEntry

T = TypeVar("T")

_DEEPEST = 100  # levels: each costs a descriptor while it is walked through
_KINDS = {stat.S_IFDIR: EntryKind.DIRECTORY, stat.S_IFREG: EntryKind.FILE, stat.S_IFLNK: EntryKind.LINK}


class NotWhole(Exception):
    """The tree holds what no archive of ours can, or what this user may not read; says which."""


def entries(top: int) -> Iterator[tuple[TreeEntry, int]]:
    """Everything in the directory that is open as `top`: itself first, each directory before its own.

    Names are in the order of their bytes. With every entry comes the descriptor of the directory that
    holds it (its own, for a directory), good until the next one. Raises `SourceChanged` where something
    changes meanwhile, `NotWhole`, and OSError. `top` stays open; close the generator if it is not
    read to its end.
    """
    device = os.fstat(top).st_dev
    levels: list[tuple[int, str, Iterator[str]]] = []
    try:
        yield _entry("", os.fstat(top)), top
        levels.append((os.dup(top), "", _names(top)))
        while levels:
            directory, above, names = levels[-1]
            name = next(names, None)
            if name is None:
                os.close(levels.pop()[0])
                continue
            relpath = f"{above}/{name}" if above else name
            status = _stat(directory, name, relpath)
            if not stat.S_ISDIR(status.st_mode):
                yield _entry(relpath, status, directory, name), directory
                continue
            if len(levels) >= _DEEPEST:
                raise NotWhole(f"{relpath} lies more than {_DEEPEST} directories deep")
            below = _enter(directory, name, relpath)
            levels.append((below, relpath, iter(())))
            status = os.fstat(below)
            if status.st_dev != device:
                raise NotWhole(f"another file system is mounted at {relpath}")
            yield _entry(relpath, status), below
            levels[-1] = (below, relpath, _names(below))
    finally:
        for descriptor, _, _ in levels:
            os.close(descriptor)


def fingerprint_of_tree(top: int) -> tuple[Fingerprint, TreeDigest]:
    """What the tree that is open as `top` looks like. Raises as `entries`."""
    digest = TreeDigest()
    for entry, _ in entries(top):
        digest.add(entry)
    return tree_fingerprint(os.fstat(top), digest), digest


def tree_fingerprint(status: os.stat_result, digest: TreeDigest) -> Fingerprint:
    """Of a tree by its top directory's `status` and the digest of all its entries."""
    return Fingerprint(
        status.st_dev,
        status.st_ino,
        digest.bytes,
        status.st_mtime_ns,
        status.st_ctime_ns,
        digest.hexdigest(),
    )


def see(directory: int, name: str) -> Fingerprint | None:
    """What stands under `name`: a regular file, or a whole tree; None for anything else.

    A tree that changes while it is looked at, or that is not whole, gets a fingerprint like no other.
    Raises OSError.
    """
    status = os.stat(name, dir_fd=directory, follow_symlinks=False)
    if not stat.S_ISDIR(status.st_mode):
        return fingerprint_of(status) if stat.S_ISREG(status.st_mode) else None
    top = os.open(name, OPEN_DIRECTORY, dir_fd=directory)
    try:
        return fingerprint_of_tree(top)[0]
    except (SourceChanged, NotWhole):
        return _like_no_other(os.fstat(top))
    finally:
        os.close(top)


def look_as(root: str, relpath: str, then: Fingerprint) -> Fingerprint | None:
    """What stands at `relpath` now, looked at as when it was `then`: as a file, or as a whole tree.

    None if nothing of the kind does. Raises `LocalError` as `beneath.look`.
    """
    if not then.tree:
        return beneath.look(root, relpath)
    try:
        with parent_of(root, relpath) as (directory, name):
            seen = see(directory, name)
    except OSError as error:
        if error.errno in NOT_THERE:
            return None
        raise cannot_look(f"{root}/{relpath}", error) from error
    return seen if seen is not None and seen.tree else None


def look_again(
    root: str, then: Iterable[tuple[str, Fingerprint]]
) -> list[tuple[str, Fingerprint | LocalError | None]]:
    """`look_as` for many (path, what stood there) in one call; errors as in `beneath.look_at_all`."""
    return list(_each(root, ((path, partial(look_as, root, path, seen)) for path, seen in then)))


def look_for_writers(root: str, paths: Iterable[tuple[str, bool]]) -> list[Look]:
    """As `beneath.look_for_writers`, but a directory is looked at as a whole.

    A directory that holds no file yet is nothing. One that cannot be archived whole is an error of its
    own.
    """
    calls = ((path, partial(_look, root, path, ask=ask)) for path, ask in paths)
    return [
        there if isinstance(there, Look) else Look(path, there) for path, there in _each(root, calls)
    ]


def _each(
    root: str, calls: Iterable[tuple[str, Callable[[], T]]]
) -> Iterator[tuple[str, T | LocalError]]:
    """Call for each path; an error that is one path's own stands in its place.

    Raises as `beneath.look_at_all`.
    """
    for relpath, call in calls:
        try:
            yield relpath, call()
        except Exhausted:
            raise
        except LocalError as error:
            require_root(root)
            yield relpath, error


def _look(root: str, relpath: str, *, ask: bool) -> Look:
    try:
        with parent_of(root, relpath) as (directory, name):
            status = os.stat(name, dir_fd=directory, follow_symlinks=False)
            if stat.S_ISDIR(status.st_mode):
                return _look_into(directory, name, relpath, ask=ask)
    except NotWhole as error:
        raise LocalError(f"{root}/{relpath} cannot be delivered as one: {error}") from error
    except OSError as error:
        if error.errno in NOT_THERE:
            return Look(relpath, None)
        raise cannot_look(f"{root}/{relpath}", error) from error
    return beneath.look_for_writers(root, [(relpath, ask)])[0]


def _look_into(directory: int, name: str, relpath: str, *, ask: bool) -> Look:
    top = _open_top(directory, name)
    digest, writer = TreeDigest(), Writer.NONE if ask else Writer.UNASKED
    try:
        for entry, holder in entries(top):
            digest.add(entry)
            if ask and entry.kind is EntryKind.FILE and writer is not Writer.OPEN:
                writer = _worse(writer, _writer(entry, holder))
        status = os.fstat(top)
    except SourceChanged:
        return Look(relpath, _like_no_other(os.fstat(top)), Writer.UNKNOWN)
    finally:
        os.close(top)
    return Look(relpath, tree_fingerprint(status, digest) if digest.files else None, writer)


def _writer(entry: TreeEntry, directory: int) -> Writer:
    """Whether a program has one file of a tree open for writing."""
    try:
        descriptor = os.open(os.path.basename(entry.relpath), OPEN_FILE, dir_fd=directory)
    except OSError as error:
        if error.errno in NOT_THERE | {errno.ENXIO}:
            raise SourceChanged(f"{entry.relpath} was replaced") from error
        if error.errno in EXHAUSTED:
            raise
        # What it is that this user cannot open is said when it is opened to be read.
        return Writer.OPEN if error.errno in BUSY else Writer.UNKNOWN
    try:
        return writer_of(descriptor)
    finally:
        os.close(descriptor)


def _worse(one: Writer, other: Writer) -> Writer:
    """What is to be said of two files together."""
    order = (Writer.OPEN, Writer.UNKNOWN, Writer.NONE)
    return min(one, other, key=order.index)


def _open_top(directory: int, name: str) -> int:
    try:
        return os.open(name, OPEN_DIRECTORY, dir_fd=directory)
    except PermissionError as error:
        raise NotWhole("let the user that runs hotfolder read it") from error


def _like_no_other(status: os.stat_result) -> Fingerprint:
    """Of a tree in motion: it differs from whatever was seen before, and from whatever will be."""
    top = fingerprint_of(status)
    tree = f"in motion {time.monotonic_ns()}"
    return Fingerprint(top.device, top.inode, 0, top.mtime_ns, top.ctime_ns, tree)


def _names(directory: int) -> Iterator[str]:
    return iter(sorted(os.listdir(directory), key=os.fsencode))


def _stat(directory: int, name: str, relpath: str) -> os.stat_result:
    try:
        return os.stat(name, dir_fd=directory, follow_symlinks=False)
    except FileNotFoundError as error:
        raise SourceChanged(f"{relpath} vanished from it") from error


def _enter(directory: int, name: str, relpath: str) -> int:
    try:
        return os.open(name, OPEN_DIRECTORY, dir_fd=directory)
    except PermissionError as error:
        raise NotWhole(f"{relpath} in it may not be read") from error
    except OSError as error:
        if error.errno in NOT_THERE:
            raise SourceChanged(f"{relpath} was replaced") from error
        raise


def _entry(
    relpath: str, status: os.stat_result, directory: int | None = None, name: str = ""
) -> TreeEntry:
    kind = _KINDS.get(stat.S_IFMT(status.st_mode))
    if kind is None:
        raise NotWhole(f"{relpath} is a device, pipe or socket: take it out")
    target = ""
    if kind is EntryKind.LINK:
        try:
            target = os.readlink(name, dir_fd=directory)
        except OSError as error:
            if error.errno in {*NOT_THERE, errno.EINVAL}:
                raise SourceChanged(f"{relpath} was replaced") from error
            raise
    return TreeEntry(
        relpath,
        kind,
        stat.S_IMODE(status.st_mode),
        status.st_ino,
        status.st_size,
        status.st_mtime_ns,
        status.st_ctime_ns,
        target,
    )
