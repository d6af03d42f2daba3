"""When a request does not get on any more. Pure: the clock and what the kernel saw are arguments.

A connection can die without a word, and a peer can keep a request alive for ever with a byte a second.
Two rules end both: something has to move within `silence`, and while bytes are owed, at least the
request's share of `speed` has to, in every window of that length. A share, because hundreds of requests
may be on a thin line: together they have to be as fast as that, each alone only its part. And where we
let them send no more than `most`, a part of that will do.
"""

import math
from dataclasses import dataclass, field
from enum import Enum, auto

from hotfolder.core.refusals import Fault

_LOOKS = 10  # at a request, in each `silence`
_SLACK = 4  # times: what a request may lag behind its share of `most`
_BACK = 600.0  # seconds that the thread of a request that was ended gets to come back
_DOCUMENT = 4  # times `silence` for an answer's document: S3 sends blanks for minutes while it completes


class Phase(Enum):
    """What a request's thread is about."""

    QUEUED = auto()  # no thread has it yet
    CONNECTING = auto()
    SENDING = auto()
    WAITING = auto()  # for the whole head of the answer
    READING = auto()  # the answer's document
    STREAMING = auto()  # an object's bytes


@dataclass(frozen=True, slots=True)
class Bounds:
    """What a line may take. `connect` and `silence` in seconds, `speed` in bytes a second (0: any)."""

    connect: float
    silence: float
    speed: float

    @property
    def interval(self) -> float:
        """Seconds between two looks."""
        return self.silence / _LOOKS

    @property
    def longest(self) -> float:
        """Seconds for which a request can show no movement, and not be stuck."""
        return self.connect + 2 * self.silence + _BACK


@dataclass(frozen=True, slots=True)
class Traffic:
    """What the kernel knows of a connection, in bytes of it.

    `moved` was confirmed by the peer or came from it; `queued` is on its way and not confirmed yet.
    """

    moved: int
    queued: int


@dataclass(frozen=True, slots=True)
class Stall:
    """A request that is to be ended, and why."""

    fault: Fault
    detail: str


@dataclass(slots=True)
class _Window:
    begun: float
    moved: int
    sharing: int = 1
    most: float = math.inf


@dataclass(slots=True)
class Progress:
    """One request as it moves; look at it every `bounds.interval` seconds.

    Times are seconds of a monotonic clock. `alive_at`: when something last moved, or began.
    """

    bounds: Bounds
    alive_at: float
    _looked_at: float = field(init=False)
    _awake: float = 0.0  # seconds that we could have looked: a process that stood still proves nothing
    _phase: Phase | None = None
    _since: float = 0.0
    _last_move: float = 0.0
    _moved: int = 0
    _window: _Window = field(default_factory=lambda: _Window(0.0, 0))

    def __post_init__(self) -> None:
        self._looked_at = self.alive_at

    @property
    def moved(self) -> int:
        """Bytes, as of the last look."""
        return self._moved

    def look(
        self,
        phase: Phase,
        traffic: Traffic | None,
        now: float,
        sharing: int,
        most: float = math.inf,
    ) -> Stall | None:
        """Whether the request has to be ended. `sharing`: how many requests are under way.

        `most`: bytes a second that all of them together are allowed.
        """
        self._awake += min(now - self._looked_at, 2 * self.bounds.interval)
        self._looked_at = now
        if phase is Phase.WAITING and traffic is not None and traffic.queued:
            phase = Phase.SENDING  # handed over, and yet not sent
        moved = traffic.moved if traffic is not None else self._moved
        if phase is not self._phase:
            self._phase, self._since = phase, self._awake
            self._move(moved, now)
            self._window = _Window(self._awake, moved, sharing, most)
            return None
        if moved != self._moved:
            self._move(moved, now)
        if phase is Phase.SENDING and traffic is not None and not traffic.queued:
            # The peer has all that it was given: it waits for us.
            self._move(moved, now)
            self._window = _Window(self._awake, moved, sharing, most)
        return self._judge(phase, moved, sharing, most)

    def _move(self, moved: int, now: float) -> None:
        self._moved, self._last_move, self.alive_at = moved, self._awake, now

    def _judge(self, phase: Phase, moved: int, sharing: int, most: float) -> Stall | None:
        silence = self.bounds.silence
        lasts, silent = self._awake - self._since, self._awake - self._last_move
        match phase:
            case Phase.QUEUED:
                return None
            case Phase.CONNECTING:
                most = self.bounds.connect + silence
                return Stall(Fault.NO_CONNECTION, f"within {most:g} s") if lasts >= most else None
            case Phase.WAITING:  # a head that comes byte by byte is no answer either
                return Stall(Fault.TIMEOUT, f"within {silence:g} s") if lasts >= silence else None
            case Phase.READING if lasts >= _DOCUMENT * silence:
                return Stall(Fault.STALLED, f"the answer was not whole after {_rounded(lasts)} s")
        if silent >= silence:
            what = "was taken" if phase is Phase.SENDING else "came"
            return Stall(Fault.STALLED, f"nothing {what} for {silence:g} s")
        return None if phase is Phase.READING else self._too_slow(moved, sharing, most)

    def _too_slow(self, moved: int, sharing: int, most: float) -> Stall | None:
        window = self._window
        window.sharing, window.most = max(window.sharing, sharing), min(window.most, most)
        seconds = self._awake - window.begun
        if seconds < self.bounds.silence:
            return None
        speed = min(self.bounds.speed, window.most / _SLACK)
        if moved - window.moved < seconds * speed / window.sharing:
            return Stall(Fault.STALLED, f"only {moved - window.moved} bytes in {_rounded(seconds)} s")
        self._window = _Window(self._awake, moved, sharing, most)
        return None


def _rounded(seconds: float) -> str:
    return f"{round(seconds, 1):g}"
