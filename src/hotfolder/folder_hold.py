"""Why one folder cannot go on because of this machine: told once, tried again, ended by what works."""

from collections.abc import Callable

import structlog

from hotfolder.core.errors import LocalError
from hotfolder.core.holding import LOCAL_CADENCE, wait_of

log = structlog.get_logger()


class FolderHold:
    """`name` is the folder's; `clock` is monotonic seconds."""

    def __init__(self, name: str, clock: Callable[[], float]) -> None:
        self._name, self._clock = name, clock
        self._since = 0.0
        self.error: LocalError | None = None
        self.until = 0.0  # nothing is tried before

    def begin(self, error: LocalError) -> None:
        """It failed, for the first time or again."""
        now = self._clock()
        if self.error is None:
            self._since = now
        if self.error is None or self.error.hint != error.hint:
            log.error("folder.held", folder=self._name, reason=error.sentence)
        self.error = error
        self.until = now + wait_of(LOCAL_CADENCE, now - self._since, jitter=1.0)

    def worked(self) -> None:
        """It works: a hold is over."""
        if self.error is not None:
            lasted = round(self._clock() - self._since, 1)
            log.info("folder.resumed", folder=self._name, lasted=lasted)
            self.error = None

    def rests(self) -> bool:
        """Whether it is too early for another try."""
        return self.error is not None and self._clock() < self.until
