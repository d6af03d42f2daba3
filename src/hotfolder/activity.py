"""What is going on right now: counters and files in flight, owned by the event loop.

The one source of the heartbeat, the progress display and the systemd status line. Bytes are bytes
of originals throughout; times are seconds since the epoch except where the word monotonic stands.
"""

import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from itertools import islice
from typing import Any

from hotfolder.core.records import Job

_RATE_WINDOW = 10.0  # seconds over which throughput is averaged


@dataclass(slots=True)
class Totals:
    files: int = 0
    uploaded: int = 0
    skipped: int = 0
    failed: int = 0
    bytes_uploaded: int = 0


@dataclass(slots=True)
class GroupTotals:
    started_at: float
    in_flight: int = 0
    uploaded: int = 0
    skipped: int = 0
    failed: int = 0
    bytes_uploaded: int = 0
    completed_at: float | None = None


@dataclass(slots=True)
class DestinationState:
    """`state`: unknown, ok, or the `core.errors.DestinationTrouble` that holds it."""

    state: str = "unknown"
    since: float = 0.0
    last_error: str | None = None
    next_try: float | None = None


@dataclass(slots=True, eq=False)
class InFlight:
    """One file on its journey (`delivery.Flight`)."""

    job: Job
    started: float
    activity: "Activity"
    now_at: str = "queued"
    bytes_done: int = 0

    def stage(self, name: str) -> None:
        self.now_at = name
        self.activity.progressed()

    def read(self, size: int) -> None:
        # Read a second time (a conflict, a format without a seal), a file still has only its size.
        self.bytes_done = min(self.job.fingerprint.size, self.bytes_done + size)
        self.activity.moved(size)

    def rate(self, now: float) -> float:
        return self.bytes_done / max(now - self.started, 1e-3)


@dataclass(slots=True)
class Waiting:
    """What stands in the inbox and is not in flight: how much, and the oldest with its reason."""

    count: int = 0
    bytes: int = 0
    oldest: str | None = None
    since: float | None = None
    why: str | None = None


_MOST_LEFT = 20  # of what is left in the inboxes; the count is whole


class Activity:
    """`clock` gives seconds since the epoch."""

    def __init__(self, *, version: str, pid: int, host: str, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._version, self._pid, self._host = version, pid, host
        self.started_at = clock()
        self.totals = Totals()
        self.groups: dict[str, GroupTotals] = {}
        self.flights: dict[str, InFlight] = {}
        self.destinations: dict[str, DestinationState] = {}
        self.hold: str | None = None
        self.last_scan: float | None = None
        self.phase = "starting"
        self.last_progress = time.monotonic()
        self._samples: deque[tuple[float, int]] = deque()
        self._bytes_read = 0

    def begin(self, job: Job) -> InFlight:
        now = self._clock()
        group = self.groups.setdefault(job.group, GroupTotals(started_at=now))
        group.in_flight += 1
        group.completed_at = None
        flight = self.flights[job.operation_id] = InFlight(job, now, self)
        return flight

    def end(self, job: Job, status: str | None) -> None:
        """A flight is over: with the ledger's `status`, or None where the file stays for later."""
        del self.flights[job.operation_id]
        self.progressed()
        group = self.groups[job.group]
        group.in_flight -= 1
        if status is None:
            return
        for counted in (self.totals, group):
            if status == "success":
                counted.uploaded += 1
                counted.bytes_uploaded += job.fingerprint.size
            elif status == "skipped":
                counted.skipped += 1
            else:
                counted.failed += 1
        if not group.in_flight:
            group.completed_at = self._clock()

    def progressed(self) -> None:
        self.last_progress = time.monotonic()

    def now(self) -> float:
        """Seconds since the epoch."""
        return self._clock()

    def idle_seconds(self) -> float:
        """Seconds since any file in flight moved on."""
        return time.monotonic() - self.last_progress

    def moved(self, size: int) -> None:
        self._bytes_read += size
        self.progressed()

    def set_destination(
        self, name: str, state: str, *, error: str | None = None, next_try: float | None = None
    ) -> None:
        """What is known of the destination `name`, its bucket."""
        known = self.destinations.setdefault(name, DestinationState(since=self.started_at))
        if state != known.state:
            known.state, known.since = state, self._clock()
        known.last_error = error
        known.next_try = next_try

    @property
    def destination(self) -> DestinationState:
        """The first that is in trouble, else the first."""
        known = list(self.destinations.values())
        troubled = (state for state in known if state.last_error is not None)
        return next(troubled, known[0] if known else DestinationState(since=self.started_at))

    def bytes_per_second(self) -> float:
        now = time.monotonic()
        self._samples.append((now, self._bytes_read))
        while now - self._samples[0][0] > _RATE_WINDOW and len(self._samples) > 2:
            self._samples.popleft()
        (then, before), (now, after) = self._samples[0], self._samples[-1]
        return (after - before) / (now - then) if now > then else 0.0

    def snapshot(
        self, waiting: Waiting, waiting_groups: Mapping[str, int], left: Mapping[str, str]
    ) -> dict[str, Any]:
        """The heartbeat's content (DESIGN 3.5).

        `waiting_groups`: how many files of each group wait. `left`: path -> why it stays for good.
        """
        now = self._clock()
        flights = sorted(self.flights.values(), key=lambda flight: flight.started)
        oldest = flights[0] if flights else None
        rate = self.bytes_per_second()
        to_do = waiting.bytes + sum(f.job.fingerprint.size - f.bytes_done for f in flights)
        totals = asdict(self.totals)
        totals["files"] = (
            self.totals.uploaded
            + self.totals.skipped
            + self.totals.failed
            + len(flights)
            + waiting.count
        )
        return {
            "schema": 1,
            "version": self._version,
            "pid": self._pid,
            "host": self._host,
            "started_at": self.started_at,
            "phase": self.phase,
            "current_group": oldest.job.group if oldest else None,
            "current_file": oldest.job.path if oldest else None,
            "current_file_bytes": oldest.bytes_done if oldest else 0,
            "current_file_size": oldest.job.fingerprint.size if oldest else 0,
            "totals": totals,
            "groups": self._groups(waiting_groups),
            "active": [_active(flight, now) for flight in flights],
            "waiting": asdict(waiting),
            "left": {
                "count": len(left),
                "first": [{"path": path, "why": why} for path, why in islice(left.items(), _MOST_LEFT)],
            },
            "destination": asdict(self.destination),
            "destinations": {name: asdict(state) for name, state in self.destinations.items()},
            "hold": self.hold,
            "last_scan": self.last_scan,
            "bytes_per_second": round(rate, 1),
            "eta_seconds": round(to_do / rate, 1) if flights and rate > 0 else None,
            "last_update": now,
        }

    def _groups(self, waiting: Mapping[str, int]) -> dict[str, dict[str, Any]]:
        """Counters of every group that has or had files; `planned_files` is what is known of today."""
        now = self._clock()
        told: dict[str, dict[str, Any]] = {}
        for name in dict.fromkeys([*self.groups, *waiting]):
            group = self.groups.get(name) or GroupTotals(started_at=now)
            fields = asdict(group)
            done = group.uploaded + group.skipped + group.failed
            to_come = fields.pop("in_flight") + waiting.get(name, 0)
            fields["planned_files"] = done + to_come
            fields["completed_at"] = None if to_come else group.completed_at
            told[name] = fields
        return told


def _active(flight: InFlight, now: float) -> dict[str, Any]:
    size = flight.job.fingerprint.size
    rate = flight.rate(now)
    return {
        "operation_id": flight.job.operation_id,
        "path": flight.job.path,
        "group": flight.job.group,
        "stage": flight.now_at,
        "attempt": flight.job.attempt,
        "bytes": flight.bytes_done,
        "size": size,
        "bytes_per_second": round(rate, 1),
        "eta_seconds": round((size - flight.bytes_done) / rate, 1) if rate > 0 else None,
        "started_at": flight.started,
    }
