"""Where lines of the ledger stand, and how far it was read. Pure."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Mark:
    """How far a ledger was read: behind the line that ends at `offset` of the file number `file`.

    Files count from 1, also the one that is appended to; offsets are bytes of the unpacked file.
    `digest` is the line's SHA-256 in hex, `lines` how many were read up to here.
    """

    file: int
    offset: int
    digest: str
    lines: int


@dataclass(frozen=True, slots=True)
class PlacedLine:
    """What a line says, and where it begins. None: it is damaged."""

    file: int
    offset: int
    entry: dict[str, Any] | None


@dataclass(frozen=True, slots=True)
class Stretch:
    """Lines that follow each other, oldest first, and the mark behind them."""

    lines: list[PlacedLine]
    mark: Mark
