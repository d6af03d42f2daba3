"""The whole chain, oldest line first."""

import gzip
import hashlib
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from hotfolder import durable
from hotfolder.adapters.ledger.files import Files
from hotfolder.adapters.ledger.reading import GENESIS, UNPACKING, lines_forward
from hotfolder.core.errors import HotfolderError

_HINT = "compare with a backup of the ledger; the bucket's metadata names every object"


class ChainBroken(HotfolderError):
    """A ledger line does not continue the chain: edited, lost or damaged.

    `file` is the path, `line` counts from 1 in it; 0 where the whole file is concerned.
    """

    def __init__(self, message: str, *, file: Path, line: int) -> None:
        super().__init__(message, hint=_HINT)
        self.file, self.line = file, line


@dataclass(frozen=True, slots=True)
class Verified:
    """A chain that holds. `torn` bytes at the end are of an append that was cut off: no error."""

    lines: int
    files: int
    torn: int


def verify_chain(path: str | os.PathLike[str]) -> Verified:
    """Check that every line of every file continues the chain; an absent ledger has no lines.

    Raises `ChainBroken` for the first bad line or missing file, or `LocalError`.
    """
    files = Files(Path(path))
    digest, lines = GENESIS, 0
    try:
        with files.snapshot() as seen:
            for expected, number in enumerate(seen.numbers, start=1):
                if number != expected:
                    missing = files.plain(expected)
                    message = f"{missing} (or {missing.name}.gz) is missing: its lines are lost"
                    raise ChainBroken(message, file=missing, line=0)
                digest, count = _rotated(files, number, digest)
                lines += count
            if seen.current is not None:
                digest, count = _follow(seen.current, files.path, digest, seen.end)
                lines += count
            return Verified(lines, len(seen.numbers) + (seen.current is not None), seen.torn)
    except OSError as error:
        raise durable.local_error("read the ledger", path, error) from error


def _rotated(files: Files, number: int, digest: str) -> tuple[str, int]:
    try:
        with files.stream(number) as file:
            return _follow(file, Path(file.name), digest)
    except FileNotFoundError:
        missing = files.plain(number)
        raise ChainBroken(f"{missing} went away", file=missing, line=0) from None
    except (gzip.BadGzipFile, *UNPACKING) as error:
        packed = files.packed(number)
        raise ChainBroken(f"{packed} cannot be unpacked: {error}", file=packed, line=0) from error


def _follow(file: BinaryIO, path: Path, digest: str, end: int | None = None) -> tuple[str, int]:
    """The digest of the last line and how many there are."""
    number = 0
    for number, line in enumerate(lines_forward(file, end), start=1):
        try:
            entry = json.loads(line)
        except ValueError as error:
            message = f"{path} line {number} is no JSON: {error}"
            raise ChainBroken(message, file=path, line=number) from error
        named = entry.get("prev") if isinstance(entry, dict) else None
        if named != digest:
            raise ChainBroken(
                f"{path} line {number} names {named} as the hash of the line before; it is {digest}",
                file=path,
                line=number,
            )
        digest = hashlib.sha256(line).hexdigest()
    return digest, number
