"""The inboxes: noticed when they come, go or are remade, and watched while they are there."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import structlog

from hotfolder.core.errors import AlreadyRunning, ConfigError, LocalError
from hotfolder.intake import Intake
from hotfolder.recorder import Recorder
from hotfolder.threads import Threads, concerning
from hotfolder.watching import Watching

log = structlog.get_logger()

_RECOVERY = 10.0  # seconds between two looks at what could not be told of
_RECOVERED_IN_ONE = 200  # of these, in one hop to a thread
_RECOVERED_FOR = 1.0  # seconds on end, before the other folders have their turn

INBOX_HINT = "make it, mount it, or let this user read it"


@dataclass(slots=True)
class Watched:
    """An intake with its inbox: `identity` is (device, inode) while the inbox is there."""

    intake: Intake
    watching: Watching
    prepare: Callable[[], None]  # makes the outputs of an inbox that is there; raises ConfigError
    identity: tuple[int, int] | None = None
    kept_by_another: str | None = None  # a sentence: why it is not used although it is there
    complained: bool = False
    missed_since: float = 0.0  # when that was, on the monotonic clock
    prepared: bool = False
    refused: bool = False  # when it was to be prepared, and told

    @property
    def absence(self) -> str:
        """Why nothing is taken from it now, as a sentence."""
        missing = "is not there, or not readable, or lacks the volume that belongs there"
        return self.kept_by_another or f"{self.intake.inbox} {missing}; {INBOX_HINT}"


class Locks(Protocol):
    """Keeps other daemons away from an inbox. Blocking."""

    def take(self, path: str) -> None:
        """Keep what stands there now, if anything does. Raises `AlreadyRunning`: another keeps it."""
        ...


class Inboxes:
    """All of them. `find` gives the identity of an inbox, None while it is not there.

    `watching` False: nothing is watched (`once`).
    """

    def __init__(
        self,
        folders: Sequence[Watched],
        *,
        find: Callable[[str], tuple[int, int] | None],
        locks: Locks,
        threads: Threads,
        recorder: Recorder,
        watching: bool,
        clock: Callable[[], float],
    ) -> None:
        """`clock` is monotonic seconds."""
        self.folders = folders
        self._find, self._threads, self._recorder, self._watching = find, threads, recorder, watching
        self._clock, self._locks = clock, locks
        self._next_recovery = clock() + _RECOVERY

    def present(self) -> list[Watched]:
        """Those that are there."""
        return [folder for folder in self.folders if folder.identity is not None]

    def gone(self) -> list[str]:
        """Of those that are not, or that another daemon keeps: why, as sentences."""
        return [folder.absence for folder in self.folders if folder.identity is None]

    async def visit(self) -> None:
        """Notice what came, went or was remade. Raises `ConfigError` for what a start cannot do."""
        for folder in self.folders:
            with concerning(folder.intake.inbox):
                await self._visit(folder)
        if self._clock() >= self._next_recovery:
            await self._recover_rest()

    async def _visit(self, folder: Watched) -> None:
        identity = await self._threads.run(self._find, folder.intake.inbox)
        if identity != folder.identity or folder.kept_by_another:
            identity = await self._claimed(folder, identity)
        if identity == folder.identity and (identity is not None or folder.complained):
            if identity is not None and not folder.prepared:
                await self._prepare(folder)
            await folder.watching.visit()
            return
        folder.identity = identity
        folder.refused = False
        await folder.watching.end()
        if identity is None:
            self._complain(folder)
            return
        await self._prepare(folder)
        await self._recover_rest()
        if folder.complained:
            folder.complained = False
            lasted = round(self._clock() - folder.missed_since, 1)
            log.info("inbox.back", path=folder.intake.inbox, lasted=lasted)
        if self._watching:
            await folder.watching.begin()
        else:
            folder.intake.finder.walks.walk_now()

    def _complain(self, folder: Watched) -> None:
        folder.complained, folder.missed_since = True, self._clock()
        if folder.kept_by_another is None:
            log.error(
                "inbox.missing",
                path=folder.intake.inbox,
                hint=f"{INBOX_HINT}; hotfolder waits for it",
            )

    async def _claimed(
        self, folder: Watched, identity: tuple[int, int] | None
    ) -> tuple[int, int] | None:
        """`identity`, once the inbox is ours alone; None while another daemon keeps it."""
        try:
            await self._threads.run(self._locks.take, folder.intake.inbox)
        except AlreadyRunning as error:
            if folder.kept_by_another is None:
                log.error("inbox.kept", path=folder.intake.inbox, reason=str(error), hint=error.hint)
            folder.kept_by_another = error.sentence
            return None
        folder.kept_by_another = None
        return identity

    async def close(self) -> None:
        """Watch nothing any more."""
        for folder in self.folders:
            await folder.watching.end()

    async def _prepare(self, folder: Watched) -> None:
        """Make completed/ and failed/: only now, as they may stand on the volume of the inbox."""
        try:
            await self._threads.run(folder.prepare)
        except (ConfigError, LocalError) as error:
            if isinstance(error, ConfigError) and not folder.complained and not folder.refused:
                raise  # the operator is looking: it was just started
            if not folder.refused:
                log.error("folder.unprepared", path=folder.intake.inbox, reason=error.sentence)
            folder.prepared, folder.refused = False, True
        else:
            folder.prepared, folder.refused = True, False

    async def _recover_rest(self) -> None:
        """Finish what could not be told at the start, before a scan takes its files for new ones."""
        self._next_recovery = self._clock() + _RECOVERY
        if not self._recorder.put_off:
            return
        until = self._clock() + _RECOVERED_FOR
        try:
            await self._recorder.recover(_RECOVERED_IN_ONE)
            while self._recorder.is_recovering and self._clock() < until:
                await self._recorder.recover(_RECOVERED_IN_ONE)
        except LocalError as error:
            log.error("recovery.failed", reason=str(error), hint=error.hint)
        if self._recorder.is_recovering:
            self._next_recovery = self._clock()
