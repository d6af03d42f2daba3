"""The files of a ledger: the one that is appended to, and those that were full, plain or packed.

`ledger.jsonl` is the newest. A full one is renamed to `ledger-000001.jsonl`, the next to 000002, and
later packed to `.jsonl.gz`; while both are there, the plain one is the truth. The file that is
appended to counts as the next number, so that a line's place never changes.
"""

import fcntl
import gzip
import io
import os
import re
import shutil
import tempfile
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import BinaryIO

import structlog

from hotfolder.adapters.ledger.reading import (
    UNPACKING,
    believed_end,
    end_of_last_line,
    lines_backward,
    lines_forward,
)

_CHUNK = 1 << 20

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The ledger at one moment: the rotated files, oldest first, and the current one, if it is there.

    `end` is the offset behind the last line of the current file that no append is about to take back,
    `torn` the number of bytes behind it.
    """

    numbers: tuple[int, ...]
    current: BinaryIO | None
    end: int = 0
    torn: int = 0

    @property
    def number(self) -> int:
        """Of the current file."""
        return self.numbers[-1] + 1 if self.numbers else 1


class Files:
    """Where the files of the ledger at `path` are. Methods raise OSError."""

    def __init__(self, path: Path) -> None:
        self.path = path
        name = f"{re.escape(path.stem)}-([0-9]{{6,}}){re.escape(path.suffix)}"
        self._plain = re.compile(name)
        self._any = re.compile(rf"{name}(?:\.gz)?")

    def plain(self, number: int) -> Path:
        return self.path.with_name(f"{self.path.stem}-{number:06}{self.path.suffix}")

    def packed(self, number: int) -> Path:
        return self.path.with_name(f"{self.plain(number).name}.gz")

    def numbers(self) -> list[int]:
        """Of the rotated files, oldest first."""
        return self._matching(self._any)

    def unpacked_numbers(self) -> list[int]:
        """Of the rotated files that are still plain, oldest first."""
        return self._matching(self._plain)

    def _matching(self, pattern: re.Pattern[str]) -> list[int]:
        try:
            found = map(pattern.fullmatch, os.listdir(self.path.parent))
        except FileNotFoundError:
            return []
        return sorted({int(match[1]) for match in found if match is not None})

    def still_names(self, descriptor: int) -> bool:
        """Whether the file that is open stands under the ledger's name now."""
        try:
            return os.path.samestat(os.stat(self.path), os.fstat(descriptor))
        except FileNotFoundError:
            return False

    @contextmanager
    def snapshot(self) -> Iterator[Snapshot]:
        """The ledger as of now; the current file is open inside the context."""
        seen = self.look()
        try:
            yield seen
        finally:
            if seen.current is not None:
                seen.current.close()

    def look(self) -> Snapshot:
        """As `snapshot`; its file is the caller's to close."""
        while True:
            try:
                file = open(self.path, "rb")  # noqa: SIM115 - handed on
            except FileNotFoundError:
                return Snapshot(tuple(self.numbers()), None)
            try:
                # A moment's shared lock: no rotation and no append of another process is half done.
                fcntl.flock(file, fcntl.LOCK_SH)
                try:
                    if self.still_names(file.fileno()):
                        size = os.fstat(file.fileno()).st_size
                        end = believed_end(file.fileno(), size)
                        return Snapshot(tuple(self.numbers()), file, end, size - end)
                finally:
                    fcntl.flock(file, fcntl.LOCK_UN)
            except BaseException:
                file.close()
                raise
            file.close()

    def stream(self, number: int) -> BinaryIO:
        """A rotated file from its beginning. Reading a damaged .gz raises `UNPACKING` or OSError."""
        with suppress(FileNotFoundError):  # packed already
            return open(self.plain(number), "rb")
        packed = open(self.packed(number), "rb")  # noqa: SIM115 - handed on
        return _Unpacking(packed)

    def seekable(self, number: int) -> BinaryIO:
        """A rotated file for reading in any direction; a packed one is unpacked to a nameless file.

        Of a damaged .gz what can be unpacked, with a warning.
        """
        source = self.stream(number)
        if not isinstance(source, _Unpacking):
            return source
        with source:
            spool = tempfile.TemporaryFile("w+b", prefix="hotfolder-")  # noqa: SIM115 - handed on
            try:
                try:
                    shutil.copyfileobj(source, spool, _CHUNK)
                except (gzip.BadGzipFile, *UNPACKING) as error:
                    path = str(self.packed(number))
                    log.warning("ledger.file_damaged", path=path, error=str(error))
                spool.flush()
            except BaseException:
                spool.close()
                raise
            return spool

    def last_lines(self, number: int, most: int) -> Iterator[bytes]:
        """The last lines of a rotated file, last first; a packed one is read through, and needs no room.

        A damaged .gz raises `UNPACKING` or OSError.
        """
        with self.stream(number) as file:
            if isinstance(file, _Unpacking):
                yield from reversed(deque(lines_forward(file), maxlen=most))
                return
            end = end_of_last_line(file.fileno(), os.fstat(file.fileno()).st_size)
            yield from islice(lines_backward(file.fileno(), end), most)

    def backward(self, number: int) -> Iterator[bytes]:
        """The lines of a rotated file, last first."""
        with self.seekable(number) as file:
            size = os.fstat(file.fileno()).st_size
            yield from lines_backward(file.fileno(), end_of_last_line(file.fileno(), size))


class _Unpacking(io.BufferedReader):
    """A gzip stream in large pieces, which closes the file that it reads."""

    def __init__(self, packed: BinaryIO) -> None:
        self._packed = packed
        super().__init__(gzip.GzipFile(fileobj=packed, mode="rb"), _CHUNK)

    def close(self) -> None:
        super().close()
        self._packed.close()
