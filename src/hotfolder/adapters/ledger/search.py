"""Which operations have a line: read fast, as a start waits for it."""

import gzip
from collections.abc import Collection, Iterator
from itertools import islice
from typing import BinaryIO

import structlog

from hotfolder.adapters.ledger.files import Files
from hotfolder.adapters.ledger.reading import (
    UNPACKING,
    ids_of,
    lines_backward,
    read,
)
from hotfolder.core.ledger_marks import Mark

_STRIDE = 512  # lines of which all ids are compared at once, and one is asked how old it is
_BLOCK = 1 << 18  # bytes of as many lines, where they are read forward
_ID = b'"operation_id":"'

log = structlog.get_logger()


class LedgerSearch:
    """Looks for lines of the operations `wanted`, newest file first; only such lines are parsed.

    A line completed before `since` (a `timestamp`) ends it, and so does the mark `behind`. Raises
    OSError.
    """

    def __init__(
        self, files: Files, wanted: Collection[str], since: str, behind: Mark | None = None
    ) -> None:
        self._files = files
        self._since = since
        self._first, self._offset = (behind.file, behind.offset) if behind is not None else (0, 0)
        self._missing = {operation_id.encode() for operation_id in wanted}
        self.found: set[str] = set()

    def run(self) -> None:
        with self._files.snapshot() as seen:
            if seen.current is not None:
                begin = self._offset if seen.number == self._first else 0
                lines = lines_backward(seen.current.fileno(), seen.end, begin)
                while some := list(islice(lines, _STRIDE)):
                    if self._is_at_its_end(b"\n".join(some)) or self._is_old(some[-1]):
                        return
        for number in reversed(seen.numbers):
            if number < self._first or self._is_at_its_end_in(number):
                return

    def _is_at_its_end_in(self, number: int) -> bool:
        """Forward: a packed file is read once, from its beginning."""
        first = b""
        try:
            with self._files.stream(number) as file:
                file.seek(self._offset if number == self._first else 0)
                for lines in _blocks(file):
                    first = first or lines[: lines.index(b"\n")]
                    if self._is_at_its_end(lines):
                        return True
        except (gzip.BadGzipFile, *UNPACKING) as error:
            path = str(self._files.packed(number))
            log.warning("ledger.file_damaged", path=path, error=str(error))
        return self._is_old(first)

    def _is_at_its_end(self, lines: bytes) -> bool:
        """Take what these lines tell: all their ids are compared at once, which no loop could."""
        named = {part.partition(b'"')[0] for part in lines.split(_ID)}
        for operation_id in self._missing & named:
            if any(operation_id.decode() in ids_of(line) for line in _naming(operation_id, lines)):
                self._missing.discard(operation_id)
                self.found.add(operation_id.decode())
        return not self._missing

    def _is_old(self, line: bytes) -> bool:
        return str(read(line).get("completed_at") or self._since) < self._since


def _naming(operation_id: bytes, lines: bytes) -> Iterator[bytes]:
    """The lines that name it in a field called operation_id, be it their own or one deeper down."""
    named = _ID + operation_id + b'"'
    position = lines.find(named)
    while position >= 0:
        end = lines.find(b"\n", position)
        end = len(lines) if end < 0 else end
        yield lines[lines.rfind(b"\n", 0, position) + 1 : end]
        position = lines.find(named, end)


def _blocks(file: BinaryIO) -> Iterator[bytes]:
    """Whole lines, many at a time."""
    rest = b""
    while piece := file.read(_BLOCK):
        end = piece.rfind(b"\n") + 1
        if end:
            yield rest + piece[:end]
            rest = b""
        rest += piece[end:]
