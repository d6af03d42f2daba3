"""What is written of what was done: the ledger and its index."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, Protocol

from hotfolder.core.conflict import EarlierObject, Family
from hotfolder.core.ledger_marks import Mark, Stretch


class Ledger(Protocol):
    """The append-only record. Blocking: called from the recorder's thread or a command."""

    def append(self, entries: Sequence[Mapping[str, Any]]) -> None:
        """Chain, write and fsync the entries as one batch; returns only when they are durable.

        An entry whose operation id stands among the newest lines is passed over, so that a batch of
        which it cannot be told whether it was written may be appended again.
        """
        ...

    def repair(self) -> None:
        """Cut what a killed process or a power cut left torn, and make durable what is left of it."""
        ...

    def newest_first(self) -> Iterator[dict[str, Any]]:
        """Every whole line, newest first, without holding the file in memory."""
        ...

    def recorded(self, wanted: Collection[str], *, since: str) -> frozenset[str]:
        """Which of the operation ids have a line; may end at one that was completed before `since`."""
        ...


class ReadLedger(Ledger, Protocol):
    """A ledger that can be read on from where reading stood."""

    def recorded(
        self, wanted: Collection[str], *, since: str, behind: Mark | None = None
    ) -> frozenset[str]:
        """As `Ledger.recorded`, of the lines behind the mark."""
        ...

    def fits(self, mark: Mark) -> bool:
        """Whether what was read up to the mark still stands there."""
        ...

    def read_on(self, mark: Mark | None, most: int) -> Iterator[Stretch]:
        """What stands behind `mark` (None: all) as of now, oldest first, `most` lines at a time."""
        ...


class LedgerIndex(Protocol):
    """A cache made of the ledger alone. Blocking; one owner at a time, others may have their own."""

    def mark(self) -> Mark | None:
        """How far the ledger was read; None: not at all."""
        ...

    def add(self, stretch: Stretch, *, after: Mark | None) -> bool:
        """Add what was read from `after` on; False, and nothing is added, if it stands elsewhere."""
        ...

    def recorded(self, wanted: Collection[str]) -> tuple[Mark | None, frozenset[str]]:
        """How far the ledger was read, and which of the operation ids have a line up to there."""
        ...

    def delivered(self, bucket: str, family: Family) -> tuple[Mark | None, list[EarlierObject]]:
        """How far the ledger was read, and which objects of these keys it names, newest first."""
        ...

    def clear(self) -> None:
        """Forget all."""
        ...

    def close(self) -> None: ...
