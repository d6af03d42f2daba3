"""What a restart must finish. Pure: facts in, steps out.

A journal row means that the end of an operation was decided and is durable: the store holds the
bytes (or the file was rejected), and the original was about to move, to be removed, or to be left.
Whatever of that and of the ledger line is missing is made up for; nothing is done twice.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from hotfolder.core.records import Disposition, Fingerprint, JournalRow


@dataclass(frozen=True, slots=True)
class Found:
    """What stands on disk for one journal row: the fingerprint at its source, and where it moved to.

    `moved_to` is the path at which the very inode of the row, or the copy that the row names, was
    found in its target folder. `aside`: the source stands under the hidden name of what is about to
    be removed.
    """

    source: Fingerprint | None
    moved_to: str | None
    aside: bool = False


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


@dataclass(frozen=True, slots=True)
class RemoveAndRecord:
    """All but removed: it stands in its target (or is to be deleted), and in the inbox still."""

    row: JournalRow
    moved_to: str | None


Step = Forget | Record | MoveAndRecord | RemoveAndRecord

_DELIVERED_ANEW = "the original changed after it was proven; it is delivered anew"


def plan_row(row: JournalRow, found: Found, *, recorded: bool) -> Step:
    """The one step that finishes `row`; `recorded` says that the ledger has its operation id."""
    if recorded:
        return Forget(row, "already in the ledger")
    if row.disposition is Disposition.DELETE:
        return _plan_deletion(row, found)
    if not row.disposition.moves:
        # It was to stay, and whatever became of it since, the object is proven.
        return Record(row, None)
    survived = found.source is not None and row.fingerprint.survived_move(found.source)
    if found.moved_to is not None:
        # Killed between a copy (or a hard link) and the end of the original: two names, one file.
        return RemoveAndRecord(row, found.moved_to) if survived else Record(row, found.moved_to)
    if found.source is None:
        # Somebody took the original away after the proof; the operation happened all the same, and
        # without a line nobody would know whose object that is.
        return Record(row, None, lost=True)
    if not survived:
        return Forget(row, _DELIVERED_ANEW)
    return MoveAndRecord(row)


def _plan_deletion(row: JournalRow, found: Found) -> Step:
    """What is removed leaves no trace: whoever stands there now came later, or it was never removed."""
    if found.source is None or not row.fingerprint.survived_move(found.source):
        return Record(row, None)
    if found.aside or found.source == row.fingerprint:
        return RemoveAndRecord(row, None)
    # Certainly not removed, and something about it changed: what is deleted is not guessed at.
    return Forget(row, _DELIVERED_ANEW)


def plan(rows: Iterable[tuple[JournalRow, Found]], recorded: frozenset[str]) -> list[Step]:
    """The steps for all rows, in order; `recorded` holds the operation ids that the ledger has."""
    return [plan_row(row, found, recorded=row.operation_id in recorded) for row, found in rows]
