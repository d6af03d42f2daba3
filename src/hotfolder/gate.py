"""The way to the store: open, or held until a probe gets through.

A hold is not a failure of any file. While it lasts nothing is started and nothing is retried; one
probe at a time asks whether the store is back.
"""

import asyncio
import math
from collections.abc import Callable

import structlog

from hotfolder.activity import Activity
from hotfolder.core.errors import DestinationError
from hotfolder.core.ports import ObjectStore
from hotfolder.core.retry import Policy, backoff

log = structlog.get_logger()


class Gate:
    """`name` is the bucket's.

    `clock` is monotonic seconds, `wall` seconds since the epoch, `jitter` gives [0, 1).
    """

    def __init__(
        self,
        store: ObjectStore,
        activity: Activity,
        *,
        name: str,
        policy: Policy,
        clock: Callable[[], float],
        wall: Callable[[], float],
        jitter: Callable[[], float],
    ) -> None:
        self._store = store
        self._activity = activity
        self.name = name
        self._policy = policy
        self._clock, self._wall, self._jitter = clock, wall, jitter
        self._probes = 0
        self._answered = False
        self._held_at = -math.inf
        self._activity.set_destination(name, "unknown")
        self.probing: asyncio.Task[None] | None = None  # the probe under way, kept by the daemon
        self._proven_from = -math.inf  # when the latest delivery began that the store took
        self.held: DestinationError | None = None
        self.next_probe = 0.0

    def hold(self, error: DestinationError) -> None:
        """Close the gate; logged once for an outage, whatever number of files ran into it."""
        if self.held is None:
            log.warning(
                "destination.held",
                destination=self.name,
                trouble=error.trouble.value,
                reason=str(error),
                hint=error.hint,
            )
            if self.has_taken_since(self._held_at):
                self._probes = 0  # it truly worked in between
            self._held_at = self._clock()
            self._wait()
        self.held = error
        self._show()

    def took(self, began: float) -> None:
        """The store took a file whose delivery began at the moment `began`."""
        self._proven_from = max(self._proven_from, began)

    def has_taken_since(self, moment: float) -> bool:
        """Whether a delivery that began after `moment` succeeded."""
        return self._proven_from > moment

    def is_open(self) -> bool:
        """Whether the store has answered, and nothing holds it since."""
        return self.held is None and self._answered

    def due(self) -> bool:
        return self.held is not None and self._clock() >= self.next_probe

    async def probe(self) -> None:
        """Ask the store; opens the gate if it answers, else sets the next moment to ask."""
        try:
            await self._store.check()
        except DestinationError as error:
            if self.held is None:
                self.hold(error)
                return
            self.held = error
            self._wait()
            self._show()
            return
        if self.held is not None:
            log.info("destination.back", destination=self.name, after_probes=self._probes)
        self.held, self._answered = None, True
        self._activity.set_destination(self.name, "ok")

    def _wait(self) -> None:
        self._probes += 1
        wait = backoff(
            self._probes,
            first=self._policy.first_hold,
            longest=self._policy.longest_hold,
            jitter=self._jitter(),
        )
        self.next_probe = self._clock() + wait

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
