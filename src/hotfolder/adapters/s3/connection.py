"""The boto3 client: how it is set up, whose credentials it has, and how it signs."""

import base64
import math
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import boto3
import botocore.auth
import botocore.exceptions as boto_errors
from botocore.config import Config

from hotfolder.adapters.s3.logins import DefaultLogin, Login, frozen, open_session
from hotfolder.adapters.s3.tls import checked_bundle, speaks_tls
from hotfolder.adapters.s3.watching import watch_connections
from hotfolder.core.errors import ConfigError, HotfolderError
from hotfolder.core.ports import SigningKeys
from hotfolder.core.s3_words import ObjectOptions, is_loopback

if TYPE_CHECKING:
    from types_boto3_s3.client import S3Client

_RENEW_INTERVAL = 5.0  # seconds between two readings of credentials that were refused
_LOOK_INTERVAL = 2.0  # seconds between two looks at the files of the credentials
_SIGNER = "hotfolder-s3v4"


@dataclass(frozen=True, slots=True)
class S3Settings:
    """Where the bucket is and how to talk to it. Times in seconds, `min_speed` in bytes a second.

    `ca_bundle` names the CAs that are trusted in place of the system's; `proxy` is the URL of an HTTP
    proxy for every request. `attempts` counts requests, the first included.
    """

    bucket: str
    region: str = "us-east-1"
    endpoint_url: str = ""
    addressing_style: str = "auto"
    login: Login = field(default_factory=DefaultLogin)
    options: ObjectOptions = field(default_factory=ObjectOptions)
    ca_bundle: Path | None = None
    proxy: str = ""
    connect_timeout: float = 20.0
    read_timeout: float = 300.0
    min_speed: float = 16 * 1024.0
    attempts: int = 12
    max_pool_connections: int = 64


_Stamp = tuple[tuple[int, int, int] | None, ...]


class S3Connection:
    """The boto3 client and its credentials, made on first use, and anew when these were replaced.

    A file that credentials come from is looked at every few seconds: what was rotated is used without
    waiting for a refusal. What is no file is read again after one.

    Thread-safe. `client`, `keys`, `renew` and `base_url` may block (files, instance metadata): they
    belong in the executor. They raise ConfigError, or botocore's errors where there are no credentials.
    `clock` is monotonic seconds.
    """

    def __init__(self, settings: S3Settings, *, clock: Callable[[], float] = time.monotonic) -> None:
        self.settings = settings
        self._clock = clock
        self._lock = threading.Lock()
        self._session: boto3.Session | None = None
        self._client: S3Client | None = None
        self._made_at = -math.inf
        self._looked_at = -math.inf
        self._files: tuple[Path, ...] | None = None  # asked once: the environment stays
        self._stamp: _Stamp = ()
        self._refused = False
        self._keys: SigningKeys | None = None
        self._keys_at = -math.inf
        self._is_plain: bool | None = None  # unless it was seen to speak TLS; None: nobody asked
        self.generation = 0
        """Grows with every other key that is used."""

    def client(self) -> "S3Client":
        """The one client, made anew where its credentials were refused or replaced."""
        return self.lend()[0]

    def lend(self) -> tuple["S3Client", int]:
        """The client, and the generation of the keys that it signs with."""
        with self._lock:
            client, session = self._fresh_client()
        self._note_keys(session)
        return client, self.generation

    def keys(self) -> SigningKeys:
        """What is valid now, refreshed by botocore as needed."""
        with self._lock:
            _, session = self._fresh_client()
        return self._note_keys(session)

    def credentials(self) -> Any:
        """botocore's credentials, which say where they came from; blocks and raises as `keys` does."""
        self.client()
        return self._session.get_credentials() if self._session else None

    def recent_keys(self) -> SigningKeys | None:
        """What `keys` said, unless that is a while ago or was refused; never blocks."""
        aged = self._clock() - self._keys_at > _LOOK_INTERVAL
        return None if aged or self._refused else self._keys

    def renew(self, used: int) -> bool:
        """The credentials of generation `used` were refused: read them anew, as they may have rotated.

        True if there are others now. Those that stay are read again after a few seconds.
        """
        with self._lock:
            if self.generation != used:
                return True
            self._refused, self._looked_at = True, -math.inf
        try:
            self.client()
        except (boto_errors.BotoCoreError, HotfolderError):
            return False  # the next use fails with it
        return self.generation != used

    def _fresh_client(self) -> tuple["S3Client", boto3.Session]:
        now = self._clock()
        if now - self._looked_at >= _LOOK_INTERVAL or self._client is None:
            self._looked_at = now
            if self._files is None:
                self._files = self.settings.login.files()
            stamp = _stamp(self._files)
            if stamp != self._stamp:
                # Taken before the files are read: what changes meanwhile is seen next time.
                self._stamp, self._client = stamp, None
        if (
            self._client is None
            or self._session is None
            or (self._refused and now - self._made_at >= _RENEW_INTERVAL)
        ):
            self._client = None  # whatever fails here is tried again with the next use
            self._session = open_session(self.settings.login, self.settings.region)
            self._client = _open_client(self._session, self.settings)
            self._made_at = now
            self._refused = False
        return self._client, self._session

    def _note_keys(self, session: boto3.Session) -> SigningKeys:
        """Outside the lock: botocore may refresh them here, and lets others go on meanwhile."""
        try:
            said = frozen(session)
        except boto_errors.BotoCoreError:
            with self._lock:
                if self._session is session:
                    self._client = None  # a session keeps what it did not find, or found expired
            raise
        keys = SigningKeys(str(said.access_key), str(said.secret_key), said.token)
        with self._lock:
            if self._session is session:
                if keys != self._keys:
                    self._keys, self._refused = keys, False
                    self.generation += 1
                self._keys_at = self._clock()
        return keys

    def base_url(self) -> str:
        """The bucket's URL with a final slash, addressed as botocore decides for these settings.

        Asked of a request that is made and not sent: a presigned URL may name another endpoint.
        """
        self.client()
        if self._session is None:
            raise RuntimeError("a client was made without its session")
        client = _open_client(self._session, self.settings)
        client.meta.events.register("before-send.s3", cast(Any, _reveal_address))
        try:
            client.put_object(Bucket=self.settings.bucket, Key="k", Body=b"")
        except _Addressed as address:
            return address.url.removesuffix("k")
        raise RuntimeError("botocore sent a request past its before-send event")

    def meets_tls(self) -> bool:
        """Whether https is spoken where the settings say http. Blocks for a moment, mostly once."""
        if self._is_plain is None:
            apart = self.settings.proxy or not self.settings.endpoint_url.startswith("http://")
            speaks = False if apart else speaks_tls(self.settings.endpoint_url)
            self._is_plain = None if speaks is None else not speaks
        return self._is_plain is False

    def rehearse(self) -> None:
        """Make a client and drop it. Raises `ConfigError` for settings of which none can be made.

        Whatever else stands in the way may go by itself, and holds the destination when it is used.
        """
        try:
            self.client()
        except boto_errors.BotoCoreError:
            return  # the first probe meets it, and holds
        finally:
            self.close()

    def drop_idle(self) -> None:
        """As `close`, and never blocks."""
        client = self._client
        if client is not None:
            client.close()

    def close(self) -> None:
        """Close the idle connections; the next use opens new ones."""
        with self._lock:
            if self._client is not None:
                self._client.close()


def _stamp(files: Iterable[Path]) -> _Stamp:
    """What differs where a file was replaced or written; None for one that is not there."""
    return tuple(_stamp_of(file) for file in files)


def _stamp_of(file: Path) -> tuple[int, int, int] | None:
    try:
        seen = file.stat()
    except OSError:
        return None  # reading it says why
    return seen.st_ino, seen.st_size, seen.st_mtime_ns


def _proxies(settings: S3Settings) -> dict[str, str] | None:
    """None leaves it to the environment, which never means a store on this very machine."""
    if settings.proxy:
        return {"http": settings.proxy, "https": settings.proxy}
    return {} if is_loopback(settings.endpoint_url) else None


class _BoundBodyAuth(botocore.auth.S3SigV4Auth):
    """SigV4 over the SHA-256 that the checksum header already holds: the body is hashed once, by us.

    botocore would hash it again over http, and over https sign "UNSIGNED-PAYLOAD".
    """

    def payload(self, request: Any) -> str:
        signed: bytes | None = getattr(request.data, "signed", None)  # of a probe that lies
        if signed is not None:
            return signed.hex()
        checksum = request.headers.get("x-amz-checksum-sha256")
        return base64.b64decode(checksum).hex() if checksum else super().payload(request)


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
        proxies=_proxies(settings),
    )
    trusted = str(checked_bundle(settings.ca_bundle)) if settings.ca_bundle else None
    try:
        client = session.client(
            "s3", endpoint_url=settings.endpoint_url or None, config=config, verify=trusted
        )
    except ValueError as error:  # botocore's word for an endpoint_url that is none
        raise ConfigError(str(error), hint="correct endpoint_url in [destination]") from error
    watch_connections(client)
    botocore.auth.AUTH_TYPE_MAPS[_SIGNER] = _BoundBodyAuth
    for operation in ("PutObject", "UploadPart"):
        client.meta.events.register_first(f"choose-signer.s3.{operation}", cast(Any, _choose_signer))
    # botocore would follow to another region, of which the put engine knows nothing: then probes get
    # through and files do not. What is wrong is said instead.
    client.meta.events.register_last("before-parameter-build.s3", cast(Any, _stay_in_region))
    return client


class _Addressed(Exception):
    """Carries a request's URL out of botocore before anything is sent."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.url = url


def _reveal_address(*, request: Any, **_: object) -> None:
    raise _Addressed(request.url)


def _stay_in_region(*, context: dict[str, Any], **_: object) -> None:
    context.setdefault("s3_redirect", {})["redirected"] = True


def _choose_signer(*, signature_version: object, **_: object) -> str | None:
    # Presigned URLs, directory buckets and unsigned requests keep botocore's own.
    return _SIGNER if signature_version in {"s3v4", "v4"} else None
