"""What is going on right now: counters and files in flight, owned by the event loop.

The one source of the heartbeat, the progress display and the systemd status line. Bytes are bytes
of originals throughout; times are seconds since the epoch except where the word monotonic stands.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from itertools import islice
from typing import Any

from hotfolder.core.bandwidth import Limit
from hotfolder.core.pace import Pace, seconds_left
from hotfolder.core.records import Job
from hotfolder.core.watching import Report
from hotfolder.group_totals import Groups


@dataclass(slots=True)
class Totals:
    files: int = 0
    uploaded: int = 0
    skipped: int = 0
    failed: int = 0
    bytes_uploaded: int = 0


@dataclass(slots=True)
class DestinationState:
    """`state`: unknown, ok, or the `core.errors.DestinationTrouble` that holds it.

    `last_error` is what happened, `hint` what to do about it.
    """

    state: str = "unknown"
    since: float = 0.0
    last_error: str | None = None
    hint: str | None = None
    next_try: float | None = None


_DECIDING = frozenset({"recording", "giving up"})  # stages in which the end is made durable


@dataclass(slots=True, eq=False)
class InFlight:
    """One file on its journey (`delivery.Flight`)."""

    job: Job
    started: float
    activity: "Activity"
    pace: Pace
    on_decided: Callable[[str], None]
    now_at: str = "queued"
    bytes_done: int = 0
    is_decided: bool = False

    def stage(self, name: str) -> None:
        if self.now_at == "staging":
            self.bytes_done = 0  # what was packed into the spool is on its way only from here on
        self.now_at = name
        if name in _DECIDING and not self.is_decided:
            self.is_decided = True
            self.on_decided(name)
        self.activity.last_progress = time.monotonic()

    def read(self, size: int) -> None:
        # Read a second time (a conflict, a format without a seal), a file still has only its size.
        self.bytes_done = min(self.job.fingerprint.size, self.bytes_done + size)
        self.pace.add(size, time.monotonic())
        self.activity.moved(size)

    def as_beat(self) -> dict[str, Any]:
        """This file as the heartbeat tells of it."""
        size, rate = self.job.fingerprint.size, self.pace.rate(time.monotonic())
        left = seconds_left(size - self.bytes_done, rate)
        return {
            "operation_id": self.job.operation_id,
            "path": self.job.path,
            "group": self.job.group,
            "stage": self.now_at,
            "attempt": self.job.attempt,
            "bytes": self.bytes_done,
            "size": size,
            "bytes_per_second": round(rate, 1),
            "eta_seconds": None if left is None else round(left, 1),
            "started_at": self.started,
        }


@dataclass(slots=True)
class Waiting:
    """What stands in the inbox and is not in flight: how much, and the oldest with its reason."""

    count: int = 0
    bytes: int = 0
    oldest: str | None = None
    since: float | None = None
    why: str | None = None


@dataclass(frozen=True, slots=True)
class PutOff:
    """Why a file failed and when it is tried again; `until` in seconds since the epoch."""

    path: str
    why: str
    attempt: int
    until: float


@dataclass(frozen=True, slots=True)
class Paused:
    """Nothing new is started; `since` in seconds since the epoch, `by` the user who asked for it."""

    since: float
    by: str


@dataclass(frozen=True, slots=True)
class Stuck:
    """Work that blocks for too long: `about` what, `at` in which threads, `since` when (epoch)."""

    about: str
    at: str
    since: float


_MOST_LEFT = 20  # of what is left in the inboxes, and of what is put off; the counts are whole
_MOST_PUT_OFF = 1_000  # files whose reason is remembered


class Activity:
    """`clock` gives seconds since the epoch."""

    def __init__(self, *, version: str, pid: int, host: str, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._version, self._pid, self._host = version, pid, host
        self.started_at = clock()
        self.totals = Totals()
        self._groups = Groups(clock)
        self.flights: dict[str, InFlight] = {}
        self.destinations: dict[str, DestinationState] = {}
        self.hold: str | None = None
        self.paused: Paused | None = None
        self.stuck: list[Stuck] = []
        self.last_scan: float | None = None
        self.watching: dict[str, Report] = {}  # folder -> how it is watched
        self.limit = Limit()  # of the line
        self.kept = 0  # delivered files that stay in their inboxes
        self.phase = "starting"
        self.last_progress = time.monotonic()
        self._pace = Pace(self.last_progress)
        self._idle_since = (
            self.last_progress
        )  # when the last flight ended; what a probe moves is no file's
        self._put_off: dict[str, PutOff] = {}

    def reloaded(self) -> None:
        """Forget what a new configuration may not have: destinations, and files that were put off."""
        self.destinations, self._put_off = {}, {}

    def begin(self, job: Job, on_decided: Callable[[str], None] = lambda _: None) -> InFlight:
        """A file takes off; `on_decided` is told, once, the stage in which its end is made durable."""
        now, moment = self._clock(), time.monotonic()
        if not self.flights:
            self._pace.resume(moment, idle_since=self._idle_since)
        if self._put_off:
            self._put_off.pop(job.path, None)
        self._groups.begin(job.group)
        flight = self.flights[job.operation_id] = InFlight(job, now, self, Pace(moment), on_decided)
        return flight

    def end(self, job: Job, status: str | None) -> None:
        """A flight is over: with the ledger's `status`, or None where the file stays for later."""
        del self.flights[job.operation_id]
        self.progressed()
        self._idle_since = self.last_progress
        group = self._groups.land(job.group)
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

    def put_off(self, job: Job, why: str, attempt: int, seconds: float) -> None:
        """`job` is tried again, as number `attempt`, in `seconds`."""
        now = self._clock()
        if len(self._put_off) >= _MOST_PUT_OFF:
            self._put_off = {path: put for path, put in self._put_off.items() if put.until > now}
        if len(self._put_off) < _MOST_PUT_OFF:
            self._put_off[job.path] = PutOff(job.path, why, attempt, now + seconds)

    def progressed(self) -> None:
        self.last_progress = time.monotonic()

    def idle_seconds(self) -> float:
        """Seconds since any file in flight moved on."""
        return time.monotonic() - self.last_progress

    def now(self) -> float:
        """Seconds since the epoch."""
        return self._clock()

    def moved(self, size: int) -> None:
        self.progressed()
        self._pace.add(size, self.last_progress)

    def set_destination(
        self,
        name: str,
        state: str,
        *,
        error: str | None = None,
        hint: str | None = None,
        next_try: float | None = None,
    ) -> None:
        """What is known of the destination `name`, its bucket."""
        known = self.destinations.setdefault(name, DestinationState(since=self.started_at))
        if state != known.state:
            known.state, known.since = state, self._clock()
        known.last_error, known.hint = error, hint
        known.next_try = next_try

    @property
    def destination(self) -> DestinationState:
        """The first that is in trouble, else the first."""
        known = list(self.destinations.values())
        troubled = (state for state in known if state.last_error is not None)
        return next(troubled, known[0] if known else DestinationState(since=self.started_at))

    def bytes_per_second(self) -> float:
        """Of all files together, over the same window as each file's own rate."""
        return self._pace.rate(time.monotonic())

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
        # Once all is read nobody knows when the store will have taken it, or a folder the original.
        left_over = seconds_left(to_do, rate) if flights and to_do > 0 else None
        put_off = sorted(
            (put for put in self._put_off.values() if put.until > now), key=lambda put: put.until
        )
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
            "groups": self._groups.told(waiting_groups),
            "active": [flight.as_beat() for flight in flights],
            "waiting": asdict(waiting),
            "left": {
                "count": len(left),
                "first": [{"path": path, "why": why} for path, why in islice(left.items(), _MOST_LEFT)],
            },
            "kept": self.kept,
            "put_off": {
                "count": len(put_off),
                "first": [asdict(put) for put in put_off[:_MOST_LEFT]],
            },
            "destination": asdict(self.destination),
            "destinations": {name: asdict(state) for name, state in self.destinations.items()},
            "hold": self.hold,
            "paused": None if self.paused is None else asdict(self.paused),
            "stuck": [asdict(each) for each in self.stuck[:_MOST_LEFT]],
            "last_scan": self.last_scan,
            "watching": {name: asdict(report) for name, report in self.watching.items()},
            "bandwidth": {"limit": self.limit.rate, "until": self.limit.until},
            "bytes_per_second": round(rate, 1),
            "eta_seconds": None if left_over is None else round(left_over, 1),
            "last_update": now,
        }
