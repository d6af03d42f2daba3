"""Lines of one file of the ledger: where they end, what they say, backward and forward."""

import os
import zlib
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO

import structlog

from hotfolder import fastline

GENESIS = "0" * 64
"""`prev` of the first line."""

LARGEST_BATCH = 1 << 20
"""Bytes. Only as much at the end of a file can have been written and not fsynced."""

_BLOCK = 64 * 1024
#: What a damaged .gz raises besides OSError.
UNPACKING = (EOFError, zlib.error)

log = structlog.get_logger()


def believed_end(descriptor: int, size: int) -> int:
    """The offset behind the last line before `size` that may ever have been believed.

    What stands behind it is a torn append. A power cut during a batch of many pages can keep later
    pages and lose an earlier one, which then reads as zeros. JSON holds none: that batch was never
    fsynced, and whole lines behind the hole were never believed either. Older zeros are a damage of
    believed lines, which is not ours to cut. Only for the file that is appended to: a rotated one was
    fsynced whole.
    """
    end = end_of_last_line(descriptor, size)
    start = max(0, end - LARGEST_BATCH)
    hole = os.pread(descriptor, end - start, start).find(b"\0")
    return end if hole < 0 else end_of_last_line(descriptor, start + hole)


def end_of_last_line(descriptor: int, size: int) -> int:
    """The offset just after the last newline before `size`; 0 if there is none."""
    position = size
    while position > 0:
        start = max(0, position - _BLOCK)
        found = os.pread(descriptor, position - start, start).rfind(b"\n")
        if found >= 0:
            return start + found + 1
        position = start
    return 0


def lines_backward(descriptor: int, end: int, begin: int = 0) -> Iterator[bytes]:
    """The lines from `begin` to `end` (0, or just after a newline), last first, without newlines."""
    if end <= begin:
        return
    position = end - 1  # the newline of the last line
    later: list[bytes] = []  # blocks of the line whose beginning is not yet read, last first
    while position > begin:
        start = max(begin, position - _BLOCK)
        *lines, last = os.pread(descriptor, position - start, start).split(b"\n")
        later.append(last)
        if lines:
            yield b"".join(reversed(later))
            yield from reversed(lines[1:])
            later = [lines[0]]
        position = start
    yield b"".join(reversed(later))


def lines_forward(file: BinaryIO, end: int | None = None) -> Iterator[bytes]:
    """The whole lines from where `file` stands (to the offset `end`), without their newlines."""
    position = 0 if end is None else file.tell()
    for line in file:
        position += len(line)
        if not line.endswith(b"\n") or (end is not None and position > end):
            return
        yield line[:-1]


def decoded(line: bytes, path: Path) -> dict[str, Any] | None:
    """What a line says; None, with a warning, for one that is damaged."""
    try:
        entry = fastline.decode(line)
    except ValueError as error:
        log.warning("ledger.line_unreadable", path=str(path), bytes=len(line), error=str(error))
        return None
    if not isinstance(entry, dict):
        log.warning("ledger.line_unreadable", path=str(path), bytes=len(line), error="no object")
        return None
    return entry


def read(line: bytes) -> dict[str, Any]:
    """What a line says; nothing for one that is damaged."""
    with suppress(ValueError):  # whoever checks the chain tells of it
        entry = fastline.decode(line)
        if isinstance(entry, dict):
            return entry
    return {}


def ids_of(line: bytes) -> list[str]:
    """The operation id of a line; none where it came by another hand and has none."""
    entry = read(line)
    return [str(entry["operation_id"])] if "operation_id" in entry else []
