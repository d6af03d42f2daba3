"""PUTs and parts over the put engine, one try each: what fails there is boto3's to repeat."""

import asyncio
import http.client
import math
from collections.abc import Mapping
from functools import partial
from urllib.parse import quote

from hotfolder.adapters.s3.connection import S3Connection
from hotfolder.adapters.s3.requests import Requests
from hotfolder.adapters.s3.tries import Failed
from hotfolder.core import s3_words as words
from hotfolder.core.answers import Subject, judge_fault, judge_foreign, judge_refusal
from hotfolder.core.foreign import is_foreign
from hotfolder.core.ports import Body, Limiter, PutEngine, Scattered, SigningKeys
from hotfolder.core.pulse import Step
from hotfolder.core.records import PartReceipt, Receipt
from hotfolder.core.refusals import Answer, Fault, read_refusal

SINGLE_PUT_LIMIT = 8 * 1024 * 1024  # bytes; above it boto3's cost is small beside the bytes
_REST = 600.0  # seconds that what the engine had no time for goes to boto3
_TINY = 64 * 1024  # bytes; what is smaller was not too much for a thin line: that was an outage


class EnginePuts:
    """What the engine sends of one store, and as whom; use it from one event loop."""

    def __init__(
        self,
        connection: S3Connection,
        engine: PutEngine,
        requests: Requests,
        limiter: Limiter | None = None,
    ) -> None:
        self._connection, self._engine, self._requests = connection, engine, requests
        self._limiter = limiter
        self._settings, self._options = connection.settings, connection.settings.options
        self._slow_size, self._slow_until = 0, -math.inf  # what it had no time for, and until when
        self._base_url = ""
        self._addressing = asyncio.Lock()

    def steps(self) -> list[Step]:
        """The requests that the engine has."""
        return self._engine.steps()

    async def close(self) -> None:
        """End the engine's connections."""
        await self._engine.close()

    def takes(self, size: int) -> bool:
        """Whether a body of `size` bytes is for the engine.

        To one that tells nothing before the end a thin line, shared by many, looks like a stall, and it
        cannot be slowed down. boto3's requests are judged by what moves: they get what such an engine
        did not bring through, and all while there is a limit.
        """
        if self._engine.sees_progress:
            return size <= SINGLE_PUT_LIMIT
        if self._limiter is not None and self._limiter.rate != math.inf:
            return False
        if asyncio.get_running_loop().time() >= self._slow_until:
            self._slow_size = SINGLE_PUT_LIMIT + 1
        return size < self._slow_size

    async def put(
        self,
        subject: Subject,
        headers: Mapping[str, str],
        body: Body,
        sha256: bytes,
    ) -> Receipt:
        """One try; raises `Failed`."""
        answer = await self._sent(subject, "", headers, body, sha256)
        return words.receipt_of_headers(answer.headers, answer.requests, self._options.sse)

    @property
    def takes_parts(self) -> bool:
        """Whether parts are for the engine: to one that sees no progress each would have to be small."""
        return self._engine.sees_progress

    async def part(
        self, subject: Subject, upload_id: str, number: int, body: Body | Scattered, sha256: bytes
    ) -> PartReceipt:
        """One try at a part of any size; raises `Failed`."""
        query = f"?{words.part_query(upload_id, number)}"
        answer = await self._sent(subject, query, words.part_headers(sha256), body, sha256)
        return words.part_receipt_of_headers(
            number, len(body), answer.headers, answer.requests, self._options.sse
        )

    async def _sent(
        self,
        subject: Subject,
        query: str,
        headers: Mapping[str, str],
        body: Body | Scattered,
        sha256: bytes,
    ) -> Answer:
        """The answer to one request, if it is a success; raises `Failed`."""
        base_url, keys = await self._address(subject)
        used = self._connection.generation
        answer = await self._engine.put(
            base_url + quote(subject.key, safe="/~") + query,  # as botocore quotes it
            headers,
            body,
            sha256=sha256,
            keys=keys,
            deadline=None if self._engine.sees_progress else self._deadline(len(body)),
        )
        if answer.fault is Fault.TIMEOUT and len(body) > _TINY:
            self._slow_size = min(self._slow_size, len(body))
            self._slow_until = asyncio.get_running_loop().time() + _REST
        if answer.fault is not None:
            raise Failed(judge_fault(subject, answer.fault, answer.detail), answer.requests)
        if answer.status >= http.HTTPStatus.MULTIPLE_CHOICES:
            failed = Failed(
                judge_refusal(subject, read_refusal(answer, now=self._requests.wall())), answer.requests
            )
            raise await self._requests.once(subject, partial(self._requests.reconsidered, failed, used))
        if is_foreign(subject.operation, (), answer.headers):
            raise Failed(judge_foreign(subject), answer.requests)
        return answer

    def _deadline(self, size: int) -> float:
        """Seconds that the engine gets for a body of `size` bytes."""
        settings = self._settings
        slowest = size / settings.min_speed if settings.min_speed else _REST
        return settings.connect_timeout + settings.read_timeout + slowest

    async def _address(self, subject: Subject) -> tuple[str, SigningKeys]:
        """Where and as whom to send. Looked up once: hundreds of files ask at the same moment."""
        keys = self._connection.recent_keys()
        if self._base_url and keys is not None:
            return self._base_url, keys
        async with self._addressing:
            if not self._base_url:
                self._base_url = await self._requests.once(subject, self._connection.base_url)
            keys = self._connection.recent_keys()
            if keys is None:
                keys = await self._requests.once(subject, self._connection.keys)
            return self._base_url, keys
