"""Originals in completed/ that no ledger line names: moved, when the journal that knew it was lost.

Each is proven where it stands: the ordinary journey finds its object in the store (or makes it), and
the ledger gets its line. Nothing in completed/ is moved by this.
"""

import asyncio
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any, Protocol

import structlog

from hotfolder.beneath import Look, look_for_writers
from hotfolder.core.entries import seconds_of
from hotfolder.core.errors import DestinationError, HotfolderError, LocalError
from hotfolder.core.grouping import Grouping
from hotfolder.core.naming import Layout, origin_of
from hotfolder.core.ports import Ledger
from hotfolder.core.records import Fingerprint, Job, PassedOver
from hotfolder.core.retry import Hold
from hotfolder.courier import Courier, Ended
from hotfolder.gate import Gate
from hotfolder.threads import Threads

log = structlog.get_logger()

#: A rename changes ctime: what was moved and not recorded is younger than the last line, but clocks
#: are set, and the last line may be of another folder. Seconds.
_MARGIN = 86_400.0
_MOST = 1_000  # more cannot have been on their way at once: somebody filled completed/ by hand
_BATCH = 2_000
_TRIES, _REST = 3, 1.0  # of a file that is busy or fails; seconds between
_TOGETHER = 16


#: What stands at some paths: `beneath.look_for_writers`, or that of `trees` for directories as one.
LookAt = Callable[[str, Iterable[tuple[str, bool]]], list[Look]]


class Names(Protocol):
    """A set of names that may be as large as a folder."""

    def add(self, names: Iterable[str]) -> None: ...
    def discard(self, names: Iterable[str]) -> None: ...
    def first(self, count: int) -> list[str]: ...


@dataclass(frozen=True, slots=True)
class Outputs:
    """One folder's completed/, and how to look through it. `ignored` and `grouping` as in the inbox.

    `owners`: the folders whose completed/ it is.
    """

    inbox: str
    completed: str
    layout: Layout
    grouping: Grouping
    ignored: Callable[[str], bool]
    walk: Callable[[], Iterator[str | PassedOver]]  # below completed, without junk
    owners: Sequence[str] = ()
    look: LookAt = look_for_writers


class Unrecorded:
    """Finds and proves the unrecorded of one folder. `before`: when this run began, since the epoch."""

    def __init__(
        self,
        outputs: Outputs,
        *,
        ledger: Ledger,
        names: Callable[[], AbstractContextManager[Names]],
        courier: Courier,
        gate: Gate,
        threads: Threads,
        new_operation_id: Callable[[], str],
        batch: str,
        before: float,
    ) -> None:
        self._outputs, self._ledger, self._names = outputs, ledger, names
        self._courier, self._gate, self._threads = courier, gate, threads
        self._new_operation_id, self._batch, self._before = new_operation_id, batch, before

    async def settle(self) -> bool:
        """Prove and record all there are; returns whether nothing is left. Raises `LocalError`."""
        if len(self._outputs.owners) > 1:
            log.error(
                "recovery.unrecorded_left",
                path=self._outputs.completed,
                reason=f"{', '.join(self._outputs.owners)} share it: whose a file is cannot be told",
            )
            return True
        paths = await self.find()
        if len(paths) > _MOST:
            log.error(
                "recovery.unrecorded_left",
                path=self._outputs.completed,
                reason=f"more than {_MOST} files of the last days have no ledger line: "
                "they were not put there by hotfolder, and are left alone",
            )
            return True
        places = asyncio.Semaphore(_TOGETHER)
        try:
            async with asyncio.TaskGroup() as group:  # one that fails must not leave others behind
                tasks = [group.create_task(self._prove(path, places)) for path in paths]
        except BaseExceptionGroup as failed:
            typed = failed.subgroup(HotfolderError)
            raise (typed or failed).exceptions[0] from failed
        return all(task.result() for task in tasks)

    async def find(self) -> list[str]:
        """The paths below completed/ of young files that no line names; one too many shows excess."""
        horizon = await self._threads.run(self._horizon)
        if horizon is None:
            return []
        with self._names() as names:
            entries = self._outputs.walk()
            while some := await self._threads.run(lambda: list(islice(entries, _BATCH))):
                young = await self._threads.run(self._young, some, horizon)
                await self._threads.run(names.add, young)
            lines = self._ledger.newest_first()
            while await self._threads.run(names.first, 1):
                named = await self._threads.run(lambda: list(islice(lines, _BATCH)))
                if not named:
                    break
                await self._threads.run(names.discard, list(_places(named)))
            start = len(self._outputs.completed) + 1
            return [path[start:] for path in await self._threads.run(names.first, _MOST + 1)]

    def _horizon(self) -> float | None:
        """Seconds since the epoch before which everything is recorded; None without any record."""
        for line in self._ledger.newest_first():
            try:
                return seconds_of(str(line["completed_at"])) - _MARGIN
            except (KeyError, ValueError):  # by another hand
                continue
        return None

    def _young(self, entries: Iterable[str | PassedOver], horizon: float) -> list[str]:
        outputs, young = self._outputs, []
        files = [(entry.removesuffix("/"), False) for entry in entries if isinstance(entry, str)]
        for look in outputs.look(outputs.completed, files):
            entry, there = look.relpath, look.there
            _, origin = origin_of(entry, outputs.layout)
            named = origin or entry
            if isinstance(there, Fingerprint) and there.tree:
                named = f"{named}/"
            if outputs.ignored(named) or outputs.grouping.refusal(named):
                continue  # hotfolder never took such a file
            if not isinstance(there, Fingerprint):
                continue  # gone, or in a folder that may not be entered: no move of ours ended there
            if not horizon <= there.ctime_ns / 1e9 < self._before:
                continue
            in_inbox = outputs.look(outputs.inbox, [(origin, False)])[0].there if origin else None
            if isinstance(in_inbox, Fingerprint) and (in_inbox.size, in_inbox.mtime_ns) == (
                there.size,
                there.mtime_ns,
            ):
                continue  # a copy whose original was not removed yet: that one is delivered
            young.append(f"{outputs.completed}/{entry}")
        return young

    async def _prove(self, relpath: str, places: asyncio.Semaphore) -> bool:
        async with places:
            try:
                looks = self._outputs.look
                (look,) = await self._threads.run(looks, self._outputs.completed, [(relpath, False)])
                there = self._told(look)
            except LocalError as error:
                path = f"{self._outputs.completed}/{relpath}"
                log.warning("recovery.unproven", file=path, hint=error.sentence)
                return False
            if there is None:
                return True
            log.info("recovery.unrecorded", file=f"{self._outputs.completed}/{relpath}")
            job = self._job(relpath, there)
            while job.attempt <= _TRIES:
                while self._gate.held is not None:  # noqa: ASYNC110 - the gate has no event of its own
                    await asyncio.sleep(_REST)
                ending = await self._courier.carry(job)
                if isinstance(ending, Ended):
                    return True
                if isinstance(ending.decision, Hold) and isinstance(ending.error, DestinationError):
                    self._gate.hold(ending.error)
                    continue
                job = replace(job, attempt=job.attempt + 1)
                await asyncio.sleep(_REST)
            log.warning("recovery.unproven", file=job.path, hint="the next start tries again")
            return False

    @staticmethod
    def _told(look: Look) -> Fingerprint | None:
        if isinstance(look.there, LocalError):
            raise look.there
        return look.there

    def _job(self, relpath: str, there: Fingerprint) -> Job:
        outputs = self._outputs
        above, origin = origin_of(relpath, outputs.layout)
        named = origin or relpath
        return Job(
            operation_id=self._new_operation_id(),
            batch=self._batch,
            folder=outputs.grouping.folder,
            root=f"{outputs.completed}/{above}" if above else outputs.completed,
            relpath=named,
            group=outputs.grouping.group_of(f"{named}/" if there.tree else named),
            fingerprint=there,
            made_at=there.ctime_ns / 1e9,  # when it was moved: the nearest to when it was found
            origin=f"{outputs.inbox}/{origin}" if origin else "",
        )


def _places(lines: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    for line in lines:
        for field in ("completed_dir_path", "compressed_file_path"):
            place = line.get(field)
            if isinstance(place, str):
                yield place
