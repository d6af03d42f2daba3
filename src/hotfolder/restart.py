"""What a former run decided and did not finish: `core.recovery` plans it, this acts it out."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import structlog

from hotfolder.core.entries import recorded, timestamp
from hotfolder.core.errors import AnotherFileSystem, LocalError, SourceChanged
from hotfolder.core.ports import Journal, Ledger, Mover
from hotfolder.core.records import JournalRow
from hotfolder.core.recovery import (
    Forget,
    Found,
    MoveAndRecord,
    Record,
    RemoveAndRecord,
    Step,
    plan,
)

log = structlog.get_logger()

_CLOCK_SET_BACK = 86_400.0  # seconds by which a clock may be set back and no line be overlooked

_LOST = (
    "the object is proven, but the original was taken away before hotfolder could move it: "
    "it is neither where it was dropped nor in completed/"
)


@dataclass(frozen=True, slots=True)
class Finished:
    """How many journal rows there were, and the steps that take their time, or are refused for now.

    `told`: rows that were put off and are not any more. `more`: there are others to look at, at once.
    """

    rows: int
    unfinished: list[Step]
    told: list[JournalRow] = field(default_factory=list)
    more: bool = False


class _TakesTime(Exception):
    """A copy is to be made: `Recorder.run` does it."""


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
        self._round: list[JournalRow] = []  # of what is put off, what was not looked at again yet
        self.put_off: dict[str, JournalRow] = {}
        self.why_put_off: LocalError | None = None  # of those that were looked at last

    def finish(self, most: int | None = None) -> Finished:
        """Plan and act out what is left to do: at first all, then what is put off, up to `most` rows.

        Blocking; raises `LocalError`.
        """
        rows, over = self._next(most)
        known = [row for row in rows if row.operation_id in self.put_off]
        try:
            unfinished = self._finish(rows) if rows else []
        except BaseException:
            # Of none of them anything is certain: no scan may take their files for new ones.
            self.put_off |= {row.operation_id: row for row in rows}
            self._round = []
            raise
        told = [row for row in known if row.operation_id not in self.put_off]
        if known and not told:  # their volume is still away: the others of it can wait, too
            self._round = [row for row in self._round if _place(row) != _place(known[0])]
        return Finished(len(rows), unfinished, over + told, more=bool(self._round))

    def _next(self, most: int | None) -> tuple[list[JournalRow], list[JournalRow]]:
        """The rows to look at now, and those that were put off and that somebody else has ended."""
        if not self._began:
            rows = [row for row in self._journal.rows() if self._mine(row)]
            self._began = True
            return rows, []
        over: list[JournalRow] = []
        if not self._round and self.put_off:
            there = {row.operation_id for row in self._journal.rows()}
            over = [self.put_off.pop(each) for each in self.put_off.keys() - there]
            # Of one folder after the other: what is true of its first may be true of all.
            self._round = sorted(self.put_off.values(), key=_place)
        rows = self._round if most is None else self._round[:most]
        if most is not None:
            rows = [row for row in rows if _place(row) == _place(rows[0])]
        self._round = self._round[len(rows) :]
        return rows, over

    def _finish(self, rows: list[JournalRow]) -> list[Step]:
        # What a killed run did not live to fsync looks as good as what is durable: nothing is built on
        # its lines and moves before they are. (`find` told the mover what to sync.) And a line behind a
        # page that a power cut took must not count as recorded: the next append cuts it.
        self._ledger.repair()
        recorded_ids = recorded_operations(self._ledger, {row.operation_id for row in rows})
        # What is recorded is over, whatever became of the file since: nothing of it is touched.
        over = [(row, Found(None, None)) for row in rows if row.operation_id in recorded_ids]
        for row, _ in over:
            self.put_off.pop(row.operation_id, None)
        facts = over + self._facts(row for row in rows if row.operation_id not in recorded_ids)
        if not facts:
            return []
        entries: list[dict[str, Any]] = []
        unfinished: list[Step] = []
        refused: list[tuple[JournalRow, LocalError]] = []
        steps = plan(facts, recorded_ids)
        # What was moved must be durable before the original's other name goes.
        moves = [step for step in steps if not isinstance(step, RemoveAndRecord)]
        removals = [step for step in steps if isinstance(step, RemoveAndRecord)]
        for some in (moves, removals):
            for step in some:
                try:
                    entry = self._act(step)
                except (_TakesTime, AnotherFileSystem):
                    unfinished.append(_worded(step))
                except LocalError as error:
                    refused.append((step.row, error))
                    unfinished.append(step)
                else:
                    entries += [entry] if entry is not None else []
            self._mover.sync()
        if refused:
            log.warning("recovery.waits", **_first_of(refused))
        if entries:
            self._ledger.append(entries)
        done = {row.operation_id for row, _ in facts} - {step.row.operation_id for step in unfinished}
        self._journal.commit([], forget=done)
        log.info("recovery.done", rows=len(rows), recorded=len(entries))
        return unfinished

    def _facts(self, rows: Iterable[JournalRow]) -> list[tuple[JournalRow, Found]]:
        """What stands on disk for each row of which that can be told; the others are put off."""
        facts: list[tuple[JournalRow, Found]] = []
        put_off: dict[str, JournalRow] = {}
        news: list[tuple[JournalRow, LocalError]] = []
        why = self.why_put_off
        for row in rows:
            try:
                facts.append((row, self._mover.find(row)))
            except LocalError as error:
                why = error
                if row.operation_id not in self.put_off:
                    news.append((row, error))
                put_off[row.operation_id] = row
            self.put_off.pop(row.operation_id, None)  # or to the back: another is the first next time
        self.put_off |= put_off
        self.why_put_off = why if self.put_off else None
        if news:
            log.warning("recovery.put_off", **_first_of(news))
        return facts

    def _act(self, step: Step) -> dict[str, Any] | None:
        match step:
            case Forget(row, reason):
                self._clear(row)
                log.info("recovery.forgotten", file=row.relpath, reason=reason)
                return None
            case Record(row, moved_to, lost):
                self._clear(row)
                if row.keeps_packed:
                    raise _TakesTime
                self._take_marker(row, moved_to)
                return recorded(_told(row) if lost else row, moved_to, self._clock())
            case MoveAndRecord(row) if row.copy is not None or row.keeps_packed:
                raise _TakesTime
            case MoveAndRecord(row):
                return self._unless_changed(row, self._move)
            case RemoveAndRecord(row) if row.keeps_packed:
                raise _TakesTime
            case RemoveAndRecord(row, moved_to):
                return self._unless_changed(row, partial(self._remove, moved_to))

    def _move(self, row: JournalRow) -> str:
        moved_to = self._mover.move(row)
        self._take_marker(row, moved_to)
        return moved_to

    def _take_marker(self, row: JournalRow, moved_to: str | None) -> None:
        """As `_clear`: what stays of it in the inbox says nothing of a later file, and is shown."""
        try:
            self._mover.take_marker(row, moved_to)
        except LocalError as error:
            log.warning("recovery.leftover", file=row.relpath, reason=error.sentence)

    def _clear(self, row: JournalRow) -> None:
        """Remove what a copy left; that it cannot be is no reason to leave the row unfinished."""
        try:
            self._mover.clear(row)
        except LocalError as error:
            log.warning("recovery.leftover", file=row.relpath, reason=error.sentence)

    def _remove(self, moved_to: str | None, row: JournalRow) -> str | None:
        try:
            self._mover.remove(row)
        except SourceChanged:
            if moved_to is None:
                raise
            # What was proven stands in its place; what came since is delivered anew.
        self._take_marker(row, moved_to)
        return moved_to

    def _unless_changed(
        self, row: JournalRow, act: Callable[[JournalRow], str | None]
    ) -> dict[str, Any] | None:
        try:
            return recorded(row, act(row), self._clock())
        except SourceChanged as error:
            self._clear(row)
            log.info("recovery.forgotten", file=row.relpath, reason=str(error))
            return None


def _place(row: JournalRow) -> tuple[str, str]:
    """Rows of one place are on one volume, mostly."""
    return row.folder, row.root


def _first_of(refused: list[tuple[JournalRow, LocalError]]) -> dict[str, Any]:
    """The fields of one line, however many files share the trouble."""
    row, error = refused[0]
    return {
        "files": len(refused),
        "first": row.relpath,
        "reason": str(error),
        "hint": error.hint,
    }


def _worded(step: Step) -> Step:
    """The step with a row that tells all that its line has to."""
    return replace(step, row=_told(step.row)) if isinstance(step, Record) and step.lost else step


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
