"""Group commit: journal -> move -> ledger, for all that is ready at once.

The order is the promise. The proof is durable in the journal before the original moves; the move is
durable before the ledger says so; the journal row is dropped only after the ledger line is durable.
A crash between any two leaves what `core.recovery.plan` finishes. While one batch is being written
the next one gathers, so a single file never waits and a thousand share three fsyncs. Where a file has
to be copied, `carrier` does it beside the batches: the proven copy is journaled, takes its name, and
only once that is durable the original goes.
"""

import asyncio
import contextlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from enum import Enum, auto
from functools import partial
from typing import Any

import structlog

from hotfolder.carrier import Carrier, Stopped
from hotfolder.core.entries import recorded
from hotfolder.core.errors import AnotherFileSystem, HotfolderError, LocalError, SourceChanged
from hotfolder.core.ports import Journal, Ledger, Mover
from hotfolder.core.records import Disposition, JournalRow
from hotfolder.restart import Restart
from hotfolder.threads import Threads

log = structlog.get_logger()

_FIRST_RETRY, _LONGEST_RETRY = 1.0, 30.0  # seconds


class _Step(Enum):
    DECIDED = auto()
    JOURNALED = auto()
    COPYING = auto()
    COPIED = auto()
    MOVED = auto()  # or stays; what stands in the inbox too is still to be removed
    DONE = auto()
    RECORDED = auto()
    REFUSED = auto()


_WAITS = {
    _Step.DECIDED: "proven, waiting to be journaled",
    _Step.MOVED: "moved, waiting to be removed from the inbox",
    _Step.DONE: "moved, waiting to be recorded",
}


@dataclass(slots=True, eq=False)
class _Ending:
    """One operation between its proof and its ledger line."""

    row: JournalRow
    done: "asyncio.Future[dict[str, Any]]"
    on_wait: Callable[[str], None]
    step: _Step = _Step.DECIDED
    moved_to: str | None = None
    entry: dict[str, Any] = field(default_factory=dict)
    error: HotfolderError | None = None
    trouble: LocalError | None = None  # why its copy could not be made


class Recorder:
    """Ends operations durably. One owner of journal, moves and ledger lines of this process."""

    def __init__(
        self,
        *,
        journal: Journal,
        ledger: Ledger,
        mover: Mover,
        threads: Threads,
        clock: Callable[[], float],
        mine: Callable[[JournalRow], bool] = lambda _: True,
        copiers: Threads | None = None,
    ) -> None:
        """`copiers`: threads that copy to other file systems, so that batches go on meanwhile."""
        self._journal = journal
        self._ledger = ledger
        self._mover = mover
        self._threads = threads
        self._clock = clock
        self._ready: list[_Ending] = []
        self._arrived = asyncio.Event()
        self._closing = False
        self._forgettable: list[str] = []
        self._restart = Restart(journal=journal, ledger=ledger, mover=mover, clock=clock, mine=mine)
        self._carrier = Carrier(mover, copiers or threads)
        self._copies: set[asyncio.Task[None]] = set()
        self._recovered: set[tuple[str, str]] = set()
        self._freed: list[tuple[str, str]] = []
        self.trouble: LocalError | None = None

    async def finish(self, row: JournalRow, on_wait: Callable[[str], None]) -> dict[str, Any]:
        """Journal, move and record one operation; returns its ledger line as it was written.

        Waits as long as the disk or the target folder refuses, saying so through `on_wait`. Raises
        `SourceChanged` if the original was replaced meanwhile: nothing is recorded then.
        """
        ending = _Ending(row, asyncio.get_running_loop().create_future(), on_wait)
        self._ready.append(ending)
        self._arrived.set()
        return await ending.done

    async def run(self) -> None:
        """Write batches until `close` is called and nothing that can be written is left.

        What the disk refuses is tried again after a while; what arrives meanwhile is not held by it.
        """
        clock = asyncio.get_running_loop().time
        retry, again = _FIRST_RETRY, float("inf")
        waiting: list[_Ending] = []
        while True:
            if not self._ready and not self._closing:
                await self._arrival(again)
            due = self._closing or clock() >= again
            batch = [*(waiting if due else ()), *self._ready]
            waiting, self._ready = ([] if due else waiting), []
            if not batch and self._closing:
                if not self._copies:
                    break
                await asyncio.wait(self._copies)
                continue
            trouble = await self._threads.run(self._write, batch) if batch else None
            waiting += self._settle(batch)
            if trouble is not None:
                self._report(trouble, waiting)
                if self._closing:
                    break  # what waits is in the journal or still in the inbox; the next start goes on
                if due or again == float("inf"):
                    again = clock() + retry
                    retry = min(_LONGEST_RETRY, retry * 2)
            elif not waiting:
                retry, again = _FIRST_RETRY, float("inf")
                self._heal()
        await self._threads.run(self._forget)

    async def _arrival(self, until: float) -> None:
        """Wait for the next operation, or for the moment `until` on the loop's clock."""
        self._arrived.clear()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout_at(None if until == float("inf") else until):
                await self._arrived.wait()

    def close(self) -> None:
        """Let `run` end once all that is ready is written."""
        self._closing = True
        self._carrier.stop()
        self._arrived.set()

    def _write(self, batch: list[_Ending]) -> LocalError | None:
        """Bring every operation as far as it goes. In a thread; returns what stopped some, if so."""
        trouble: LocalError | None = None
        try:
            self._write_journal([e for e in batch if e.step in {_Step.DECIDED, _Step.COPIED}])
            for ending in batch:
                if ending.step is _Step.JOURNALED:
                    trouble = self._move(ending) or trouble
            self._mover.sync()
            for ending in batch:
                if ending.step is _Step.MOVED:
                    trouble = self._remove(ending) or trouble
            self._mover.sync()
            self._write_ledger([e for e in batch if e.step is _Step.DONE])
        except LocalError as error:
            return error
        return trouble

    def _write_journal(self, new: list[_Ending]) -> None:
        rows = [e.row for e in new if e.row.disposition.needs_journal]
        if rows or len(self._forgettable) > 1000:
            self._journal.commit(rows, forget=self._forgettable)
            self._forgettable = []
        for ending in new:
            ending.step = _Step.JOURNALED

    def _move(self, ending: _Ending) -> LocalError | None:
        row = ending.row
        if ending.trouble is not None:
            error, ending.trouble = ending.trouble, None
            return error
        try:
            if row.disposition.moves:
                ending.moved_to = self._mover.move(row)
            elif row.disposition is Disposition.IN_PLACE:
                ending.moved_to = f"{row.root}/{row.relpath}"
        except AnotherFileSystem:
            ending.step, ending.row = _Step.COPYING, replace(row, copy=None)
        except SourceChanged as changed:
            return self._refuse(ending, changed)
        except LocalError as error:
            return error
        else:
            ending.step = _Step.MOVED
        return None

    def _remove(self, ending: _Ending) -> LocalError | None:
        """Take the original out of the inbox, where no rename did."""
        try:
            if ending.row.removes_source:
                self._mover.remove(ending.row)
        except SourceChanged as error:
            if ending.row.copy is None:
                return self._refuse(ending, error)
            # What was proven stands in its place; what came since is delivered anew.
        except LocalError as error:
            return error
        ending.step = _Step.DONE
        return None

    def _refuse(self, ending: _Ending, error: SourceChanged) -> LocalError | None:
        if ending.row.copy is not None:
            try:
                self._mover.clear(ending.row)
            except LocalError as trouble:
                return trouble
        ending.step, ending.error = _Step.REFUSED, error
        self._forgettable.append(ending.row.operation_id)
        return None

    def _write_ledger(self, done: list[_Ending]) -> None:
        now = self._clock()
        for ending in done:
            ending.entry = recorded(ending.row, ending.moved_to, now)
        if done:
            self._ledger.append([e.entry for e in done])
        for ending in done:
            ending.step = _Step.RECORDED
            if ending.row.disposition.needs_journal:
                self._forgettable.append(ending.row.operation_id)

    def _settle(self, batch: Iterable[_Ending]) -> list[_Ending]:
        """Tell the callers of what ended, begin copies; returns what waits for the disk."""
        waiting = []
        for ending in batch:
            if ending.step is _Step.RECORDED:
                if not ending.done.done():
                    ending.done.set_result(ending.entry)
            elif ending.step is _Step.REFUSED and ending.error is not None:
                if not ending.done.done():
                    ending.done.set_exception(ending.error)
            elif ending.step is _Step.DECIDED and ending.done.cancelled():
                pass  # nobody waits and nothing was promised yet: the file is delivered anew
            elif ending.step is _Step.COPYING:
                copy = asyncio.create_task(self._copy(ending))
                self._copies.add(copy)
                copy.add_done_callback(self._copies.discard)
            else:
                waiting.append(ending)
        return waiting

    async def _copy(self, ending: _Ending) -> None:
        """Copy to the other file system, and hand the row back to the batches."""
        try:
            copy = await self._carrier.copy(ending.row, ending.on_wait)
        except Stopped:
            return  # the row is in the journal: the next start begins it anew
        except SourceChanged as error:
            ending.step, ending.error = _Step.REFUSED, error
            self._forgettable.append(ending.row.operation_id)
        except LocalError as error:
            ending.step, ending.trouble = _Step.JOURNALED, error
        else:
            ending.step, ending.row = _Step.COPIED, replace(ending.row, copy=copy)
        self._ready.append(ending)
        self._arrived.set()

    def _report(self, trouble: LocalError, waiting: list[_Ending]) -> None:
        if self.trouble is None:
            log.error("recorder.held", reason=trouble.sentence, files=len(waiting))
        self.trouble = trouble
        for ending in waiting:
            ending.on_wait(_WAITS.get(ending.step, "proven, waiting to move"))

    def _heal(self) -> None:
        if self.trouble is not None:
            self.trouble = None
            log.info("recorder.resumed")

    def _forget(self) -> None:
        if self._forgettable:
            self._journal.commit([], forget=self._forgettable)
            self._forgettable = []

    async def recover(self) -> int:
        """Finish what a former run decided and did not end; returns how many rows there were.

        Call it again later where `put_off` names some. What cannot move yet is left to `run`, which
        waits for its target.
        """
        finished = await self._threads.run(self._restart.finish)
        for row in finished.unmoved:
            done: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
            self._recovered.add((row.folder, row.relpath))
            done.add_done_callback(partial(self._ended, row))
            self._ready.append(_Ending(row, done, lambda _: None, step=_Step.JOURNALED))
            self._arrived.set()
        return finished.rows

    def _ended(self, row: JournalRow, done: "asyncio.Future[dict[str, Any]]") -> None:
        """Nobody waits for a recovered operation; the ledger and the log tell how it ended."""
        place = (row.folder, row.relpath)
        self._recovered.discard(place)
        if not done.cancelled() and done.exception() is not None:
            self._freed.append(place)

    def is_finishing(self, folder: str, relpath: str) -> bool:
        """Whether the file is a former run's, proven, and on its way out of the inbox."""
        return (folder, relpath) in self._recovered

    @property
    def is_busy(self) -> bool:
        """Whether a former run's files are still on their way."""
        return bool(self._recovered)

    def take_freed(self) -> list[tuple[str, str]]:
        """(folder, path below the inbox) of those that changed and are to be delivered anew."""
        freed, self._freed = self._freed, []
        return freed

    @property
    def put_off(self) -> frozenset[str]:
        """Operations of a former run of which nothing can be told yet; `recover` again, later."""
        return self._restart.put_off
