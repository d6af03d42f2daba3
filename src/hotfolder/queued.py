"""Jobs that wait for their turn, in order, and what they add up to.

The heartbeat asks for the sums every two seconds, also through an outage of days with a full window.
"""

from collections import Counter, OrderedDict
from collections.abc import Container, Iterator

from hotfolder.core.order import JobRow, Order, lane_of, row_of
from hotfolder.core.records import Job


class Queued:
    """By path. `bytes`: their sizes together; `groups`: how many there are of each group."""

    def __init__(self, order: Order = Order.FAIR) -> None:
        self._jobs: OrderedDict[str, Job] = OrderedDict()  # as they came
        self._row: JobRow = row_of(order)
        self.bytes = 0
        self.groups: Counter[str] = Counter()

    def add(self, job: Job, *, turns: int = 0) -> None:
        """To the back of those that had as many `turns`; in place of another version of its path."""
        self.drop(job.relpath)
        self._jobs[job.relpath] = job
        self._row.add(job, turns=turns)
        self.bytes += job.fingerprint.size
        self.groups[job.group] += 1

    def drop(self, relpath: str) -> Job | None:
        """Take it out, if it is there."""
        job = self._jobs.pop(relpath, None)
        if job is not None:
            self._row.drop(job)
            self.bytes -= job.fingerprint.size
            self.groups[job.group] -= 1
            if not self.groups[job.group]:
                del self.groups[job.group]
        return job

    def take(self, relpath: str) -> None:
        """Take it out, as it has its turn."""
        job = self._jobs.get(relpath)
        if job is not None:
            self._row.took(job)
            self.drop(relpath)

    def next(self, *, closed: Container[int] = (), barred: Container[str] = ()) -> Job | None:
        """Whose turn it is, of those that are not `barred`, nor in lanes that are `closed`."""
        job = self._row.first(closed) if self._jobs else None
        if job is None or job.relpath not in barred:
            return job
        # It is for the moment in which somebody calls one off.
        may = (
            job
            for job in self._jobs.values()
            if job.relpath not in barred and lane_of(job.fingerprint.size) not in closed
        )
        return next(may, None)

    def get(self, relpath: str) -> Job | None:
        return self._jobs.get(relpath)

    def oldest(self) -> Job | None:
        """The one that came first."""
        return next(iter(self._jobs.values()), None)

    def jobs(self) -> Iterator[Job]:
        """As they came."""
        return iter(self._jobs.values())

    def __contains__(self, relpath: object) -> bool:
        return relpath in self._jobs

    def __iter__(self) -> Iterator[str]:
        return iter(self._jobs)

    def __len__(self) -> int:
        return len(self._jobs)
