"""Real S3 stores for tests: servers, and what each of them can do; stores opened and closed."""

import socket
import time
from collections.abc import AsyncIterator, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from hotfolder.adapters.crt import CrtPutEngine
from hotfolder.adapters.direct import DirectPutEngine
from hotfolder.adapters.s3 import FileLogin, S3Connection, S3Settings, S3Store, usual_bundle
from hotfolder.core.ports import Limiter, PutEngine
from hotfolder.core.stalls import Bounds
from hotfolder.seaweed import SeaweedFS
from tests.support.certificates import Authority

#: What sends small bodies.
Way = Literal["boto3", "crt", "direct"]
WAYS: tuple[Way, ...] = get_args(Way)


class SecureSeaweedFS(SeaweedFS):
    """Speaks http as ever, and https on a second port; takes a second key pair as well."""

    next_keys = ("NEXTKEY0123456789", "NextSecret0123456789")

    def __init__(self, directory: Path, *, authority: Authority, **identity: str) -> None:
        super().__init__(directory, **identity)  # type: ignore[arg-type]  # its two keys
        self.authority = authority
        self._https_port = 0

    @property
    def secure_url(self) -> str:
        return f"https://localhost:{self._https_port}"

    def _key_pairs(self) -> Mapping[str, str]:
        return {**super()._key_pairs(), self.next_keys[0]: self.next_keys[1]}

    def _arguments(self) -> list[str]:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self._https_port = int(free.getsockname()[1])
        return [
            *super()._arguments(),
            f"-s3.port.https={self._https_port}",
            f"-s3.cert.file={self.authority.certificate}",
            f"-s3.key.file={self.authority.key}",
        ]


@dataclass(frozen=True)
class Abilities:
    """What not every server does; what is not named here all of them do.

    A body that is not what its request announces is refused by each: where the checksum header is
    ignored, by the signature, which covers the body's SHA-256.
    """

    names_checksums: bool = True  # SHA-256, in answers and listings
    honours_conditions: bool = True  # If-None-Match, on put and on complete
    tells_lost_parts: bool = True  # a completion with a part it lacks is InvalidPart, not NoSuchUpload

    def named(self, checksum: str) -> str | None:
        """`checksum` as it comes back from this server."""
        return checksum if self.names_checksums else None


@dataclass(frozen=True)
class Server:
    """A running S3 server: how it is reached, with whose keys, and what it can do."""

    endpoint_url: str
    access_key: str
    secret_key: str
    credentials_file: Path
    can: Abilities = Abilities()
    ca_bundle: Path | None = None

    def settings(self, bucket: str) -> S3Settings:
        """Settings of a store in `bucket`, with timeouts that suit loopback."""
        return S3Settings(
            bucket,
            endpoint_url=self.endpoint_url,
            login=FileLogin(self.credentials_file),
            ca_bundle=self.ca_bundle,
            connect_timeout=20.0,
            read_timeout=60.0,
        )

    def make_bucket(self, bucket: str) -> S3Settings:
        settings = self.settings(bucket)
        connection = S3Connection(settings)
        connection.client().create_bucket(Bucket=bucket)
        connection.close()
        return settings


class Naps:
    """A sleep that takes no time and keeps what was asked for, in seconds."""

    def __init__(self) -> None:
        self.asked: list[float] = []

    async def __call__(self, seconds: float) -> None:
        self.asked.append(seconds)


def write_credentials(path: Path, access_key: str, secret_key: str) -> Path:
    """An AWS shared-credentials file with one profile."""
    lines = ("[default]", f"aws_access_key_id = {access_key}", f"aws_secret_access_key = {secret_key}")
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


@asynccontextmanager
async def opened(
    settings: S3Settings,
    *,
    way: Way = "boto3",
    sleep: Naps | None = None,
    clock: Callable[[], float] = time.monotonic,
    limiter: Limiter | None = None,
    on_throttled: Callable[[], None] = lambda: None,
) -> AsyncIterator[S3Store]:
    """A store with threads of its own, and with the engine of that name for small bodies."""
    connection = S3Connection(settings, clock=clock)
    store: S3Store | None = None
    try:
        with ThreadPoolExecutor(8) as executor:
            store = S3Store(
                connection,
                executor,
                engine=put_engine(settings, way, limiter),
                sleep=sleep or Naps(),
                limiter=limiter,
                on_throttled=on_throttled,
            )
            yield store
    finally:
        if store is not None:
            await store.close()
        connection.close()


def put_engine(settings: S3Settings, way: Way, limiter: Limiter | None = None) -> PutEngine | None:
    """The engine of that name, of few connections."""
    if way == "boto3":
        return None
    if way == "crt":
        return CrtPutEngine(
            region=settings.region,
            connect_timeout=settings.connect_timeout,
            connections=8,
            ca_bundle=settings.ca_bundle,
        )
    return DirectPutEngine(
        region=settings.region,
        bounds=Bounds(settings.connect_timeout, settings.read_timeout, settings.min_speed),
        connections=8,
        ca_bundle=settings.ca_bundle or usual_bundle(),
        limiter=limiter,
    )


def sender(head: str) -> Way:
    """Who sent a request, by its head in lower case."""
    if "crts3nativeclient" in head:
        return "crt"
    return "direct" if "user-agent: hotfolder" in head else "boto3"
