"""The object store over boto3: one bucket, every request carrying its own SHA-256.

boto3 blocks, so its calls run in the executor and come back as awaited results. Its own retries are
off: tenacity repeats here, asleep in the event loop, where it can be cancelled. What an answer means
is decided by `core.answers`.
"""

import asyncio
import base64
import contextlib
import http.client
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from concurrent.futures import CancelledError, Executor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast
from urllib.parse import quote

import boto3
import botocore.auth
import botocore.exceptions as boto_errors
from botocore.config import Config
from botocore.credentials import SharedCredentialProvider
from botocore.parsers import ResponseParserError
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception_type, wait_random_exponential

from hotfolder.core import s3_words as words
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
    HotfolderError,
    ObjectRefused,
    UploadLost,
)
from hotfolder.core.ports import Body, PutEngine, SigningKeys
from hotfolder.core.records import ObjectDraft, ObjectInfo, PartReceipt, Receipt

if TYPE_CHECKING:
    from types_boto3_s3.client import S3Client

T = TypeVar("T")

SINGLE_PUT_LIMIT = 8 * 1024 * 1024  # bytes; above it the put engine's copies cost more than they gain
_PIECE = 1024 * 1024  # bytes given to the socket, or read from it, at once
_BRIEF_TRIES = 4
_FIRST_WAIT, _LONGEST_WAIT = 0.4, 5.0  # seconds: upper bounds, each wait is drawn below its bound
_RENEW_INTERVAL = 5.0  # seconds between two readings of credentials that were refused
_KEYS_LIFETIME = 30.0  # seconds; botocore refreshes credentials many minutes before they expire
_CREDENTIAL_TROUBLES = {DestinationTrouble.DENIED, DestinationTrouble.EXPIRED}
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
    storage_class: str = words.DEFAULT_CLASS
    connect_timeout: float = 20.0
    read_timeout: float = 300.0
    attempts: int = 12
    max_pool_connections: int = 64


class S3Connection:
    """The boto3 client and its credentials, made on first use and anew after a refusal.

    Thread-safe. `client`, `keys` and `base_url` may block (files, instance metadata): they belong in
    the executor. They raise ConfigError, or botocore's errors where there are no credentials.
    """

    def __init__(self, settings: S3Settings) -> None:
        self.settings = settings
        self._lock = threading.Lock()
        self._session: boto3.Session | None = None
        self._client: S3Client | None = None
        self._made_at = 0.0
        self._refused = False
        self._keys: SigningKeys | None = None
        self._keys_at = 0.0

    def client(self) -> "S3Client":
        """The one client, made anew where its credentials were refused."""
        with self._lock:
            stale = self._refused and time.monotonic() - self._made_at >= _RENEW_INTERVAL
            if self._client is None or stale:
                self._session = _open_session(self.settings)
                self._client = _open_client(self._session, self.settings)
                self._made_at = time.monotonic()
                self._refused = False
            return self._client

    def keys(self) -> SigningKeys:
        """What is valid now, refreshed by botocore as needed."""
        self.client()
        credentials = self._session.get_credentials() if self._session else None
        if credentials is None:
            raise boto_errors.NoCredentialsError
        frozen = credentials.get_frozen_credentials()
        self._keys = SigningKeys(str(frozen.access_key), str(frozen.secret_key), frozen.token)
        self._keys_at = time.monotonic()
        return self._keys

    def recent_keys(self) -> SigningKeys | None:
        """What `keys` said, unless that is long ago or was refused; never blocks."""
        aged = time.monotonic() - self._keys_at > _KEYS_LIFETIME
        return None if aged or self._refused else self._keys

    def base_url(self) -> str:
        """The bucket's URL with a final slash, addressed as botocore decides for these settings.

        Asked of a request that is made and not sent: a presigned URL may name another endpoint.
        """
        client = _open_client(_open_session(self.settings), self.settings)
        client.meta.events.register("before-send.s3", cast(Any, _reveal_address))
        try:
            client.put_object(Bucket=self.settings.bucket, Key="k", Body=b"")
        except _Addressed as address:
            return address.url.removesuffix("k")
        raise RuntimeError("botocore sent a request past its before-send event")

    def close(self) -> None:
        """Close the idle connections; the next use opens new ones."""
        with self._lock:
            if self._client is not None:
                self._client.close()

    def renew(self) -> None:
        """The credentials were refused: read them anew on the next use, as they may have rotated."""
        self._refused = True


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
    ) -> None:
        self._connection = connection
        self._settings = connection.settings
        self._executor = executor
        self._single_put = single_put
        self._base_url = ""
        self._addressing = asyncio.Lock()
        self._sleep = sleep

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
            headers = words.put_headers(
                draft, self._settings.storage_class, sha256, unless_exists=unless_exists
            )
            try:
                return await self._put_small(self._single_put, subject, headers, body, sha256)
            except _Failed as error:
                failed = error  # boto3 repeats it: its answers are whole, the engine's are not
        pieces = _Pieces(body)
        fields = words.draft_fields(draft, self._settings.storage_class)
        fields |= {"Body": pieces, "ChecksumSHA256": words.checksum(sha256)}
        fields |= self._condition(unless_exists)
        reply, requests = await self._call(
            subject, lambda s3: s3.put_object(**fields), pieces=pieces, failed=failed
        )
        return words.receipt(reply, requests)

    async def head(self, key: str) -> ObjectInfo | None:
        """See `ObjectStore`. A missing bucket looks like a missing object: HEAD names no reason."""
        subject = self._subject("HeadObject", words.checked_key(key))
        reply, _ = await self._call(subject, partial(_head, self._settings.bucket, key))
        return None if reply is None else words.object_info(key, reply)

    async def create_multipart(self, draft: ObjectDraft) -> str:
        """See `ObjectStore`. A lost answer leaves an empty upload behind, for the sweep."""
        subject = self._subject("CreateMultipartUpload", words.checked_draft(draft).key)
        fields = words.draft_fields(draft, self._settings.storage_class)
        fields |= {"Bucket": self._settings.bucket, "ChecksumAlgorithm": "SHA256"}
        reply, _ = await self._call(subject, lambda s3: s3.create_multipart_upload(**fields))
        return reply["UploadId"]

    async def upload_part(
        self, key: str, upload_id: str, number: int, body: Body, *, sha256: bytes
    ) -> PartReceipt:
        """See `ObjectStore`."""
        pieces = _Pieces(body)
        fields = self._of_upload(key, upload_id) | {"PartNumber": number, "Body": pieces}
        fields["ChecksumSHA256"] = words.checksum(sha256)
        reply, requests = await self._call(
            self._subject("UploadPart", key), lambda s3: s3.upload_part(**fields), pieces=pieces
        )
        known = reply.get("ChecksumSHA256")
        return PartReceipt(number, len(body), words.etag(reply), known, requests)

    async def list_parts(self, key: str, upload_id: str) -> list[PartReceipt]:
        """See `ObjectStore`. SeaweedFS lists no checksums, and a part that was sent twice twice."""
        subject = self._subject("ListParts", key)
        fields = self._of_upload(key, upload_id)
        parts: list[PartReceipt] = []
        while True:
            reply, _ = await self._call(subject, lambda s3: s3.list_parts(**fields))
            parts += [
                PartReceipt(
                    part["PartNumber"], part["Size"], words.etag(part), part.get("ChecksumSHA256")
                )
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
        return words.receipt(reply, requests)

    async def abort(self, key: str, upload_id: str) -> None:
        """See `ObjectStore`."""
        fields = self._of_upload(key, upload_id)
        subject = self._subject("AbortMultipartUpload", key)
        with contextlib.suppress(UploadLost):  # already gone, which is what was asked for
            await self._call(subject, lambda s3: s3.abort_multipart_upload(**fields))

    async def get(self, key: str, *, start: int = 0) -> AsyncIterator[bytes]:
        """See `ObjectStore`. A broken download goes on where it broke, in the same object only."""
        download = _Download(self._settings.bucket, words.checked_key(key), start)
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
        answer = await engine.put(
            base_url + quote(subject.key, safe="/~"),  # as botocore quotes it
            headers,
            body,
            sha256=sha256,
            keys=keys,
            deadline=self._settings.connect_timeout + self._settings.read_timeout,
        )
        if answer.fault is not None:
            raise _Failed(judge_fault(subject, answer.fault, answer.detail), answer.requests)
        if answer.status >= http.HTTPStatus.MULTIPLE_CHOICES:
            raise _Failed(judge_refusal(subject, read_refusal(answer)), answer.requests)
        return words.receipt_of_headers(answer.headers, answer.requests)

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
        pieces: "_Pieces | None" = None,
        failed: "_Failed | None" = None,
    ) -> tuple[T, int]:
        """Run `call` in the executor, as often as its failures deserve; also the requests sent.

        `failed` is a try that was already made elsewhere and counts.
        """
        tries = _Tries(partial(self._block, subject, lambda: call(self._connection.client())), failed)
        try:
            if failed is None:
                # Nearly always enough, and it spares tenacity's 0.07 ms. `tries` keeps the failure.
                with contextlib.suppress(_Failed):
                    return await tries.first(), tries.requests
            return await self._again(subject, tries), tries.requests
        finally:
            if pieces is not None:
                pieces.halt()  # a cancelled call leaves its thread behind, still sending

    async def _again(self, subject: Subject, tries: "_Tries[T]") -> T:
        retrying = AsyncRetrying(
            retry=retry_if_exception_type(_Failed),
            stop=self._is_enough,
            wait=wait_random_exponential(multiplier=_FIRST_WAIT, max=_LONGEST_WAIT),
            sleep=self._sleep,
            reraise=True,
        )
        try:
            return await retrying(tries.next)
        except _Failed as failed:
            error = await self._true_error(subject, failed.verdict)
            raise error from failed.__cause__ or failed

    async def _block(self, subject: Subject, work: Callable[[], T]) -> T:
        try:
            return await asyncio.get_running_loop().run_in_executor(self._executor, work)
        except boto_errors.ClientError as error:
            raise _Failed(judge_refusal(subject, _refusal(error))) from error
        except (boto_errors.BotoCoreError, ResponseParserError) as error:
            raise _Failed(judge_fault(subject, _fault(error), _detail(error))) from error

    def _is_enough(self, state: RetryCallState) -> bool:
        failure = state.outcome.exception() if state.outcome else None
        patience = failure.verdict.patience if isinstance(failure, _Failed) else Patience.NONE
        tries = {Patience.NONE: 1, Patience.BRIEF: _BRIEF_TRIES, Patience.FULL: self._settings.attempts}
        return state.attempt_number >= min(tries[patience], self._settings.attempts)

    async def _true_error(self, subject: Subject, verdict: Verdict) -> HotfolderError:
        if verdict.ask_bucket and subject.key:
            try:
                await self.check()
            except DestinationError as reason:
                return reason
        error = verdict.error
        if isinstance(error, DestinationError) and error.trouble in _CREDENTIAL_TROUBLES:
            self._connection.renew()
        return error


class _Failed(Exception):
    """One try failed; the verdict says whether to repeat it and what to raise in the end."""

    def __init__(self, verdict: Verdict, requests: int = 1) -> None:
        super().__init__(str(verdict.error))
        self.verdict = verdict
        self.requests = requests


class _Tries(Generic[T]):
    """One request, sent as often as it is asked for; counts what was really sent."""

    def __init__(self, send: Callable[[], Awaitable[T]], failed: _Failed | None) -> None:
        self._send = send
        self._unheard = failed  # a failure that the retrying has yet to judge
        self.requests = failed.requests if failed else 0

    async def first(self) -> T:
        try:
            return await self.next()
        except _Failed as failed:
            self._unheard = failed
            raise

    async def next(self) -> T:
        if self._unheard is not None:
            failed, self._unheard = self._unheard, None
            raise failed
        self.requests += 1
        return await self._send()


def _head(bucket: str, key: str, s3: "S3Client") -> Mapping[str, Any] | None:
    try:
        return cast(Mapping[str, Any], s3.head_object(Bucket=bucket, Key=key, ChecksumMode="ENABLED"))
    except boto_errors.ClientError as error:
        if _status(error) == http.HTTPStatus.NOT_FOUND:
            return None
        raise


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

    def seek(self, position: int) -> int:
        # botocore rewinds before it follows a redirect to another region; iterating does that.
        return position

    def halt(self) -> None:
        self._halted = True


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
            if _status(error) == http.HTTPStatus.PRECONDITION_FAILED:
                raise ObjectRefused(
                    f"the object {arguments['Key']!r} changed while it was read"
                ) from error
            raise
        self._arguments["IfMatch"] = reply["ETag"]  # never the tail of another object
        self._stream = reply["Body"]
        return True


class _BoundBodyAuth(botocore.auth.S3SigV4Auth):
    """SigV4 over the SHA-256 that the checksum header already holds: the body is hashed once, by us.

    botocore would hash it again over http, and over https sign "UNSIGNED-PAYLOAD".
    """

    def payload(self, request: Any) -> str:
        checksum = request.headers.get("x-amz-checksum-sha256")
        return base64.b64decode(checksum).hex() if checksum else super().payload(request)


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


class _Addressed(Exception):
    """Carries a request's URL out of botocore before anything is sent."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.url = url


def _reveal_address(*, request: Any, **_: object) -> None:
    raise _Addressed(request.url)


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
