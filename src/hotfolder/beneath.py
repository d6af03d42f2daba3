"""Paths below a root, reached by descriptors: no symlink is followed, so no race leads outside."""

import contextlib
import errno
import fcntl
import hashlib
import os
import stat
import sys
from collections.abc import Iterable, Iterator
from typing import Self

from hotfolder.core.errors import Exhausted, LocalError
from hotfolder.core.records import Fingerprint
from hotfolder.core.settle import Writer
from hotfolder.core.values import value

_ROOT = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
#: Opens a regular file, and nothing else that may stand in its place: a FIFO must not block the open.
OPEN_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY
#: Opens a directory that was reached by descriptor.
OPEN_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
#: What an OSError means where a path leads to nothing, or to something that is not followed.
NOT_THERE = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ELOOP})
#: Another program holds a lease (a Samba oplock, an NFS delegation) or runs it: it will let go.
BUSY = frozenset({errno.EAGAIN, errno.EBUSY, errno.ETXTBSY})
#: The process or the machine has no more of something.
EXHAUSTED = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM})
_GET_FLAGS, _APPEND_ONLY, _IMMUTABLE = 0x8008_6601, 0x20, 0x10  # linux/fs.h: FS_IOC_GETFLAGS
EXHAUSTED_HINT = "raise the limit of open files (LimitNOFILE), or free memory"


def fingerprint_of(status: os.stat_result) -> Fingerprint:
    return Fingerprint(
        status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns
    )


def is_as(status: os.stat_result, fingerprint: Fingerprint) -> bool:
    """Whether `status` is of a file just as it was at its `fingerprint`."""
    return (
        status.st_ino == fingerprint.inode
        and status.st_size == fingerprint.size
        and status.st_mtime_ns == fingerprint.mtime_ns
        and status.st_ctime_ns == fingerprint.ctime_ns
        and status.st_dev == fingerprint.device
        and not fingerprint.tree
    )


#: Directories above one another that are entered. No person makes so many, and a key has 1,024 bytes.
MOST_STEPS = 250


def is_too_deep(relpath: str) -> bool:
    """Whether a directory is not entered: each step down costs all those above it once more."""
    return relpath.count("/") >= MOST_STEPS


def enter(root: str, relpath: str, *, make: bool = False) -> int:
    """A descriptor of the directory `relpath` below `root` ("" is the root itself), yours to close.

    `make` creates what is missing, each directory made durable in the one above it. The root is the
    operator's word and may be a symlink; nothing below it may. Raises OSError.
    """
    descriptor = os.open(root, _ROOT)
    try:
        for name in relpath.split("/") if relpath else ():
            below = _enter(descriptor, name, make=make)
            os.close(descriptor)
            descriptor = below
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


@contextlib.contextmanager
def directory_at(root: str, relpath: str, *, make: bool = False) -> Iterator[int]:
    """What `enter` gives, closed at the end."""
    descriptor = enter(root, relpath, make=make)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def parent_of(root: str, relpath: str, *, make: bool = False) -> Iterator[tuple[int, str]]:
    """The directory that holds `relpath`, as `directory_at` gives it, and the name in it."""
    directory, _, name = relpath.rpartition("/")
    refuse_steps(name)
    with directory_at(root, directory, make=make) as descriptor:
        yield descriptor, name


class Directories:
    """`parent_of` for many paths, one behind the other: the directory of the last one stays open.

    Blocking, in one thread; close it, or use it in a `with`. For moments only: whoever renames a
    directory above is not noticed until another one is asked for.
    """

    def __init__(self) -> None:
        self._at: tuple[str, str] | None = None
        self._descriptor = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def parent_of(self, root: str, relpath: str) -> tuple[int, str]:
        """The directory that holds `relpath`, and the name in it. Raises OSError."""
        directory, _, name = relpath.rpartition("/")
        refuse_steps(name)
        if (root, directory) != self._at:
            self.close()
            self._descriptor = enter(root, directory)
            self._at = root, directory
        return self._descriptor, name

    def close(self) -> None:
        if self._at is not None:
            self._at = None
            os.close(self._descriptor)


def refuse_steps(name: str) -> None:
    """No scan and no hint gives such a name; a damaged journal could."""
    if name in {"", ".", ".."}:
        raise OSError(errno.ELOOP, "the path leads out of its folder", name)


def _enter(parent: int, name: str, *, make: bool) -> int:
    refuse_steps(name)
    try:
        return os.open(name, OPEN_DIRECTORY, dir_fd=parent)
    except FileNotFoundError:
        if not make:
            raise
    with contextlib.suppress(FileExistsError):  # another mover was faster
        os.mkdir(name, dir_fd=parent)  # who else may write there is the umask's affair
        os.fsync(parent)
    return os.open(name, OPEN_DIRECTORY, dir_fd=parent)


def device_of(root: str) -> int | None:
    """The device of a folder that is there, else None."""
    try:
        return os.stat(root).st_dev
    except OSError:
        return None  # not mounted, for all that can be seen


def upward(path: str) -> Iterator[str]:
    """The folder and all above it, but for the root."""
    place = os.path.realpath(path)
    while place != "/":
        yield place
        place = os.path.dirname(place)


def lies_in(path: str, folder: str) -> bool:
    """Whether `path` is the folder or is below it, whatever links and mounts lead there."""
    with contextlib.suppress(OSError):  # nothing lies in a folder that is not there
        there = os.stat(folder)
        for place in upward(path):
            with contextlib.suppress(OSError):  # it is not there yet
                if os.path.samestat(os.stat(place), there):
                    return True
    return False


def look(root: str, relpath: str) -> Fingerprint | None:
    """What stands at `relpath` now; None if nothing does, or no regular file.

    Raises `LocalError` where the folder cannot be looked into.
    """
    try:
        with parent_of(root, relpath) as (directory, name):
            return _look_in(directory, name)
    except OSError as error:
        if error.errno in NOT_THERE:
            return None
        raise cannot_look(f"{root}/{relpath}", error) from error


def look_at_all(root: str, relpaths: Iterable[str]) -> list[tuple[str, Fingerprint | LocalError | None]]:
    """`look` for many paths in one call, each directory opened once; in what order, is open.

    An error that is one path's own stands in its place.
    Raises `LocalError` where `root` itself cannot be looked into, or nothing can (`Exhausted`).
    """
    looks = look_for_writers(root, ((relpath, False) for relpath in relpaths))
    return [(seen.relpath, seen.there) for seen in looks]


def _look_in(directory: int, name: str) -> Fingerprint | None:
    status = os.stat(name, dir_fd=directory, follow_symlinks=False)
    return fingerprint_of(status) if stat.S_ISREG(status.st_mode) else None


def require_root(root: str) -> None:
    """Raise `LocalError` where `root` itself cannot be looked into."""
    try:
        os.stat(f"{root}/.")
    except OSError as error:
        raise cannot_look(root, error) from error


def cannot_look(path: str, error: OSError) -> LocalError:
    """What to raise, or to keep in the place of a look; but with `Exhausted` no look counts."""
    if error.errno in EXHAUSTED:
        return Exhausted(f"cannot look at {path}: {error.strerror}", hint=EXHAUSTED_HINT)
    return LocalError(
        f"cannot look at {path}: {error.strerror}",
        hint="let the user that runs hotfolder enter and read the folder",
    )


def _own(path: str, error: OSError) -> LocalError:
    """`cannot_look` as a path's own error; raises what is none."""
    failed = cannot_look(path, error)
    if isinstance(failed, Exhausted):
        raise failed from error
    return failed


@value(frozen=True, slots=True)
class Look:
    """What stands at a path: None for nothing or no regular file, or why that cannot be told.

    `may_leave`: it is a file that, asked for a writer, was seen to have no attribute that keeps it.
    """

    relpath: str
    there: Fingerprint | LocalError | None
    writer: Writer = Writer.UNASKED
    may_leave: bool = False


def look_for_writers(root: str, paths: Iterable[tuple[str, bool]]) -> list[Look]:
    """`look_at_all` that also asks, where the second of a pair says so, for a program that writes there.

    Raises as `look_at_all`.
    """
    directories: dict[str, list[tuple[str, bool]]] = {}
    for relpath, ask in paths:
        directories.setdefault(relpath.rpartition("/")[0], []).append((relpath, ask))
    looks: list[Look] = []
    for directory, inside in directories.items():
        try:
            with directory_at(root, directory) as descriptor:
                looks += [_look_near(root, relpath, descriptor, ask=ask) for relpath, ask in inside]
        except OSError as error:
            if error.errno in NOT_THERE:
                looks += [Look(relpath, None) for relpath, _ in inside]
                continue
            require_root(root)
            looks += [Look(relpath, _own(f"{root}/{relpath}", error)) for relpath, _ in inside]
    return looks


def _look_near(root: str, relpath: str, directory: int, *, ask: bool) -> Look:
    """`look`, with the directory open already, and its error returned."""
    name = relpath.rpartition("/")[2]
    try:
        refuse_steps(name)
        there = _look_in(directory, name)
    except OSError as error:
        gone = error.errno in NOT_THERE
        return Look(relpath, None if gone else _own(f"{root}/{relpath}", error))
    if there is None or not ask:
        return Look(relpath, there)
    return _with_writer(root, relpath, directory, there)


def _with_writer(root: str, relpath: str, directory: int, there: Fingerprint) -> Look:
    """Only a file that was just seen to be a regular one is opened: a device does what it likes then."""
    try:
        descriptor = os.open(relpath.rpartition("/")[2], OPEN_FILE, dir_fd=directory)
    except OSError as error:
        if error.errno in NOT_THERE | {errno.ENXIO}:
            return Look(relpath, None)
        _own(f"{root}/{relpath}", error)  # else a writer would go unnoticed for want of a descriptor
        # What it is that this user cannot open is said when it is opened to be read.
        return Look(relpath, there, Writer.OPEN if error.errno in BUSY else Writer.UNKNOWN)
    try:
        writer = writer_of(descriptor)
        status = os.fstat(descriptor)  # behind the question: a writer that closed just before it counts
        may_leave = not keeps(descriptor)
    except OSError as error:
        return Look(relpath, LocalError(f"cannot look at {root}/{relpath}: {error.strerror}"))
    finally:
        os.close(descriptor)
    if is_as(status, there):
        return Look(relpath, there, writer, may_leave)
    return Look(relpath, fingerprint_of(status) if stat.S_ISREG(status.st_mode) else None, writer)


def writer_of(descriptor: int) -> Writer:
    """Whether any program has this file, open for reading here, open for writing.

    A read lease is refused as long as a writer exists, and is given back at once. UNKNOWN where leases
    do not work: other owners without CAP_LEASE, network mounts. Raises OSError. SIGIO, which a
    conflicting open would send, is ignored by `engine`.
    """
    try:
        fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_RDLCK)
    except OSError as error:
        if error.errno == errno.EAGAIN:
            return Writer.OPEN
        if error.errno in {errno.EACCES, errno.EPERM, errno.EINVAL, errno.ENOLCK, errno.EOPNOTSUPP}:
            return Writer.UNKNOWN
        raise
    fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_UNLCK)
    return Writer.NONE


def keeps(descriptor: int) -> bool:
    """Whether chattr made it immutable or append-only: it cannot be moved, nor what is in it."""
    flags = bytearray(8)
    try:
        fcntl.ioctl(descriptor, _GET_FLAGS, flags)
    except OSError:
        return False  # a file system without them keeps nothing back
    return int.from_bytes(flags[:4], sys.byteorder) & (_IMMUTABLE | _APPEND_ONLY) != 0


def is_open_for_writing(descriptor: int) -> bool:
    """Whether any program surely has this file, open for reading here, open for writing: `writer_of`."""
    return writer_of(descriptor) is Writer.OPEN


def digest_of(root: str, relpath: str) -> str | None:
    """The SHA-256 of a regular file as the ledger words it, or None where it cannot be read."""
    try:
        with parent_of(root, relpath) as (directory, name):
            descriptor = os.open(name, OPEN_FILE, dir_fd=directory)
        with open(descriptor, "rb") as file:
            return f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"
    except OSError:
        return None  # not known, so never the same as anything
