"""Credentials that are replaced, expire, or stand half-written in their file."""

import hashlib
import json
import os
from pathlib import Path

import pytest

from hotfolder.adapters.s3 import FileLogin, S3Settings, S3Store
from hotfolder.adapters.s3.logins import DefaultLogin, Login, ProfileLogin
from hotfolder.core.errors import DestinationError, DestinationTrouble
from hotfolder.core.records import ObjectDraft, Receipt
from tests.support.key_desk import KeyDesk
from tests.support.s3_stores import WAYS, Naps, SecureSeaweedFS, Way, opened, write_credentials
from tests.support.scripted_http import Reply, ScriptedServer, scripted

BODY = b"0123456789" * 400
OK = Reply(200)
EXPIRED = Reply(400, "ExpiredToken")


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture(params=WAYS)
def way(request: pytest.FixtureRequest) -> Way:
    return request.param  # type: ignore[no-any-return]


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A credentials file, which is AWS's own as well; nothing else gives any."""
    for name in ("AWS_PROFILE", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "keys"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    return write_credentials(tmp_path / "keys", "OLDKEY", "SECRET")


def login_of(auth: str, file: Path) -> Login:
    logins: dict[str, Login] = {
        "config": FileLogin(file),
        "default": DefaultLogin(),
        "profile": ProfileLogin("default"),
    }
    return logins[auth]


def replace_keys(file: Path, access_key: str) -> None:
    """As whoever rotates does: a new file takes the name."""
    os.replace(write_credentials(file.with_suffix(".new"), access_key, "SECRET"), file)


def write(file: Path, content: str) -> None:
    file.write_text(content, encoding="latin-1")


async def put(store: S3Store) -> Receipt:
    sha256 = hashlib.sha256(BODY).digest()
    return await store.put(ObjectDraft("k"), BODY, sha256=sha256, unless_exists=True)


def signers(server: ScriptedServer) -> list[str]:
    return [head.partition("credential=")[2].partition("/")[0] for head in server.heads]


def settings_of(server: ScriptedServer, login: Login) -> S3Settings:
    return S3Settings("bucket", endpoint_url=server.endpoint_url, login=login, read_timeout=5.0)


@pytest.mark.parametrize("auth", ["config", "default", "profile"])
async def test_a_replaced_file_is_used_without_a_refusal(file: Path, way: Way, auth: str) -> None:
    clock = Clock()
    async with (
        scripted(OK) as server,
        opened(settings_of(server, login_of(auth, file)), way=way, clock=clock) as store,
    ):
        await put(store)
        replace_keys(file, "NEWKEY")
        clock.now += 0.5
        await put(store)
        clock.now += 2.0
        await put(store)
        clock.now += 2.1
        await put(store)
    assert signers(server) == ["oldkey", "oldkey", "newkey", "newkey"]


async def test_new_keys_are_used_at_once_where_the_old_ones_are_refused(file: Path, way: Way) -> None:
    clock, naps = Clock(), Naps()
    async with (
        scripted(OK, EXPIRED, OK) as server,
        opened(settings_of(server, FileLogin(file)), way=way, clock=clock, sleep=naps) as store,
    ):
        await put(store)
        replace_keys(file, "NEWKEY")
        assert (await put(store)).attempts == 2
    assert signers(server) == ["oldkey", "oldkey", "newkey"]
    assert len(naps.asked) == 1


async def test_keys_that_stay_are_asked_of_the_file_again_but_not_of_the_store(
    file: Path, way: Way
) -> None:
    clock, naps = Clock(), Naps()
    async with (
        scripted(EXPIRED) as server,
        opened(settings_of(server, FileLogin(file)), way=way, clock=clock, sleep=naps) as store,
    ):
        with pytest.raises(DestinationError) as caught:
            await put(store)
    assert caught.value.trouble is DestinationTrouble.EXPIRED
    assert (len(server.seen), naps.asked) == (1, [])


async def test_a_head_finds_new_keys_although_its_refusal_names_no_reason(file: Path, way: Way) -> None:
    clock = Clock()
    listing = Reply(200, body="<ListBucketResult><Name>bucket</Name></ListBucketResult>")
    async with (
        scripted(OK, Reply(400), EXPIRED, listing, OK) as server,
        opened(settings_of(server, FileLogin(file)), way=way, clock=clock, sleep=Naps()) as store,
    ):
        await put(store)
        replace_keys(file, "NEWKEY")
        assert await store.head("k") is not None
    assert signers(server) == ["oldkey", "oldkey", "oldkey", "newkey", "newkey"]


@pytest.mark.parametrize(
    "half",
    ["", "[default]\n", "[default]\naws_access_key_id = NEWKEY\n", "[defau", "\x00\xff", "[a]\nb"],
)
@pytest.mark.parametrize("auth", ["config", "default", "profile"])
async def test_a_half_written_file_holds_until_it_is_whole(
    file: Path, way: Way, half: str, auth: str
) -> None:
    clock = Clock()
    async with (
        scripted(OK) as server,
        opened(settings_of(server, login_of(auth, file)), way=way, clock=clock) as store,
    ):
        await put(store)
        write(file, half)
        clock.now += 2.1
        for attempt in (put(store), store.check()):
            with pytest.raises(DestinationError) as caught:
                await attempt
            assert caught.value.trouble is DestinationTrouble.DENIED
            assert caught.value.hint
        write_credentials(file, "NEWKEY", "SECRET")
        await put(store)
    assert signers(server) == ["oldkey", "newkey"]


STALE = {
    "Version": 1,
    "AccessKeyId": "A",
    "SecretAccessKey": "S",
    "SessionToken": "T",
    "Expiration": "2020-01-01T00:00:00Z",
}
PROCESSES = {
    "no JSON": ("echo nonsense", DestinationTrouble.DENIED),
    "ends badly": ("exit 3", DestinationTrouble.DENIED),
    "not there": (None, DestinationTrouble.DENIED),
    "expired": (
        f"echo '{json.dumps(STALE)}'",
        DestinationTrouble.EXPIRED,
    ),
}


@pytest.mark.parametrize("name", PROCESSES)
async def test_whatever_a_credential_process_does_is_no_fault_of_a_file(
    file: Path, way: Way, name: str, tmp_path: Path
) -> None:
    lines, trouble = PROCESSES[name]
    script = tmp_path / "vend.sh"
    if lines is not None:
        script.write_text(f"#!/bin/sh\n{lines}\n")
        script.chmod(0o755)
    (tmp_path / "config").write_text(f"[profile vended]\ncredential_process = {script}\n")
    async with (
        scripted(OK) as server,
        opened(settings_of(server, ProfileLogin("vended")), way=way) as store,
    ):
        for attempt in (put(store), store.check()):
            with pytest.raises(DestinationError) as caught:
                await attempt
            assert caught.value.trouble is trouble
            assert caught.value.hint
    assert server.seen == []


async def test_on_a_real_store_an_expiry_costs_nothing_once_there_are_new_keys(
    seaweed: SecureSeaweedFS, s3_settings: S3Settings, tmp_path: Path, way: Way
) -> None:
    keys = write_credentials(tmp_path / "keys", seaweed.access_key, seaweed.secret_key)
    with KeyDesk(seaweed.s3_port) as desk:
        settings = S3Settings(s3_settings.bucket, endpoint_url=desk.endpoint_url, login=FileLogin(keys))
        async with opened(settings, way=way) as store:
            upload = await store.create_multipart(ObjectDraft("large"))
            digest = hashlib.sha256(BODY).digest()
            desk.expired.add(seaweed.access_key)
            with pytest.raises(DestinationError) as caught:
                await store.upload_part("large", upload, 1, BODY, sha256=digest)
            assert caught.value.trouble is DestinationTrouble.EXPIRED
            with pytest.raises(DestinationError):
                await put(store)
            write_credentials(keys, *seaweed.next_keys)
            part = await store.upload_part("large", upload, 1, BODY, sha256=digest)
            await store.complete("large", upload, [part], unless_exists=True)
            assert (await put(store)).attempts <= 2
        assert (desk.created, desk.parts) == (1, [1])
