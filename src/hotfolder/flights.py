"""The files of one folder that are on their way, each carried by a task of its own."""

import asyncio
from collections.abc import Coroutine, Iterator
from typing import Any

from hotfolder.core.order import LANES, lane_of
from hotfolder.core.records import Job
from hotfolder.core.values import value
from hotfolder.courier import Ended, NotNow
from hotfolder.gate import Passage


@value(frozen=True, slots=True)
class Flight:
    job: Job
    task: "asyncio.Task[Ended | NotNow]"
    passage: Passage


class Flights:
    """By path. Owned by the event loop. `lanes`: how many there are of each lane (`core.order`)."""

    def __init__(self) -> None:
        self.lanes = [0] * LANES
        self._flying: dict[str, Flight] = {}

    def begin(self, job: Job, passage: Passage, carrying: Coroutine[Any, Any, Ended | NotNow]) -> None:
        self._flying[job.relpath] = Flight(job, asyncio.create_task(carrying), passage)
        self.lanes[lane_of(job.fingerprint.size)] += 1

    def end(self, relpath: str) -> None:
        """It is not on its way any more, if it was."""
        flight = self._flying.pop(relpath, None)
        if flight is not None:
            self.lanes[lane_of(flight.job.fingerprint.size)] -= 1

    async def cut(self, flight: Flight) -> bool:
        """Cancel a flight; False where it got to its end all the same."""
        flight.task.cancel()
        await asyncio.wait({flight.task})
        self.end(flight.job.relpath)  # one that was cut off before it began
        flight.passage.leave()
        return flight.task.cancelled() or not isinstance(flight.task.result(), Ended)

    async def land(self, grace: float, hurry: asyncio.Event) -> None:
        """Let them end within `grace` seconds (or until `hurry`), then interrupt the rest."""
        flights = {flight.task for flight in self._flying.values()}
        if not flights:
            return
        hurried = asyncio.create_task(hurry.wait())
        landed = asyncio.create_task(asyncio.wait(flights))
        await asyncio.wait({hurried, landed}, timeout=grace, return_when=asyncio.FIRST_COMPLETED)
        for task in (*flights, hurried, landed):
            task.cancel()
        await asyncio.gather(*flights, hurried, landed, return_exceptions=True)

    def get(self, relpath: str) -> Flight | None:
        return self._flying.get(relpath)

    def jobs(self) -> Iterator[Job]:
        return (flight.job for flight in self._flying.values())

    def __contains__(self, relpath: object) -> bool:
        return relpath in self._flying

    def __iter__(self) -> Iterator[str]:
        return iter(self._flying)

    def __len__(self) -> int:
        return len(self._flying)
