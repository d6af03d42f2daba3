"""Jobs that wait for their turn, in order, and what they add up to.

The heartbeat asks for the sums every two seconds, also through an outage of days with a full window.
"""

from collections import Counter, OrderedDict
from collections.abc import Iterator

from hotfolder.core.records import Job


class Queued:
    """By path. `bytes`: their sizes together; `groups`: how many there are of each group."""

    def __init__(self) -> None:
        self._jobs: OrderedDict[str, Job] = OrderedDict()
        self.bytes = 0
        self.groups: Counter[str] = Counter()

    def add(self, job: Job) -> None:
        """To the back; in place of another version of the same path."""
        self.drop(job.relpath)
        self._jobs[job.relpath] = job
        self.bytes += job.fingerprint.size
        self.groups[job.group] += 1

    def drop(self, relpath: str) -> Job | None:
        """Take it out, if it is there."""
        job = self._jobs.pop(relpath, None)
        if job is not None:
            self.bytes -= job.fingerprint.size
            self.groups[job.group] -= 1
            if not self.groups[job.group]:
                del self.groups[job.group]
        return job

    def get(self, relpath: str) -> Job | None:
        return self._jobs.get(relpath)

    def first(self) -> Job:
        return next(iter(self._jobs.values()))

    def jobs(self) -> Iterator[Job]:
        return iter(self._jobs.values())

    def __contains__(self, relpath: object) -> bool:
        return relpath in self._jobs

    def __iter__(self) -> Iterator[str]:
        return iter(self._jobs)

    def __len__(self) -> int:
        return len(self._jobs)
