"""Whose keys sign, and what time the store has."""

import asyncio
import email.utils
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from hotfolder.adapters.s3 import S3Connection, S3Settings, S3Store
from hotfolder.adapters.s3.logins import FileLogin
from hotfolder.adapters.s3.survey import StoreClock, credential_origin
from hotfolder.core.errors import DestinationError
from tests.support.s3_stores import Naps, write_credentials
from tests.support.scripted_http import Reply, scripted

NOW = 1_800_000_000.0


async def skew_of(reply: Reply, credentials_file: Path) -> float | None:
    async with scripted(reply) as server:
        settings = S3Settings(
            "b", endpoint_url=server.endpoint_url, login=FileLogin(credentials_file), attempts=1
        )
        connection = S3Connection(settings)
        clock = await asyncio.to_thread(StoreClock, connection, clock=lambda: NOW)
        with ThreadPoolExecutor(1) as threads:
            store = S3Store(connection, threads, sleep=Naps())
            await asyncio.gather(store.check(), return_exceptions=True)
        connection.close()
        return clock.skew


@pytest.mark.parametrize("status", [200, 403, 503])
async def test_every_answer_tells_the_time(status: int, tmp_path: Path) -> None:
    keys = write_credentials(tmp_path / "credentials", "KEY", "SECRET")
    date = email.utils.formatdate(NOW - 3600, usegmt=True)
    reply = Reply(status, "RequestTimeTooSkewed" if status == 403 else "", headers={"Date": date})
    assert await skew_of(reply, keys) == 3600
    assert await skew_of(Reply(status, headers={"Date": "yesterday"}), keys) is None
    assert await skew_of(Reply(status), keys) is None
    assert await skew_of(Reply(cut=True), keys) is None


def test_keys_of_a_file_are_named_by_their_ending(tmp_path: Path) -> None:
    file = write_credentials(tmp_path / "credentials", "AKIAIOSFODNN7EXAMPLE", "SECRET")
    settings = S3Settings("b", login=FileLogin(file))
    origin = credential_origin(S3Connection(settings))
    assert (origin.place, origin.ending, origin.expires_at) == (str(file), "MPLE", None)
    write_credentials(file, "SHORT", "SECRET")
    assert credential_origin(S3Connection(settings)).ending == ""
    file.write_text("")
    with pytest.raises(DestinationError, match="no key pair"):
        credential_origin(S3Connection(settings))


def test_keys_that_boto3_finds_say_where(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = write_credentials(tmp_path / "credentials", "AKIAIOSFODNN7EXAMPLE", "SECRET")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(file))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    settings = S3Settings("b")
    assert credential_origin(S3Connection(settings)).place == str(file)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXEMPEL")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "SECRET")
    origin = credential_origin(S3Connection(replace(settings)))
    assert (origin.method, origin.place, origin.ending) == ("env", "", "MPEL")
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    file.unlink()
    with pytest.raises(DestinationError, match="no credentials"):
        credential_origin(S3Connection(settings))
