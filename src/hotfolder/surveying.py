"""Composes one look at a store: a line of its own, a few seconds of patience, and the probe."""

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace

from hotfolder import probing
from hotfolder.adapters.s3 import S3Connection, S3Settings
from hotfolder.adapters.s3.survey import S3ProbedStore, StoreClock
from hotfolder.config import Destination
from hotfolder.core.s3_words import readable_class
from hotfolder.core.store_survey import VERSION, Answers

_LONGEST_CONNECT, _LONGEST_READ = 5.0, 10.0  # seconds, whatever [transfer] says
_ATTEMPTS = 2


@dataclass(frozen=True, slots=True)
class Surveyor:
    """Asks one store. `prefix`: the destination's."""

    connection: S3Connection
    store: S3ProbedStore
    prefix: str

    async def ask(self, token: str, wall: Callable[[], float]) -> tuple[Answers, float | None]:
        """All answers, and our clock minus the store's in seconds; see `probing.ask`.

        Raises `ConfigError` for an endpoint_url that botocore does not take.
        """
        clock = await asyncio.to_thread(StoreClock, self.connection, clock=wall)
        answers = await probing.ask(
            self.store,
            prefix=self.prefix,
            token=token,
            storage_class=readable_class(self.connection.settings.options.storage_class),
        )
        return answers, clock.skew


@asynccontextmanager
async def surveyor(
    s3: S3Settings, prefix: str, silence: float = _LONGEST_READ
) -> AsyncIterator[Surveyor]:
    """A line that is given up, whatever hangs on it, at the end. `silence`: seconds, of one request."""
    patient = replace(
        s3,
        connect_timeout=min(s3.connect_timeout, silence, _LONGEST_CONNECT),
        read_timeout=min(s3.read_timeout, silence),
        attempts=min(s3.attempts, _ATTEMPTS),
        max_pool_connections=2,
    )
    threads = ThreadPoolExecutor(2, thread_name_prefix="probe")
    connection = S3Connection(patient)
    try:
        yield Surveyor(connection, S3ProbedStore(connection, threads), prefix)
    finally:
        threads.shutdown(wait=False, cancel_futures=True)
        connection.close()


async def survey(
    s3: S3Settings, prefix: str, token: str, wall: Callable[[], float]
) -> tuple[Answers, float | None]:
    """One look at a store."""
    async with surveyor(s3, prefix) as asking:
        return await asking.ask(token, wall)


def profile_key(destination: Destination) -> str:
    """What names a profile: a digest of all that a store's doings may depend on."""
    means = (
        VERSION,
        destination.endpoint_url,
        destination.region,
        destination.bucket,
        destination.prefix,
        destination.sse,
        destination.kms_key_id,
        destination.addressing_style,
        destination.proxy,
    )
    return hashlib.sha256(json.dumps(means).encode()).hexdigest()


def token_of(host: str, state_dir: str) -> str:
    """Whose probes these are: the same at every start, and nobody else's."""
    return hashlib.sha256(f"{host}\0{state_dir}".encode(errors="surrogateescape")).hexdigest()[:16]
