"""What a former run decided and did not finish: `core.recovery` plans it, this acts it out."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import Any

import structlog

from hotfolder.core.entries import recorded, timestamp
from hotfolder.core.errors import LocalError, SourceChanged
from hotfolder.core.ports import Journal, Ledger, Mover
from hotfolder.core.records import JournalRow
from hotfolder.core.recovery import Forget, Found, MoveAndRecord, Record, plan

log = structlog.get_logger()

_CLOCK_SET_BACK = 86_400.0  # seconds by which a clock may be set back and no line be overlooked

_LOST = (
    "the object is proven, but the original was taken away before hotfolder could move it: "
    "it is neither where it was dropped nor in completed/"
)


@dataclass(frozen=True, slots=True)
class Finished:
    """How many journal rows there were, and those that `Recorder.run` goes on with.

    `unmoved`: their target refuses. `unkept`: moved, but to copy their packed files may take long.
    """

    rows: int
    unmoved: list[JournalRow]
    unkept: list[Record] = field(default_factory=list)


class Restart:
    """Finishes journal rows. What cannot be told yet (its volume is not mounted) is in `put_off`."""

    def __init__(
        self,
        *,
        journal: Journal,
        ledger: Ledger,
        mover: Mover,
        clock: Callable[[], float],
        mine: Callable[[JournalRow], bool],
    ) -> None:
        """`mine` says which rows are a former run's: the daemon's or an `upload --move`'s."""
        self._mine = mine
        self._journal, self._ledger, self._mover, self._clock = journal, ledger, mover, clock
        self._began = False
        self.put_off: frozenset[str] = frozenset()

    def finish(self) -> Finished:
        """Plan and act out what is left to do. Blocking; raises `LocalError`."""
        rows = [row for row in self._journal.rows() if self._mine(row)]
        if self._began:
            rows = [row for row in rows if row.operation_id in self.put_off]
        self._began = True
        facts = self._facts(rows)
        if not facts:
            return Finished(len(rows), [])
        # What a killed run did not live to fsync looks as good as what is durable: nothing is built on
        # its lines and moves before they are. (`find` told the mover what to sync.) And a line behind a
        # page that a power cut took must not count as recorded: the next append cuts it.
        self._ledger.repair()
        recorded_ids = recorded_operations(self._ledger, {row.operation_id for row, _ in facts})
        entries: list[dict[str, Any]] = []
        unmoved: list[JournalRow] = []
        unkept: list[Record] = []
        for step in plan(facts, recorded_ids):
            if isinstance(step, Record) and step.row.keeps_packed:
                row = _told(step.row) if step.lost else step.row
                unkept.append(replace(step, row=row))
                continue
            if isinstance(step, MoveAndRecord) and step.row.keeps_packed:
                unmoved.append(step.row)
                continue
            try:
                entry = self._act(step)
            except LocalError as error:
                log.warning("recovery.waits", file=step.row.relpath, reason=error.sentence)
                unmoved.append(step.row)
                continue
            if entry is not None:
                entries.append(entry)
        self._mover.sync()
        if entries:
            self._ledger.append(entries)
        waiting = [*unmoved, *(step.row for step in unkept)]
        done = {row.operation_id for row, _ in facts} - {row.operation_id for row in waiting}
        self._journal.commit([], forget=done)
        log.info("recovery.done", rows=len(rows), recorded=len(entries))
        return Finished(len(rows), unmoved, unkept)

    def _facts(self, rows: Iterable[JournalRow]) -> list[tuple[JournalRow, Found]]:
        """What stands on disk for each row of which that can be told; the others are put off."""
        facts: list[tuple[JournalRow, Found]] = []
        put_off: set[str] = set()
        for row in rows:
            try:
                facts.append((row, self._mover.find(row)))
            except LocalError as error:
                log.warning("recovery.put_off", file=row.relpath, reason=str(error), hint=error.hint)
                put_off.add(row.operation_id)
        self.put_off = frozenset(put_off)
        return facts

    def _act(self, step: Forget | Record | MoveAndRecord) -> dict[str, Any] | None:
        match step:
            case Forget(row, reason):
                log.info("recovery.forgotten", file=row.relpath, reason=reason)
                return None
            case Record(row, moved_to, lost):
                return recorded(_told(row) if lost else row, moved_to, self._clock())
            case MoveAndRecord(row):
                try:
                    return recorded(row, self._mover.move(row), self._clock())
                except SourceChanged as error:
                    log.info("recovery.forgotten", file=row.relpath, reason=str(error))
                    return None


def _told(row: JournalRow) -> JournalRow:
    """`row` with a line that says that its original was taken away."""
    message = row.entry["error_message"] or _LOST
    return replace(row, entry={**row.entry, "error_message": message})


def recorded_operations(ledger: Ledger, wanted: set[str]) -> frozenset[str]:
    """Which of the ids have a ledger line. UUIDv7: a line from well before them ends the search.

    Well before, because the clock may have been set back since the ids were made.
    """
    begun = _begun(min(wanted)) - _CLOCK_SET_BACK
    return ledger.recorded(wanted, since=timestamp(max(0.0, begun)))


def _begun(operation_id: str) -> float:
    """When the operation with this UUIDv7 began, in seconds since the epoch."""
    return int(operation_id.replace("-", "")[:12], 16) / 1000
