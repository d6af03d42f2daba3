"""Real S3 stores for tests, opened and closed."""

from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from pathlib import Path

from hotfolder.adapters.crt import CrtPutEngine
from hotfolder.adapters.s3 import S3Connection, S3Settings, S3Store


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
    settings: S3Settings, *, crt: bool = False, sleep: Naps | None = None
) -> AsyncIterator[S3Store]:
    """A store with threads of its own, and with the awscrt engine for small bodies if asked."""
    connection = S3Connection(settings)
    engine = (
        CrtPutEngine(
            region=settings.region,
            connect_timeout=settings.connect_timeout,
            connections=8,
            ca_bundle=settings.ca_bundle,
        )
        if crt
        else None
    )
    with ThreadPoolExecutor(8) as executor:
        yield S3Store(connection, executor, single_put=engine, sleep=sleep or Naps())
    connection.close()
