"""What a restart must finish. Pure: facts in, steps out.

A journal row means that the end of an operation was decided and is durable: the store holds the
bytes (or the file was rejected), and the original was about to move. Whatever of move and ledger
line is missing is made up for; nothing is done twice.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from hotfolder.core.records import Disposition, Fingerprint, JournalRow


@dataclass(frozen=True, slots=True)
class Found:
    """What stands on disk for one journal row: the fingerprint at its source, and where it moved to.

    `moved_to` is the path at which the very inode of the row was found in its target folder.
    """

    source: Fingerprint | None
    moved_to: str | None


@dataclass(frozen=True, slots=True)
class Forget:
    """Recorded already, or overtaken by a new version of the file: the row has done its work."""

    row: JournalRow
    reason: str


@dataclass(frozen=True, slots=True)
class Record:
    """Moved (or `lost`: taken away by somebody), but not recorded: write the ledger line."""

    row: JournalRow
    moved_to: str | None
    lost: bool = False


@dataclass(frozen=True, slots=True)
class MoveAndRecord:
    """Decided, but neither moved nor recorded: go on from the move."""

    row: JournalRow


Step = Forget | Record | MoveAndRecord


def plan_row(row: JournalRow, found: Found, *, recorded: bool) -> Step:
    """The one step that finishes `row`; `recorded` says that the ledger has its operation id."""
    if recorded:
        return Forget(row, "already in the ledger")
    if found.moved_to is not None:
        return Record(row, found.moved_to)
    if found.source is None:
        # Somebody took the original away after the proof; the operation happened all the same, and
        # without a line nobody would know whose object that is.
        return Record(row, None, lost=row.disposition is not Disposition.LEAVE)
    if not row.fingerprint.survived_move(found.source):
        return Forget(row, "the original changed after it was proven; it is delivered anew")
    if row.disposition is Disposition.LEAVE:
        return Record(row, None)
    return MoveAndRecord(row)


def plan(rows: Iterable[tuple[JournalRow, Found]], recorded: frozenset[str]) -> list[Step]:
    """The steps for all rows, in order; `recorded` holds the operation ids that the ledger has."""
    return [plan_row(row, found, recorded=row.operation_id in recorded) for row, found in rows]
