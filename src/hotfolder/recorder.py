"""Group commit: journal -> move -> ledger, for all that is ready at once.

The order is the promise. The proof is durable in the journal before the original moves; the move is
durable before the ledger says so; the journal row is dropped only after the ledger line is durable.
A crash between any two leaves what `core.recovery.plan` finishes. While one batch is being written
the next one gathers, so a single file never waits and a thousand share three fsyncs.
"""

import asyncio
import contextlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any

import structlog

from hotfolder.core.entries import recorded
from hotfolder.core.errors import HotfolderError, LocalError, SourceChanged
from hotfolder.core.ports import Journal, Ledger, Mover
from hotfolder.core.records import Disposition, JournalRow
from hotfolder.keeping import Keeping, Stopped
from hotfolder.restart import Restart
from hotfolder.threads import Threads

log = structlog.get_logger()

_FIRST_RETRY, _LONGEST_RETRY = 1.0, 30.0  # seconds


class _Step(IntEnum):
    DECIDED = 0
    JOURNALED = 1
    MOVED = 2
    KEEPING = 3  # its packed file
    KEPT = 4
    RECORDED = 5
    REFUSED = 6


@dataclass(slots=True, eq=False)
class _Ending:
    """One operation between its proof and its ledger line."""

    row: JournalRow
    done: "asyncio.Future[dict[str, Any]]"
    on_wait: Callable[[str], None]
    step: _Step = _Step.DECIDED
    moved_to: str | None = None
    kept_at: str | None = None
    entry: dict[str, Any] = field(default_factory=dict)
    error: HotfolderError | None = None
    trouble: LocalError | None = None  # why its packed file could not be kept


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
        keeping: Keeping | None = None,
    ) -> None:
        """`keeping`: where packed files may be kept."""
        self._journal = journal
        self._ledger = ledger
        self._mover = mover
        self._threads = threads
        self._clock = clock
        self._keeping = keeping
        self._kept: set[asyncio.Task[None]] = set()
        self._ready: list[_Ending] = []
        self._arrived = asyncio.Event()
        self._closing = False
        self._forgettable: list[str] = []
        self._restart = Restart(journal=journal, ledger=ledger, mover=mover, clock=clock, mine=mine)
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
                if not self._kept:
                    break
                await asyncio.wait(self._kept)
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
            elif not waiting and not self._kept:
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
        if self._keeping is not None:
            self._keeping.stop()
        self._arrived.set()

    def _write(self, batch: list[_Ending]) -> LocalError | None:
        """Bring every operation as far as it goes. In a thread; returns what stopped some, if so."""
        trouble: LocalError | None = None
        try:
            self._write_journal([e for e in batch if e.step is _Step.DECIDED])
            for ending in batch:
                if ending.step is _Step.JOURNALED:
                    trouble = self._move(ending) or trouble
            self._mover.sync()
            for ending in batch:
                if ending.step is _Step.MOVED:
                    trouble = self._look_to_packed(ending) or trouble
            self._write_ledger([e for e in batch if e.step is _Step.KEPT])
        except LocalError as error:
            return error
        return trouble

    def _write_journal(self, decided: list[_Ending]) -> None:
        rows = [e.row for e in decided if e.row.disposition is not Disposition.LEAVE]
        if rows or len(self._forgettable) > 1000:
            self._journal.commit(rows, forget=self._forgettable)
            self._forgettable = []
        for ending in decided:
            ending.step = _Step.JOURNALED

    def _move(self, ending: _Ending) -> LocalError | None:
        try:
            if ending.row.disposition is not Disposition.LEAVE:
                ending.moved_to = self._mover.move(ending.row)
        except SourceChanged as error:
            ending.step, ending.error = _Step.REFUSED, error
            self._forgettable.append(ending.row.operation_id)
        except LocalError as error:
            return error
        else:
            ending.step = _Step.MOVED
        return None

    def _look_to_packed(self, ending: _Ending) -> LocalError | None:
        """Whether the packed file is to be kept before the line is written; that may take its time."""
        if ending.trouble is not None:
            error, ending.trouble = ending.trouble, None
            return error
        keeps = self._keeping is not None and ending.row.keeps_packed
        ending.step = _Step.KEEPING if keeps else _Step.KEPT
        return None

    def _write_ledger(self, kept: list[_Ending]) -> None:
        now = self._clock()
        for ending in kept:
            ending.entry = recorded(ending.row, ending.moved_to, now, kept_at=ending.kept_at)
        if kept:
            self._ledger.append([e.entry for e in kept])
        for ending in kept:
            ending.step = _Step.RECORDED
            if ending.row.disposition is not Disposition.LEAVE:
                self._forgettable.append(ending.row.operation_id)

    def _settle(self, batch: Iterable[_Ending]) -> list[_Ending]:
        """Tell the callers of what ended, keep packed files; returns what waits for the disk."""
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
            elif ending.step is _Step.KEEPING and self._keeping is not None:
                keep = asyncio.create_task(self._keep_packed(ending, self._keeping))
                self._kept.add(keep)
                keep.add_done_callback(self._kept.discard)
            else:
                waiting.append(ending)
        return waiting

    async def _keep_packed(self, ending: _Ending, keeping: Keeping) -> None:
        """Keep the packed file, and hand the operation back to the batches."""
        try:
            ending.kept_at = await keeping.keep(ending.row, ending.moved_to, ending.on_wait)
        except Stopped:
            return  # the row is in the journal: the next start goes on
        except LocalError as error:
            ending.step, ending.trouble = _Step.MOVED, error
        else:
            ending.step = _Step.KEPT
        self._ready.append(ending)
        self._arrived.set()

    def _report(self, trouble: LocalError, waiting: list[_Ending]) -> None:
        if self.trouble is None:
            log.error("recorder.held", reason=trouble.sentence, files=len(waiting))
        self.trouble = trouble
        for ending in waiting:
            moved = ending.step in {_Step.MOVED, _Step.KEPT}
            ending.on_wait("moved, waiting to be recorded" if moved else "proven, waiting to move")

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
            self._go_on(row, _Step.JOURNALED)
        for step in finished.unkept:
            self._go_on(step.row, _Step.MOVED, step.moved_to)
        return finished.rows

    def _go_on(self, row: JournalRow, step: _Step, moved_to: str | None = None) -> None:
        done: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        done.add_done_callback(_heard)
        self._ready.append(_Ending(row, done, lambda _: None, step=step, moved_to=moved_to))
        self._arrived.set()

    @property
    def put_off(self) -> frozenset[str]:
        """Operations of a former run of which nothing can be told yet; `recover` again, later."""
        return self._restart.put_off


def _heard(done: "asyncio.Future[dict[str, Any]]") -> None:
    """Nobody waits for a recovered operation; the ledger and the log tell how it ended."""
    if not done.cancelled():
        done.exception()
