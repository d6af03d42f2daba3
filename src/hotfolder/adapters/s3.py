"""The object store over boto3: one bucket, every request carrying its own SHA-256.

boto3 blocks, so its calls run in the executor and come back as awaited results. Its own retries are
off: tenacity repeats here, asleep in the event loop, where it can be cancelled. What an answer means
is decided by `core.answers`.
"""

import asyncio
import base64
import http.client
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from concurrent.futures import CancelledError, Executor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast
from urllib.parse import quote

import boto3
import botocore.auth
import botocore.exceptions as boto_errors
from botocore.config import Config
from botocore.credentials import SharedCredentialProvider
from botocore.parsers import ResponseParserError
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception_type, wait_random_exponential

from hotfolder.core.answers import (
    Fault,
    Patience,
    Refusal,
    Subject,
    Verdict,
    judge_fault,
    judge_refusal,
    read_refusal,
)
from hotfolder.core.errors import (
    ConfigError,
    DestinationError,
    DestinationTrouble,
    FileRejected,
    HotfolderError,
    UploadLost,
)
from hotfolder.core.ports import Body, PutEngine
from hotfolder.core.records import ObjectDraft, ObjectInfo, PartReceipt, Receipt

if TYPE_CHECKING:
    from types_boto3_s3.client import S3Client

T = TypeVar("T")

SINGLE_PUT_LIMIT = 8 * 1024 * 1024  # bytes; above it the put engine's copies cost more than they gain
_MAX_KEY_BYTES = 1024  # S3's limit, in UTF-8
_PIECE = 1024 * 1024  # bytes given to the socket, or read from it, at once
_BRIEF_TRIES = 4
_FIRST_WAIT, _LONGEST_WAIT = 0.4, 5.0  # seconds: upper bounds, the wait is drawn below them
_RENEW_INTERVAL = 5.0  # seconds between two readings of credentials that were refused
_SIGNER = "hotfolder-s3v4"


@dataclass(frozen=True, slots=True)
class S3Settings:
    """Where the bucket is and how to talk to it. Times in seconds.

    `credentials_file` is an AWS shared-credentials file whose profile "default" is used and nothing
    else; None leaves it to boto3's own resolution. `attempts` counts requests, the first included.
    """

    bucket: str
    region: str = "us-east-1"
    endpoint_url: str = ""
    addressing_style: str = "auto"
    credentials_file: Path | None = None
    storage_class: str = "STANDARD"
    connect_timeout: float = 20.0
    read_timeout: float = 300.0
    attempts: int = 12
    max_pool_connections: int = 64


class S3Connection:
    """The boto3 client and its credentials, made on first use and anew after a refusal.

    Thread-safe. All but `renew` may block (files, instance metadata) and belong in the executor.
    """

    def __init__(self, settings: S3Settings) -> None:
        self.settings = settings
        self._lock = threading.Lock()
        self._session: boto3.Session | None = None
        self._client: S3Client | None = None
        self._made_at = 0.0
        self._refused = False

    def client(self) -> "S3Client":
        """The client. Raises ConfigError, or botocore's errors where no credentials are found."""
        with self._lock:
            stale = self._refused and time.monotonic() - self._made_at >= _RENEW_INTERVAL
            if self._client is None or stale:
                self._session = _open_session(self.settings)
                self._client = _open_client(self._session, self.settings)
                self._made_at = time.monotonic()
                self._refused = False
            return self._client

    def keys(self) -> tuple[str, str, str | None]:
        """Access key, secret key and session token as they are valid now (botocore refreshes them)."""
        self.client()
        credentials = self._session.get_credentials() if self._session else None
        if credentials is None:
            raise boto_errors.NoCredentialsError
        frozen = credentials.get_frozen_credentials()
        return str(frozen.access_key), str(frozen.secret_key), frozen.token

    def base_url(self) -> str:
        """The bucket's URL with a final slash, addressed as botocore decides for these settings."""
        url = self.client().generate_presigned_url(
            "put_object", Params={"Bucket": self.settings.bucket, "Key": "k"}
        )
        return url.partition("?")[0].removesuffix("k")

    def renew(self) -> None:
        """The credentials were refused: read them anew on the next use, as they may have rotated."""
        self._refused = True


class S3Store:
    """`core.ports.ObjectStore` for one bucket; use it from one event loop.

    `executor` runs boto3's blocking calls; give it as many threads as requests may be in flight.
    `single_put` sends bodies up to `SINGLE_PUT_LIMIT`; without one boto3 does. A cancelled call stops
    its request at the body's next piece or at its answer, and the body is read until then.
    """

    def __init__(
        self,
        connection: S3Connection,
        executor: Executor,
        *,
        single_put: PutEngine | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._connection = connection
        self._settings = connection.settings
        self._executor = executor
        self._single_put = single_put
        self._base_url = ""
        self._sleep = sleep

    async def check(self) -> None:
        """See `ObjectStore`. Lists one key: unlike HEAD, a refusal of it names its reason."""
        bucket = self._settings.bucket
        await self._call("ListObjectsV2", "", lambda s3: s3.list_objects_v2(Bucket=bucket, MaxKeys=1))

    async def put(
        self, draft: ObjectDraft, body: Body, *, sha256: bytes, unless_exists: bool
    ) -> Receipt:
        """See `ObjectStore`. A repeated request keeps its condition, so a 412 may be our own object."""
        put = _Put(_checked(draft), body, sha256, unless_exists, self._settings.storage_class)
        if self._single_put is not None and len(body) <= SINGLE_PUT_LIMIT:
            send = partial(self._send_small, self._single_put, put)
            headers, requests = await self._repeat(self._subject("PutObject", draft.key), send)
            return Receipt(
                headers.get("etag", "").strip('"'),
                headers.get("x-amz-checksum-sha256"),
                headers.get("x-amz-version-id"),
                requests,
            )
        pieces = _Pieces(body)
        arguments = put.arguments() | {"Bucket": self._settings.bucket, "Body": pieces}
        reply, requests = await self._call(
            "PutObject", draft.key, lambda s3: s3.put_object(**arguments), pieces
        )
        return _receipt(reply, requests)

    async def head(self, key: str) -> ObjectInfo | None:
        """See `ObjectStore`. A missing bucket looks like a missing object: HEAD names no reason."""
        bucket = self._settings.bucket

        def ask(s3: "S3Client") -> Mapping[str, Any] | None:
            try:
                reply = s3.head_object(Bucket=bucket, Key=key, ChecksumMode="ENABLED")
            except boto_errors.ClientError as error:
                if _status(error) == http.HTTPStatus.NOT_FOUND:
                    return None
                raise
            return cast(Mapping[str, Any], reply)

        reply, _ = await self._call("HeadObject", _checked_key(key), ask)
        return None if reply is None else _object_info(key, reply)

    async def create_multipart(self, draft: ObjectDraft) -> str:
        """See `ObjectStore`. A lost answer leaves an empty upload behind, for the sweep."""
        arguments = _draft_arguments(_checked(draft), self._settings.storage_class)
        arguments |= {"Bucket": self._settings.bucket, "ChecksumAlgorithm": "SHA256"}
        reply, _ = await self._call(
            "CreateMultipartUpload", draft.key, lambda s3: s3.create_multipart_upload(**arguments)
        )
        return str(reply["UploadId"])

    async def upload_part(
        self, key: str, upload_id: str, number: int, body: Body, *, sha256: bytes
    ) -> PartReceipt:
        """See `ObjectStore`."""
        pieces = _Pieces(body)
        arguments = self._of_upload(key, upload_id)
        arguments |= {"PartNumber": number, "Body": pieces, "ChecksumSHA256": _base64(sha256)}
        reply, requests = await self._call(
            "UploadPart", key, lambda s3: s3.upload_part(**arguments), pieces
        )
        return PartReceipt(number, len(body), _etag(reply), reply.get("ChecksumSHA256"), requests)

    async def list_parts(self, key: str, upload_id: str) -> list[PartReceipt]:
        """See `ObjectStore`. Some stores (SeaweedFS) list no checksums."""
        arguments = self._of_upload(key, upload_id)
        parts: dict[int, PartReceipt] = {}
        while True:
            reply, _ = await self._call("ListParts", key, lambda s3: s3.list_parts(**arguments))
            for part in reply.get("Parts", []):
                number = part["PartNumber"]
                parts[number] = PartReceipt(
                    number, part["Size"], _etag(part), part.get("ChecksumSHA256")
                )
            if not reply.get("IsTruncated"):
                return [parts[number] for number in sorted(parts)]
            arguments["PartNumberMarker"] = reply["NextPartNumberMarker"]

    async def complete(
        self, key: str, upload_id: str, parts: Sequence[PartReceipt], *, unless_exists: bool
    ) -> Receipt:
        """See `ObjectStore`. After a lost answer the store may say `UploadLost` or 412: `head` tells."""
        arguments = self._of_upload(key, upload_id)
        arguments["MultipartUpload"] = {"Parts": [_completed(part) for part in parts]}
        if unless_exists:
            arguments["IfNoneMatch"] = "*"
        reply, requests = await self._call(
            "CompleteMultipartUpload", key, lambda s3: s3.complete_multipart_upload(**arguments)
        )
        return _receipt(reply, requests)

    async def abort(self, key: str, upload_id: str) -> None:
        """See `ObjectStore`."""
        arguments = self._of_upload(key, upload_id)
        try:
            await self._call(
                "AbortMultipartUpload", key, lambda s3: s3.abort_multipart_upload(**arguments)
            )
        except UploadLost:
            return  # already gone, which is what was asked for

    async def get(self, key: str, *, start: int = 0) -> AsyncIterator[bytes]:
        """See `ObjectStore`. A broken download goes on where it broke, in the same object only."""
        download = _Download(self._settings.bucket, _checked_key(key), start)
        try:
            while chunk := (await self._call("GetObject", key, download.read))[0]:
                yield chunk
        finally:
            download.close()

    async def delete(self, key: str) -> None:
        """See `ObjectStore`."""
        arguments: Any = {"Bucket": self._settings.bucket, "Key": _checked_key(key)}
        await self._call("DeleteObject", key, lambda s3: s3.delete_object(**arguments))

    async def list(self, prefix: str) -> AsyncIterator[ObjectInfo]:
        """See `ObjectStore`."""
        arguments: dict[str, Any] = {"Bucket": self._settings.bucket, "Prefix": prefix}
        while True:
            reply, _ = await self._call(
                "ListObjectsV2", prefix, lambda s3: s3.list_objects_v2(**arguments)
            )
            for entry in reply.get("Contents", []):
                yield _object_info(entry["Key"], entry)
            if not reply.get("IsTruncated"):
                return
            arguments["ContinuationToken"] = reply["NextContinuationToken"]

    def _of_upload(self, key: str, upload_id: str) -> dict[str, Any]:
        if not upload_id:
            # An abort without an upload id is, on the wire, the deletion of the object.
            raise ValueError("an upload id is needed")
        return {"Bucket": self._settings.bucket, "Key": _checked_key(key), "UploadId": upload_id}

    def _subject(self, operation: str, key: str) -> Subject:
        return Subject(operation, self._settings.bucket, key)

    async def _call(
        self,
        operation: str,
        key: str,
        call: Callable[["S3Client"], T],
        pieces: "_Pieces | None" = None,
    ) -> tuple[T, int]:
        """Run `call` in the executor, repeated as its failures deserve; also the requests sent."""
        subject = self._subject(operation, key)

        async def send(tally: _Tally) -> T:
            tally.requests += 1
            return await self._block(subject, lambda: call(self._connection.client()))

        try:
            return await self._repeat(subject, send)
        finally:
            if pieces is not None:
                pieces.halt()  # a cancelled call leaves its thread behind, still sending

    async def _block(self, subject: Subject, work: Callable[[], T]) -> T:
        try:
            return await asyncio.get_running_loop().run_in_executor(self._executor, work)
        except boto_errors.ClientError as error:
            raise _Failed(judge_refusal(subject, _refusal(error))) from error
        except (boto_errors.BotoCoreError, ResponseParserError) as error:
            raise _Failed(judge_fault(subject, _fault(error), _detail(error))) from error

    async def _send_small(self, engine: PutEngine, put: "_Put", tally: "_Tally") -> Mapping[str, str]:
        subject = self._subject("PutObject", put.draft.key)
        if not self._base_url:
            self._base_url = await self._block(subject, self._connection.base_url)
        answer = await engine.put(
            self._base_url + quote(put.draft.key, safe="/~"),
            put.headers(),
            put.body,
            sha256=put.sha256,
            deadline=self._settings.connect_timeout + self._settings.read_timeout,
        )
        tally.requests += answer.requests
        if answer.fault is not None:
            raise _Failed(judge_fault(subject, answer.fault, answer.detail))
        if answer.status >= http.HTTPStatus.MULTIPLE_CHOICES:
            refusal = read_refusal(answer.status, answer.headers, answer.body)
            raise _Failed(judge_refusal(subject, refusal))
        return answer.headers

    async def _repeat(self, subject: Subject, send: Callable[["_Tally"], Awaitable[T]]) -> tuple[T, int]:
        tally = _Tally()
        retrying = AsyncRetrying(
            retry=retry_if_exception_type(_Failed),
            stop=self._is_enough,
            wait=wait_random_exponential(multiplier=_FIRST_WAIT, max=_LONGEST_WAIT),
            sleep=self._sleep,
            reraise=True,
        )
        try:
            return await retrying(send, tally), tally.requests
        except _Failed as failed:
            error = await self._true_error(subject, failed.verdict)
            raise error from failed.__cause__

    def _is_enough(self, state: RetryCallState) -> bool:
        failure = state.outcome.exception() if state.outcome else None
        patience = failure.verdict.patience if isinstance(failure, _Failed) else Patience.NONE
        tries = {Patience.NONE: 1, Patience.BRIEF: _BRIEF_TRIES, Patience.FULL: self._settings.attempts}
        return state.attempt_number >= min(tries[patience], self._settings.attempts)

    async def _true_error(self, subject: Subject, verdict: Verdict) -> HotfolderError:
        if verdict.ask_bucket and subject.operation != "ListObjectsV2":
            try:
                await self.check()
            except DestinationError as reason:
                return reason
        error = verdict.error
        if isinstance(error, DestinationError) and error.trouble in _CREDENTIAL_TROUBLES:
            self._connection.renew()
        return error


_CREDENTIAL_TROUBLES = {DestinationTrouble.DENIED, DestinationTrouble.EXPIRED}


class _Failed(Exception):
    """One request failed; the verdict says whether to repeat it and what to raise in the end."""

    def __init__(self, verdict: Verdict) -> None:
        super().__init__(str(verdict.error))
        self.verdict = verdict


class _Tally:
    """Counts the requests that one call really sent."""

    def __init__(self) -> None:
        self.requests = 0


class _Pieces:
    """A body that goes to the socket piece by piece out of the caller's memory, and can be halted.

    As `bytes` it would be one `sendall`, whose timeout covers the whole body; with a `read` method
    botocore would ask for "100 Continue" first and urllib3 would copy it in 16 KiB blocks.
    """

    def __init__(self, body: Body) -> None:
        self._view = memoryview(body).cast("B")
        self._halted = False

    def __len__(self) -> int:
        return len(self._view)

    def __iter__(self) -> Iterator[memoryview]:
        for offset in range(0, len(self._view), _PIECE):
            if self._halted:
                raise CancelledError
            yield self._view[offset : offset + _PIECE]

    def halt(self) -> None:
        self._halted = True


@dataclass(frozen=True, slots=True)
class _Put:
    """One single PUT, in boto3's words and in those of the wire."""

    draft: ObjectDraft
    body: Body
    sha256: bytes
    unless_exists: bool
    storage_class: str

    def arguments(self) -> dict[str, Any]:
        condition = {"IfNoneMatch": "*"} if self.unless_exists else {}
        checksum = {"ChecksumSHA256": _base64(self.sha256)}
        return _draft_arguments(self.draft, self.storage_class) | checksum | condition

    def headers(self) -> dict[str, str]:
        headers = {
            "Content-Type": self.draft.content_type,
            "x-amz-checksum-sha256": _base64(self.sha256),
            **{f"x-amz-meta-{name}": value for name, value in self.draft.metadata.items()},
        }
        if self.storage_class != "STANDARD":
            headers["x-amz-storage-class"] = self.storage_class
        if self.unless_exists:
            headers["If-None-Match"] = "*"
        return headers


class _Download:
    """An object as it is read, chunk by chunk, over as many requests as the line needs."""

    def __init__(self, bucket: str, key: str, start: int) -> None:
        self._arguments = {"Bucket": bucket, "Key": key}
        self._offset = start
        self._stream: Any = None

    def read(self, s3: "S3Client") -> bytes:
        """The next chunk; empty at the end. Raises FileNotFoundError; blocks."""
        try:
            if self._stream is None and not self._open(s3):
                return b""
            chunk = bytes(self._stream.read(_PIECE))
        except Exception:
            self.close()
            raise
        self._offset += len(chunk)
        return chunk

    def close(self) -> None:
        if self._stream is not None:
            self._stream.close()
            self._stream = None

    def _open(self, s3: "S3Client") -> bool:
        arguments: dict[str, Any] = dict(self._arguments)
        if self._offset:
            arguments["Range"] = f"bytes={self._offset}-"
        try:
            reply = s3.get_object(**arguments)
        except boto_errors.ClientError as error:
            if error.response.get("Error", {}).get("Code") in {"NoSuchKey", "404"}:
                raise FileNotFoundError(f"no object {arguments['Key']!r}") from error
            if _status(error) == http.HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
                return False  # exactly at the end of the object
            raise
        self._arguments["IfMatch"] = reply["ETag"]  # never the tail of another object
        self._stream = reply["Body"]
        return True


class _BoundBodyAuth(botocore.auth.S3SigV4Auth):
    """SigV4 over the SHA-256 that the checksum header already holds: the body is hashed once, by us.

    botocore would hash it again over http, and over https sign "UNSIGNED-PAYLOAD".
    """

    def payload(self, request: Any) -> str:
        checksum = request.headers["x-amz-checksum-sha256"]
        return base64.b64decode(checksum).hex()


def _open_session(settings: S3Settings) -> boto3.Session:
    if settings.credentials_file is None:
        return boto3.Session(region_name=settings.region)
    credentials = SharedCredentialProvider(str(settings.credentials_file), "default").load()
    if credentials is None:
        raise boto_errors.NoCredentialsError
    return boto3.Session(
        aws_access_key_id=credentials.access_key,
        aws_secret_access_key=credentials.secret_key,
        aws_session_token=credentials.token,
        region_name=settings.region,
    )


def _open_client(session: boto3.Session, settings: S3Settings) -> "S3Client":
    config = Config(
        connect_timeout=settings.connect_timeout,
        read_timeout=settings.read_timeout,
        max_pool_connections=settings.max_pool_connections,
        retries={"total_max_attempts": 1, "mode": "standard"},
        s3={"addressing_style": cast(Any, settings.addressing_style)},
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
        parameter_validation=False,  # it knows no body but bytes and files; keys are checked here
        tcp_keepalive=True,
    )
    try:
        client = session.client("s3", endpoint_url=settings.endpoint_url or None, config=config)
    except ValueError as error:  # botocore's word for an endpoint_url that is none
        raise ConfigError(str(error), hint="correct endpoint_url in [destination]") from error
    botocore.auth.AUTH_TYPE_MAPS[_SIGNER] = _BoundBodyAuth
    for operation in ("PutObject", "UploadPart"):
        client.meta.events.register_first(f"choose-signer.s3.{operation}", cast(Any, _choose_signer))
    return client


def _choose_signer(*, signature_version: object, **_: object) -> str | None:
    # Presigned URLs, directory buckets and unsigned requests keep botocore's own.
    return _SIGNER if signature_version in {"s3v4", "v4"} else None


_FAULTS: tuple[tuple[tuple[type[Exception], ...], Fault], ...] = (
    (
        (
            boto_errors.NoCredentialsError,
            boto_errors.PartialCredentialsError,
            boto_errors.CredentialRetrievalError,
            boto_errors.ConfigParseError,
            boto_errors.ProfileNotFound,
        ),
        Fault.NO_CREDENTIALS,
    ),
    (
        (boto_errors.SSOError, boto_errors.TokenRetrievalError, boto_errors.UnauthorizedSSOTokenError),
        Fault.EXPIRED_LOGIN,
    ),
    ((boto_errors.SSLError,), Fault.TLS),
    (
        (
            boto_errors.EndpointConnectionError,
            boto_errors.ConnectTimeoutError,
            boto_errors.ProxyConnectionError,
        ),
        Fault.NO_CONNECTION,
    ),
    ((boto_errors.ReadTimeoutError,), Fault.TIMEOUT),
    (
        (
            boto_errors.ConnectionClosedError,
            boto_errors.ResponseStreamingError,
            boto_errors.IncompleteReadError,
        ),
        Fault.CUT,
    ),
)


def _fault(error: Exception) -> Fault:
    inner = getattr(error, "kwargs", {}).get("error")
    if any(isinstance(cause, TimeoutError) for cause in getattr(inner, "args", ())):
        return Fault.TIMEOUT  # while sending: urllib3 words it "connection aborted"
    return next((fault for kinds, fault in _FAULTS if isinstance(error, kinds)), Fault.OTHER)


def _detail(error: Exception) -> str:
    """What botocore says, unless it merely repeats another's words, which may quote a header."""
    if type(error) is boto_errors.HTTPClientError:
        return type(getattr(error, "kwargs", {}).get("error")).__name__
    return str(error)


def _refusal(error: boto_errors.ClientError) -> Refusal:
    said: Mapping[str, Any] = error.response.get("Error", {})
    headers = error.response.get("ResponseMetadata", {}).get("HTTPHeaders", {})
    region = said.get("Region") or headers.get("x-amz-bucket-region", "")
    return Refusal(_status(error), str(said.get("Code", "")), str(said.get("Message", "")), region)


def _status(error: boto_errors.ClientError) -> int:
    return int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))


def _checked_key(key: str) -> str:
    try:
        size = len(key.encode())
    except UnicodeEncodeError as error:
        raise FileRejected(f"the key {key!r} is not UTF-8", hint="rename the file") from error
    if not 0 < size <= _MAX_KEY_BYTES:
        # An empty key would address the bucket itself.
        limit = f"S3 takes 1 to {_MAX_KEY_BYTES}"
        raise FileRejected(f"the key {key!r} has {size} bytes, {limit}", hint="shorten the file's path")
    return key


def _checked(draft: ObjectDraft) -> ObjectDraft:
    _checked_key(draft.key)
    for name, value in draft.metadata.items():
        if not (value.isascii() and value.isprintable() and value == value.strip()):
            raise FileRejected(f"metadata {name} of {draft.key!r} cannot be sent: {value!r}")
    return draft


def _draft_arguments(draft: ObjectDraft, storage_class: str) -> dict[str, Any]:
    arguments: dict[str, Any] = {
        "Key": draft.key,
        "Metadata": dict(draft.metadata),
        "ContentType": draft.content_type,
    }
    # Left out where it is the default: some compatible stores refuse the header.
    return arguments if storage_class == "STANDARD" else arguments | {"StorageClass": storage_class}


def _completed(part: PartReceipt) -> dict[str, Any]:
    checksum = {"ChecksumSHA256": part.checksum_sha256} if part.checksum_sha256 else {}
    return {"PartNumber": part.number, "ETag": f'"{part.etag}"', **checksum}


def _base64(digest: bytes) -> str:
    return base64.b64encode(digest).decode("ascii")


def _etag(reply: Mapping[str, Any]) -> str:
    return str(reply.get("ETag", "")).strip('"')


def _receipt(reply: Mapping[str, Any], requests: int) -> Receipt:
    return Receipt(_etag(reply), reply.get("ChecksumSHA256"), reply.get("VersionId"), requests)


def _object_info(key: str, reply: Mapping[str, Any]) -> ObjectInfo:
    """Of a HEAD's reply or of an entry in a listing."""
    return ObjectInfo(
        key,
        int(reply.get("ContentLength", reply.get("Size", 0))),
        _etag(reply),
        reply.get("ChecksumSHA256"),
        {name.lower(): value for name, value in reply.get("Metadata", {}).items()},
        reply.get("VersionId"),
        reply.get("StorageClass", "STANDARD"),
    )
