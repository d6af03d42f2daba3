"""Another region, another protocol, no S3 store at all, another time: what is wrong is said."""

import email.utils
import hashlib
import re
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path

import pytest

from hotfolder.adapters.s3 import FileLogin, S3Settings, S3Store
from hotfolder.core.errors import DestinationError, DestinationTrouble
from hotfolder.core.records import ObjectDraft, Receipt
from tests.support.certificates import Authority
from tests.support.juicefs import JuiceFS
from tests.support.s3_stores import WAYS, Naps, SecureSeaweedFS, Way, opened, write_credentials
from tests.support.scripted_http import Reply, ScriptedServer, scripted

BODY = b"0123456789" * 400
ELSEWHERE = "eu-central-1"


class Bench:
    def __init__(self, stack: AsyncExitStack, credentials: Path, way: Way) -> None:
        self._stack, self._way = stack, way
        self.settings = S3Settings(
            "bucket-1", login=FileLogin(credentials), connect_timeout=3.0, read_timeout=5.0, attempts=4
        )

    async def serve(self, *script: Reply) -> tuple[S3Store, ScriptedServer]:
        server = await self._stack.enter_async_context(scripted(*script))
        return await self.open(server.endpoint_url), server

    async def open(self, endpoint_url: str, ca_bundle: Path | None = None) -> S3Store:
        settings = replace(self.settings, endpoint_url=endpoint_url, ca_bundle=ca_bundle)
        return await self._stack.enter_async_context(opened(settings, way=self._way, sleep=Naps()))


@pytest.fixture(params=WAYS)
async def bench(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Bench]:
    credentials = write_credentials(tmp_path / "credentials", "KEYKEYKEY", "SECRETSECRET")
    async with AsyncExitStack() as stack:
        yield Bench(stack, credentials, request.param)


async def put(store: S3Store) -> Receipt:
    digest = hashlib.sha256(BODY).digest()
    return await store.put(ObjectDraft("k"), BODY, sha256=digest, unless_exists=True)


async def refusals(store: S3Store) -> list[DestinationError]:
    """What every kind of request says; none of them is an object's own fault."""
    told = []
    for attempt in (
        store.check(),
        put(store),
        store.head("k"),
        store.create_multipart(ObjectDraft("k")),
        anext(aiter(store.list_uploads("k"))),
    ):
        with pytest.raises(DestinationError) as caught:
            await attempt
        told.append(caught.value)
    return told


def document(code: str, *fields: str) -> str:
    elements = "".join(
        f"<{name}>{value}</{name}>" for name, _, value in (f.partition("=") for f in fields)
    )
    return f"<Error><Code>{code}</Code><Message>scripted</Message>{elements}</Error>"


@pytest.mark.parametrize(
    "reply",
    [
        Reply(301, "PermanentRedirect", headers={"x-amz-bucket-region": ELSEWHERE}),
        Reply(
            301, body=document("PermanentRedirect", f"Endpoint=bucket-1.s3.{ELSEWHERE}.amazonaws.com")
        ),
        Reply(301, headers={"x-amz-bucket-region": ELSEWHERE}),
        Reply(307, "TemporaryRedirect", headers={"x-amz-bucket-region": ELSEWHERE}),
        Reply(
            307, body=document("TemporaryRedirect", f"Endpoint=bucket-1.s3-{ELSEWHERE}.amazonaws.com")
        ),
        Reply(400, body=document("AuthorizationHeaderMalformed", f"Region={ELSEWHERE}")),
        Reply(400, "IllegalLocationConstraintException", headers={"x-amz-bucket-region": ELSEWHERE}),
        Reply(400, headers={"x-amz-bucket-region": ELSEWHERE}),
    ],
    ids=lambda reply: f"{reply.status}-{reply.code or reply.body[13:30]}",
)
async def test_another_region_is_named_by_every_request_and_never_followed(
    bench: Bench, reply: Reply
) -> None:
    # botocore would look for the region with a HEAD of the bucket, and then send elsewhere.
    store, server = await bench.serve(reply)
    for error in await refusals(store):
        assert error.trouble is DestinationTrouble.NO_BUCKET
        assert f'set region = "{ELSEWHERE}"' in error.hint
    assert not any(line == "head /bucket-1" for line in server.seen)


@pytest.mark.parametrize(
    "reply", [Reply(400, body="<html>Bad</html>"), Reply(404), Reply(405), Reply(302)]
)
async def test_what_is_no_s3_store_holds_and_costs_no_file_anything(bench: Bench, reply: Reply) -> None:
    store, _ = await bench.serve(reply)
    with pytest.raises(DestinationError) as caught:
        await store.check()
    assert "correct endpoint_url" in caught.value.hint
    with pytest.raises(DestinationError) as caught:
        await put(store)
    assert "correct endpoint_url" in caught.value.hint


async def test_http_to_a_store_that_speaks_https(bench: Bench, seaweed: SecureSeaweedFS) -> None:
    for error in await refusals(await bench.open(seaweed.secure_url.replace("https:", "http:"))):
        assert error.trouble is DestinationTrouble.UNREACHABLE
        assert "the store speaks https there" in str(error)
        assert "write https://" in error.hint


async def test_https_to_a_store_that_speaks_http(
    bench: Bench, seaweed: SecureSeaweedFS, juicefs: JuiceFS, authority: Authority
) -> None:
    for url in (seaweed.endpoint_url, juicefs.endpoint_url):
        for error in await refusals(await bench.open(url.replace("http:", "https:"), authority.bundle)):
            assert error.trouble is DestinationTrouble.UNREACHABLE
            assert "does not speak https" in str(error)
            assert "write http://" in error.hint


@pytest.mark.parametrize(
    "fields",
    [
        ("RequestTime=20261121T100000Z", "ServerTime=2026-11-21T11:03:00Z"),
        ("RequestTime=Sat, 21 Nov 2026 10:00:00 GMT", "ServerTime=2026-11-21T11:03:00Z"),
        (),
    ],
    ids=["document", "HTTP's form", "header"],
)
async def test_a_skewed_clock_is_named(bench: Bench, fields: tuple[str, ...]) -> None:
    now = email.utils.formatdate(time.time() + 63 * 60, usegmt=True)
    reply = Reply(403, body=document("RequestTimeTooSkewed", *fields), headers={"Date": now})
    store, _ = await bench.serve(reply)
    for error in await refusals(store):
        assert error.trouble is DestinationTrouble.DENIED
        assert "this machine's clock is 1h 3m behind the store's" in str(error)
        assert "NTP" in error.hint


async def test_a_store_that_tells_no_time_is_not_asked_for_ever(bench: Bench) -> None:
    store, server = await bench.serve(Reply(403, "RequestTimeTooSkewed"))
    with pytest.raises(DestinationError) as caught:
        await put(store)
    assert "NTP" in caught.value.hint
    assert len(server.seen) <= 5  # awscrt by itself asks once more


async def test_a_refusal_that_the_clock_may_explain_says_so(bench: Bench) -> None:
    for seconds, is_named in ((-20 * 60, True), (-5 * 60, False)):
        date = email.utils.formatdate(time.time() + seconds, usegmt=True)
        store, _ = await bench.serve(Reply(403, "SignatureDoesNotMatch", headers={"Date": date}))
        with pytest.raises(DestinationError) as caught:
            await put(store)
        assert ("clock is 20m ahead of" in str(caught.value)) is is_named
        assert "secret key" in caught.value.hint


@pytest.mark.parametrize(
    ("endpoint_url", "why"),
    [
        ("http://127.0.0.1:9", "Connection refused"),
        ("http://nowhere.invalid:9", r"not known|Temporary failure"),  # which has no resolver
    ],
)
async def test_why_there_is_no_connection_is_said_of_the_address_alone(
    bench: Bench, endpoint_url: str, why: str
) -> None:
    store = await bench.open(endpoint_url)
    with pytest.raises(DestinationError) as caught:
        await store.check()
    assert f"no connection ({endpoint_url}: " in str(caught.value)
    assert re.search(why, str(caught.value))
    assert "list-type" not in str(caught.value)
