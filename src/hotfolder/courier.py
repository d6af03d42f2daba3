"""One attempt at one file, and the decision that follows it."""

import asyncio
import logging
from collections.abc import Callable
from typing import Any

import structlog

from hotfolder.activity import Activity, InFlight
from hotfolder.core.blame import Blame
from hotfolder.core.errors import (
    DestinationError,
    HotfolderError,
    SourceUnreadable,
    without_traces,
)
from hotfolder.core.records import Job
from hotfolder.core.retry import Decision, Deferred, Hold, Policy, Quarantined, Resettle, decide
from hotfolder.core.values import value
from hotfolder.delivery import Tools, call_off, deliver, quarantine
from hotfolder.threads import concerning

log = structlog.get_logger()

_TAKE_BACK = 10.0  # seconds that a store gets to abort the upload of a delivery that was called off


@value(frozen=True, slots=True)
class Ended:
    """The operation has its ledger line. `stays`: why the file given up is in the inbox nevertheless."""

    entry: dict[str, Any]
    stays: str | None = None

    @property
    def failed(self) -> bool:
        return bool(self.entry["status"] == "failed")


@value(frozen=True, slots=True)
class NotNow:
    """The file stays where it is; `error` is what happened and `decision` what follows."""

    error: BaseException
    decision: Resettle | Deferred | Hold


class Courier:
    """Carries the jobs of one folder. `clock` is monotonic seconds, `jitter` gives [0, 1)."""

    def __init__(
        self,
        tools: Tools,
        activity: Activity,
        *,
        policy: Policy,
        clock: Callable[[], float],
        jitter: Callable[[], float],
    ) -> None:
        self._tools = tools
        self._activity = activity
        self._policy = policy
        self._clock, self._jitter = clock, jitter

    async def carry(
        self,
        job: Job,
        *,
        whose: Callable[[DestinationError], Blame] = lambda _: Blame.STORE,
        on_decided: Callable[[str], None] = lambda _: None,
    ) -> Ended | NotNow:
        """Deliver one file, or give it up, or say when to try again. Raises nothing but cancellation.

        `whose` fault it is that the store did not take the file, asked when that is to be decided.
        `on_decided` is told "recording" or "giving up" once the store is needed no more.
        """
        ending: Ended | NotNow | None = None
        with concerning(job.path, job):
            flight = self._activity.begin(job, on_decided)
            try:
                ending = await self._attempt(job, flight, whose)
                if isinstance(ending, NotNow) and isinstance(ending.decision, Deferred):
                    put_off = ending.decision
                    seconds = put_off.until - self._clock()
                    self._activity.put_off(job, put_off.reason, put_off.attempt, seconds)
                return ending
            except asyncio.CancelledError:
                log.info("delivery.interrupted", file=job.path)
                raise
            finally:
                try:
                    await self._clear(job, ending)
                finally:
                    status = str(ending.entry["status"]) if isinstance(ending, Ended) else None
                    self._activity.end(job, status)

    async def _clear(self, job: Job, ending: Ended | NotNow | None) -> None:
        """Take away what the flight needed. A failure of that changes nothing of how it ended."""
        over = ending is not None and (
            isinstance(ending, Ended) or isinstance(ending.decision, Resettle)
        )
        try:
            try:
                if over:
                    await self._tools.sender.end(job.operation_id)
            finally:
                await self._tools.packer.leave(job, over=over)
        except Exception as error:  # the file has its end, and whoever waits must hear of it
            defect = None if isinstance(error, HotfolderError) else error
            log.error("delivery.not_cleared", file=job.path, reason=str(error), exc_info=defect)

    def is_decided(self, job: Job) -> bool:
        """Whether the end of a file in flight is decided, so that its delivery cannot be called off."""
        flight = self._activity.flights.get(job.operation_id)
        return flight is not None and flight.is_decided

    async def call_off(self, job: Job, why: str, operation_id: str) -> dict[str, Any]:
        """Record that a file, which is not in flight, stays where it is; returns the ledger line.

        `operation_id` is the line's own. What the job has begun is taken back.
        """
        await self._tools.sender.disown(job.operation_id)
        entry = await call_off(job, why, operation_id, self._tools)
        log.info("delivery.cancelled", file=job.path, reason=why)
        try:
            async with asyncio.timeout(_TAKE_BACK):
                await self._tools.packer.leave(job, over=True)
                await self._tools.sender.end(job.operation_id)
        except TimeoutError:
            log.warning("upload.left_open", file=job.path, reason="the store does not answer")
        return entry

    async def _attempt(
        self, job: Job, flight: InFlight, whose: Callable[[DestinationError], Blame]
    ) -> Ended | NotNow:
        try:
            entry = await deliver(job, self._tools, flight)
        except Exception as error:  # noqa: BLE001 - every error becomes a decision, none is dropped
            if isinstance(error, HotfolderError):  # a defect is told with its trace
                without_traces(error)
            found = whose(error) if isinstance(error, DestinationError) else Blame.STORE
            decision = self._decide(error, job, found)
            if not isinstance(decision, Quarantined):
                return self._not_now(job, error, decision)
            return await self._give_up(job, decision.reason, flight)
        _log_end(entry)
        return Ended(entry)

    async def _give_up(self, job: Job, reason: str, flight: InFlight) -> Ended | NotNow:
        """To failed/, or where it stands if it can neither be renamed nor copied there."""
        stays = None
        try:
            try:
                entry = await quarantine(job, reason, self._tools, flight)
            except SourceUnreadable as unreadable:
                stays = f"{reason}; it stays in the inbox: {unreadable.sentence}"
                entry = await quarantine(job, stays, self._tools, flight, in_place=True)
        except Exception as refused:  # noqa: BLE001 - every error becomes a decision
            again = self._decide(refused, job)
            if isinstance(again, Quarantined):  # it cannot be given up either: from the start, later
                again = Resettle(again.reason)
            return self._not_now(job, refused, again)
        _log_end(entry)
        return Ended(entry, stays)

    def _decide(self, error: Exception, job: Job, whose: Blame = Blame.STORE) -> Decision:
        return decide(
            error,
            job.attempt,
            now=self._clock(),
            policy=self._policy,
            jitter=self._jitter(),
            whose=whose,
        )

    @staticmethod
    def _not_now(job: Job, error: Exception, decision: Resettle | Deferred | Hold) -> NotNow:
        match decision:
            case Resettle(reason):
                log.info("delivery.resettles", file=job.path, reason=reason)
            case Deferred(_, attempt, reason):
                defect = None if isinstance(error, HotfolderError) else error
                log.warning(
                    "delivery.deferred",
                    file=job.path,
                    next_attempt=attempt,
                    reason=reason,
                    exc_info=defect,
                )
            case Hold():
                log.debug("delivery.held", file=job.path, reason=decision.reason)
        return NotNow(error, decision)


def _log_end(entry: dict[str, Any]) -> None:
    """The one line of a finished file."""
    if not log.is_enabled_for(logging.INFO) and entry["status"] != "failed":
        return
    if entry["status"] == "failed":
        log.error(
            "delivery.failed",
            file=entry["target_path"],
            now_at=entry["result_path"],
            reason=entry["error_message"],
        )
        return
    log.info(
        "delivery.completed" if entry["status"] == "success" else "delivery.skipped",
        file=entry["target_path"],
        key=entry["s3_object_key"],
        size=entry["original_size"],
        packed=entry["compressed_size"],
        seconds=round(entry["duration_seconds"], 3),
        proof=entry["verification"],
    )
