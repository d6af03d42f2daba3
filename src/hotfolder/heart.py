"""The heartbeat: what the daemon tells of itself, from the very loop that does the work."""

import asyncio
import contextlib
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import structlog

from hotfolder.activity import Activity, Waiting
from hotfolder.alarm import Alarm
from hotfolder.bandwidth import Bandwidth
from hotfolder.core.errors import DiskFull, LocalError
from hotfolder.core.phase import Road, Situation, phase_of
from hotfolder.gate import Gate
from hotfolder.inboxes import Inboxes
from hotfolder.recorder import Recorder

log = structlog.get_logger()

_SILENT = 30.0  # seconds after which it is said that nothing comes of the files on their way


class Notifier(Protocol):
    """The service manager's ear."""

    def ready(self) -> None: ...
    def reloading(self) -> None: ...
    def status(self, text: str) -> None: ...
    def watchdog(self) -> None: ...
    def stopping(self) -> None: ...


class Heart:
    """Beats at most every `interval` seconds; falls silent where the loop, or any thread, is stuck."""

    def __init__(
        self,
        inboxes: Inboxes,
        *,
        gates: Sequence[Gate],
        recorder: Recorder,
        activity: Activity,
        alarm: Alarm,
        bandwidth: Bandwidth,
        write: Callable[[dict[str, Any]], None],
        notifier: Notifier,
        clock: Callable[[], float],
        interval: float,
    ) -> None:
        self._inboxes, self._gates, self._recorder = inboxes, gates, recorder
        self._activity, self._write, self._notifier = activity, write, notifier
        self._clock, self.interval = clock, interval
        self._alarm, self._bandwidth = alarm, bandwidth
        self._next_beat = 0.0
        self._came_at = clock()
        self._closing = asyncio.Event()
        self.draining = False

    def beat(self) -> None:
        """Beat if it is time. Called from the loop that does the work, so a stuck loop falls silent."""
        self._came_at = self._clock()
        if self._clock() < self._next_beat:
            return
        self._next_beat = self._clock() + self.interval
        self._look()
        state = self.snapshot()
        if self._alarm.is_on:
            return
        self._tell(state)
        self._notifier.status(self._status_line(state))
        self._notifier.watchdog()

    async def watch(self) -> None:
        """Notice what is stuck until `close`, also while the loop itself waits for just that."""
        while not self._closing.is_set():
            self._look()
            with contextlib.suppress(TimeoutError):  # then it is time to look again
                async with asyncio.timeout(self.interval):
                    await self._closing.wait()

    def close(self) -> None:
        """Let `watch` end."""
        self._closing.set()

    def _look(self) -> None:
        if self._bandwidth.delays():
            self._activity.progressed()  # what waits for its turn or its hour is not silent, nor stuck
        if self._alarm.look(self._clock() - self._came_at):
            self._tell(self.snapshot())  # once more, to say what is stuck; then silence

    def last(self, phase: str) -> None:
        """Say `phase` now, as the last word of this life."""
        self._activity.phase = phase
        self._tell(self._told())

    def snapshot(self) -> dict[str, Any]:
        """The heartbeat of this moment."""
        activity = self._activity
        activity.phase = self._phase()
        walks = [folder.intake.finder.walks.last_walk for folder in self._inboxes.folders]
        activity.last_scan = max((walk for walk in walks if walk is not None), default=None)
        for gate in self._gates:
            gate.tell_silence(activity.idle_seconds(), after=_SILENT)
        activity.watching = {
            folder.intake.plan.name: folder.watching.told() for folder in self._inboxes.folders
        }
        activity.limit = self._bandwidth.limit
        activity.kept = sum(folder.intake.finder.kept() for folder in self._inboxes.folders)
        return self._told()

    def left(self) -> dict[str, str]:
        """Path -> why it stays in the inbox for good."""
        return {
            f"{folder.intake.inbox}/{relpath}": why
            for folder in self._inboxes.folders
            for relpath, why in folder.intake.told.left_behind().items()
        }

    def _told(self) -> dict[str, Any]:
        return self._activity.snapshot(self._waiting(), self._waiting_groups(), self.left())

    def _tell(self, state: dict[str, Any]) -> None:
        try:
            self._write(state)
        except LocalError as error:
            log.error("heartbeat.unwritable", reason=str(error), hint=error.hint)

    def _status_line(self, state: dict[str, Any]) -> str:
        """What `systemctl status` shows: how much, and why no more."""
        totals, waiting = state["totals"], state["waiting"]["count"]
        counts = (
            f"{state['phase']}: {totals['uploaded']} uploaded, {totals['skipped']} skipped, "
            f"{totals['failed']} failed, {len(state['active'])} in flight, {waiting} waiting"
        )
        reasons = [state["hold"]] if state["hold"] else []
        if state["paused"] is not None:
            reasons.append(f"paused by {state['paused']['by']}")
        if state["phase"] == "outside-window":
            reasons += [why for why in [self._bandwidth.why_closed()] if why is not None]
        for name, destination in state["destinations"].items():
            if destination["last_error"] is not None:
                hint = f"; {destination['hint']}" if destination["hint"] else ""
                reasons.append(f"{name} {destination['state']}: {destination['last_error']}{hint}")
        return ". ".join([counts, *reasons])

    def _phase(self) -> str:
        activity, folders = self._activity, self._inboxes.folders
        holds = [folder.intake.hold for folder in folders if folder.intake.hold]
        trouble = self._recorder.trouble or next(iter(holds), None) or self._recorder.why_put_off
        gone = self._inboxes.gone()
        activity.hold = trouble.sentence if trouble else None
        if gone:
            activity.hold = ". ".join(gone)
        busy = [folder.intake.gate for folder in folders if folder.intake.has_work()]
        return phase_of(
            Situation(
                [Road(gate.held is not None, gate in busy) for gate in self._gates],
                draining=self.draining,
                gone=bool(gone),
                disk_full=isinstance(trouble, DiskFull),
                paused=activity.paused is not None,
                closed=self._bandwidth.limit.is_closed,
                in_flight=bool(activity.flights),
                walked=all(folder.intake.finder.walks.last_walk for folder in folders),
            )
        )

    def _waiting_groups(self) -> Counter[str]:
        each = (folder.intake.told.groups() for folder in self._inboxes.folders)
        return sum(each, Counter[str]())

    def _waiting(self) -> Waiting:
        """The sum over all folders; the oldest of the first folder that has one."""
        each = [folder.intake.told.waiting() for folder in self._inboxes.folders]
        first = next((waiting for waiting in each if waiting.oldest is not None), Waiting())
        return Waiting(
            sum(w.count for w in each), sum(w.bytes for w in each), first.oldest, first.since, first.why
        )
