"""The line to the store: how the bucket is addressed, whose certificates are trusted, a proxy."""

import hashlib
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Literal

import pytest

from hotfolder.adapters.crt import CrtPutEngine
from hotfolder.adapters.s3 import FileLogin, S3Settings, S3Store
from hotfolder.config import Destination, Transfer
from hotfolder.core.errors import ConfigError, DestinationError, DestinationTrouble
from hotfolder.core.ports import SigningKeys
from hotfolder.core.records import ObjectDraft, Receipt
from hotfolder.core.refusals import Fault
from hotfolder.core.s3_words import ObjectOptions
from hotfolder.destinations import put_engine, s3_settings
from tests.support.certificates import Authority, make_authority
from tests.support.forward_proxy import forward_proxy
from tests.support.ports import closed_port
from tests.support.s3_stores import WAYS, Way, opened, sender, write_credentials
from tests.support.scripted_http import Reply, ScriptedServer, scripted

BODY = b"0123456789" * 400
OK = Reply(200)


@pytest.fixture(params=WAYS)
def way(request: pytest.FixtureRequest) -> Way:
    return request.param  # type: ignore[no-any-return]


@pytest.fixture
def login(tmp_path: Path) -> FileLogin:
    return FileLogin(write_credentials(tmp_path / "keys", "KEY", "SECRET"))


@pytest.fixture(scope="module")
def stranger(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return make_authority(tmp_path_factory.mktemp("certificates") / "theirs")


async def put(store: S3Store, body: bytes = BODY) -> Receipt:
    sha256 = hashlib.sha256(body).digest()
    return await store.put(ObjectDraft("a b"), body, sha256=sha256, unless_exists=True)


def came_over(server: ScriptedServer, *, way: Way) -> bool:
    return all(sender(head) == way for head in server.heads)


@pytest.mark.parametrize("style", ["auto", "path"])
async def test_a_store_by_number_is_addressed_by_path(way: Way, login: FileLogin, style: str) -> None:
    async with scripted(OK) as server:
        settings = S3Settings(
            "127", endpoint_url=server.endpoint_url, addressing_style=style, login=login, attempts=1
        )
        async with opened(settings, way=way) as store:
            await put(store)
    assert server.seen == ["put /127/a%20b"]
    assert f"host: 127.0.0.1:{server.port}\r\n" in server.heads[0]
    assert came_over(server, way=way)


async def test_a_bucket_can_stand_in_the_host(way: Way, login: FileLogin) -> None:
    # A bucket and an endpoint that together are an address which every machine knows.
    async with scripted(OK) as server:
        settings = S3Settings(
            "127",
            endpoint_url=f"http://0.0.1:{server.port}",
            addressing_style="virtual",
            login=login,
            attempts=1,
        )
        async with opened(settings, way=way) as store:
            await put(store)
    assert server.seen == ["put /a%20b"]
    assert f"host: 127.0.0.1:{server.port}\r\n" in server.heads[0]
    assert came_over(server, way=way)


async def test_a_ca_of_ones_own_is_trusted(way: Way, login: FileLogin, authority: Authority) -> None:
    async with scripted(OK, tls=authority.tls()) as server:
        settings = S3Settings(
            "bucket",
            endpoint_url=server.endpoint_url,
            addressing_style="path",
            login=login,
            ca_bundle=authority.bundle,
            attempts=1,
        )
        async with opened(settings, way=way) as store:
            assert (await put(store)).attempts == 1
    assert server.seen == ["put /bucket/a%20b"]
    assert came_over(server, way=way)


@pytest.mark.parametrize("named", [False, True], ids=["system's CAs", "another CA"])
async def test_a_store_that_nobody_trusted_vouches_for_is_refused(
    way: Way, login: FileLogin, authority: Authority, stranger: Authority, named: bool
) -> None:
    async with scripted(OK, tls=authority.tls()) as server:
        settings = S3Settings(
            "bucket",
            endpoint_url=server.endpoint_url,
            login=login,
            ca_bundle=stranger.bundle if named else None,
            connect_timeout=2.0,
            read_timeout=0.2,  # awscrt is given both together to say what it knows at once
            attempts=2,
        )
        async with opened(settings, way=way) as store:
            with pytest.raises(DestinationError) as caught:
                await put(store)
    assert caught.value.trouble is DestinationTrouble.UNREACHABLE
    assert "TLS failed" in str(caught.value)
    assert "ca_bundle" in caught.value.hint
    assert server.seen == []


async def test_the_put_engine_sends_nothing_where_its_bundle_is_of_no_use(
    login: FileLogin, authority: Authority, stranger: Authority, tmp_path: Path
) -> None:
    keys, sha256 = SigningKeys("AK", "SK"), hashlib.sha256(BODY).digest()
    async with scripted(OK, tls=authority.tls()) as server:
        for bundle in (stranger.bundle, tmp_path / "absent.pem"):
            engine = CrtPutEngine(region="us-east-1", connect_timeout=5, connections=2, ca_bundle=bundle)
            answer = await engine.put(
                f"{server.endpoint_url}/b/k", {}, BODY, sha256=sha256, keys=keys, deadline=1.0
            )
            # Its TLS library tells a refusal 10 to 30 s late, so that an attacker learns no timing.
            assert answer.fault in {Fault.TLS, Fault.TIMEOUT}
    assert server.seen == []


@pytest.mark.parametrize(
    ("content", "why"), [(None, "No such file"), ("no certificate", "PEM"), ("", "PEM")]
)
async def test_a_bundle_that_cannot_be_read_is_named_and_may_come_yet(
    way: Way,
    login: FileLogin,
    authority: Authority,
    tmp_path: Path,
    content: str | None,
    why: str,
) -> None:
    bundle = tmp_path / "ca.pem"
    if content is not None:
        bundle.write_text(content)
    async with scripted(OK, tls=authority.tls()) as server:
        settings = S3Settings("bucket", endpoint_url=server.endpoint_url, login=login, ca_bundle=bundle)
        async with opened(settings, way=way) as store:
            for call in (put(store), store.check()):
                with pytest.raises(DestinationError) as caught:
                    await call
                assert caught.value.trouble is DestinationTrouble.UNREACHABLE
                assert str(bundle) in str(caught.value)
                assert why in str(caught.value)
            bundle.write_bytes(authority.bundle.read_bytes())
            await put(store)
    assert len(server.seen) == 1


async def test_every_request_goes_through_the_proxy(s3_settings: S3Settings) -> None:
    async with forward_proxy() as proxy, opened(replace(s3_settings, proxy=proxy.url)) as store:
        receipt = await put(store)
        assert receipt.checksum_sha256
        assert b"".join([chunk async for chunk in store.get("a b")]) == BODY
    assert proxy.seen
    assert proxy.seen[0] == f"PUT {s3_settings.endpoint_url}/{s3_settings.bucket}/a%20b HTTP/1.1"


async def test_https_goes_through_the_proxy_unseen(login: FileLogin, authority: Authority) -> None:
    async with forward_proxy() as proxy, scripted(OK, tls=authority.tls()) as server:
        settings = S3Settings(
            "bucket",
            endpoint_url=server.endpoint_url,
            addressing_style="path",
            login=login,
            ca_bundle=authority.bundle,
            proxy=proxy.url,
        )
        async with opened(settings) as store:
            await put(store)
    assert [line.rpartition(" ")[0] for line in proxy.seen] == [f"CONNECT localhost:{server.port}"]
    assert server.seen == ["put /bucket/a%20b"]


async def test_a_proxy_that_is_down_is_named(login: FileLogin) -> None:
    gone = f"http://127.0.0.1:{closed_port()}"
    async with scripted(OK) as server:
        settings = S3Settings(
            "bucket", endpoint_url=server.endpoint_url, login=login, proxy=gone, connect_timeout=2.0
        )
        async with opened(settings) as store:
            with pytest.raises(DestinationError) as caught:
                await put(store)
    assert caught.value.trouble is DestinationTrouble.UNREACHABLE
    assert gone in str(caught.value)
    assert server.seen == []


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> Callable[[dict[str, str]], None]:
    """Sets the variables of proxies, and no others of them."""
    for name in ("http_proxy", "https_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)

    def name_them(variables: dict[str, str]) -> None:
        for name, value in variables.items():
            monkeypatch.setenv(name, value)

    return name_them


PROXY = "http://127.0.0.1:3128"
NAS, AWS = "http://nas.lan:9000", ""


@pytest.mark.parametrize(
    ("variables", "endpoint_url", "is_proxied"),
    [
        ({"https_proxy": PROXY}, AWS, True),
        ({"HTTPS_PROXY": PROXY}, AWS, True),
        ({"http_proxy": PROXY}, AWS, False),
        ({"http_proxy": PROXY}, NAS, True),
        ({"https_proxy": PROXY}, NAS, False),
        ({"http_proxy": PROXY, "no_proxy": "localhost,.lan"}, NAS, False),
        ({"http_proxy": PROXY, "NO_PROXY": "nas.lan:9000"}, NAS, False),
        ({"http_proxy": PROXY, "no_proxy": "*"}, NAS, False),
        ({"http_proxy": PROXY, "no_proxy": "other.lan"}, NAS, True),
        ({"https_proxy": PROXY, "no_proxy": "s3.us-east-1.amazonaws.com"}, AWS, False),
        ({"no_proxy": "localhost"}, NAS, False),
        ({"http_proxy": PROXY, "https_proxy": PROXY}, "http://127.0.0.1:8333", False),
    ],
)
def test_a_proxy_of_the_environment_counts_for_the_stores_that_it_is_for(
    variables: dict[str, str],
    endpoint_url: str,
    is_proxied: bool,
    environment: Callable[[dict[str, str]], None],
) -> None:
    environment(variables)
    destination = Destination(bucket="bucket", endpoint_url=endpoint_url)
    assert (put_engine(destination, Transfer()) is None) == is_proxied


@pytest.mark.parametrize("engine", ["auto", "direct", "crt"])
def test_through_a_proxy_goes_boto3_alone(
    engine: Literal["auto", "direct", "crt"], environment: Callable[[dict[str, str]], None]
) -> None:
    environment({})
    transfer = Transfer(engine=engine)
    assert put_engine(Destination(bucket="bucket"), transfer) is not None
    assert put_engine(Destination(bucket="bucket", proxy=PROXY), transfer) is None
    environment({"HTTPS_PROXY": PROXY})
    assert put_engine(Destination(bucket="bucket"), transfer) is None


def test_awscrt_is_kept_from_a_proxy_that_it_would_take_for_every_store(
    environment: Callable[[dict[str, str]], None],
) -> None:
    environment({"http_proxy": PROXY, "no_proxy": ".lan"})
    for url in (NAS, "http://127.0.0.1:9000"):
        assert put_engine(Destination(bucket="bucket", endpoint_url=url), Transfer(engine="crt")) is None


def test_without_awscrt_it_is_said_how_to_get_it_and_auto_needs_none(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] == "awscrt"]:
        monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.delitem(sys.modules, "hotfolder.adapters.crt")
    destination = Destination(bucket="bucket")
    s3_settings(destination, Transfer())
    assert put_engine(destination, Transfer()) is not None
    with pytest.raises(ConfigError, match='engine = "crt"') as caught:
        s3_settings(destination, Transfer(engine="crt"))
    assert "pip install 'hotfolder[crt]'" in caught.value.sentence


def test_the_settings_of_a_destination_reach_its_connection(authority: Authority) -> None:
    destination = Destination(
        bucket="archive",
        region="eu-central-1",
        endpoint_url="https://s3.example.com",
        addressing_style="path",
        ca_bundle=authority.bundle,
        proxy="http://127.0.0.1:3128",
        storage_class="STANDARD_IA",
        tags={"a": "b"},
        sse="aws:kms",
        kms_key_id="alias/archive",
        acl="private",
    )
    settings = s3_settings(destination, Transfer(connect_timeout=7.0))
    assert settings.options == ObjectOptions(
        "STANDARD_IA", {"a": "b"}, "private", "aws:kms", "alias/archive"
    )
    assert (settings.ca_bundle, settings.proxy) == (authority.bundle, "http://127.0.0.1:3128")
    assert (settings.bucket, settings.region, settings.endpoint_url, settings.addressing_style) == (
        "archive",
        "eu-central-1",
        "https://s3.example.com",
        "path",
    )
    assert settings.connect_timeout == 7.0


@pytest.mark.parametrize("by_environment", [False, True])
async def test_the_put_engine_of_a_destination_trusts_its_ca(
    authority: Authority, monkeypatch: pytest.MonkeyPatch, by_environment: bool
) -> None:
    if by_environment:
        monkeypatch.setenv("AWS_CA_BUNDLE", str(authority.bundle))
    async with scripted(OK, tls=authority.tls()) as server:
        destination = Destination(
            bucket="b",
            endpoint_url=server.endpoint_url,
            ca_bundle=None if by_environment else authority.bundle,
        )
        engine = put_engine(destination, Transfer())
        assert engine is not None
        keys, sha256 = SigningKeys("AK", "SK"), hashlib.sha256(BODY).digest()
        answer = await engine.put(
            f"{server.endpoint_url}/b/k", {}, BODY, sha256=sha256, keys=keys, deadline=20
        )
    assert (answer.status, answer.fault) == (200, None)
