"""What a new `state.db` does not know any more, learnt again from ledger and disk, once.

Before anything of a folder is delivered: else a file that was delivered would be taken for a new one.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice

import structlog

from hotfolder.core.naming import is_aside
from hotfolder.core.ports import Chores, Ledger, Mover
from hotfolder.core.records import PassedOver
from hotfolder.staying import Staying
from hotfolder.threads import Threads
from hotfolder.unrecorded import Unrecorded

log = structlog.get_logger()

_BATCH = 2_000


@dataclass(frozen=True, slots=True)
class CatchUp:
    """One folder's. `chores_threads`: the one thread that owns `chores`.

    `staying` and `unrecorded` are None where originals do not stay, or do not go to completed/.
    """

    folder: str
    chores: Chores
    chores_threads: Threads
    threads: Threads
    ledger: Ledger
    mover: Mover
    hidden: Callable[[], Iterator[str | PassedOver]]  # what stands in the inbox under our own names
    staying: Staying | None
    unrecorded: Unrecorded | None

    async def __call__(self) -> None:
        """Do what is due; a no-op where nothing is. Raises `LocalError`."""
        kept, lost = kept_chore(self.folder), lost_chore(self.folder)
        stays_unknown = self.staying is not None and not await self._state(kept)
        is_lost = await self._state(lost) is False
        if stays_unknown or is_lost:  # nothing is built on what a killed run did not fsync
            await self.threads.run(self.ledger.repair)
        if self.staying is not None and stays_unknown:
            await self.staying.rebuild(self.ledger)
            await self._finish(kept)
        if is_lost:
            await self._put_back()
            if self.unrecorded is None or await self.unrecorded.settle():
                await self._finish(lost)

    async def _put_back(self) -> None:
        """Files that a killed run put aside to remove them: nobody knows any more what was proven."""
        entries = self.hidden()
        while some := await self.threads.run(lambda: list(islice(entries, _BATCH))):
            for relpath in some:
                if isinstance(relpath, str) and is_aside(relpath.rpartition("/")[2]):
                    log.info("recovery.put_back", folder=self.folder, file=relpath)
                    await self.threads.run(self.mover.restore, self.folder, relpath)

    async def _state(self, name: str) -> bool | None:
        return await self.chores_threads.run(self.chores.state, name)

    async def _finish(self, name: str) -> None:
        await self.chores_threads.run(self.chores.finish, name)


def kept_chore(folder: str) -> str:
    """Know again what stays in the inbox: for every folder once."""
    return f"kept {folder}"


def lost_chore(folder: str) -> str:
    """Look for what a lost journal knew: only where `state.db` was made anew beside the folder."""
    return f"unrecorded {folder}"
