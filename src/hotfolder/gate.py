"""The way to the store: open, or held until a probe gets through and a file after it.

A hold is not a failure of any file. While it lasts nothing is started and nothing is retried; one
probe at a time asks whether the store is back. A probe only lists, so its answer is not yet the end:
few files follow it at first, and what was told as one outage ends with the first that is taken.
"""

import asyncio
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import structlog

from hotfolder.activity import Activity
from hotfolder.core.blame import MOST_UNSURE, Blame, Evidence, blame
from hotfolder.core.errors import DestinationError, DestinationTrouble
from hotfolder.core.holding import CADENCES, Cadence, SlowStart, wait_of
from hotfolder.core.ports import ObjectStore

log = structlog.get_logger()

_PATIENCE, _LONG_PATIENCE = 10.0, 60.0  # seconds that a probe may take; the long one now and then
_LONG_EVERY = 4  # probes: a store whose listing is slow is not locked out for ever
_RELAPSE = 300.0  # seconds after a probe got through; what comes later is another outage


@dataclass(slots=True)
class _Outage:
    """From the first sign of trouble until a file is taken. Moments on the gate's clock."""

    since: float
    opened_at: float = math.inf  # when a probe last got through
    probes: int = 0
    probe_failed: bool = False  # since the gate was last closed: probes run into this trouble
    told: set[tuple[DestinationTrouble, str]] = field(default_factory=set)
    told_end: bool = False
    relapsed: bool = False  # its end was told too soon


class Gate:
    """`name` is the bucket's; at most `most` files are on their way through it.

    `clock` is monotonic seconds, `wall` seconds since the epoch, `jitter` gives [0, 1).
    """

    def __init__(
        self,
        store: ObjectStore,
        activity: Activity,
        *,
        name: str,
        clock: Callable[[], float],
        wall: Callable[[], float],
        jitter: Callable[[], float],
        most: int = 256,
        paces: Mapping[DestinationTrouble, Cadence] = CADENCES,
    ) -> None:
        """`store` is asked by the probes; let its own timeouts be short."""
        self._store = store
        self._activity = activity
        self.name = name
        self._paces = paces
        self._clock, self._wall, self._jitter = clock, wall, jitter
        self._answered = False
        self._held_at = -math.inf
        self._outage: _Outage | None = None
        self._slow = SlowStart(most, since=clock())
        self._on_their_way = 0
        self._is_silent = False  # and that is shown
        self._unsure = MOST_UNSURE  # refusals in a row; too many, until the store has taken something
        self._activity.set_destination(name, "unknown")
        self.probing: asyncio.Task[None] | None = None  # the probe under way, kept by the daemon
        self._proven_from = -math.inf  # when the latest delivery began that the store took
        self.reopenings = 0  # how often an outage ended, or seemed to: what answers may be another
        self.held: DestinationError | None = None
        self.next_probe = 0.0

    # -- the files ---------------------------------------------------------------------------------

    def has_room(self) -> bool:
        """Whether one more file may start now."""
        return self.held is None and self._on_their_way < self._slow.allowed(self._clock())

    def places(self) -> str:
        """How many are taken, in words."""
        most = self._slow.allowed(self._clock())
        return f"{self._on_their_way} of {most} places to {self.name} are taken"

    def enter(self, wake: Callable[[], None]) -> "Passage":
        """A file starts; it has to leave. `wake` is called when another may start in its place."""
        self._on_their_way += 1
        return Passage(self, self._clock(), wake)

    def left(self) -> None:
        """Of a `Passage`."""
        self._on_their_way -= 1

    def hold(self, error: DestinationError) -> None:
        """Close the gate; told once for an outage, whatever number of files ran into it."""
        if self.held is None:
            self._close(error, self._clock())
        self.held = error
        self._show()

    def refuse(self, error: DestinationError) -> None:
        """A file was refused: holds, unless that may be a matter of this one alone."""
        is_outage = blame(error, self.evidence()) is Blame.STORE
        self._unsure += 1
        if self.held is not None or is_outage:
            self.hold(error)

    def evidence(self, *, took_others_since: bool = False) -> Evidence:
        """What became of other files, for the judgement of one. `took_others_since`: see `Evidence`."""
        return Evidence(took_others_since, self._clock() - self._proven_from, self._unsure)

    def took(self, began: float) -> None:
        """The store took a file whose delivery began at the moment `began`."""
        self._proven_from = max(self._proven_from, began)
        self._unsure = 0

    def served(self, began: float) -> None:
        """A file whose delivery began at the moment `began` is in the store, and proven."""
        self._slow = self._slow.taken()
        if self._outage is not None and self.held is None and began > self._held_at:
            self._end(self._outage)
            self._outage = None
            self._activity.set_destination(self.name, "ok")

    def is_well(self) -> bool:
        """Whether no outage is going on: since the last one the store has taken a file."""
        return self._outage is None

    def has_taken_since(self, moment: float) -> bool:
        """Whether a delivery that began after `moment` succeeded."""
        return self._proven_from > moment

    def tell_silence(self, seconds: float, *, after: float) -> None:
        """Nothing at all has moved for so long: show it where files are on their way here."""
        is_silent = seconds >= after and self._on_their_way > 0
        if self.held is not None or not (is_silent or self._is_silent):
            return
        self._is_silent = is_silent
        if is_silent:
            self._activity.set_destination(
                self.name,
                "silent",
                error=f"{self._on_their_way} files on their way have not moved for {seconds:.0f} s",
                hint="the line is very slow, or the store hangs; requests time out by themselves",
            )
        else:
            self._activity.set_destination(self.name, "ok")

    # -- the probes --------------------------------------------------------------------------------

    def is_open(self) -> bool:
        """Whether the store has answered, and nothing holds it since."""
        return self.held is None and self._answered

    def due(self) -> bool:
        return self.held is not None and self._clock() >= self.next_probe

    def next_turn(self) -> float:
        """The moment at which a probe is to begin; none while one is under way: it wakes by itself."""
        is_probing = self.probing is not None and not self.probing.done()
        return math.inf if self.held is None or is_probing else self.next_probe

    async def probe(self) -> None:
        """Ask the store; opens the gate if it answers, else sets the next moment to ask."""
        begun = self._clock()
        patience = self._patience()
        try:
            async with asyncio.timeout(patience):
                await self._store.check()
        except TimeoutError:
            self._failed(_silence(self.name, patience), begun)
        except DestinationError as error:
            self._failed(error, begun)
        else:
            self._open()

    def _patience(self) -> float:
        if self._outage is None or self._outage.probes % _LONG_EVERY == _LONG_EVERY - 1:
            return _LONG_PATIENCE
        return _PATIENCE

    def _failed(self, error: DestinationError, begun: float) -> None:
        outage = self._close(error, begun)
        outage.probe_failed = True
        outage.probes += 1
        self.held = error
        self._show()

    def _open(self) -> None:
        now, outage, error = self._clock(), self._outage, self.held
        self.held, self._answered = None, True
        if outage is not None and error is not None:
            self._slow = self._slow.reopened(now)
            self.reopenings += 1
            outage.probes += 1
            outage.opened_at = now
            if not outage.probe_failed or outage.relapsed:
                # The trouble is one that no probe runs into: only a file can tell whether it is over.
                hint = error.hint or None
                self._activity.set_destination(self.name, "trying", error=str(error), hint=hint)
                return
            self._end(outage)
        self._activity.set_destination(self.name, "ok")

    # -- one outage --------------------------------------------------------------------------------

    def _close(self, error: DestinationError, begun: float) -> "_Outage":
        """`begun`: when the request began that failed; the next one comes a while after that."""
        now = self._clock()
        if self._outage is None or now - self._outage.opened_at > _RELAPSE:
            self._outage = _Outage(since=now)
        outage = self._outage
        if self.held is None:
            self._slow = self._slow.held()
            self._held_at = now
            outage.probe_failed = False
        self._tell(outage, error)
        wait = wait_of(
            self._paces[error.trouble],
            now - outage.since,
            jitter=self._jitter(),
            asked_for=error.retry_after,
        )
        self.next_probe = now + wait if error.retry_after is not None else max(now, begun + wait)
        return outage

    def _tell(self, outage: "_Outage", error: DestinationError) -> None:
        """Each reason once an outage: probes and files repeat them without end."""
        reason, is_relapse = (error.trouble, error.hint), outage.told_end
        if reason in outage.told and not is_relapse:
            return
        if is_relapse:  # a probe told the end, and nothing was taken since
            outage.told_end, outage.relapsed = False, True
        log.warning(
            "destination.changed" if outage.told and not is_relapse else "destination.held",
            destination=self.name,
            trouble=error.trouble.value,
            reason=str(error),
            hint=error.hint,
        )
        outage.told.add(reason)

    def _end(self, outage: "_Outage") -> None:
        if outage.told_end:
            return
        outage.told_end = True
        log.info(
            "destination.back",
            destination=self.name,
            lasted=round(self._clock() - outage.since, 1),
            after_probes=outage.probes,
        )

    def _show(self) -> None:
        if self.held is not None:
            wait = max(0.0, self.next_probe - self._clock())
            self._activity.set_destination(
                self.name,
                self.held.trouble.value,
                error=str(self.held),
                hint=self.held.hint or None,
                next_try=self._wall() + wait,
            )


class Passage:
    """One file on its way through the gate. It ends once, whatever tells of it first."""

    def __init__(self, gate: Gate, began: float, wake: Callable[[], None]) -> None:
        self._gate, self.began, self._wake = gate, began, wake
        self._is_over = False

    def decided(self, stage: str) -> None:
        """The file needs the store no more: it is being recorded, or given up."""
        if stage == "recording" and not self._is_over:
            self._gate.served(self.began)
        self.leave()

    def leave(self) -> None:
        if not self._is_over:
            self._is_over = True
            self._gate.left()
            self._wake()


def _silence(name: str, seconds: float) -> DestinationError:
    return DestinationError(
        DestinationTrouble.UNREACHABLE,
        f"bucket {name!r}: no answer within {seconds:g} s",
        hint="check the network, the endpoint_url, its name's resolution and the store",
    )
