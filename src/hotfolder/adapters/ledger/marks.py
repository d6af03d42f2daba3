"""Reading on from a mark, oldest line first."""

import gzip
import hashlib
import os
from collections.abc import Iterator
from contextlib import closing
from itertools import islice
from typing import BinaryIO

import structlog

from hotfolder.adapters.ledger.files import Files
from hotfolder.adapters.ledger.reading import UNPACKING, decoded, lines_backward, lines_forward
from hotfolder.core.ledger_marks import Mark, PlacedLine, Stretch

log = structlog.get_logger()


def fits(files: Files, mark: Mark) -> bool:
    """Whether the line before the mark is still what it was. Raises OSError."""
    with files.snapshot() as seen:
        if mark.file == seen.number and seen.current is not None:
            line = None
            if mark.offset <= seen.end:
                line = next(lines_backward(seen.current.fileno(), mark.offset), None)
            return _is(line, mark)
    if mark.file not in seen.numbers:
        return False
    try:
        with files.stream(mark.file) as file:
            return _is(_line_that_ends_at(file, mark.offset), mark)
    except (gzip.BadGzipFile, *UNPACKING):
        return False


def _is(line: bytes | None, mark: Mark) -> bool:
    return line is not None and hashlib.sha256(line).hexdigest() == mark.digest


def _line_that_ends_at(file: BinaryIO, offset: int) -> bytes | None:
    position = 0
    for line in file:
        position += len(line)
        if position >= offset:
            return line[:-1] if position == offset and line.endswith(b"\n") else None
    return None


def stretches(files: Files, mark: Mark | None, most: int) -> Iterator[Stretch]:
    """What stands behind `mark` (None: all) as of now, up to `most` lines at a time. Raises OSError."""
    seen = files.look()
    here = mark or Mark(0, 0, "", 0)
    try:
        for number in (number for number in seen.numbers if number >= here.file):
            try:
                with closing(files.stream(number)) as file:
                    for stretch in _of_file(files, file, number, None, here, most):
                        here = stretch.mark
                        yield stretch
            except (gzip.BadGzipFile, *UNPACKING) as error:
                log.warning("ledger.file_damaged", path=str(files.packed(number)), error=str(error))
        if seen.current is not None:
            yield from _of_file(files, seen.current, seen.number, seen.end, here, most)
    finally:
        if seen.current is not None:
            seen.current.close()


def _of_file(
    files: Files, file: BinaryIO, number: int, end: int | None, mark: Mark, most: int
) -> Iterator[Stretch]:
    offset, count = (mark.offset if number == mark.file else 0), mark.lines
    file.seek(offset, os.SEEK_SET)
    lines = lines_forward(file, end)
    while read := list(islice(lines, most)):
        placed = []
        for line in read:
            placed.append(PlacedLine(number, offset, decoded(line, files.path)))
            offset += len(line) + 1
        count += len(read)
        yield Stretch(placed, Mark(number, offset, hashlib.sha256(read[-1]).hexdigest(), count))
