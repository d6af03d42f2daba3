"""The end of the ledger, and what comes behind it."""

import os
from collections.abc import Iterable, Iterator
from itertools import chain, islice
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from hotfolder import durable
from hotfolder.adapters.ledger.files import Files, Snapshot
from hotfolder.adapters.ledger.reading import (
    UNPACKING,
    believed_end,
    decoded,
    lines_backward,
    lines_forward,
)


class LedgerLine(NamedTuple):
    """One whole line: as it stands in the file, without its newline, and what it says."""

    raw: bytes
    entry: dict[str, Any]


class Follower:
    """Reads what is appended to the ledger at `path` from the moment it was made.

    It survives that the file is rotated (more than once between two looks), replaced or not there.
    Errors are `LocalError`.
    """

    def __init__(self, path: Path) -> None:
        self._files = Files(path)
        self._seen = self._look()
        self._end = self._seen.end

    def last(self, count: int) -> list[LedgerLine]:
        """The last `count` lines before the place that `new` goes on from, oldest first."""
        try:
            return self._whole(islice(self._backward(), count))[::-1]
        except OSError as error:
            raise self._error(error) from error

    def _backward(self) -> Iterator[bytes]:
        if self._seen.current is not None:
            yield from lines_backward(self._seen.current.fileno(), self._end)
        yield from chain.from_iterable(map(self._files.backward, reversed(self._seen.numbers)))

    def new(self) -> list[LedgerLine]:
        """The lines that came since the last call, oldest first."""
        try:
            return self._whole(self._new())
        except (OSError, *UNPACKING) as error:
            raise self._error(error) from error

    def _new(self) -> list[bytes]:
        before, now = self._seen, self._look()
        if now.current is None:
            return self._read_on(None)  # between two names, or taken away: a later call sees
        if before.current is not None and _is_same(before.current, now.current):
            now.current.close()
            self._seen = Snapshot(before.numbers, before.current, now.end)
            return self._read_on(now.end)
        lines = self._read_on(None)
        self.close()
        self._seen, self._end = now, 0
        # What was rotated away between the two looks, but for the file that was read to its end.
        first = before.number + (before.current is not None)
        for number in (number for number in now.numbers if number >= first):
            with self._files.stream(number) as file:
                lines += lines_forward(file)
        return lines + self._read_on(now.end)

    def close(self) -> None:
        if self._seen.current is not None:
            self._seen.current.close()
        self._seen, self._end = Snapshot(self._seen.numbers, None), 0

    def _read_on(self, end: int | None) -> list[bytes]:
        """What stands behind the place of the last call, up to `end` or all."""
        if self._seen.current is None:
            return []
        begin = self._end
        if end is None:
            descriptor = self._seen.current.fileno()
            end = believed_end(descriptor, os.fstat(descriptor).st_size)
        self._end = end  # smaller where a batch that nobody believed was cut back
        if end <= begin:
            return []
        return os.pread(self._seen.current.fileno(), end - begin, begin).split(b"\n")[:-1]

    def _look(self) -> Snapshot:
        try:
            return self._files.look()
        except OSError as error:
            raise self._error(error) from error

    def _error(self, error: Exception) -> Exception:
        said = error if isinstance(error, OSError) else OSError(str(error))
        return durable.local_error("read the ledger", self._files.path, said)

    def _whole(self, lines: Iterable[bytes]) -> list[LedgerLine]:
        read = ((line, decoded(line, self._files.path)) for line in lines)
        return [LedgerLine(line, entry) for line, entry in read if entry is not None]


def _is_same(one: BinaryIO, other: BinaryIO) -> bool:
    return os.path.samestat(os.fstat(one.fileno()), os.fstat(other.fileno()))
