"""What an operator asks of one folder: stop this delivery, try that file now."""

from collections.abc import Callable
from typing import Any

from hotfolder.backlog import Backlog
from hotfolder.calling_off import CallOffs
from hotfolder.core.records import CalledOff, Fingerprint, Job
from hotfolder.courier import Courier
from hotfolder.finding import Finder
from hotfolder.flights import Flights
from hotfolder.threads import Threads


class Asked:
    """Carries it out on the files of the folder `name`. Owned by the event loop.

    `make_job` makes the job of a file that has none yet.
    """

    def __init__(
        self,
        name: str,
        inbox: str,
        *,
        courier: Courier,
        threads: Threads,
        flights: Flights,
        backlog: Backlog,
        finder: Finder,
        called_off: CallOffs,
        make_job: Callable[[str, Fingerprint], Job],
        new_operation_id: Callable[[], str],
        wake: Callable[[], None],
    ) -> None:
        self._name, self._inbox = name, inbox
        self._courier, self._threads = courier, threads
        self._flights, self._backlog, self._finder = flights, backlog, finder
        self._called_off = called_off
        self._make_job, self._new_operation_id, self._wake = make_job, new_operation_id, wake
        self._reviewed: float | None = None  # the walk after which these were last looked at

    def jobs(self) -> list[Job]:
        """Every file that is in flight, queued or put off."""
        return [*self._flights.jobs(), *self._backlog.jobs()]

    def try_now(self, relpath: str) -> bool:
        """End the waiting of a file that was put off, or called off; False if it is neither."""
        if relpath in self._called_off:
            self._called_off.end(relpath)
            self._finder.hint(relpath)
        elif not self._backlog.wake_now(relpath):
            return False
        self._wake()
        return True

    async def call_off(self, relpath: str, why: str) -> dict[str, Any] | None:
        """Stop one delivery: the file stays until it changes, or `try_now`; returns its ledger line.

        None if that comes too late, because its end is decided, or if there is no such file.
        """
        job = await self._job_of(relpath)
        if job is None or relpath in self._called_off or self._courier.is_decided(job):
            return None
        # From here on nobody takes it up, whatever is heard of it; the note comes before the ledger's
        # line, so that no line says "cancelled" of a file that the next start delivers.
        await self._called_off.add(CalledOff(self._name, relpath, job.fingerprint, why))
        if not await self._interrupt(relpath):
            self._called_off.end(relpath)
            return None
        self._backlog.drop(relpath)
        self._backlog.absolve(relpath)
        self._finder.forget(relpath)
        return await self._courier.call_off(job, why, self._new_operation_id())

    async def review(self) -> None:
        """After each walk, look whether what was called off is gone or changed: no hint may tell."""
        await self._called_off.settle()
        walked = self._finder.walks.last_walk
        if self._reviewed == walked or not self._called_off:
            return
        for relpath in await self._called_off.end_changed(self._inbox):
            self._finder.hint(relpath)
        self._reviewed = walked  # not where that failed: then it is done in the next turn

    async def _job_of(self, relpath: str) -> Job | None:
        """The job of a file, made now where it has none yet; None where there is no such file."""
        flight = self._flights.get(relpath)
        job = flight.job if flight is not None else self._backlog.get(relpath)
        if job is None:
            seen = await self._finder.seen(relpath)
            job = self._make_job(relpath, seen) if seen is not None else None
        return job

    async def _interrupt(self, relpath: str) -> bool:
        """Cut a flight off, if there is one; False if its end is decided, or it got there."""
        flight = self._flights.get(relpath)
        if flight is None:
            return True
        return not self._courier.is_decided(flight.job) and await self._flights.cut(flight)
