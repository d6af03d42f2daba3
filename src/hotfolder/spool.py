"""The spool: packed files that wait for their proof, and the room for more of them.

A staged file is noted in the index only after it stands whole and durable under its name, and is taken
away only after the end of its operation is durable. What a crash leaves between is told by `recover`.
"""

import asyncio
from collections.abc import Callable
from dataclasses import replace

import structlog

from hotfolder.beneath import device_of
from hotfolder.core.errors import LocalError
from hotfolder.core.ports import Journal, Ledger, Making, Reading, SpoolFiles, StagedIndex
from hotfolder.core.records import Fingerprint, Job, Staged
from hotfolder.core.room import Room, room_for
from hotfolder.restart import recorded_operations
from hotfolder.threads import Threads
from hotfolder.trees import look_as

log = structlog.get_logger()

_LONGEST_AWAY = 7 * 86_400.0  # seconds that a staged file waits for the volume of its original


class Spool:
    """What is staged, and the room for more. Owned by the event loop.

    `wall`: seconds since the epoch. `index_threads` has one thread: the index has one owner.
    """

    def __init__(
        self,
        files: SpoolFiles,
        index: StagedIndex,
        *,
        threads: Threads,
        index_threads: Threads,
        wall: Callable[[], float],
    ) -> None:
        self._files, self._index = files, index
        self._threads, self._index_threads = threads, index_threads
        self._wall = wall
        self._staged: dict[tuple[str, str], Staged] = {}
        #: Flights that hold bytes of the spool -> how many they were granted and have not written yet.
        self._claims: dict[str, int] = {}
        self._turn = asyncio.Lock()
        self._freed = asyncio.Event()

    async def recover(self, journal: Journal, ledger: Ledger) -> None:
        """Take up what a former run staged, and clear what is of no more use. Raises `LocalError`.

        Before the recorder recovers: what is decided is not sent again, and what it is about to move
        to completed/ stays.
        """
        rows = await self._index_threads.run(journal.rows)
        decided = {row.operation_id for row in rows}
        kept = {row.operation_id for row in rows if row.keeps_packed}
        noted = await self._index_threads.run(self._index.all)
        useful = [staged for staged in noted if staged.operation_id not in decided]
        useful = await self._threads.run(self._still_there, useful)
        asked = {staged.operation_id for staged in useful}
        done = await self._threads.run(recorded_operations, ledger, asked) if asked else frozenset()
        self._staged = {
            (staged.root, staged.relpath): staged for staged in useful if staged.operation_id not in done
        }
        taken = {staged.operation_id for staged in self._staged.values()}
        useless = {staged.operation_id for staged in noted} - taken
        await self._index_threads.run(self._index.forget, useless)
        there = await self._threads.run(self._files.operation_ids)
        await self._threads.run(self._files.discard, there - taken - kept)
        if there:
            log.info("spool.taken_up", files=len(taken), cleared=len(there - taken - kept))

    def _still_there(self, rows: list[Staged]) -> list[Staged]:
        """Those whose file is whole and whose original still is as it was, as far as can be told."""
        return [row for row in rows if self._is_whole(row) and self._has_its_original(row)]

    def _is_whole(self, row: Staged) -> bool:
        reading = self._files.open(row.operation_id, row.digests.packed_size)
        if reading is not None:
            reading.close()
        return reading is not None

    def _has_its_original(self, row: Staged) -> bool:
        try:
            seen = look_as(row.root, row.relpath, row.fingerprint)
            away = seen is None and device_of(row.root) != row.fingerprint.device
        except LocalError:  # it cannot be told now: as if its volume were away
            seen, away = None, True
        # Its volume may come back; but numbers of devices change, and nothing is kept for ever.
        return self._wall() - row.made_at < _LONGEST_AWAY if away else _is_same(row.fingerprint, seen)

    def remembered(self, root: str, relpath: str, fingerprint: Fingerprint) -> Staged | None:
        """What is staged of this very version of a file."""
        staged = self._staged.get((root, relpath))
        return staged if staged is not None and _is_same(staged.fingerprint, fingerprint) else None

    async def find(self, job: Job, recipe: str) -> tuple[Staged, Reading] | None:
        """What is staged for `job` and can be sent; anything else that is staged of it is cleared."""
        staged = self._staged.get((job.root, job.relpath))
        if staged is None:
            return None
        if _is_same(staged.fingerprint, job.fingerprint) and staged.recipe == recipe:
            size = staged.digests.packed_size
            reading = await self._threads.run(self._files.open, staged.operation_id, size)
            if reading is not None:
                self._claims.setdefault(job.operation_id, 0)
                return staged, reading
        await self.discard(job)
        return None

    async def claim(self, job: Job, size: int, on_wait: Callable[[str], None]) -> Room:
        """Get `size` bytes for `job`, first come first served; never `WAIT`.

        Waits as long as another flight may make room; the bytes are the job's until `leave`.
        """
        if self._turn.locked():
            on_wait("queued for disk space")
        async with self._turn:
            while True:
                self._freed.clear()
                disk = await self._threads.run(self._files.disk)
                promised = sum(self._claims.values())
                room = room_for(size, disk, promised=promised, others=bool(self._claims))
                if room is Room.NONE and await self._sweep():
                    continue
                if room is Room.GRANTED:
                    self._claims[job.operation_id] = size
                if room is not Room.WAIT:
                    return room
                on_wait("queued for disk space")
                await self._freed.wait()

    async def _sweep(self) -> bool:
        """Clear what is staged of originals that are gone; whether there was any."""
        idle = [row for row in self._staged.values() if row.operation_id not in self._claims]
        useful = await self._threads.run(self._still_there, idle)
        stale = [row for row in idle if row not in useful]
        for row in stale:
            await self._drop(row)
        return bool(stale)

    async def make(self, job: Job, size: int) -> Making:
        """Begin the file that was granted `size` bytes. Raises `LocalError`."""
        making = await self._threads.run(self._files.make, job.operation_id, size)
        if making.is_reserved:
            self._claims[job.operation_id] = 0
        return making

    def written(self, job: Job, size: int) -> None:
        """So many more bytes of the file that is in the making are on the disk."""
        self._claims[job.operation_id] = max(0, self._claims[job.operation_id] - size)

    async def note(self, staged: Staged) -> Reading | None:
        """A file was made: from now on it is used again. Returns it, open."""
        self._claims[staged.operation_id] = 0
        await self._index_threads.run(self._index.note, staged)
        self._staged[staged.root, staged.relpath] = staged
        size = staged.digests.packed_size
        return await self._threads.run(self._files.open, staged.operation_id, size)

    async def discard(self, job: Job) -> None:
        """Clear what is staged of the job's file. Raises `LocalError`."""
        staged = self._staged.get((job.root, job.relpath))
        if staged is not None:
            await self._drop(staged)

    async def _drop(self, staged: Staged) -> None:
        if self._staged.get((staged.root, staged.relpath)) is staged:
            del self._staged[staged.root, staged.relpath]
        await self._index_threads.run(self._index.forget, [staged.operation_id])
        await self._threads.run(self._files.discard, [staged.operation_id])

    async def leave(self, job: Job, *, over: bool) -> None:
        """The flight is over; what it staged stays for the next try unless its operation is `over`."""
        try:
            if over:
                await self.discard(job)
        except LocalError as error:
            log.warning("spool.not_cleared", file=job.path, reason=error.sentence)  # the start does it
        finally:
            if self._claims.pop(job.operation_id, None) is not None:
                self._freed.set()

    def place(self, staged: Staged) -> str:
        """The path of a staged file."""
        return self._files.place(staged.operation_id)


def _is_same(then: Fingerprint, now: Fingerprint | None) -> bool:
    """Whether a file still is as it was; a device's number may be another after every mount."""
    return now is not None and replace(then, device=now.device) == now
