"""What follows when the flight of a file has ended: over, again, later, or not in this run."""

from hotfolder.backlog import Backlog
from hotfolder.calling_off import CallOffs
from hotfolder.core.errors import DestinationError, LocalError
from hotfolder.core.records import CalledOff, Job
from hotfolder.core.retry import Deferred, Hold, Resettle
from hotfolder.core.settle import OPEN
from hotfolder.courier import Ended, NotNow
from hotfolder.finding import Finder
from hotfolder.folder_hold import FolderHold
from hotfolder.gate import Gate
from hotfolder.tidying import Tidier


class Endings:
    """Of the folder `name`. Owned by the event loop. `left`: path -> why this run left it for good.

    `patience`: how often a file may change or be busy before it is left; None waits without end.
    `delivering` is held where this machine fails a delivery, `looking` where it cannot note an end.
    """

    def __init__(
        self,
        name: str,
        *,
        patience: int | None,
        finder: Finder,
        backlog: Backlog,
        gate: Gate,
        called_off: CallOffs,
        looking: FolderHold,
        delivering: FolderHold,
        tidier: Tidier | None,
    ) -> None:
        self._name, self._patience = name, patience
        self._finder, self._backlog, self._gate = finder, backlog, gate
        self._called_off, self._tidier = called_off, tidier
        self._looking, self._delivering = looking, delivering
        self._restless: dict[str, int] = {}  # how often a file changed or was busy at the last moment
        self.left: dict[str, str] = {}

    async def take(self, job: Job, ending: Ended | NotNow) -> None:
        """Draw the consequences."""
        if isinstance(ending, Ended):
            if ending.stays is not None:
                await self._let_stay(job, ending.stays)
            self._is_over(job)
            return
        if isinstance(ending.error, DestinationError):
            self._backlog.refused(job.relpath)
        match ending.decision:
            case Resettle(reason):
                self._backlog.absolve(job.relpath)
                self.resettle(job, reason)
            case Deferred(_, _, reason) if self._patience is not None:
                self.left[job.relpath] = reason
            case Deferred() as put_off:
                self._backlog.put_off(job, put_off)
            case Hold():
                # Whatever is special about this file, the others come first.
                self._backlog.put_back(job)
                if isinstance(ending.error, DestinationError):
                    self._gate.refuse(ending.error)
                elif isinstance(ending.error, LocalError):
                    self._delivering.begin(ending.error)

    def resettle(self, job: Job, reason: str) -> None:
        """Wait until the file is quiet once more."""
        turns = self._restless[job.relpath] = self._restless.get(job.relpath, 0) + 1
        if self._patience is not None and turns >= self._patience:
            self.left[job.relpath] = reason
        else:
            self._finder.rest(job.relpath)

    def lose_patience(self) -> None:
        """Leave what is open for writing for too long, if this run is to end (`once`)."""
        if self._patience is None:
            return
        for relpath in self._finder.tracker.stubborn(self._patience):
            self.left[relpath] = OPEN
            self._finder.forget(relpath)

    def _is_over(self, job: Job) -> None:
        self._restless.pop(job.relpath, None)
        self._backlog.absolve(job.relpath)
        self._delivering.worked()
        if self._tidier is not None:
            self._tidier.taken(job.relpath)

    async def _let_stay(self, job: Job, why: str) -> None:
        """A file that was given up and cannot be moved is not tried again before it changes."""
        try:
            await self._called_off.add(CalledOff(self._name, job.relpath, job.fingerprint, why))
        except LocalError as error:
            self._looking.begin(error)
            self.left[job.relpath] = why  # for this run at least
