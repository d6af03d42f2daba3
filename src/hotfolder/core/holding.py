"""How long a hold waits between two tries, and with how many files it comes back. Pure.

A hold must end soon after its cause does, and must not hurt a store that is in trouble: so the wait
grows with the time that is lost already, up to what one small request costs nobody.
"""

from dataclasses import dataclass, replace

from hotfolder.core.errors import DestinationTrouble

FIRST_FILES = 4  # at once, before a store has taken anything
MOST_ASKED_FOR = 300.0  # seconds of a Retry-After that are believed


@dataclass(frozen=True, slots=True)
class Cadence:
    """Seconds between two tries: `first`, then `share` of what the hold has lasted, up to `longest`."""

    first: float
    longest: float
    share: float = 0.2


#: What nobody can be hurt by is asked often; what a person has to mend, or what asks for rest, less so.
CADENCES = {
    DestinationTrouble.UNREACHABLE: Cadence(1.0, 8.0),
    DestinationTrouble.DENIED: Cadence(1.0, 30.0),
    DestinationTrouble.NO_BUCKET: Cadence(1.0, 30.0),
    DestinationTrouble.EXPIRED: Cadence(1.0, 30.0),
    DestinationTrouble.THROTTLED: Cadence(2.0, 60.0, share=1.0),
}
#: Of a folder that this machine refuses.
LOCAL_CADENCE = Cadence(1.0, 15.0)


def wait_of(pace: Cadence, lasted: float, *, jitter: float, asked_for: float | None = None) -> float:
    """Seconds until the next try of a hold that has `lasted` so long; `jitter` in [0, 1].

    Between half and all of what the pace says. `asked_for`: what the store said itself (Retry-After):
    never less than that, and up to a tenth more, so that many daemons do not come at one moment.
    """
    wait = min(pace.longest, max(pace.first, pace.share * lasted)) * (0.5 + 0.5 * jitter)
    if asked_for is None:
        return wait
    return max(wait, min(asked_for, MOST_ASKED_FOR) * (1.0 + 0.1 * jitter))


@dataclass(frozen=True, slots=True)
class SlowStart:
    """How many files may be on their way to a store: few at first, all once it takes them.

    `window` doubles with each file that the store took, up to `most`; one more may start for each
    second since `since`, so that a few large or stubborn files never keep all others back.

    It bounds what is lost if the store is not back after all. What a store takes at once, once it has
    said that this is less, `core.breadth` finds: by requests, as one file may be hundreds of them.
    """

    most: int
    since: float
    window: float = FIRST_FILES

    def allowed(self, now: float) -> int:
        return min(self.most, int(self.window + (now - self.since)))

    def taken(self) -> "SlowStart":
        """The store took a file."""
        if self.window >= self.most:
            return self
        return replace(self, window=min(self.window * 2.0, float(self.most)))

    def held(self) -> "SlowStart":
        """The store is in trouble: one file is risked next."""
        return replace(self, window=1.0)

    def reopened(self, now: float) -> "SlowStart":
        return replace(self, since=now)
