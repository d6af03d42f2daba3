"""`S3Store`: the port `ObjectStore` over boto3.

What each operation asks for and what its answer says; how requests are made and repeated is `Requests`'
matter, and what an answer means is decided by `core.answers`.
"""

import asyncio
import contextlib
import http.client
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping, Sequence
from concurrent.futures import Executor
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar, cast

import botocore.exceptions as boto_errors

from hotfolder.adapters.s3 import faults
from hotfolder.adapters.s3.bodies import Download, Pieces
from hotfolder.adapters.s3.connection import S3Connection
from hotfolder.adapters.s3.engine_puts import EnginePuts
from hotfolder.adapters.s3.requests import Requests
from hotfolder.adapters.s3.tries import Failed
from hotfolder.core import s3_words as words
from hotfolder.core.answers import Subject
from hotfolder.core.errors import (
    UploadLost,
)
from hotfolder.core.ports import Body, Limiter, PutEngine, Scattered
from hotfolder.core.pulse import Step
from hotfolder.core.records import ObjectDraft, ObjectInfo, OpenUpload, PartReceipt, Receipt

if TYPE_CHECKING:
    from types_boto3_s3.client import S3Client

T = TypeVar("T")


class S3Store:
    """`core.ports.ObjectStore` for one bucket; use it from one event loop.

    `executor` runs boto3's blocking calls; give it as many threads as requests may be in flight.
    `engine` sends bodies up to `SINGLE_PUT_LIMIT`, and parts if it sees how they get on; boto3 the
    rest, and again what failed there.
    A cancelled call ends its request: the body is not read any more.
    """

    def __init__(
        self,
        connection: S3Connection,
        executor: Executor,
        *,
        engine: PutEngine | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        wall: Callable[[], float] = time.time,
        on_move: Callable[[], None] = lambda: None,
        limiter: Limiter | None = None,
        on_throttled: Callable[[], None] = lambda: None,
    ) -> None:
        """`on_move` is called now and then while the bytes of a long request move.

        `limiter`: of the line that it shares with other stores. `on_throttled`: it asks for less, by an
        answer after which the request is repeated.
        """
        self._settings = connection.settings
        self._options = connection.settings.options
        self._requests = Requests(
            connection,
            executor,
            check=self.check,
            sleep=sleep,
            wall=wall,
            on_move=on_move,
            limiter=limiter,
            on_throttled=on_throttled,
        )
        self._engine_puts = EnginePuts(connection, engine, self._requests, limiter) if engine else None

    def steps(self) -> list[Step]:
        """The requests under way, which block threads or wait for the engine."""
        return self._requests.steps() + (self._engine_puts.steps() if self._engine_puts else [])

    async def close(self) -> None:
        """End the connections of the engine; those of boto3 are the `S3Connection`'s."""
        if self._engine_puts is not None:
            await self._engine_puts.close()

    async def check(self) -> None:
        """See `ObjectStore`. Lists one key: unlike HEAD, a refusal of it names its reason."""
        bucket = self._settings.bucket
        subject = self._subject("ListObjectsV2")
        await self._requests.call(subject, lambda s3: s3.list_objects_v2(Bucket=bucket, MaxKeys=1))

    async def put(
        self, draft: ObjectDraft, body: Body, *, sha256: bytes, unless_exists: bool
    ) -> Receipt:
        """See `ObjectStore`. A repeated request keeps its condition, so a 412 may be our own object."""
        subject = self._subject("PutObject", words.checked_draft(draft).key)
        failed, begun = None, asyncio.get_running_loop().time()
        if self._engine_puts is not None and self._engine_puts.takes(len(body)):
            headers = words.put_headers(draft, self._options, sha256, unless_exists=unless_exists)
            try:
                return await self._engine_puts.put(subject, headers, body, sha256)
            except Failed as error:
                # boto3 repeats it: its answers are whole, the engine's are not. Its trace leads back
                # here: that circle would keep the body long after it is sent.
                failed = error.with_traceback(None)
        pieces = Pieces(body)
        fields = words.draft_fields(draft, self._options)
        fields |= {"Body": pieces, "ChecksumSHA256": words.checksum(sha256)}
        fields |= self._condition(unless_exists)
        reply, requests = await self._requests.call(
            subject, lambda s3: s3.put_object(**fields), pieces=pieces, failed=failed, begun=begun
        )
        return words.receipt(reply, requests, self._options.sse)

    async def head(self, key: str) -> ObjectInfo | None:
        """See `ObjectStore`. A missing bucket looks like a missing object: HEAD names no reason."""
        subject = self._subject("HeadObject", words.checked_key(key))
        reply, _ = await self._requests.call(subject, partial(looked_up, self._settings.bucket, key))
        return None if reply is None else words.object_info(key, reply, self._options.sse)

    async def create_multipart(self, draft: ObjectDraft) -> str:
        """See `ObjectStore`. What a lost answer left behind is aborted."""
        subject = self._subject("CreateMultipartUpload", words.checked_draft(draft).key)
        fields = words.draft_fields(draft, self._options)
        fields |= {"Bucket": self._settings.bucket, "ChecksumAlgorithm": "SHA256"}
        begun = asyncio.get_running_loop().time()
        reply, requests = await self._requests.call(
            subject, lambda s3: s3.create_multipart_upload(**fields)
        )
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
        self, key: str, upload_id: str, number: int, body: Body | Scattered, *, sha256: bytes
    ) -> PartReceipt:
        """See `ObjectStore`."""
        pieces, subject = Pieces(body), self._subject("UploadPart", key)
        fields = self._of_upload(key, upload_id) | {"PartNumber": number, "Body": pieces}
        failed, begun = None, asyncio.get_running_loop().time()
        if self._engine_puts is not None and self._engine_puts.takes_parts:
            try:
                return await self._engine_puts.part(subject, upload_id, number, body, sha256)
            except Failed as error:
                failed = error.with_traceback(None)  # boto3 repeats it; see `put`
        fields["ChecksumSHA256"] = words.checksum(sha256)
        reply, requests = await self._requests.call(
            subject,
            lambda s3: s3.upload_part(**fields),
            pieces=pieces,
            failed=failed,
            begun=begun,
        )
        return words.part_receipt(number, len(body), reply, self._options.sse, requests)

    async def list_parts(self, key: str, upload_id: str) -> list[PartReceipt]:
        """See `ObjectStore`. SeaweedFS lists no checksums, and a part that was sent twice twice."""
        subject = self._subject("ListParts", key)
        fields = self._of_upload(key, upload_id)
        parts: list[PartReceipt] = []
        while True:
            reply, _ = await self._requests.call(subject, lambda s3: s3.list_parts(**fields))
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
        reply, requests = await self._requests.call(
            self._subject("CompleteMultipartUpload", key),
            lambda s3: s3.complete_multipart_upload(**fields),
        )
        return words.receipt(reply, requests, self._options.sse)

    async def list_uploads(self, prefix: str) -> AsyncIterator[OpenUpload]:
        """See `ObjectStore`."""
        subject = self._subject("ListMultipartUploads", prefix)
        fields: dict[str, Any] = {"Bucket": self._settings.bucket, "Prefix": prefix}
        while True:
            reply, _ = await self._requests.call(subject, lambda s3: s3.list_multipart_uploads(**fields))
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
            await self._requests.call(subject, lambda s3: s3.abort_multipart_upload(**fields))

    async def get(self, key: str, *, start: int = 0) -> AsyncGenerator[bytes]:
        """See `ObjectStore`. A broken download goes on where it broke, in the same object only."""
        subject = self._subject("GetObject", words.checked_key(key))
        download = Download(subject, start)
        try:
            while chunk := (await self._requests.call(subject, download.read))[0]:
                yield chunk
        finally:
            download.close()

    async def delete(self, key: str) -> None:
        """See `ObjectStore`."""
        bucket = self._settings.bucket
        subject = self._subject("DeleteObject", words.checked_key(key))
        await self._requests.call(subject, lambda s3: s3.delete_object(Bucket=bucket, Key=key))

    async def list(self, prefix: str) -> AsyncIterator[ObjectInfo]:
        """See `ObjectStore`."""
        subject = self._subject("ListObjectsV2", prefix)
        fields: dict[str, Any] = {"Bucket": self._settings.bucket, "Prefix": prefix}
        while True:
            reply, _ = await self._requests.call(subject, lambda s3: s3.list_objects_v2(**fields))
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


def looked_up(bucket: str, key: str, s3: "S3Client") -> Mapping[str, Any] | None:
    """HeadObject's reply, or None where there is no such object."""
    try:
        return cast(Mapping[str, Any], s3.head_object(Bucket=bucket, Key=key, ChecksumMode="ENABLED"))
    except boto_errors.ClientError as error:
        if faults.status(error) == http.HTTPStatus.NOT_FOUND:
            return None
        raise
