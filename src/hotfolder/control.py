"""What the running daemon does when it is asked."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import asdict
from typing import Any

import structlog

from hotfolder.activity import Activity, Paused
from hotfolder.core.control import Command, Request
from hotfolder.core.errors import HotfolderError
from hotfolder.core.timeline import is_id, is_meant
from hotfolder.daemon import Daemon
from hotfolder.inboxes import Watched
from hotfolder.retrying import Retried
from hotfolder.threads import Threads

log = structlog.get_logger()

_MOST_NAMED = 5
_MOST_TOLD = 1_000


class Control:
    """Carries out requests on the `daemon` of the moment; None between two lives.

    `user_name` of a uid blocks a moment; `wall` gives seconds since the epoch. `put_back` searches
    the ledger and moves failed files back into their inboxes, blocking.
    """

    def __init__(
        self,
        activity: Activity,
        *,
        reload: Callable[[], Awaitable[Mapping[str, Any]]],
        user_name: Callable[[int], str],
        wall: Callable[[], float],
    ) -> None:
        self._activity, self._wall = activity, wall
        self._reload, self._user_name = reload, user_name
        self._serving: tuple[Daemon, Threads, Callable[[Request], list[Retried]]] | None = None

    def serve(
        self, daemon: Daemon, threads: Threads, put_back: Callable[[Request], list[Retried]]
    ) -> None:
        """From now on `daemon` is meant."""
        self._serving = daemon, threads, put_back

    def rest(self) -> None:
        """The daemon is ending; nobody is meant until `serve`."""
        self._serving = None

    async def answer(self, request: Request, uid: int) -> Mapping[str, Any]:
        """Do what is asked for by the user `uid`. Raises `HotfolderError` where that cannot be."""
        if request.command is Command.RELOAD:
            return await self._reload()
        if self._serving is None:
            raise HotfolderError(
                "the daemon is just starting or ending", hint="ask again in a few seconds"
            )
        daemon, threads, put_back = self._serving
        by = await threads.run(self._user_name, uid)
        try:
            match request.command:
                case Command.PAUSE:
                    return self._pause(by)
                case Command.RESUME:
                    return self._resume(by)
                case Command.SCAN:
                    return self._scan(daemon)
                case Command.STATE:
                    return daemon.parts.heart.snapshot()
                case Command.WHY:
                    return _why(daemon, request.wanted)
                case Command.RETRY:
                    return await self._retry(daemon, request, await threads.run(put_back, request))
                case Command.CANCEL:
                    return await self._cancel(daemon, request.wanted, by)
        finally:
            daemon.parts.wake.set()

    def _pause(self, by: str) -> dict[str, Any]:
        known = self._activity.paused
        if known is None:
            self._activity.paused = Paused(self._wall(), by)
            log.info("control.paused", by=by)
        paused = known or Paused(self._wall(), by)
        flights = len(self._activity.flights)
        return {"already": known is not None, "since": paused.since, "by": paused.by, "active": flights}

    def _resume(self, by: str) -> dict[str, Any]:
        paused, self._activity.paused = self._activity.paused, None
        if paused is not None:
            log.info("control.resumed", by=by)
        return {"was_paused": paused is not None, "since": paused and paused.since}

    @staticmethod
    def _scan(daemon: Daemon) -> dict[str, Any]:
        inboxes = daemon.parts.inboxes
        for folder in inboxes.present():
            folder.intake.finder.walks.walk_now()
        return {"folders": len(inboxes.present()), "missing": inboxes.gone()}

    async def _retry(self, daemon: Daemon, request: Request, retried: list[Retried]) -> dict[str, Any]:
        """Put what failed back, and let what waits for a later try be tried now."""
        again = []
        for folder in daemon.parts.inboxes.folders:
            for file in retried:
                if file.why is None and file.path.startswith(f"{folder.intake.inbox}/"):
                    relpath = file.path.removeprefix(f"{folder.intake.inbox}/")
                    if not folder.intake.asked.try_now(relpath):
                        folder.intake.hint(relpath)
            again += [
                f"{folder.intake.inbox}/{relpath}"
                for relpath in _asked_for(folder, request)
                if folder.intake.asked.try_now(relpath)
            ]
        return {"files": [file.as_json() for file in retried], "again": again}

    async def _cancel(self, daemon: Daemon, wanted: str, by: str) -> dict[str, Any]:
        found = [
            (folder, relpath)
            for folder in daemon.parts.inboxes.folders
            for relpath in _known(folder, wanted)
        ]
        if not found:
            raise HotfolderError(
                f"nothing called {wanted} is on its way",
                hint="`hotfolder status` lists what is in flight, `hotfolder show` finds one file",
            )
        if len(found) > 1:
            some = ", ".join(f"{each.intake.inbox}/{relpath}" for each, relpath in found[:_MOST_NAMED])
            raise HotfolderError(
                f"{len(found)} files are called {wanted}: {some}", hint="give the whole path of one"
            )
        ((folder, relpath),) = found
        path = f"{folder.intake.inbox}/{relpath}"
        if relpath in folder.intake.called_off:
            raise HotfolderError(f"{path} is cancelled already")
        entry = await folder.intake.asked.call_off(relpath, f"cancelled by {by}")
        if entry is None:
            raise HotfolderError(
                f"too late: {path} is delivered, or gone", hint=f"see `hotfolder show {wanted}`"
            )
        return {"path": path, "operation_id": entry["operation_id"]}


def _why(daemon: Daemon, wanted: str) -> dict[str, Any]:
    """Each file that `wanted` names and that waits for a reason of its own."""
    files = [
        {"path": f"{folder.intake.inbox}/{relpath}", **asdict(waits)}
        for folder in daemon.parts.inboxes.folders
        for relpath in dict.fromkeys([*_known(folder, wanted), *_left(folder, wanted)])
        if (waits := folder.intake.told.why_waiting(relpath)) is not None
    ]
    return {"files": files[:_MOST_TOLD]}


def _known(folder: Watched, wanted: str) -> list[str]:
    """The files of a folder, on their way or settling or called off, that `wanted` names."""
    intake, inbox = folder.intake, folder.intake.inbox
    jobs = {job.relpath: job.operation_id for job in intake.asked.jobs()}
    settling = [*intake.finder.tracker.paths(), *intake.finder.unmarked()]
    paths = dict.fromkeys([*jobs, *settling, *intake.called_off.paths()])
    return [
        relpath
        for relpath in paths
        if is_meant(f"{inbox}/{relpath}", wanted) or is_id(jobs.get(relpath, ""), wanted)
    ]


def _left(folder: Watched, wanted: str) -> list[str]:
    inbox = folder.intake.inbox
    return [path for path in folder.intake.told.left_behind() if is_meant(f"{inbox}/{path}", wanted)]


def _asked_for(folder: Watched, request: Request) -> list[str]:
    """The files of a folder that a retry means. One that was called off must be named."""
    if request.wanted:
        return _known(folder, request.wanted)
    return [
        job.relpath
        for job in folder.intake.asked.jobs()
        if request.everything or job.group == request.group
    ]
