"""`S3Store`: the port `ObjectStore` over boto3.

boto3 blocks, so its calls run in the executor and come back as awaited results. Its own retries are
off: tenacity repeats here, asleep in the event loop, where it can be cancelled. What an answer means
is decided by `core.answers`.
"""

import asyncio
import contextlib
import http.client
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar, cast
from urllib.parse import quote

import botocore.exceptions as boto_errors
from botocore.parsers import ResponseParserError
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception_type, wait_random_exponential

from hotfolder.adapters.s3 import faults
from hotfolder.adapters.s3.bodies import Download, Pieces
from hotfolder.adapters.s3.connection import S3Connection
from hotfolder.adapters.s3.tries import Failed, Tries
from hotfolder.core import s3_words as words
from hotfolder.core.answers import Patience, Subject, Verdict, judge_fault, judge_refusal
from hotfolder.core.errors import (
    DestinationError,
    DestinationTrouble,
    HotfolderError,
    UploadLost,
)
from hotfolder.core.ports import Body, PutEngine, SigningKeys
from hotfolder.core.records import ObjectDraft, ObjectInfo, OpenUpload, PartReceipt, Receipt
from hotfolder.core.refusals import Fault, read_refusal

if TYPE_CHECKING:
    from types_boto3_s3.client import S3Client

T = TypeVar("T")

SINGLE_PUT_LIMIT = 8 * 1024 * 1024  # bytes; above it the put engine's copies cost more than they gain
_PIECE = 1024 * 1024  # bytes given to the socket, or read from it, at once
_BRIEF_TRIES = 4
_FIRST_WAIT, _LONGEST_WAIT = 0.4, 5.0  # seconds: upper bounds, each wait is drawn below its bound
_CREDENTIAL_TROUBLES = {DestinationTrouble.DENIED, DestinationTrouble.EXPIRED}


class S3Store:
    """`core.ports.ObjectStore` for one bucket; use it from one event loop.

    `executor` runs boto3's blocking calls; give it as many threads as requests may be in flight.
    `single_put` sends bodies up to `SINGLE_PUT_LIMIT`, boto3 the rest, and again what failed there.
    A cancelled call stops its request at the body's next piece or at its answer, and the body is read
    until then.
    """

    def __init__(
        self,
        connection: S3Connection,
        executor: Executor,
        *,
        single_put: PutEngine | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._connection = connection
        self._settings = connection.settings
        self._options = connection.settings.options
        self._executor = executor
        self._single_put = single_put
        self._base_url = ""
        self._heard = False  # whether an S3 store ever answered
        self._addressing = asyncio.Lock()
        self._sleep, self._wall = sleep, wall

    async def check(self) -> None:
        """See `ObjectStore`. Lists one key: unlike HEAD, a refusal of it names its reason."""
        bucket = self._settings.bucket
        subject = self._subject("ListObjectsV2")
        await self._call(subject, lambda s3: s3.list_objects_v2(Bucket=bucket, MaxKeys=1))

    async def put(
        self, draft: ObjectDraft, body: Body, *, sha256: bytes, unless_exists: bool
    ) -> Receipt:
        """See `ObjectStore`. A repeated request keeps its condition, so a 412 may be our own object."""
        subject = self._subject("PutObject", words.checked_draft(draft).key)
        failed = None
        if self._single_put is not None and len(body) <= SINGLE_PUT_LIMIT:
            headers = words.put_headers(draft, self._options, sha256, unless_exists=unless_exists)
            try:
                return await self._put_small(self._single_put, subject, headers, body, sha256)
            except Failed as error:
                failed = error  # boto3 repeats it: its answers are whole, the engine's are not
        pieces = Pieces(body)
        fields = words.draft_fields(draft, self._options)
        fields |= {"Body": pieces, "ChecksumSHA256": words.checksum(sha256)}
        fields |= self._condition(unless_exists)
        reply, requests = await self._call(
            subject, lambda s3: s3.put_object(**fields), pieces=pieces, failed=failed
        )
        return words.receipt(reply, requests, self._options.sse)

    async def head(self, key: str) -> ObjectInfo | None:
        """See `ObjectStore`. A missing bucket looks like a missing object: HEAD names no reason."""
        subject = self._subject("HeadObject", words.checked_key(key))
        reply, _ = await self._call(subject, partial(looked_up, self._settings.bucket, key))
        return None if reply is None else words.object_info(key, reply, self._options.sse)

    async def create_multipart(self, draft: ObjectDraft) -> str:
        """See `ObjectStore`. What a lost answer left behind is aborted."""
        subject = self._subject("CreateMultipartUpload", words.checked_draft(draft).key)
        fields = words.draft_fields(draft, self._options)
        fields |= {"Bucket": self._settings.bucket, "ChecksumAlgorithm": "SHA256"}
        begun = asyncio.get_running_loop().time()
        reply, requests = await self._call(subject, lambda s3: s3.create_multipart_upload(**fields))
        if requests > 1:
            seconds = asyncio.get_running_loop().time() - begun
            await self._abort_doubles(draft.key, reply["UploadId"], seconds)
        return reply["UploadId"]

    async def _abort_doubles(self, key: str, upload_id: str, seconds: float) -> None:
        """Abort what was begun for `key` in the `seconds` before `upload_id`: answers that were lost."""
        found = [upload async for upload in self.list_uploads(key) if upload.key == key]
        ours = next((upload.initiated for upload in found if upload.upload_id == upload_id), 0.0)
        for upload in found:
            is_as_old = -1.0 <= ours - upload.initiated <= seconds + 1.0
            if upload.upload_id != upload_id and is_as_old:
                await self.abort(key, upload.upload_id)

    async def upload_part(
        self, key: str, upload_id: str, number: int, body: Body, *, sha256: bytes
    ) -> PartReceipt:
        """See `ObjectStore`."""
        pieces = Pieces(body)
        fields = self._of_upload(key, upload_id) | {"PartNumber": number, "Body": pieces}
        fields["ChecksumSHA256"] = words.checksum(sha256)
        reply, requests = await self._call(
            self._subject("UploadPart", key), lambda s3: s3.upload_part(**fields), pieces=pieces
        )
        return words.part_receipt(number, len(body), reply, self._options.sse, requests)

    async def list_parts(self, key: str, upload_id: str) -> list[PartReceipt]:
        """See `ObjectStore`. SeaweedFS lists no checksums, and a part that was sent twice twice."""
        subject = self._subject("ListParts", key)
        fields = self._of_upload(key, upload_id)
        parts: list[PartReceipt] = []
        while True:
            reply, _ = await self._call(subject, lambda s3: s3.list_parts(**fields))
            parts += [
                words.part_receipt(part["PartNumber"], part["Size"], part, self._options.sse)
                for part in reply.get("Parts", [])
            ]
            if not reply.get("IsTruncated"):
                return sorted(parts, key=lambda part: part.number)
            fields["PartNumberMarker"] = reply["NextPartNumberMarker"]

    async def complete(
        self, key: str, upload_id: str, parts: Sequence[PartReceipt], *, unless_exists: bool
    ) -> Receipt:
        """See `ObjectStore`. After a lost answer the store may say `UploadLost` or 412: `head` tells."""
        fields = self._of_upload(key, upload_id) | self._condition(unless_exists)
        fields["MultipartUpload"] = {"Parts": [words.completed_part(part) for part in parts]}
        reply, requests = await self._call(
            self._subject("CompleteMultipartUpload", key),
            lambda s3: s3.complete_multipart_upload(**fields),
        )
        return words.receipt(reply, requests, self._options.sse)

    async def list_uploads(self, prefix: str) -> AsyncIterator[OpenUpload]:
        """See `ObjectStore`."""
        subject = self._subject("ListMultipartUploads", prefix)
        fields: dict[str, Any] = {"Bucket": self._settings.bucket, "Prefix": prefix}
        while True:
            reply, _ = await self._call(subject, lambda s3: s3.list_multipart_uploads(**fields))
            for entry in reply.get("Uploads", []):
                yield OpenUpload(entry["Key"], entry["UploadId"], entry["Initiated"].timestamp())
            if not reply.get("IsTruncated"):
                return
            fields["KeyMarker"] = reply["NextKeyMarker"]
            fields["UploadIdMarker"] = reply["NextUploadIdMarker"]

    async def abort(self, key: str, upload_id: str) -> None:
        """See `ObjectStore`."""
        fields = self._of_upload(key, upload_id)
        subject = self._subject("AbortMultipartUpload", key)
        with contextlib.suppress(UploadLost):  # already gone, which is what was asked for
            await self._call(subject, lambda s3: s3.abort_multipart_upload(**fields))

    async def get(self, key: str, *, start: int = 0) -> AsyncGenerator[bytes]:
        """See `ObjectStore`. A broken download goes on where it broke, in the same object only."""
        download = Download(self._settings.bucket, words.checked_key(key), start)
        subject = self._subject("GetObject", key)
        try:
            while chunk := (await self._call(subject, download.read))[0]:
                yield chunk
        finally:
            download.close()

    async def delete(self, key: str) -> None:
        """See `ObjectStore`."""
        bucket = self._settings.bucket
        subject = self._subject("DeleteObject", words.checked_key(key))
        await self._call(subject, lambda s3: s3.delete_object(Bucket=bucket, Key=key))

    async def list(self, prefix: str) -> AsyncIterator[ObjectInfo]:
        """See `ObjectStore`."""
        subject = self._subject("ListObjectsV2", prefix)
        fields: dict[str, Any] = {"Bucket": self._settings.bucket, "Prefix": prefix}
        while True:
            reply, _ = await self._call(subject, lambda s3: s3.list_objects_v2(**fields))
            for entry in reply.get("Contents", []):
                yield words.object_info(entry["Key"], entry)
            if not reply.get("IsTruncated"):
                return
            fields["ContinuationToken"] = reply["NextContinuationToken"]

    def _subject(self, operation: str, key: str = "") -> Subject:
        return Subject(operation, self._settings.bucket, key)

    def _condition(self, unless_exists: bool) -> dict[str, Any]:
        condition = {"IfNoneMatch": "*"} if unless_exists else {}
        return {"Bucket": self._settings.bucket, **condition}

    def _of_upload(self, key: str, upload_id: str) -> dict[str, Any]:
        if not upload_id:
            # An abort without an upload id is, on the wire, the deletion of the object.
            raise ValueError("an upload id is needed")
        return {
            "Bucket": self._settings.bucket,
            "Key": words.checked_key(key),
            "UploadId": upload_id,
        }

    async def _put_small(
        self,
        engine: PutEngine,
        subject: Subject,
        headers: Mapping[str, str],
        body: Body,
        sha256: bytes,
    ) -> Receipt:
        base_url, keys = await self._address(subject)
        used = self._connection.generation
        answer = await engine.put(
            base_url + quote(subject.key, safe="/~"),  # as botocore quotes it
            headers,
            body,
            sha256=sha256,
            keys=keys,
            deadline=self._settings.connect_timeout + self._settings.read_timeout,
        )
        if answer.fault is not None:
            raise Failed(judge_fault(subject, answer.fault, answer.detail), answer.requests)
        if answer.status >= http.HTTPStatus.MULTIPLE_CHOICES:
            failed = Failed(
                judge_refusal(subject, read_refusal(answer, now=self._wall())), answer.requests
            )
            raise await self._block(subject, partial(self._reconsidered, failed, used))
        return words.receipt_of_headers(answer.headers, answer.requests, self._options.sse)

    async def _address(self, subject: Subject) -> tuple[str, SigningKeys]:
        """Where and as whom to send. Looked up once: hundreds of files ask at the same moment."""
        keys = self._connection.recent_keys()
        if self._base_url and keys is not None:
            return self._base_url, keys
        async with self._addressing:
            if not self._base_url:
                self._base_url = await self._block(subject, self._connection.base_url)
            keys = self._connection.recent_keys()
            if keys is None:
                keys = await self._block(subject, self._connection.keys)
            return self._base_url, keys

    async def _call(
        self,
        subject: Subject,
        call: Callable[["S3Client"], T],
        *,
        pieces: "Pieces | None" = None,
        failed: "Failed | None" = None,
    ) -> tuple[T, int]:
        """Run `call` in the executor, as often as its failures deserve; also the requests sent.

        `failed` is a try that was already made elsewhere and counts.
        """
        tries = Tries(partial(self._block, subject, partial(self._ask, subject, call)), failed)
        try:
            if failed is None:
                # Nearly always enough, and it spares tenacity's 0.07 ms. `tries` keeps the failure.
                with contextlib.suppress(Failed):
                    return await tries.first(), tries.requests
            return await self._again(subject, tries), tries.requests
        finally:
            if pieces is not None:
                pieces.halt()  # a cancelled call leaves its thread behind, still sending

    async def _again(self, subject: Subject, tries: "Tries[T]") -> T:
        retrying = AsyncRetrying(
            retry=retry_if_exception_type(Failed),
            stop=self._is_enough,
            wait=wait_random_exponential(multiplier=_FIRST_WAIT, max=_LONGEST_WAIT),
            sleep=self._sleep,
            reraise=True,
        )
        try:
            return await retrying(tries.next)
        except Failed as failed:
            error = await self._true_error(subject, failed.verdict)
            raise error from failed.__cause__ or failed

    async def _block(self, subject: Subject, work: Callable[[], T]) -> T:
        try:
            return await asyncio.get_running_loop().run_in_executor(self._executor, work)
        except (boto_errors.BotoCoreError, ResponseParserError) as error:
            raise Failed(judge_fault(subject, faults.fault(error), faults.detail(error))) from error

    def _ask(self, subject: Subject, call: Callable[["S3Client"], T]) -> T:
        """One request, in the executor."""
        client, used = self._connection.lend()
        try:
            reply = call(client)
        except boto_errors.ClientError as error:
            refusal = faults.refusal(error, now=self._wall())
            self._heard = self._heard or not refusal.is_bare
            if self._meets_tls():
                raise Failed(judge_fault(subject, Fault.NO_PLAIN)) from error
            raise self._reconsidered(Failed(judge_refusal(subject, refusal)), used) from error
        except boto_errors.BotoCoreError as error:
            if faults.fault(error) is Fault.CUT and self._meets_tls():
                raise Failed(judge_fault(subject, Fault.NO_PLAIN)) from error
            raise
        self._heard = True
        return reply

    def _meets_tls(self) -> bool:
        """Whether nothing was understood yet because the other side speaks https."""
        return not self._heard and self._connection.meets_tls()

    def _reconsidered(self, failed: Failed, used: int) -> Failed:
        """The failure of a request with keys of generation `used`: with others it is worth repeating."""
        error = failed.verdict.error
        refused = isinstance(error, DestinationError) and error.trouble in _CREDENTIAL_TROUBLES
        if refused and self._connection.renew(used):
            return Failed(replace(failed.verdict, patience=Patience.BRIEF), failed.requests)
        return failed

    def _is_enough(self, state: RetryCallState) -> bool:
        failure = state.outcome.exception() if state.outcome else None
        patience = failure.verdict.patience if isinstance(failure, Failed) else Patience.NONE
        tries = {Patience.NONE: 1, Patience.BRIEF: _BRIEF_TRIES, Patience.FULL: self._settings.attempts}
        return state.attempt_number >= min(tries[patience], self._settings.attempts)

    async def _true_error(self, subject: Subject, verdict: Verdict) -> HotfolderError:
        if verdict.ask_bucket and subject.key:
            try:
                await self.check()
            except DestinationError as reason:
                return reason
        return verdict.error


def looked_up(bucket: str, key: str, s3: "S3Client") -> Mapping[str, Any] | None:
    """HeadObject's reply, or None where there is no such object."""
    try:
        return cast(Mapping[str, Any], s3.head_object(Bucket=bucket, Key=key, ChecksumMode="ENABLED"))
    except boto_errors.ClientError as error:
        if faults.status(error) == http.HTTPStatus.NOT_FOUND:
            return None
        raise
