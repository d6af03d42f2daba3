"""What follows an error, as a value. Pure: the clock and the dice are arguments.

Seconds of trouble are ridden out inside the store adapter. What arrives here is decided for minutes
and hours: by deferring the one file, or by holding everything that shares the trouble.
"""

from dataclasses import dataclass

from hotfolder.core.blame import Blame
from hotfolder.core.errors import (
    DestinationError,
    FileRejected,
    HotfolderError,
    LocalError,
    SourceChanged,
)


@dataclass(frozen=True, slots=True)
class Policy:
    """`file_attempts`: tries before a file's own fault quarantines it. Delays in seconds."""

    file_attempts: int = 5
    first_delay: float = 2.0
    longest_delay: float = 3600.0


@dataclass(frozen=True, slots=True)
class Resettle:
    """The original changed or is being written: settle again; no attempt is used up."""

    reason: str


@dataclass(frozen=True, slots=True)
class Deferred:
    """Try this file again at `until` (seconds on the caller's clock) as attempt number `attempt`."""

    until: float
    attempt: int
    reason: str


@dataclass(frozen=True, slots=True)
class Quarantined:
    """The fault is the file's own and final: move it to failed/ with this reason."""

    reason: str


@dataclass(frozen=True, slots=True)
class Hold:
    """Everything that shares the trouble waits; no file uses up an attempt."""

    reason: str


_ITS_OWN = (
    "the store took other files since: look for what is special about this one (a policy on its key, a "
    "proxy or scanner that does not let it pass), and put it back with `hotfolder retry`"
)

Decision = Resettle | Deferred | Quarantined | Hold


def backoff(tries: int, *, first: float, longest: float, jitter: float) -> float:
    """Seconds to wait after `tries` failures (from 1): doubling, capped, times 0.5 to 1.0."""
    return min(longest, first * 2.0 ** min(tries - 1, 32)) * (0.5 + 0.5 * jitter)


def decide(
    error: BaseException,
    attempt: int,
    *,
    now: float,
    policy: Policy,
    jitter: float,
    whose: Blame = Blame.STORE,
) -> Decision:
    """What to do with a file whose delivery raised `error` on attempt number `attempt` (from 1).

    `jitter` in [0, 1]. `whose` fault a `DestinationError` is; without a verdict, no file's.
    An error that is not typed is a defect of ours: it is treated as the file's own, so that it cannot
    stop others.
    """
    reason = error.sentence if isinstance(error, HotfolderError) else f"{type(error).__name__}: {error}"
    match error:
        case SourceChanged():
            return Resettle(reason)
        case DestinationError() if whose is Blame.FILE:
            reason = f"{str(error).rstrip('.')}; {_ITS_OWN}"
        case DestinationError() | LocalError():
            return Hold(reason)
        case FileRejected():
            return Quarantined(reason)
    if attempt >= policy.file_attempts:
        return Quarantined(f"gave up after {attempt} attempts: {reason}")
    wait = backoff(attempt, first=policy.first_delay, longest=policy.longest_delay, jitter=jitter)
    return Deferred(now + wait, attempt + 1, reason)
