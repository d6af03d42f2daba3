"""Appending: flock, read the tail, chain, write, fsync; and all reading that begins at the newest."""

import fcntl
import gzip
import hashlib
import os
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import structlog

from hotfolder import durable, fastline
from hotfolder.adapters.ledger.files import Files
from hotfolder.adapters.ledger.following import Follower
from hotfolder.adapters.ledger.lookback import LookBack
from hotfolder.adapters.ledger.marks import fits, stretches
from hotfolder.adapters.ledger.reading import (
    LARGEST_BATCH,
    UNPACKING,
    believed_end,
    decoded,
    lines_backward,
)
from hotfolder.adapters.ledger.rotation import pack, rotate
from hotfolder.adapters.ledger.search import LedgerSearch
from hotfolder.core.errors import HotfolderError, LocalError
from hotfolder.core.ledger_marks import Mark, Stretch

ROTATE_AT = 64 << 20
"""Bytes."""
_HINT = "its last line begins the chain of the next: put the file back from a copy, or move it away"

log = structlog.get_logger()


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

    A file of `rotate_at` bytes or more is put away by the next append. Nothing is held open between
    calls. Errors of the disk are `LocalError`.
    """

    def __init__(self, path: str | os.PathLike[str], *, rotate_at: int = ROTATE_AT) -> None:
        self._files = Files(Path(path))
        self.path = self._files.path
        self._rotate_at = rotate_at
        self._tail: _Tail | None = None
        self._look_back = LookBack()

    def append(self, entries: Sequence[Mapping[str, Any]]) -> None:
        """Chain, write and fsync the entries as one batch; returns only when they are durable.

        An entry whose operation id stands among the newest lines (a thousand, and all that a failed
        append may have left behind) is passed over: whoever cannot tell whether a batch was written
        appends it again.
        Raises `LocalError`; then none of them is believed, and the file is cut back to its old end.
        Raises `ValueError` for an entry that is empty or brings its own `prev`, `TypeError` for no JSON.
        """
        bodies = [(entry.get("operation_id"), _body(entry)) for entry in entries]
        if not bodies:
            return
        with self._told_as("append to"):
            while not self._try_append(bodies):
                pass  # it was full: there is a new one now
        self._look_back.in_doubt = False

    def repair(self) -> None:
        """Cut what was torn, and make durable what is left: from then on, what can be read is believed.

        What was rotated is durable: it was fsynced before its rename. An absent file is fine. Raises
        `LocalError`.
        """
        with self._told_as("repair"):
            if self.path.exists():
                descriptor = self._open_locked()
                try:
                    self._previous(descriptor)
                    os.fsync(descriptor)
                finally:
                    os.close(descriptor)
        durable.sync_directory(self.path.parent)

    def newest_first(self, holding: Sequence[bytes] = ()) -> Iterator[dict[str, Any]]:
        """Every whole line of all files, newest first, as of now; an absent ledger is empty.

        With `holding`, only lines with one of these in them: most of the time is parsing, and this
        spares it. `jsonline.spellings` gives what a text may look like.
        Reads backward in blocks; a packed file is unpacked first to a nameless one in the folder for
        temporary files. An unterminated last line is a torn append and left out; a damaged line is
        left out with a warning, so that one bad sector hides one line. Raises `LocalError`.
        """
        try:
            for line in self._backward():
                if holding and not any(piece in line for piece in holding):
                    continue
                entry = decoded(line, self.path)
                if entry is not None:
                    yield entry
        except OSError as error:
            raise durable.local_error("read the ledger", self.path, error) from error

    def recorded(
        self, wanted: Collection[str], *, since: str, behind: Mark | None = None
    ) -> frozenset[str]:
        """Which of the operation ids have a line; a line completed before `since` ends the search.

        `since` is a `timestamp`; `behind` says that only what stands behind that mark is asked for.
        Only lines that name one of the ids are parsed. Raises `LocalError`.
        """
        search = LedgerSearch(self._files, wanted, since, behind)
        try:
            search.run()
        except OSError as error:
            raise durable.local_error("read the ledger", self.path, error) from error
        return frozenset(search.found)

    def fits(self, mark: Mark) -> bool:
        """Whether what was read up to the mark still stands there. Raises `LocalError`."""
        try:
            return fits(self._files, mark)
        except OSError as error:
            raise durable.local_error("read the ledger", self.path, error) from error

    def read_on(self, mark: Mark | None, most: int) -> Iterator[Stretch]:
        """What stands behind `mark` (None: all) as of now, oldest first, `most` lines at a time.

        Damaged lines are warned of. Raises `LocalError`.
        """
        try:
            yield from stretches(self._files, mark, most)
        except OSError as error:
            raise durable.local_error("read the ledger", self.path, error) from error

    def follow(self) -> Follower:
        """A reader that stands at the ledger's end and goes on with it."""
        return Follower(self.path)

    def pack_rotated(self, is_wanted: Callable[[], bool]) -> int:
        """Pack the rotated files that are still plain; returns how many. Ends early if not wanted.

        Takes half a second for each 64 MiB and holds up no append. One caller at a time: the daemon.
        Raises `LocalError`.
        """
        count = 0
        try:
            for number in self._files.unpacked_numbers():
                count += is_wanted() and pack(self._files, number, is_wanted)
        except OSError as error:
            raise durable.local_error("pack the ledger", self.path, error) from error
        return count

    @contextmanager
    def _told_as(self, doing: str) -> Iterator[None]:
        try:
            yield
        except (gzip.BadGzipFile, *UNPACKING) as error:
            message = f"cannot unpack the file before {self.path}: {error}"
            raise LocalError(message, hint=_HINT) from error
        except OSError as error:
            raise durable.local_error(f"{doing} the ledger", self.path, error) from error

    # -- appending -------------------------------------------------------------------------------

    def _open_locked(self) -> int:
        """A descriptor of the file that stands under our path now, created if absent, locked."""
        flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
        while True:
            descriptor = os.open(self.path, flags, 0o640)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX)
                if self._files.still_names(descriptor):
                    return descriptor
            except BaseException:
                os.close(descriptor)
                raise
            # The file was rotated or removed while we waited for its lock: what we would append now
            # would stand in the wrong file or in none.
            os.close(descriptor)

    def _try_append(self, bodies: Sequence[tuple[Any, bytes]]) -> bool:
        """Append, or else rotate the file away because it is full."""
        descriptor = self._open_locked()
        try:
            digest, length = self._previous(descriptor)
            if length >= max(1, self._rotate_at):
                self._tail = None
                rotate(self._files, descriptor)
                return False
            self._append_locked(descriptor, bodies, digest, length)
            return True
        finally:
            os.close(descriptor)  # drops the lock, too

    def _append_locked(
        self, descriptor: int, bodies: Sequence[tuple[Any, bytes]], digest: str, length: int
    ) -> None:
        lines, ids = [], dict[str, None]()
        for operation_id, body in bodies:
            if operation_id in self._look_back or operation_id in ids:
                continue
            line = b'%b,"prev":"%b"}' % (body, digest.encode())
            lines.append(line)
            digest = hashlib.sha256(line).hexdigest()
            if operation_id is not None:
                ids[operation_id] = None
        if len(lines) < len(bodies):
            log.info("ledger.repeat_passed_over", path=str(self.path), lines=len(bodies) - len(lines))
        if not lines:
            return
        self._tail, self._look_back.in_doubt = None, True
        try:
            for batch in _batches(lines):
                durable.append(descriptor, batch, path=self.path)
        except HotfolderError:
            self._cut_back(descriptor, length)
            raise
        self._tail = _Tail.of(os.fstat(descriptor), digest)
        self._look_back.wrote(ids, digest)

    def _previous(self, descriptor: int) -> tuple[str, int]:
        """SHA-256 of the last whole line, and the file's length; cuts a torn tail."""
        seen = os.fstat(descriptor)
        if self._tail is not None and self._tail == _Tail.of(seen, self._tail.digest):
            return self._tail.digest, seen.st_size
        if self._tail is None or not self._tail.is_of(seen):
            # Whoever created the file may have been killed before its name was durable.
            durable.sync_directory(self.path.parent)
        end = believed_end(descriptor, seen.st_size)
        if end < seen.st_size:
            os.ftruncate(descriptor, end)
            log.warning("ledger.torn_tail_cut", path=str(self.path), bytes=seen.st_size - end)
        learnt = self._look_back.look(self._newest(descriptor, end))
        if self._look_back.in_doubt:
            self._write_again(max(0, end - learnt.new), end)
        self._look_back.learn(learnt)
        return learnt.digest, end

    def _newest(self, descriptor: int, end: int) -> Iterator[bytes]:
        """The lines before `end`, last first, and those of the files before."""
        yield from lines_backward(descriptor, end)
        for number in reversed(self._files.numbers()):
            try:
                yield from self._files.last_lines(number, self._look_back.most)
            except (gzip.BadGzipFile, *UNPACKING) as error:
                if end == 0:
                    raise  # no other line can say what the next one has to name
                path = str(self._files.packed(number))
                log.warning("ledger.file_damaged", path=path, error=str(error))
                return

    def _write_again(self, begin: int, end: int) -> None:
        """Make durable what a failed append left behind, if anything.

        After a failed fsync the kernel holds the lost pages for clean: another fsync is not enough.
        """
        descriptor = os.open(self.path, os.O_RDWR | os.O_CLOEXEC)  # with O_APPEND, pwrite appends
        try:
            while begin < end:
                piece = os.pread(descriptor, min(1 << 20, end - begin), begin)
                begin += os.pwrite(descriptor, piece, begin)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def _cut_back(self, descriptor: int, length: int) -> None:
        """Undo a failed batch. Nobody believes its lines, and on a full disk it frees what they took."""
        try:
            os.ftruncate(descriptor, length)
            os.fsync(descriptor)
        except OSError as error:
            # What is left is cut by the next append if it is torn; whole lines are found by their ids.
            log.warning("ledger.cut_back_failed", path=str(self.path), error=str(error))

    # -- reading ---------------------------------------------------------------------------------

    def _backward(self) -> Iterator[bytes]:
        with self._files.snapshot() as seen:
            if seen.current is not None:
                yield from lines_backward(seen.current.fileno(), seen.end)
            numbers = seen.numbers
        for number in reversed(numbers):
            yield from self._files.backward(number)


def _body(entry: Mapping[str, Any]) -> bytes:
    """The entry's JSON without its closing brace: `prev` follows under the lock, as the last field."""
    if not entry or "prev" in entry:
        raise ValueError("a ledger entry has fields, and its `prev` is the ledger's to add")
    return fastline.encode(entry)[:-1]


def _batches(lines: Sequence[bytes]) -> Iterator[bytes]:
    """The lines with their newlines, joined to as few pieces as may be fsynced at once."""
    batch, size = list[bytes](), 0
    for line in lines:
        if batch and size + len(line) + 1 > LARGEST_BATCH:
            yield b"\n".join([*batch, b""])
            batch, size = [], 0
        batch.append(line)
        size += len(line) + 1
    yield b"\n".join([*batch, b""])
