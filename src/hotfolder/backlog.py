"""The files of one folder that are whole and wait: for their turn, or for another try."""

import heapq
import math
from collections import Counter
from collections.abc import Callable, Collection, Container, Iterator
from dataclasses import replace

from hotfolder.core.order import Order
from hotfolder.core.records import Job
from hotfolder.core.retry import Deferred
from hotfolder.gate import Gate
from hotfolder.queued import Queued

_LONGEST_WAIT = 60.0  # seconds behind others on their way, which may take hours


class Backlog:
    """By path. `gate` tells what became of other files; `clock` is monotonic seconds.

    With a window full of files that the store refused, each question is answered without a look at
    all of them.
    """

    def __init__(self, gate: Gate, clock: Callable[[], float], *, order: Order = Order.FAIR) -> None:
        self._gate, self._clock = gate, clock
        # What the store never refused; what it did, and took another since; what it did.
        self._fresh, self._ripe, self._unripe = Queued(order), Queued(order), Queued(order)
        self._ready = (self._fresh, self._ripe, self._unripe)
        self._put_off = Queued()
        self._line_of: dict[str, Queued] = {}  # path -> where it waits: the one index of all
        self._until: dict[str, Deferred] = {}  # of those that are put off
        self._wakes: list[tuple[float, str]] = []  # a heap of these moments, and of such as are over
        self._refused: dict[str, float] = {}  # path -> when the store first refused it
        self._ripens: list[tuple[float, str]] = []  # a heap of the moments of `_unripe`
        self._unripe_since = 0.0  # when the first of them came, or one had its turn
        self._turns: dict[str, int] = {}  # how often it came back
        self._came: dict[str, int] = {}  # path -> its place in the order in which they came
        self._count = 0

    # -- what waits ------------------------------------------------------------------------------

    def add(self, job: Job) -> None:
        """It may start, when it is its turn."""
        self._count += 1
        self._came[job.relpath] = self._count
        self._line_up(job)

    def put_back(self, job: Job) -> None:
        """It had its turn and may start again, behind all that had fewer."""
        self._turns[job.relpath] = self._turns.get(job.relpath, 0) + 1
        self.add(job)

    def _line_up(self, job: Job) -> None:
        refused_at = self._refused.get(job.relpath)
        if refused_at is None:
            line = self._fresh
        elif self._gate.has_taken_since(refused_at):
            line = self._ripe
        else:
            line = self._unripe
            if not line:
                self._unripe_since = self._clock()
            heapq.heappush(self._ripens, (refused_at, job.relpath))
        self._put(job, line)

    def _put(self, job: Job, line: Queued) -> None:
        before = self._line_of.get(job.relpath)
        if before is not None:
            before.drop(job.relpath)
        self._line_of[job.relpath] = line
        line.add(job, turns=self._turns.get(job.relpath, 0))

    def put_off(self, job: Job, until: Deferred) -> None:
        self._put(job, self._put_off)
        self._set_wake(job.relpath, until)

    def _set_wake(self, relpath: str, until: Deferred) -> None:
        self._until[relpath] = until
        heapq.heappush(self._wakes, (until.until, relpath))

    def wake(self) -> None:
        """Whose time has come may start."""
        now = self._clock()
        while self.next_wake() <= now:
            _, relpath = heapq.heappop(self._wakes)
            job, put_off = self._put_off.get(relpath), self._until.pop(relpath)
            if job is not None:
                self.add(replace(job, attempt=put_off.attempt))

    def wake_now(self, relpath: str) -> bool:
        """End the waiting of a file that was put off; False if it was not."""
        if relpath not in self._until:
            return False
        self._set_wake(relpath, replace(self._until[relpath], until=self._clock()))
        return True

    def drop(self, relpath: str) -> None:
        """It does not wait any more, if it did."""
        line = self._line_of.pop(relpath, None)
        if line is not None:
            line.drop(relpath)
        self._until.pop(relpath, None)
        self._came.pop(relpath, None)

    def take(self, relpath: str) -> None:
        """It has its turn."""
        line = self._line_of.pop(relpath, None)
        if line is not None:
            line.take(relpath)
        if line is self._unripe:
            self._unripe_since = self._clock()
        self._came.pop(relpath, None)

    def next_wake(self) -> float:
        """The moment at which `wake` finds the next; infinite if none is put off."""
        while self._wakes:
            moment, relpath = self._wakes[0]
            put_off = self._until.get(relpath)
            if put_off is not None and put_off.until == moment:
                return moment
            heapq.heappop(self._wakes)
        return math.inf

    # -- what the store refused ------------------------------------------------------------------

    def refused(self, relpath: str) -> None:
        """The store did not take it. The first time stays: what was its own fault once is so again."""
        self._refused.setdefault(relpath, self._clock())
        self._line_up_again(relpath)

    def absolve(self, relpath: str) -> None:
        """Another version of it, or none: what was refused is over."""
        refused_at = self._refused.pop(relpath, None)
        turns = self._turns.pop(relpath, None)
        if refused_at is not None or turns is not None:
            self._line_up_again(relpath)

    def _line_up_again(self, relpath: str) -> None:
        line = self._line_of.get(relpath)
        job = line.get(relpath) if line is not None and line is not self._put_off else None
        if job is not None:
            self._line_up(job)

    def took_others_since(self, relpath: str) -> bool:
        """Whether the store is well, refused this file before, and took another since."""
        refused_at = self._refused.get(relpath, math.inf)
        return self._gate.is_well() and self._gate.has_taken_since(refused_at)

    def next_to_start(
        self, flying: Collection[str], barred: Container[str], closed: Container[int] = ()
    ) -> Job | None:
        """The first in the queue that may start now, beside those that are `flying`.

        One that the store refused before waits until the store took another since, or until there is
        no other to try: so its next refusal says whether the fault is its own or the store's. As others
        may take hours, one of these is tried beside them each minute. While the store is not known to
        be well, those that it never refused come first. Of the lanes that are `closed` none may.
        """
        self._ripen()
        fresh = self._fresh.next(closed=closed, barred=barred)
        if fresh is not None and not self._gate.is_well():
            return fresh
        ripe = self._ripe.next(closed=closed, barred=barred)
        if fresh is not None and ripe is not None:
            return min(fresh, ripe, key=lambda job: self._came[job.relpath])
        if fresh is not None or ripe is not None:
            return fresh or ripe
        is_overdue = self._clock() - self._unripe_since >= _LONGEST_WAIT
        if is_overdue or set(flying) <= self._refused.keys():
            return self._unripe.next(closed=closed, barred=barred)
        return None

    def _ripen(self) -> None:
        """What waited until the store took another may have its turn."""
        while self._ripens and self._gate.has_taken_since(self._ripens[0][0]):
            _, relpath = heapq.heappop(self._ripens)
            job = self._unripe.get(relpath)
            if job is not None:
                self._line_up(job)

    # -- what is told of it ----------------------------------------------------------------------

    @property
    def bytes(self) -> int:
        return sum(line.bytes for line in (*self._ready, self._put_off))

    @property
    def groups(self) -> Counter[str]:
        """How many there are of each group."""
        return sum((line.groups for line in (*self._ready, self._put_off)), Counter[str]())

    @property
    def ready(self) -> Job | None:
        """Of those that may start, the one that waits longest."""
        oldest = [job for line in self._ready if (job := line.oldest()) is not None]
        return min(oldest, key=lambda job: self._came[job.relpath], default=None)

    def oldest_put_off(self) -> tuple[Job, str] | None:
        """The first that was put off, and why."""
        job = self._put_off.oldest()
        return None if job is None else (job, self._until[job.relpath].reason)

    def reason_put_off(self, relpath: str) -> Deferred | None:
        """Why and until when a file was put off; None if it was not."""
        return self._until.get(relpath)

    def jobs(self) -> Iterator[Job]:
        for line in (*self._ready, self._put_off):
            yield from line.jobs()

    def get(self, relpath: str) -> Job | None:
        line = self._line_of.get(relpath)
        return None if line is None else line.get(relpath)

    def version_put_off(self, relpath: str) -> Job | None:
        """The job of a file that was put off, as it was then."""
        return self._put_off.get(relpath)

    def __contains__(self, relpath: object) -> bool:
        return relpath in self._line_of

    def __len__(self) -> int:
        return len(self._line_of)
