"""The ledger on disk: JSON lines, appended under a lock, chained by hash, believed only when fsynced."""

import fcntl
import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, Self

import structlog

from hotfolder import durable
from hotfolder.core import jsonline
from hotfolder.core.errors import HotfolderError

GENESIS = "0" * 64
"""`prev` of the first line."""

_BLOCK = 64 * 1024
_LARGEST_BATCH = 1024 * 1024  # bytes; only that much at the end can have been written and not fsynced

log = structlog.get_logger()


class ChainBroken(HotfolderError):
    """A ledger line does not continue the chain: edited, lost or damaged. `line` counts from 1."""

    def __init__(self, message: str, *, line: int) -> None:
        super().__init__(
            message, hint="compare with a backup of the ledger; the bucket's metadata names every object"
        )
        self.line = line


@dataclass(frozen=True, slots=True)
class _Tail:
    """The end of the file as our last append left it: while it is unchanged, it need not be read."""

    device: int
    inode: int
    size: int
    mtime_ns: int
    digest: str

    @classmethod
    def of(cls, seen: os.stat_result, digest: str) -> Self:
        return cls(seen.st_dev, seen.st_ino, seen.st_size, seen.st_mtime_ns, digest)

    def is_of(self, seen: os.stat_result) -> bool:
        return (self.device, self.inode) == (seen.st_dev, seen.st_ino)


class FileLedger:
    """`core.ports.Ledger` on the file `path`; many processes may append and read at the same time.

    Nothing is held open between calls. Errors of the disk are `LocalError`.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._path = Path(path)
        self._tail: _Tail | None = None

    def append(self, entries: Sequence[Mapping[str, Any]]) -> None:
        """Chain, write and fsync the entries as one batch; returns only when they are durable.

        Raises `LocalError`; then none of them is believed, and the file is cut back to its old end.
        Raises `ValueError` for an entry that is empty, brings its own `prev`, or is no JSON.
        """
        bodies = [_body(entry) for entry in entries]
        if not bodies:
            return
        try:
            descriptor = self._open_locked()
            try:
                self._append_locked(descriptor, bodies)
            finally:
                os.close(descriptor)  # drops the lock, too
        except OSError as error:
            raise durable.local_error("append to the ledger", self._path, error) from error

    def repair(self) -> None:
        """Cut what was torn, and make durable what is left: from then on, what can be read is believed.

        An absent file is fine. Raises `LocalError`.
        """
        if not self._path.exists():
            return
        try:
            descriptor = self._open_locked()
            try:
                self._previous(descriptor)
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
        except OSError as error:
            raise durable.local_error("repair the ledger", self._path, error) from error

    def newest_first(self, holding: Sequence[bytes] = ()) -> Iterator[dict[str, Any]]:
        """Every whole line, newest first, as of now; an absent file is empty.

        With `holding`, only lines with one of these in them: most of the time is parsing, and this
        spares it. `jsonline.spellings` gives what a text may look like.
        Reads backward in blocks and writes nothing. An unterminated last line is a torn append and
        left out; a damaged line is left out with a warning, so that one bad sector hides one line.
        Raises `LocalError`.
        """
        try:
            with open(self._path, "rb", buffering=0) as file:
                for line in _lines_backward(file.fileno(), _settled_end(file.fileno())):
                    if holding and not any(piece in line for piece in holding):
                        continue
                    entry = _entry(line, self._path)
                    if entry is not None:
                        yield entry
        except FileNotFoundError:
            return
        except OSError as error:
            raise durable.local_error("read the ledger", self._path, error) from error

    def follow(self) -> "Follower":
        """A reader that stands at the ledger's end and goes on with it."""
        return Follower(self._path)

    def _open_locked(self) -> int:
        """A descriptor of the file that stands under our path now, created if absent, locked."""
        flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
        while True:
            descriptor = os.open(self._path, flags, 0o640)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX)
                if self._still_names(descriptor):
                    return descriptor
            except BaseException:
                os.close(descriptor)
                raise
            # The file was rotated or removed while we waited for its lock: what we would append now
            # would stand in the wrong file or in none.
            os.close(descriptor)

    def _still_names(self, descriptor: int) -> bool:
        try:
            return os.path.samestat(os.stat(self._path), os.fstat(descriptor))
        except FileNotFoundError:
            return False

    def _append_locked(self, descriptor: int, bodies: Sequence[bytes]) -> None:
        digest, length = self._previous(descriptor)
        lines = []
        for body in bodies:
            line = b'%b,"prev":"%b"}' % (body, digest.encode())
            lines.append(line)
            digest = hashlib.sha256(line).hexdigest()
        self._tail = None
        try:
            for batch in _batches(lines):
                durable.append(descriptor, batch, path=self._path)
        except HotfolderError:
            self._cut_back(descriptor, length)
            raise
        self._tail = _Tail.of(os.fstat(descriptor), digest)

    def _previous(self, descriptor: int) -> tuple[str, int]:
        """SHA-256 of the last whole line, and the file's length; cuts a torn tail."""
        seen = os.fstat(descriptor)
        if self._tail is not None and self._tail == _Tail.of(seen, self._tail.digest):
            return self._tail.digest, seen.st_size
        if self._tail is None or not self._tail.is_of(seen):
            # Whoever created the file may have been killed before its name was durable.
            durable.sync_directory(self._path.parent)
        end = _believed_end(descriptor, seen.st_size)
        last = next(_lines_backward(descriptor, end), None)
        if end < seen.st_size:
            os.ftruncate(descriptor, end)
            log.warning("ledger.torn_tail_cut", path=str(self._path), bytes=seen.st_size - end)
        return (GENESIS if last is None else hashlib.sha256(last).hexdigest()), end

    def _cut_back(self, descriptor: int, length: int) -> None:
        """Undo a failed batch. Nobody believes its lines, and on a full disk it frees what they took."""
        try:
            os.ftruncate(descriptor, length)
            os.fsync(descriptor)
        except OSError as error:
            # What is left is cut by the next append if it is torn; whole lines repeat at worst, and
            # the operation id makes that harmless.
            log.warning("ledger.cut_back_failed", path=str(self._path), error=str(error))


class Line(NamedTuple):
    """One whole line: as it stands in the file, without its newline, and what it says."""

    raw: bytes
    entry: dict[str, Any]


class Follower:
    """Reads what is appended to the ledger at `path` from the moment it was made.

    It survives that the file is rotated, replaced or not there: what stands under the name is looked
    at again at each call, and read from its begin if it is another file. Errors are `LocalError`.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = self._opened()
        self._end = _settled_end(self._file.fileno()) if self._file is not None else 0

    def last(self, count: int) -> list[Line]:
        """The last `count` lines before the place that `new` goes on from, oldest first."""
        if self._file is None:
            return []
        backward = _lines_backward(self._file.fileno(), self._end)
        return self._whole(islice(backward, count))[::-1]

    def new(self) -> list[Line]:
        """The lines that came since the last call, oldest first."""
        try:
            lines = self._read_on()
            if self._file is None or not self._is_current(self._file.fileno()):
                self.close()
                self._file = self._opened()
                lines += self._read_on()
        except OSError as error:
            raise durable.local_error("read the ledger", self._path, error) from error
        return self._whole(lines)

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
        self._file, self._end = None, 0

    def _opened(self) -> BinaryIO | None:
        try:
            return open(self._path, "rb", buffering=0)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise durable.local_error("read the ledger", self._path, error) from error

    def _is_current(self, descriptor: int) -> bool:
        try:
            return os.path.samestat(os.stat(self._path), os.fstat(descriptor))
        except FileNotFoundError:
            return True  # between two names: the next call sees

    def _read_on(self) -> list[bytes]:
        if self._file is None:
            return []
        begin, end = self._end, _settled_end(self._file.fileno())
        self._end = end  # smaller where a batch that nobody believed was cut back
        if end <= begin:
            return []
        return os.pread(self._file.fileno(), end - begin, begin).split(b"\n")[:-1]

    def _whole(self, lines: Iterable[bytes]) -> list[Line]:
        read = ((line, _entry(line, self._path)) for line in lines)
        return [Line(line, entry) for line, entry in read if entry is not None]


def _settled_end(descriptor: int) -> int:
    """The offset behind the last whole line that no append is still about to take back."""
    # A moment's shared lock: the end is then not inside another process's batch.
    fcntl.flock(descriptor, fcntl.LOCK_SH)
    try:
        return _end_of_last_line(descriptor, os.fstat(descriptor).st_size)
    finally:
        fcntl.flock(descriptor, fcntl.LOCK_UN)


def _entry(line: bytes, path: Path) -> dict[str, Any] | None:
    """What a line says; None, with a warning, for one that is damaged."""
    try:
        entry = json.loads(line)
    except ValueError as error:
        log.warning("ledger.line_unreadable", path=str(path), bytes=len(line), error=str(error))
        return None
    if not isinstance(entry, dict):
        log.warning("ledger.line_unreadable", path=str(path), bytes=len(line), error="no object")
        return None
    return entry


def verify_chain(path: str | os.PathLike[str], *, previous: str = GENESIS) -> int:
    """Check that every whole line continues the chain; returns how many there are (0 if absent).

    `previous` is the digest that the first line must name: the last of the file before, if rotated.
    Raises `ChainBroken` with the number of the first bad line, or `LocalError`.
    """
    whole = 0
    try:
        with open(path, "rb") as file:
            for number, line in enumerate(file, start=1):
                if not line.endswith(b"\n"):
                    break  # a torn append, or one under way: cut by the next one
                previous = _follow(line[:-1], number, previous)
                whole = number
    except FileNotFoundError:
        return 0
    except OSError as error:
        raise durable.local_error("read the ledger", path, error) from error
    return whole


def _follow(line: bytes, number: int, previous: str) -> str:
    try:
        entry = json.loads(line)
    except ValueError as error:
        raise ChainBroken(f"ledger line {number} is no JSON: {error}", line=number) from error
    named = entry.get("prev") if isinstance(entry, dict) else None
    if named != previous:
        raise ChainBroken(
            f"ledger line {number} names {named} as the hash of the line before; it is {previous}",
            line=number,
        )
    return hashlib.sha256(line).hexdigest()


def _body(entry: Mapping[str, Any]) -> bytes:
    """The entry's JSON without its closing brace: `prev` follows under the lock, as the last field."""
    if not entry or "prev" in entry:
        raise ValueError("a ledger entry has fields, and its `prev` is the ledger's to add")
    return jsonline.encode(entry)[:-1]


def _end_of_last_line(descriptor: int, size: int) -> int:
    """The offset just after the last newline before `size`; 0 if there is none."""
    position = size
    while position > 0:
        start = max(0, position - _BLOCK)
        found = os.pread(descriptor, position - start, start).rfind(b"\n")
        if found >= 0:
            return start + found + 1
        position = start
    return 0


def _believed_end(descriptor: int, size: int) -> int:
    """The offset behind the last line that may ever have been believed.

    A power cut during a batch of many pages can keep later pages and lose an earlier one, which then
    reads as zeros. JSON holds none: that batch was never fsynced, and whole lines behind the hole were
    never believed either. Older zeros are a damage of believed lines, which is not ours to cut.
    """
    end = _end_of_last_line(descriptor, size)
    start = max(0, end - _LARGEST_BATCH)
    hole = os.pread(descriptor, end - start, start).find(b"\0")
    return end if hole < 0 else _end_of_last_line(descriptor, start + hole)


def _batches(lines: Sequence[bytes]) -> Iterator[bytes]:
    """The lines with their newlines, joined to as few pieces as may be fsynced at once."""
    batch, size = list[bytes](), 0
    for line in lines:
        if batch and size + len(line) + 1 > _LARGEST_BATCH:
            yield b"\n".join([*batch, b""])
            batch, size = [], 0
        batch.append(line)
        size += len(line) + 1
    yield b"\n".join([*batch, b""])


def _lines_backward(descriptor: int, end: int) -> Iterator[bytes]:
    """The lines before `end` (just after a newline, or 0), last first, without their newlines."""
    if end == 0:
        return
    position = end - 1  # the newline of the last line
    later: list[bytes] = []  # blocks of the line whose beginning is not yet read, last first
    while position > 0:
        start = max(0, position - _BLOCK)
        *lines, last = os.pread(descriptor, position - start, start).split(b"\n")
        later.append(last)
        if lines:
            yield b"".join(reversed(later))
            yield from reversed(lines[1:])
            later = [lines[0]]
        position = start
    yield b"".join(reversed(later))
