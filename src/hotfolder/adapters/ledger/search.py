"""Which operations have a line: read fast, as a start waits for it."""

import gzip
import re
from collections.abc import Collection, Iterator
from itertools import chain

import structlog

from hotfolder.adapters.ledger.files import Files
from hotfolder.adapters.ledger.reading import (
    UNPACKING,
    ids_of,
    lines_backward,
    lines_forward,
    read,
)
from hotfolder.core.ledger_marks import Mark

_STRIDE = 256  # lines between two looks at how old they are
_ID = re.compile(rb'"operation_id":"([^"\\]*)"')

log = structlog.get_logger()


class Search:
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
                if self._is_at_its_end(lines, since=self._since):
                    return
        for number in reversed(seen.numbers):
            if number < self._first or self._is_at_its_end_in(number):
                return

    def _is_at_its_end_in(self, number: int) -> bool:
        """Forward: a packed file is read once, from its beginning."""
        try:
            with self._files.stream(number) as file:
                file.seek(self._offset if number == self._first else 0)
                lines = lines_forward(file)
                first = next(lines, b"")
                return self._is_at_its_end(chain([first], lines)) or self._is_old(first, self._since)
        except (gzip.BadGzipFile, *UNPACKING) as error:
            path = str(self._files.packed(number))
            log.warning("ledger.file_damaged", path=path, error=str(error))
            return False

    def _is_at_its_end(self, lines: Iterator[bytes], since: str = "") -> bool:
        for count, line in enumerate(lines):
            for operation_id in _ID.findall(line):
                if operation_id in self._missing and operation_id.decode() in ids_of(line):
                    self._missing.discard(operation_id)
                    self.found.add(operation_id.decode())
            if not self._missing or (since and count % _STRIDE == 0 and self._is_old(line, since)):
                return True
        return False

    @staticmethod
    def _is_old(line: bytes, since: str) -> bool:
        return str(read(line).get("completed_at") or since) < since
