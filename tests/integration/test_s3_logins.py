"""Each `auth` of [destination] takes its own credentials, and none of what else lies about."""

import hashlib
import json
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import keyring
import pytest
from keyring.backend import KeyringBackend
from keyring.errors import KeyringLocked

from hotfolder.adapters import safe
from hotfolder.config import Destination, Transfer
from hotfolder.core.errors import ConfigError, DestinationError, DestinationTrouble
from hotfolder.core.records import ObjectDraft
from hotfolder.destinations import s3_settings
from tests.support.s3_stores import WAYS, Way, opened, sender, write_credentials
from tests.support.scripted_http import Reply, ScriptedServer, scripted

BODY = b"0123456789"
OK = Reply(200)
LISTED = Reply(200, body="<ListBucketResult><Name>bucket</Name></ListBucketResult>")
SECRET = "SecretThatMustNotShow"
ROLE = "/latest/meta-data/iam/security-credentials/"


@pytest.fixture(autouse=True)
def surroundings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Credentials in the environment and in the AWS files, and no instance: none may leak in."""
    for name in ("AWS_PROFILE", "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "CREDENTIALS_DIRECTORY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "ENVKEY")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    files = tmp_path / "aws"
    files.mkdir()
    keys = f"aws_access_key_id = %s\naws_secret_access_key = {SECRET}\n"
    (files / "credentials").write_text(f"[default]\n{keys % 'FILEKEY'}[nas]\n{keys % 'NASKEY'}")
    script = files / "vend.sh"
    said = {"Version": 1, "AccessKeyId": "PROCESSKEY", "SecretAccessKey": SECRET}
    script.write_text(f"#!/bin/sh\necho '{json.dumps(said)}'\n")
    script.chmod(0o755)
    (files / "config").write_text(
        f"[profile vended]\ncredential_process = {script}\n[profile empty]\nregion = us-east-1\n"
        "[profile sso]\nsso_start_url = https://hotfolder.invalid/start\nsso_region = us-east-1\n"
        "sso_account_id = 123456789012\nsso_role_name = archive\n"
    )
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(files / "credentials"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(files / "config"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")


@pytest.fixture(params=WAYS)
def way(request: pytest.FixtureRequest) -> Way:
    return request.param  # type: ignore[no-any-return]


async def signer(*, way: Way, **keys: str | Path) -> str:
    """The access key (in lower case) that a PUT of a destination with these `keys` is signed with."""
    async with scripted(OK) as server:
        await deliver(server, way=way, **keys)
        assert sender(server.heads[0]) == way
        return who(server)


async def deliver(server: ScriptedServer, *, way: Way, **keys: str | Path) -> None:
    given = {"bucket": "bucket", "endpoint_url": server.endpoint_url, **keys}
    destination = Destination.model_validate(given)
    sha256 = hashlib.sha256(BODY).digest()
    async with opened(s3_settings(destination, Transfer()), way=way) as store:
        await store.put(ObjectDraft("k"), BODY, sha256=sha256, unless_exists=True)


def who(server: ScriptedServer) -> str:
    (head,) = server.heads
    assert SECRET.lower() not in head
    return head.partition("credential=")[2].partition("/")[0]


async def refused(**keys: str | Path) -> DestinationError:
    """What a destination says that finds no credentials; its secrets it does not say."""
    async with scripted(OK) as server:
        with pytest.raises(DestinationError) as caught:
            await deliver(server, way="crt", **keys)
        assert server.seen == []
    assert caught.value.trouble is DestinationTrouble.DENIED
    assert SECRET not in caught.value.sentence
    assert caught.value.hint
    return caught.value


async def test_default_is_what_boto3_finds(way: Way) -> None:
    assert await signer(way=way) == "envkey"


async def test_config_is_its_file_alone(way: Way, tmp_path: Path) -> None:
    file = write_credentials(tmp_path / "own", "OWNKEY", SECRET)
    assert await signer(way=way, auth="config", credentials_file=file) == "ownkey"
    assert "absent" in str(await refused(auth="config", credentials_file=tmp_path / "absent"))


@pytest.mark.parametrize(("profile", "key"), [("nas", "naskey"), ("vended", "processkey")])
async def test_profile_is_that_of_the_aws_files(way: Way, profile: str, key: str) -> None:
    assert await signer(way=way, auth="profile", profile=profile) == key


@pytest.mark.parametrize("profile", ["absent", "empty"])
async def test_a_profile_without_credentials_is_named_and_nothing_takes_its_place(profile: str) -> None:
    assert profile in str(await refused(auth="profile", profile=profile))


async def test_a_profile_of_sso_without_a_login_waits_for_one(way: Way) -> None:
    async with scripted(OK) as server:
        with pytest.raises(DestinationError) as caught:
            await deliver(server, way=way, auth="profile", profile="sso")
        assert server.seen == []
    assert caught.value.trouble is DestinationTrouble.EXPIRED
    assert "SSO: log in" in caught.value.hint


# -- the metadata of an instance or container ---------------------------------------------------


def document(access_key: str) -> str:
    return json.dumps(
        {
            "Code": "Success",
            "Type": "AWS-HMAC",
            "LastUpdated": "2025-10-29T00:00:00Z",
            "AccessKeyId": access_key,
            "SecretAccessKey": SECRET,
            "Token": "SESSIONTOKEN",
            "Expiration": "2100-01-01T00:00:00Z",
        }
    )


@asynccontextmanager
async def instance(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[ScriptedServer]:
    """The metadata service of an instance with a role: a token, the role's name, its keys."""
    async with scripted(
        Reply(body="imds-token"), Reply(body="role"), Reply(body=document("IMDSKEY"))
    ) as imds:
        monkeypatch.delenv("AWS_EC2_METADATA_DISABLED")
        monkeypatch.setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", imds.endpoint_url)
        yield imds


async def test_instance_is_the_role_of_the_metadata(way: Way, monkeypatch: pytest.MonkeyPatch) -> None:
    async with instance(monkeypatch) as imds, scripted(OK) as server:
        await deliver(server, way=way, auth="instance")
        assert who(server) == "imdskey"
        assert "x-amz-security-token: sessiontoken" in server.heads[0]
        assert imds.seen[:3] == ["put /latest/api/token", f"get {ROLE}", f"get {ROLE}role"]
        assert len(imds.seen) == 3  # one session for both engines
        assert all("x-aws-ec2-metadata-token: imds-token" in head for head in imds.heads[1:])


async def test_instance_is_also_the_role_of_a_container(
    way: Way, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with scripted(Reply(body=document("TASKKEY"))) as agent:
        monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", f"{agent.endpoint_url}/role")
        assert await signer(way=way, auth="instance") == "taskkey"
        assert set(agent.seen) == {"get /role"}


async def test_without_a_role_the_environment_does_not_take_its_place() -> None:
    assert "metadata" in str(await refused(auth="instance"))


async def test_an_empty_profile_does_not_become_the_instance(monkeypatch: pytest.MonkeyPatch) -> None:
    async with instance(monkeypatch) as imds:
        await refused(auth="profile", profile="empty")
        assert imds.seen == []


# -- the keyring --------------------------------------------------------------------------------


class Ring(KeyringBackend):
    """A keyring in memory; `locked` refuses."""

    priority = 1.0

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # keyring states no types here
        self.entries: dict[tuple[str, str], str] = {}
        self.locked = False

    def get_password(self, service: str, username: str) -> str | None:
        if self.locked:
            raise KeyringLocked("it is locked")
        return self.entries.get((service, username))

    def set_password(self, service: str, username: str, password: str) -> None:
        self.entries[service, username] = password

    def delete_password(self, service: str, username: str) -> None:
        del self.entries[service, username]


@pytest.fixture
def ring() -> Iterator[Ring]:
    before = keyring.get_keyring()
    made = Ring()
    keyring.set_keyring(made)
    yield made
    keyring.set_keyring(before)


async def test_keyring_gives_both_keys_of_its_entry(way: Way, ring: Ring) -> None:
    ring.set_password("https://s3.example.com", "nas", f"RINGKEY:{SECRET}\n")
    entry = "https://s3.example.com/nas"
    assert await signer(way=way, auth="keyring", keyring_entry=entry) == "ringkey"


@pytest.mark.parametrize("secret", [SECRET, f":{SECRET}", f"{SECRET}:", ""])
async def test_an_entry_that_is_no_key_pair_is_named_and_not_shown(ring: Ring, secret: str) -> None:
    ring.set_password("hotfolder", "s3", secret)
    error = await refused(auth="keyring", keyring_entry="hotfolder/s3")
    assert "'s3' of 'hotfolder'" in str(error)
    assert "ACCESS_KEY:SECRET_KEY" in error.hint


async def test_an_entry_that_is_missing_or_locked_may_come_yet(ring: Ring) -> None:
    error = await refused(auth="keyring", keyring_entry="hotfolder/s3")
    assert "keyring set hotfolder s3" in error.hint
    ring.locked = True
    assert "it is locked" in str(await refused(auth="keyring", keyring_entry="hotfolder/s3"))


async def test_a_missing_entry_is_asked_for_again(ring: Ring) -> None:
    async with scripted(LISTED) as server:
        destination = Destination(
            bucket="bucket",
            endpoint_url=server.endpoint_url,
            auth="keyring",
            keyring_entry="hotfolder/s3",
        )
        async with opened(s3_settings(destination, Transfer())) as store:
            with pytest.raises(DestinationError):
                await store.check()
            ring.set_password("hotfolder", "s3", f"RINGKEY:{SECRET}")
            await store.check()
        assert who(server) == "ringkey"


def test_without_the_package_it_is_said_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "keyring", None)
    destination = Destination(bucket="bucket", auth="keyring", keyring_entry="hotfolder/s3")
    with pytest.raises(ConfigError) as caught:
        s3_settings(destination, Transfer())
    assert "pip install 'hotfolder[keyring]'" in caught.value.sentence


def test_an_entry_shows_no_secret() -> None:
    assert SECRET not in repr(safe.open_entry("hotfolder/s3"))


# -- systemd ------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [None, "archive"])
async def test_systemd_is_the_loaded_credential(
    way: Way, name: str | None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    write_credentials(tmp_path / (name or "s3"), "UNITKEY", SECRET)
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    keys = {"credential_name": name} if name else {}
    assert await signer(way=way, auth="systemd", **keys) == "unitkey"


async def test_a_credential_that_was_not_loaded_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path / "none"))
    assert str(tmp_path / "none" / "s3") in str(await refused(auth="systemd"))
    monkeypatch.delenv("CREDENTIALS_DIRECTORY")
    with pytest.raises(ConfigError) as caught:
        s3_settings(Destination(bucket="bucket", auth="systemd"), Transfer())
    assert "LoadCredential=s3:" in caught.value.hint
