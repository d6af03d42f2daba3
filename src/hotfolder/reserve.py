"""The room that hotfolder leaves on its disks: below it nothing new starts.

A disk that is filled to its last byte takes journal, ledger and heartbeat down with it, and everybody
else on it. What is on its way goes on: it may need that very room.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import structlog

from hotfolder.core.checkup import as_size
from hotfolder.core.errors import DiskFull
from hotfolder.core.room import Disk, shortage
from hotfolder.threads import Threads

log = structlog.get_logger()

_INTERVAL = 2.0  # seconds between two looks
_FIRST_LOOK = 5.0  # seconds that a start waits for it


@dataclass(frozen=True, slots=True)
class WrittenFolder:
    """A folder whose file system is written to, and the watched folders that do it.

    `inbox`: it counts only if that is on another file system, as a rename takes no room.
    """

    path: str
    folders: frozenset[str]
    inbox: str = ""


@dataclass(slots=True)
class _Short:
    error: DiskFull
    since: float


class Reserve:
    """Looks at the disks beside the pipeline. Owned by the event loop.

    `measure` blocks, and gives None where a place needs no room or cannot be measured (the one that
    writes there says why). `clock` is monotonic seconds.
    """

    def __init__(
        self,
        places: Sequence[WrittenFolder],
        *,
        reserve: int | None,
        measure: Callable[[WrittenFolder], Disk | None],
        threads: Threads,
        clock: Callable[[], float],
    ) -> None:
        """`reserve` in bytes; 0: there is none. None: as `shortage` finds sensible."""
        self._places = () if reserve == 0 else places
        self._reserve, self._measure = reserve, measure
        self._threads, self._clock = threads, clock
        self._short: dict[WrittenFolder, _Short] = {}
        self._looking: asyncio.Task[None] | None = None
        self._next = 0.0

    def refusal(self, folder: str) -> DiskFull | None:
        """Why nothing new of this folder may start, or None."""
        short = (short for place, short in self._short.items() if folder in place.folders)
        return next((each.error for each in short), None)

    async def begin(self) -> None:
        """Look before anything starts. A disk that hangs does not keep the others from starting."""
        self.turn()
        if self._looking is not None:
            await asyncio.wait({self._looking}, timeout=_FIRST_LOOK)

    def turn(self) -> None:
        """Begin to look if it is time. A disk that hangs keeps that look, and nobody else."""
        if self._looking is not None and self._looking.done():
            self._looking.result()
            self._looking = None
        if self._looking is None and self._places and self._clock() >= self._next:
            self._next = self._clock() + _INTERVAL
            self._looking = asyncio.create_task(self.look())

    async def look(self) -> None:
        """Measure every place."""
        for place in self._places:
            disk = await self._threads.run(self._measure, place)
            if disk is not None:
                self._judge(place, disk)
            else:
                self._short.pop(place, None)

    def stop(self) -> None:
        if self._looking is not None:
            self._looking.cancel()

    def _judge(self, place: WrittenFolder, disk: Disk) -> None:
        short = self._short.get(place)
        needed = shortage(disk, self._reserve, was_short=short is not None)
        if needed is None:
            if short is not None:
                del self._short[place]
                lasted = round(self._clock() - short.since, 1)
                log.info("disk.roomy", path=place.path, free=disk.free, lasted=lasted)
            return
        error = DiskFull(
            f"the disk of {place.path} has {as_size(disk.free)} left, "
            f"and nothing new starts below {as_size(needed)}",
            hint="free space there, or lower transfer.reserve",
        )
        if short is not None:
            short.error = error
            return
        self._short[place] = _Short(error, self._clock())
        log.warning(
            "disk.low", path=place.path, free=disk.free, needed=needed, folders=sorted(place.folders)
        )
