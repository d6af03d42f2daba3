"""One batch of endings brought as far as the disk lets it: journal, move, remove, ledger. Blocking.

Each step is durable before the next begins. What the disk refuses keeps its step and is tried again.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from enum import Enum, auto
from typing import Any

from hotfolder.core.entries import recorded
from hotfolder.core.errors import AnotherFileSystem, HotfolderError, LocalError, SourceChanged
from hotfolder.core.ports import Journal, Ledger, Mover
from hotfolder.core.records import Disposition, JournalRow


class Milestone(Enum):
    DECIDED = auto()
    JOURNALED = auto()
    COPYING = auto()
    COPIED = auto()
    MOVED = auto()  # or stays; what stands in the inbox too is still to be removed
    DONE = auto()  # with the original
    KEEPING = auto()  # its packed file
    KEPT = auto()
    RECORDED = auto()
    REFUSED = auto()


WAITS = {
    Milestone.DECIDED: "proven, waiting to be journaled",
    Milestone.MOVED: "proven, waiting to be removed from the inbox",
    Milestone.DONE: "moved, waiting to be recorded",
    Milestone.KEPT: "moved, waiting to be recorded",
}


@dataclass(slots=True, eq=False)
class Ending:
    """One operation between its proof and its ledger line."""

    row: JournalRow
    done: "asyncio.Future[dict[str, Any]]"
    on_wait: Callable[[str], None]
    step: Milestone = Milestone.DECIDED
    moved_to: str | None = None
    kept_at: str | None = None
    entry: dict[str, Any] = field(default_factory=dict)
    error: HotfolderError | None = None
    trouble: LocalError | None = None  # of this machine, when a copy was made


class Commit:
    """Writes batches, one at a time. Owner of journal, moves and ledger lines of this process."""

    def __init__(
        self,
        *,
        journal: Journal,
        ledger: Ledger,
        mover: Mover,
        clock: Callable[[], float],
        keeps: bool,
    ) -> None:
        """`keeps`: whether packed files are kept at all."""
        self._keeps = keeps
        self._journal, self._ledger, self._mover, self._clock = journal, ledger, mover, clock
        self._forgettable: list[str] = []

    def write(self, batch: list[Ending]) -> LocalError | None:
        """Bring every operation as far as it goes. In a thread; returns what stopped some, if so."""
        trouble: LocalError | None = None
        try:
            self._write_journal([e for e in batch if e.step in {Milestone.DECIDED, Milestone.COPIED}])
            for ending in batch:
                if ending.step is Milestone.JOURNALED:
                    trouble = self._move(ending) or trouble
            self._mover.sync()
            for ending in batch:
                if ending.step is Milestone.MOVED:
                    trouble = self._remove(ending) or trouble
            self._mover.sync()
            for ending in batch:
                if ending.step is Milestone.DONE:
                    trouble = self._look_to_packed(ending) or trouble
            self._write_ledger([e for e in batch if e.step is Milestone.KEPT])
        except LocalError as error:
            return error
        return trouble

    def _write_journal(self, new: list[Ending]) -> None:
        rows = [e.row for e in new if e.row.disposition.needs_journal]
        if rows or len(self._forgettable) > 1000:
            self._journal.commit(rows, forget=self._forgettable)
            self._forgettable = []
        for ending in new:
            ending.step = Milestone.JOURNALED

    def _move(self, ending: Ending) -> LocalError | None:
        row = ending.row
        if ending.error is not None:  # its original cannot be copied any more
            self._give_up(ending, ending.error)
            return None
        if ending.trouble is not None:
            error, ending.trouble = ending.trouble, None
            return error
        try:
            if row.disposition.moves:
                ending.moved_to = self._mover.move(row)
            elif row.disposition is Disposition.IN_PLACE:
                ending.moved_to = f"{row.root}/{row.relpath}"
        except AnotherFileSystem:
            ending.step, ending.row = Milestone.COPYING, replace(row, copy=None)
        except SourceChanged as changed:
            return self._refuse(ending, changed)
        except LocalError as error:
            return error
        else:
            ending.step = Milestone.MOVED
        return None

    def _remove(self, ending: Ending) -> LocalError | None:
        """Take the original out of the inbox, where no rename did."""
        try:
            if ending.row.removes_source:
                self._mover.remove(ending.row)
            self._mover.take_marker(ending.row, ending.moved_to)
        except SourceChanged as error:
            if ending.row.copy is None:
                return self._refuse(ending, error)
            # What was proven stands in its place; what came since is delivered anew.
        except LocalError as error:
            return error
        ending.step = Milestone.DONE
        return None

    def _refuse(self, ending: Ending, error: SourceChanged) -> LocalError | None:
        if ending.row.copy is not None:
            try:
                self._mover.clear(ending.row)
            except LocalError as trouble:
                return trouble
        self._give_up(ending, error)
        return None

    def _look_to_packed(self, ending: Ending) -> LocalError | None:
        """Whether the packed file is to be kept before the line is written; that may take its time."""
        if ending.trouble is not None:
            error, ending.trouble = ending.trouble, None
            return error
        ending.step = Milestone.KEEPING if self._keeps and ending.row.keeps_packed else Milestone.KEPT
        return None

    def _write_ledger(self, done: list[Ending]) -> None:
        now = self._clock()
        for ending in done:
            ending.entry = recorded(ending.row, ending.moved_to, now, kept_at=ending.kept_at)
        if done:
            self._ledger.append([e.entry for e in done])
        for ending in done:
            ending.step = Milestone.RECORDED
            if ending.row.disposition.needs_journal:
                self._forgettable.append(ending.row.operation_id)

    def _give_up(self, ending: Ending, error: HotfolderError) -> None:
        """The operation ends without a line: its row is dropped with the next batch."""
        ending.step, ending.error = Milestone.REFUSED, error
        self._forgettable.append(ending.row.operation_id)

    def forget(self) -> None:
        if self._forgettable:
            self._journal.commit([], forget=self._forgettable)
            self._forgettable = []
