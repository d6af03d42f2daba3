"""boto3's requests: made in threads, watched, and repeated as often as their failures deserve.

boto3 blocks, so its calls run in the executor and come back as awaited results. Its own retries are
off: tenacity repeats here, asleep in the event loop, where it can be cancelled.
"""

import asyncio
import contextlib
import sys
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import Executor
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, TypeVar

import botocore.exceptions as boto_errors
from botocore.parsers import ResponseParserError
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception_type, wait_random_exponential

from hotfolder.adapters.s3 import faults
from hotfolder.adapters.s3.bodies import Pieces
from hotfolder.adapters.s3.connection import S3Connection
from hotfolder.adapters.s3.tries import Failed, Tries
from hotfolder.adapters.s3.watching import RequestThreads, Stalled, current_watch
from hotfolder.core.answers import (
    Subject,
    Verdict,
    judge_fault,
    judge_foreign,
    judge_refusal,
)
from hotfolder.core.errors import (
    DestinationError,
    DestinationTrouble,
    without_traces,
)
from hotfolder.core.foreign import is_foreign
from hotfolder.core.ports import Limiter
from hotfolder.core.pulse import Step
from hotfolder.core.refusals import Fault
from hotfolder.core.s3_codes import Patience
from hotfolder.core.stalls import Bounds

if TYPE_CHECKING:
    from types_boto3_s3.client import S3Client

T = TypeVar("T")

_TRIES = {Patience.NONE: 1, Patience.TWICE: 2, Patience.BRIEF: 4}  # FULL: as configured
_FIRST_WAIT, _LONGEST_WAIT = 0.4, 5.0  # seconds: upper bounds, each wait is drawn below its bound
_CREDENTIAL_TROUBLES = {DestinationTrouble.DENIED, DestinationTrouble.EXPIRED}


class Requests:
    """The requests to one store; use it from one event loop. `check` asks whether the bucket answers."""

    def __init__(
        self,
        connection: S3Connection,
        executor: Executor,
        *,
        check: Callable[[], Awaitable[None]],
        sleep: Callable[[float], Awaitable[None]],
        wall: Callable[[], float],
        on_move: Callable[[], None],
        limiter: Limiter | None = None,
        on_throttled: Callable[[], None] = lambda: None,
    ) -> None:
        """`wall`: seconds since the epoch on this machine's clock."""
        self._connection = connection
        self._settings = settings = connection.settings
        bounds = Bounds(settings.connect_timeout, settings.read_timeout, settings.min_speed)
        self._threads = RequestThreads(executor, bounds, on_move, limiter)
        self._limiter = limiter
        self._check, self._sleep, self.wall = check, sleep, wall
        self._on_throttled = on_throttled
        self._heard = False  # whether an S3 store ever answered

    def steps(self) -> list[Step]:
        """The requests under way."""
        return self._threads.steps()

    async def call(
        self,
        subject: Subject,
        call: Callable[["S3Client"], T],
        *,
        pieces: "Pieces | None" = None,
        failed: "Failed | None" = None,
        begun: float | None = None,
    ) -> tuple[T, int]:
        """Run `call` in the executor, as often as its failures deserve; also the requests sent.

        `failed` is a try that was already made elsewhere, at `begun` on the loop's clock, and counts.
        With a body (`pieces`) it is sent again only while uploads may begin.
        """
        begun = asyncio.get_running_loop().time() if begun is None else begun
        tries = Tries(partial(self.once, subject, partial(self._ask, subject, call)), failed)
        try:
            if failed is None:
                # Nearly always enough, and it spares tenacity's 0.07 ms. `tries` keeps the failure.
                with contextlib.suppress(Failed):
                    return await tries.first(), tries.requests
            sleep = self._sleep if pieces is None else partial(self._rest, tries)
            return await self._again(subject, tries, begun, sleep), tries.requests
        finally:
            if pieces is not None:
                pieces.halt()  # a cancelled call leaves its thread behind, still sending

    async def _again(
        self,
        subject: Subject,
        tries: "Tries[T]",
        begun: float,
        sleep: Callable[[float], Awaitable[None]],
    ) -> T:
        retrying = AsyncRetrying(
            retry=retry_if_exception_type(Failed),
            stop=self._is_enough,
            wait=wait_random_exponential(multiplier=_FIRST_WAIT, max=_LONGEST_WAIT),
            sleep=sleep,
            before_sleep=self._heed,
            reraise=True,
        )
        try:
            return await retrying(tries.next)
        except Failed as failed:
            verdict = failed.verdict
            reason = await self._bucket_trouble(subject, verdict)
            if reason is None and verdict.ask_bucket and not isinstance(verdict.error, DestinationError):
                # An outage that named no reason may have ended, or the bucket's answer brought new
                # keys: only what is refused now is the object's own.
                without_traces(failed)
                await sleep(0.0)
                return await self._for_the_last_time(tries)
            error = reason or verdict.error
            if verdict.may_be_this_one and isinstance(error, DestinationError):
                error.failing_for = asyncio.get_running_loop().time() - begun - tries.shut_out
            raise error from failed.__cause__ or failed

    @staticmethod
    async def _for_the_last_time(tries: "Tries[T]") -> T:
        try:
            return await tries.next()
        except Failed as failed:
            raise failed.verdict.error from failed.__cause__ or failed

    async def _rest(self, tries: "Tries[T]", seconds: float) -> None:
        """Sleep until a body may be sent again, by the failure's measure and by the upload window."""
        await self._sleep(seconds)
        if self._limiter is not None:
            loop = asyncio.get_running_loop()
            begun = loop.time()
            await self._limiter.opened()
            tries.shut_out += loop.time() - begun

    def _heed(self, state: RetryCallState) -> None:
        failure = state.outcome.exception() if state.outcome else None
        if not isinstance(failure, Failed):
            return
        without_traces(failure)
        error = failure.verdict.error
        if isinstance(error, DestinationError) and error.trouble is DestinationTrouble.THROTTLED:
            self._on_throttled()

    async def once(self, subject: Subject, work: Callable[[], T]) -> T:
        """Run `work` in the executor; raises `Failed`."""
        try:
            return await self._threads.run(str(subject), work)
        except Stalled as error:
            # Connections that nobody uses now may be as dead: the next try is to open a new one.
            self._connection.drop_idle()
            raise Failed(judge_fault(subject, error.stall.fault, error.stall.detail)) from error
        except (boto_errors.BotoCoreError, ResponseParserError) as error:
            raise Failed(judge_fault(subject, faults.fault(error), faults.detail(error))) from error

    def _ask(self, subject: Subject, call: Callable[["S3Client"], T]) -> T:
        """One request, in the executor."""
        client, used = self._connection.lend()
        try:
            reply = call(client)
        except boto_errors.ClientError as error:
            refusal = faults.refusal(error, now=self.wall())
            self._heard = self._heard or not refusal.is_bare
            if self._meets_tls():
                raise Failed(judge_fault(subject, Fault.NO_PLAIN)) from error
            raise self.reconsidered(Failed(judge_refusal(subject, refusal)), used) from error
        except boto_errors.BotoCoreError as error:
            if faults.fault(error) is Fault.CUT and self._meets_tls():
                raise Failed(judge_fault(subject, Fault.NO_PLAIN)) from error
            raise
        if isinstance(reply, Mapping) and is_foreign(subject.operation, reply, faults.headers(reply)):
            raise Failed(judge_foreign(subject))
        self._heard = True
        return reply

    def _meets_tls(self) -> bool:
        """Whether nothing was understood yet because the other side speaks https."""
        watch = current_watch()
        if watch is not None and watch.is_cut:
            return False  # it was we who ended it
        return not self._heard and self._connection.meets_tls()

    def reconsidered(self, failed: Failed, used: int) -> Failed:
        """The failure of a request with keys of generation `used`: with others it is worth repeating."""
        error = failed.verdict.error
        refused = isinstance(error, DestinationError) and error.trouble in _CREDENTIAL_TROUBLES
        if refused and self._connection.renew(used):
            return Failed(replace(failed.verdict, patience=Patience.BRIEF), failed.requests)
        return failed

    def _is_enough(self, state: RetryCallState) -> bool:
        failure = state.outcome.exception() if state.outcome else None
        patience = failure.verdict.patience if isinstance(failure, Failed) else Patience.NONE
        return state.attempt_number >= min(_TRIES.get(patience, sys.maxsize), self._settings.attempts)

    async def _bucket_trouble(self, subject: Subject, verdict: Verdict) -> DestinationError | None:
        """What is wrong with the whole bucket, where the verdict cannot tell that."""
        if verdict.ask_bucket and subject.key:
            try:
                await self._check()
            except DestinationError as reason:
                return reason
        return None
