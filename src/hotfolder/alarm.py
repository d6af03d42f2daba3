"""What is stuck: work that blocks for longer than it can need. Told once; it ends the heartbeat."""

from collections import Counter
from collections.abc import Callable, Iterable

import structlog

from hotfolder.activity import Activity, Stuck
from hotfolder.core.pulse import OF_NOTHING_OUTSIDE, Step, stuck

log = structlog.get_logger()

_OUTSIDE = (
    "look at the disk, mount or store that it is about; the heartbeat stops until it goes on, and a "
    "service manager's watchdog may restart hotfolder"
)
_OWN = (
    "restart hotfolder, unless a service manager's watchdog does as the heartbeat stops: it finds each "
    "file again. Nothing outside explains it, so please report it with these lines of the log"
)


class Alarm:
    """Looks at all work that may hang, in a thread or not. `clock` is monotonic seconds."""

    def __init__(
        self,
        steps: Callable[[], Iterable[Step]],
        activity: Activity,
        *,
        clock: Callable[[], float],
    ) -> None:
        self._steps, self._activity, self._clock = steps, activity, clock
        self._told: dict[tuple[str, str], Step] = {}

    @property
    def is_on(self) -> bool:
        return bool(self._told)

    def look(self, silent: float = 0.0) -> bool:
        """Look anew; returns whether something is stuck that was not.

        `silent`: seconds since the loop that does the work last came by.
        """
        now, activity = self._clock(), self._activity
        found = {
            (step.pool, step.about): step
            for step in stuck(
                self._steps(),
                now,
                in_flight=_stages(activity),
                progressed_at=activity.last_progress,
                silent=silent,
            )
        }
        news = [step for what, step in found.items() if what not in self._told]
        for step in news:
            seconds = round(now - step.alive_at)
            hint = _OWN if step.pool in OF_NOTHING_OUTSIDE else _OUTSIDE
            log.error("daemon.stuck", about=step.about, at=step.pool, seconds=seconds, hint=hint)
        if self._told and not found:
            log.info("daemon.unstuck")
        self._told = found
        wall = activity.now()
        activity.stuck = [
            Stuck(step.about, step.pool, wall - (now - step.alive_at)) for step in found.values()
        ]
        return bool(news)


def _stages(activity: Activity) -> str:
    """How many files in flight are at what."""
    at = Counter(flight.now_at for flight in activity.flights.values())
    return ", ".join(f"{count} {stage}" for stage, count in sorted(at.items()))
