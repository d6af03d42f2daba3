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
from collections import Counter
from collections.abc import Callable, Coroutine, Iterable
from dataclasses import replace
from functools import partial
from typing import Any

import structlog

from hotfolder.carrier import Carrier, Stopped
from hotfolder.commit import WAITS, Commit, Ending, Milestone
from hotfolder.core.errors import (
    LocalError,
    SourceChanged,
    SourceUnreadable,
)
from hotfolder.core.ports import Journal, Keeper, Ledger, Mover
from hotfolder.core.records import Disposition, JournalRow
from hotfolder.core.recovery import Record, RemoveAndRecord
from hotfolder.restart import Restart
from hotfolder.threads import Threads, concerning

log = structlog.get_logger()

_FIRST_RETRY, _LONGEST_RETRY = 1.0, 30.0  # seconds
_LOOK_AGAIN = 0.1  # seconds
_MOST_PILED = 32  # files of one folder that wait for its target, before no more of it are uploaded


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
        keeper: Keeper | None = None,
    ) -> None:
        """`copiers`: threads that copy to other file systems, so that batches go on meanwhile.

        `keeper`: where packed files may be kept.
        """
        self._commit = Commit(
            journal=journal, ledger=ledger, mover=mover, clock=clock, keeps=keeper is not None
        )
        self._mover, self._keeper = mover, keeper
        self._held_at = 0.0
        self._threads = threads
        self._ready: list[Ending] = []
        self._arrived = asyncio.Event()
        self._closing = False
        self._restart = Restart(journal=journal, ledger=ledger, mover=mover, clock=clock, mine=mine)
        self._carrier = Carrier(copiers or threads)
        self._copies: set[asyncio.Task[None]] = set()
        self._doubtful: set[Ending] = set()  # whose copy failed, and did not succeed since
        self._recovered: set[str] = set()  # paths
        self._awaited: set[str] = set()
        self._freed: list[tuple[str, str]] = []
        self._told: list[JournalRow] = []  # by the steps of `recover` so far
        self.is_recovering = False
        self._piled: set[str] = set()  # folders
        self.trouble: LocalError | None = None

    def refusal(self, folder: str) -> LocalError | None:
        """Why no more of this folder are to be uploaded: too many cannot be ended, or None."""
        return self.trouble if folder in self._piled else None

    async def finish(self, row: JournalRow, on_wait: Callable[[str], None]) -> dict[str, Any]:
        """Journal, move and record one operation; returns its ledger line as it was written.

        Waits as long as the disk or the target folder refuses, saying so through `on_wait`. Raises
        `SourceChanged` if the original was replaced meanwhile: nothing is recorded then.
        """
        ending = Ending(row, asyncio.get_running_loop().create_future(), on_wait)
        self._ready.append(ending)
        self._arrived.set()
        return await ending.done

    async def run(self) -> None:
        """Write batches until `close` is called and nothing that can be written is left.

        What the disk refuses is tried again after a while; what arrives meanwhile is not held by it.
        """
        clock = asyncio.get_running_loop().time
        retry, again = _FIRST_RETRY, float("inf")
        waiting: list[Ending] = []
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
            trouble = await self._write(batch) if batch else None
            waiting += self._settle(batch)
            if trouble is not None:
                self._report(trouble, waiting)
                if self._closing:
                    break  # what waits is in the journal or still in the inbox; the next start goes on
                if due or again == float("inf"):
                    again = clock() + retry
                    retry = min(_LONGEST_RETRY, retry * 2)
            elif waiting:
                again = min(again, clock() + retry)  # nothing that waits is left to a later arrival
            else:
                again = float("inf")
                if not self._doubtful:
                    retry = _FIRST_RETRY
                    self._heal()
        if self._copies:
            await asyncio.wait(self._copies)
        await self._threads.run(self._commit.forget)

    async def _write(self, batch: list[Ending]) -> LocalError | None:
        first = str(batch[0].row.entry["target_path"])
        with concerning(f"{first} and {len(batch) - 1} more" if len(batch) > 1 else first):
            return await self._threads.run(self._commit.write, batch)

    async def _arrival(self, until: float) -> None:
        """Wait for the next operation, or for the moment `until` on the loop's clock."""
        self._arrived.clear()
        with contextlib.suppress(TimeoutError):  # then it is the moment
            async with asyncio.timeout_at(None if until == float("inf") else until):
                await self._arrived.wait()

    def close(self) -> None:
        """Let `run` end once all that is ready is written."""
        self._closing = True
        self._carrier.stop()
        self._arrived.set()

    def _settle(self, batch: Iterable[Ending]) -> list[Ending]:
        """Tell the callers of what ended, begin copies; returns what waits for the disk."""
        waiting = []
        for ending in batch:
            if ending.step is Milestone.RECORDED:
                if not ending.done.done():
                    ending.done.set_result(ending.entry)
            elif ending.step is Milestone.REFUSED and ending.error is not None:
                if not ending.done.done():
                    ending.done.set_exception(ending.error)
            elif ending.step is Milestone.DECIDED and ending.done.cancelled():
                pass  # nobody waits and nothing was promised yet: the file is delivered anew
            elif ending.step is Milestone.COPYING:
                self._begin(self._copy(ending))
            elif ending.step is Milestone.KEEPING and self._keeper is not None:
                self._begin(self._keep_packed(ending, self._keeper))
            else:
                waiting.append(ending)
        return waiting

    async def _copy(self, ending: Ending) -> None:
        """Copy to the other file system, and hand the row back to the batches."""
        size = max(1, ending.row.fingerprint.size)

        def tell(gone: int) -> None:  # written, and read back
            ending.on_wait(f"moving to another file system: {50 * gone // size}%")

        try:
            with concerning(str(ending.row.entry["target_path"])):
                copy = await self._carrier.run(partial(self._mover.copy, ending.row), tell)
        except Stopped:
            return  # the row is in the journal: the next start begins it anew
        except (SourceChanged, SourceUnreadable) as error:
            ending.step, ending.error = Milestone.JOURNALED, error
        except Exception as error:  # noqa: BLE001 - whatever it is, somebody waits for this file's end
            ending.step, ending.trouble = Milestone.JOURNALED, _trouble_of(ending.row, error)
            self._doubtful.add(ending)
        else:
            ending.step, ending.row = Milestone.COPIED, replace(ending.row, copy=copy)
        if ending.trouble is None:
            self._doubtful.discard(ending)
        self._ready.append(ending)
        self._arrived.set()

    async def _keep_packed(self, ending: Ending, keeper: Keeper) -> None:
        """Keep the packed file, and hand the operation back to the batches."""
        keep = partial(keeper.keep, ending.row, ending.moved_to)
        try:
            with concerning(str(ending.row.entry["target_path"])):
                ending.kept_at = await self._carrier.run(
                    keep, lambda _: ending.on_wait("keeping the compressed file")
                )
        except Stopped:
            return  # the row is in the journal: the next start goes on
        except Exception as error:  # noqa: BLE001 - as above
            ending.step, ending.trouble = Milestone.DONE, _trouble_of(ending.row, error)
            self._doubtful.add(ending)
        else:
            ending.step = Milestone.KEPT
            self._doubtful.discard(ending)
        self._ready.append(ending)
        self._arrived.set()

    def _begin(self, copy: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(copy)
        self._copies.add(task)
        task.add_done_callback(self._copies.discard)

    def _report(self, trouble: LocalError, waiting: list[Ending]) -> None:
        if self.trouble is None:
            self._held_at = asyncio.get_running_loop().time()
        if self.trouble is None or self.trouble.hint != trouble.hint:
            log.error("recorder.held", reason=trouble.sentence, files=len(waiting))
        self.trouble = trouble
        piles = Counter(ending.row.folder for ending in waiting)
        # A single odd file holds nobody.
        self._piled = {folder for folder, files in piles.items() if files >= _MOST_PILED}
        for ending in waiting:
            ending.on_wait(WAITS.get(ending.step) or _waits_to_move(ending.row))

    def _heal(self) -> None:
        if self.trouble is not None:
            self.trouble, self._piled = None, set()
            lasted = asyncio.get_running_loop().time() - self._held_at
            log.info("recorder.resumed", lasted=round(lasted, 1))

    async def recover(self, most: int | None = None) -> int:
        """Finish what a former run decided and did not end; returns how many rows there were.

        Call it again later where `put_off` names some: then up to `most` of them are looked at, and
        `is_recovering` says whether others are to be looked at at once. What cannot move yet is left
        to `run`, which waits for its target.
        """
        self.is_recovering = False
        try:
            finished = await self._threads.run(self._restart.finish, most)
        except BaseException:
            self._stop_awaiting()
            raise
        self._told += finished.told
        self.is_recovering = finished.more
        if not finished.more:
            self._stop_awaiting()
        for step in finished.unfinished:
            done: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
            self._recovered.add(_place(step.row))
            done.add_done_callback(partial(self._ended, step.row))
            ending = Ending(step.row, done, lambda _: None, step=Milestone.JOURNALED)
            if isinstance(step, RemoveAndRecord):
                ending.step, ending.moved_to = Milestone.MOVED, step.moved_to
            elif isinstance(step, Record):
                ending.step, ending.moved_to = Milestone.DONE, step.moved_to
            self._ready.append(ending)
            self._arrived.set()
        return finished.rows

    def _stop_awaiting(self) -> None:
        """A scan may find what is not put off any more; not before, as it is looked up in one go."""
        told, self._told = self._told, []
        self._awaited = {_place(row) for row in self._restart.put_off.values()}
        self._freed += [(row.folder, row.relpath) for row in told if not row.root]

    def _ended(self, row: JournalRow, done: "asyncio.Future[dict[str, Any]]") -> None:
        """Nobody waits for a recovered operation; the ledger and the log tell how it ended."""
        self._recovered.discard(_place(row))
        if not done.cancelled() and done.exception() is not None and not row.root:
            self._freed.append((row.folder, row.relpath))

    def is_finishing(self, path: str) -> bool:
        """Whether a former run proved the file at `path`, and it is on its way out (or may be)."""
        return path in self._recovered or path in self._awaited

    async def recovered(self) -> None:
        """Wait until what `recover` left to `run` has ended, or cannot go on now (see `trouble`)."""
        while self.is_busy and self.trouble is None:  # noqa: ASYNC110 - two things are waited for
            await asyncio.sleep(_LOOK_AGAIN)

    @property
    def is_busy(self) -> bool:
        """Whether a former run's files are still on their way."""
        return bool(self._recovered)

    def take_freed(self) -> list[tuple[str, str]]:
        """(folder, path below the inbox) of files that may be there to be delivered anew."""
        freed, self._freed = self._freed, []
        return freed

    @property
    def put_off(self) -> int:
        """How many operations of a former run nothing can be told of yet; `recover` again, later."""
        return len(self._awaited)

    @property
    def why_put_off(self) -> LocalError | None:
        """What is in the way of these."""
        return self._restart.why_put_off


def _trouble_of(row: JournalRow, error: Exception) -> LocalError:
    """Why a copy was not made, to be tried again; a defect of ours is told with its trace, too."""
    if isinstance(error, LocalError):
        return error
    reason = f"{type(error).__name__}: {error}"
    log.error("recorder.broken", file=row.entry["target_path"], reason=reason, exc_info=error)
    return LocalError(reason)


def _waits_to_move(row: JournalRow) -> str:
    given_up = row.disposition is Disposition.FAILED
    return "given up, waiting to move to failed/" if given_up else "proven, waiting to move"


def _place(row: JournalRow) -> str:
    """The path that the original had when it was proven, whatever its folder is called by now."""
    return str(row.entry.get("target_path"))
