"""The files of one folder that are whole and wait: for their turn, or for another try."""

import math
from collections import Counter
from collections.abc import Callable, Collection, Container, Iterator
from dataclasses import replace

from hotfolder.core.records import Job
from hotfolder.core.retry import Deferred
from hotfolder.gate import Gate
from hotfolder.queued import Queued


class Backlog:
    """By path. `gate` tells what became of other files; `clock` is monotonic seconds."""

    def __init__(self, gate: Gate, clock: Callable[[], float]) -> None:
        self._gate, self._clock = gate, clock
        self._ready, self._put_off = Queued(), Queued()
        self._until: dict[str, Deferred] = {}  # of those that are put off
        self._refused: dict[str, float] = {}  # path -> when the store first refused it

    # -- what waits ------------------------------------------------------------------------------

    def add(self, job: Job) -> None:
        """It may start: to the back."""
        self._ready.add(job)

    def put_off(self, job: Job, until: Deferred) -> None:
        self._put_off.add(job)
        self._until[job.relpath] = until

    def wake(self) -> None:
        """Whose time has come may start."""
        now = self._clock()
        for relpath in [relpath for relpath, put_off in self._until.items() if put_off.until <= now]:
            job, put_off = self._put_off.drop(relpath), self._until.pop(relpath)
            if job is not None:
                self._ready.add(replace(job, attempt=put_off.attempt))

    def wake_now(self, relpath: str) -> bool:
        """End the waiting of a file that was put off; False if it was not."""
        if relpath not in self._until:
            return False
        self._until[relpath] = replace(self._until[relpath], until=self._clock())
        return True

    def drop(self, relpath: str) -> None:
        """It does not wait any more, if it did."""
        self._ready.drop(relpath)
        self._put_off.drop(relpath)
        self._until.pop(relpath, None)

    def next_wake(self) -> float:
        """The moment at which `wake` finds the next; infinite if none is put off."""
        return min((put_off.until for put_off in self._until.values()), default=math.inf)

    # -- what the store refused ------------------------------------------------------------------

    def refused(self, relpath: str) -> None:
        """The store did not take it. The first time stays: what was its own fault once is so again."""
        self._refused.setdefault(relpath, self._clock())

    def absolve(self, relpath: str) -> None:
        """Another version of it, or none: what was refused is over."""
        self._refused.pop(relpath, None)

    def took_others_since(self, relpath: str) -> bool:
        """Whether the store is well, refused this file before, and took another since."""
        refused_at = self._refused.get(relpath, math.inf)
        return self._gate.is_well() and self._gate.has_taken_since(refused_at)

    def next_to_start(self, flying: Collection[str], barred: Container[str]) -> Job | None:
        """The first in the queue that may start now, beside those that are `flying`.

        One that the store refused before waits until the store took another since, or until there is
        no other to try: so its next refusal says whether the fault is its own or the store's. While
        the store is not known to be well, those that it never refused come first.
        """
        first = ripe = None
        for job in self._ready.jobs():
            if job.relpath in barred:
                continue
            if job.relpath not in self._refused:
                return job
            first = first or job
            if ripe is None and self._gate.has_taken_since(self._refused[job.relpath]):
                ripe = job
                if self._gate.is_well():
                    break
        return first if ripe is None and set(flying) <= self._refused.keys() else ripe

    # -- what is told of it ----------------------------------------------------------------------

    @property
    def bytes(self) -> int:
        return self._ready.bytes + self._put_off.bytes

    @property
    def groups(self) -> Counter[str]:
        """How many there are of each group."""
        return self._ready.groups + self._put_off.groups

    @property
    def ready(self) -> Job | None:
        """The first that may start."""
        return self._ready.first() if self._ready else None

    def oldest_put_off(self) -> tuple[Job, str] | None:
        """The first that was put off, and why."""
        if not self._until:
            return None
        job = self._put_off.first()
        return job, self._until[job.relpath].reason

    def jobs(self) -> Iterator[Job]:
        yield from self._ready.jobs()
        yield from self._put_off.jobs()

    def get(self, relpath: str) -> Job | None:
        return self._ready.get(relpath) or self._put_off.get(relpath)

    def version_put_off(self, relpath: str) -> Job | None:
        """The job of a file that was put off, as it was then."""
        return self._put_off.get(relpath)

    def __contains__(self, relpath: object) -> bool:
        return relpath in self._ready or relpath in self._put_off

    def __len__(self) -> int:
        return len(self._ready) + len(self._put_off)
