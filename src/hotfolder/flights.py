"""The files of one folder that are on their way, each carried by a task of its own."""

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

from hotfolder.core.order import LANES, lane_of
from hotfolder.core.records import Job
from hotfolder.core.values import value
from hotfolder.courier import Ended, NotNow
from hotfolder.gate import Passage

_LOOK = 0.2  # seconds after which it is looked again who is shut out


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
        self._interrupted = set["asyncio.Task[Ended | NotNow]"]()

    def begin(self, job: Job, passage: Passage, carrying: Coroutine[Any, Any, Ended | NotNow]) -> None:
        self._flying[job.relpath] = Flight(job, asyncio.create_task(carrying), passage)
        self.lanes[lane_of(job.fingerprint.size)] += 1

    def end(self, relpath: str) -> None:
        """It is not on its way any more, if it was."""
        flight = self._flying.pop(relpath, None)
        if flight is not None:
            self._interrupted.discard(flight.task)
            self.lanes[lane_of(flight.job.fingerprint.size)] -= 1

    async def cut(self, flight: Flight) -> bool:
        """Cancel a flight; False where it got to its end all the same."""
        self._interrupt(flight)
        await asyncio.wait({flight.task})
        self.end(flight.job.relpath)  # one that was cut off before it began
        flight.passage.leave()
        return flight.task.cancelled() or not isinstance(flight.task.result(), Ended)

    async def land(self, grace: float, hurry: asyncio.Event, is_shut_out: Callable[[str], bool]) -> None:
        """Let them end within `grace` seconds (or until `hurry`), then interrupt the rest.

        Those that are shut out (a path's file can send nothing now) are not waited for.
        """
        flights = list(self._flying.values())
        if not flights:
            return
        loop = asyncio.get_running_loop()
        until = loop.time() + grace
        hurried = loop.create_task(hurry.wait())
        landed = loop.create_task(asyncio.wait({flight.task for flight in flights}))
        while not (hurried.done() or landed.done()) and (left := until - loop.time()) > 0:
            for flight in flights:
                if is_shut_out(flight.job.path):
                    self._interrupt(flight)
            await asyncio.wait(
                {hurried, landed}, timeout=min(left, _LOOK), return_when=asyncio.FIRST_COMPLETED
            )
        for flight in flights:
            self._interrupt(flight)
        hurried.cancel()
        landed.cancel()
        ending = (*(flight.task for flight in flights), hurried, landed)
        await asyncio.gather(*ending, return_exceptions=True)

    def _interrupt(self, flight: Flight) -> None:
        """Each once: a second time would interrupt how it winds up."""
        if flight.task not in self._interrupted:
            self._interrupted.add(flight.task)
            flight.task.cancel()

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
