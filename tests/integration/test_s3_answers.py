"""What the S3 adapter makes of answers that a well-behaved store does not give."""

import asyncio
import gc
import hashlib
import ssl
import weakref
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import replace
from functools import partial
from pathlib import Path

import botocore.exceptions as boto_errors
import pytest
import urllib3.exceptions

from hotfolder.adapters.crt import CrtPutEngine
from hotfolder.adapters.s3 import FileLogin, S3Settings, S3Store
from hotfolder.adapters.s3.faults import fault
from hotfolder.core.errors import (
    DestinationError,
    DestinationTrouble,
    FileRejected,
    HotfolderError,
    KeyTaken,
    ObjectRefused,
    UploadLost,
)
from hotfolder.core.ports import Scattered, SigningKeys
from hotfolder.core.records import ObjectDraft, Receipt
from hotfolder.core.refusals import Fault
from tests.support.s3_stores import WAYS, Naps, Way, opened, write_credentials
from tests.support.scripted_http import Page, Reply, ScriptedServer, scripted

BODY = b"0123456789" * 400
OK = Reply(200)
LISTING = Reply(200, body="<ListBucketResult><Name>bucket</Name></ListBucketResult>")


class Bench:
    """Opens a store in front of a scripted server; closes both at the end of the test."""

    def __init__(self, stack: AsyncExitStack, credentials: Path, way: Way) -> None:
        self._stack, self._credentials, self._way = stack, credentials, way
        self.naps = Naps()

    async def open(
        self,
        *script: Reply,
        listing: Reply | None = None,
        attempts: int = 12,
        connect_timeout: float = 5.0,
        read_timeout: float = 5.0,
    ) -> tuple[S3Store, ScriptedServer]:
        server = await self._stack.enter_async_context(scripted(*script, listing=listing))
        settings = S3Settings(
            "bucket",
            endpoint_url=server.endpoint_url,
            login=FileLogin(self._credentials),
            connect_timeout=connect_timeout,
            read_timeout=read_timeout,
            attempts=attempts,
        )
        store = opened(settings, way=self._way, sleep=self.naps)
        return await self._stack.enter_async_context(store), server


@pytest.fixture(params=WAYS)
async def bench(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Bench]:
    credentials = write_credentials(tmp_path / "credentials", "KEY", "SECRET")
    async with AsyncExitStack() as stack:
        yield Bench(stack, credentials, request.param)


async def put(store: S3Store, *, body: bytes = BODY, unless_exists: bool = True) -> Receipt:
    digest = hashlib.sha256(body).digest()
    return await store.put(ObjectDraft("a b"), body, sha256=digest, unless_exists=unless_exists)


@pytest.mark.parametrize(
    "failure",
    [
        Reply(503, "SlowDown"),
        Reply(500, "InternalError"),
        Reply(502),
        Reply(400, "RequestTimeout"),
        Reply(409, "ConditionalRequestConflict"),
        Reply(400, "BadDigest"),
        Reply(cut=True),
    ],
    ids=lambda reply: reply.code or f"{reply.status}{'-cut' * reply.cut}",
)
async def test_passing_failures_are_repeated_and_counted(bench: Bench, failure: Reply) -> None:
    store, server = await bench.open(failure, failure, OK)
    receipt = await put(store)
    assert receipt.etag == "e"
    assert receipt.attempts == len(server.seen) == 3
    assert set(server.seen) == {"put /bucket/a%20b"}
    assert all("if-none-match: *" in head for head in server.heads)
    assert all("x-amz-checksum-sha256:" in head for head in server.heads)
    digest = hashlib.sha256(BODY).hexdigest()
    assert all(f"x-amz-content-sha256: {digest}" in head for head in server.heads)
    assert not any("expect:" in head for head in server.heads)


@pytest.mark.parametrize(
    ("reply", "kind", "hint"),
    [
        (Reply(412, "PreconditionFailed"), KeyTaken, ""),
        (Reply(400, "KeyTooLongError"), FileRejected, ""),
        (Reply(400, "EntityTooLarge"), FileRejected, ""),
        (Reply(400, "InvalidRequest"), ObjectRefused, ""),
        (Reply(403, "AccessDenied"), DestinationError, "s3:PutObject"),
        (Reply(400, "ExpiredToken"), DestinationError, "renew the credentials"),
        (Reply(404, "NoSuchBucket"), DestinationError, "create the bucket"),
        (Reply(400, "InvalidTag"), DestinationError, "correct storage_class, tags"),
        (Reply(400, "KMS.NotFoundException"), DestinationError, "kms_key_id"),
        (Reply(501, "NotImplemented"), DestinationError, "leave out what it does not know"),
    ],
    ids=lambda value: value.code if isinstance(value, Reply) else "",
)
async def test_lasting_refusals_are_not_repeated(
    bench: Bench, reply: Reply, kind: type[HotfolderError], hint: str
) -> None:
    store, server = await bench.open(reply)
    with pytest.raises(kind) as caught:
        await put(store)
    assert reply.code in str(caught.value)
    assert "s3://bucket/a b" in str(caught.value)
    assert hint in caught.value.hint
    assert bench.naps.asked == []
    assert len(server.seen) == 1


async def test_a_part_is_repeated_as_it_is_and_counted(bench: Bench) -> None:
    store, server = await bench.open(Reply(503, "SlowDown"), Reply(cut=True), OK)
    body = Scattered([BODY[:7], memoryview(BODY)[7:]])
    part = await store.upload_part("a b", "id/+", 2, body, sha256=hashlib.sha256(BODY).digest())
    assert (part.number, part.size, part.etag, part.attempts) == (2, len(BODY), "e", 3)
    assert len(server.seen) == 3
    digest = hashlib.sha256(BODY).hexdigest()
    for seen, head in zip(server.seen, server.heads, strict=True):
        path, _, query = seen.partition("?")
        assert path == "put /bucket/a%20b"
        assert sorted(query.split("&")) == ["partnumber=2", "uploadid=id%2f%2b"]
        assert f"x-amz-content-sha256: {digest}" in head
        assert "x-amz-checksum-sha256:" in head


class Watched(bytearray):
    """Bytes of which one can tell that nobody has them any more."""


@pytest.mark.parametrize("how", ["put", "part"])
async def test_what_was_sent_at_last_does_not_stay_in_memory(bench: Bench, how: str) -> None:
    store, server = await bench.open(Reply(503, "SlowDown"), Reply(cut=True), OK)
    bytes_ = Watched(BODY)
    body, held, sha256 = memoryview(bytes_), weakref.ref(bytes_), hashlib.sha256(BODY).digest()
    del bytes_
    gc.disable()
    try:
        if how == "put":
            await store.put(ObjectDraft("a b"), body, sha256=sha256, unless_exists=True)
        else:
            await store.upload_part("a b", "id", 1, body, sha256=sha256)
        del body
        async with asyncio.timeout(30):
            while held() is not None:  # noqa: ASYNC110 - the thread that sent it lets go after its answer
                await asyncio.sleep(0.001)
    finally:
        gc.enable()
    assert len(server.seen) == 3


@pytest.mark.parametrize(
    ("reply", "kind"),
    [
        (Reply(404, "NoSuchUpload"), UploadLost),
        (Reply(403, "AccessDenied"), DestinationError),
        (Reply(400, "EntityTooLarge"), FileRejected),
    ],
    ids=lambda value: value.code if isinstance(value, Reply) else "",
)
async def test_a_part_that_is_refused_is_not_repeated(
    bench: Bench, reply: Reply, kind: type[HotfolderError]
) -> None:
    store, server = await bench.open(reply)
    with pytest.raises(kind, match=reply.code):
        await store.upload_part("k", "id", 1, BODY, sha256=hashlib.sha256(BODY).digest())
    assert len(server.seen) == 1


PAGE = "<html><body>We will be back soon</body></html>"


@pytest.mark.parametrize("etag", [{}, {"ETag": '"5f3a-1a2"'}], ids=["dynamic", "static"])
async def test_a_page_in_place_of_the_store_is_an_outage_although_it_says_200(
    bench: Bench, etag: dict[str, str]
) -> None:
    store, _ = await bench.open(Page(200, body=PAGE, headers=etag))
    asked: list[Callable[[], Awaitable[object]]] = [
        store.check,
        partial(store.create_multipart, ObjectDraft("a b")),
        partial(store.abort, "a b", "id"),  # believed, it would leave the upload open for ever
        partial(store.delete, "a b"),
    ]
    if not etag:
        sha256 = hashlib.sha256(BODY).digest()
        part = partial(store.upload_part, "a b", "id", 1, BODY, sha256=sha256)
        asked += [partial(put, store), partial(store.head, "a b"), part]
    for ask in asked:
        with pytest.raises(DestinationError) as caught:
            await ask()
        assert caught.value.trouble is DestinationTrouble.UNREACHABLE
        assert not caught.value.may_be_one_keys
        assert "no answer of an S3 store" in caught.value.hint


async def test_a_store_that_asks_for_less_is_throttled_after_all_attempts(bench: Bench) -> None:
    store, server = await bench.open(Reply(503, "SlowDown"), attempts=5)
    with pytest.raises(DestinationError) as caught:
        await put(store)
    assert caught.value.trouble is DestinationTrouble.THROTTLED
    assert 5 <= len(server.seen) <= 6  # awscrt may have repeated once by itself
    assert len(bench.naps.asked) == 4
    assert max(bench.naps.asked) <= 5.0


@pytest.mark.parametrize("reply", [Reply(503, "SlowDown"), Reply(429), Reply(503)])
async def test_a_store_that_asks_for_a_long_rest_gets_it(bench: Bench, reply: Reply) -> None:
    store, server = await bench.open(replace(reply, headers={"Retry-After": "40"}))
    with pytest.raises(DestinationError) as caught:
        await put(store)
    assert caught.value.retry_after == 40.0
    assert len(server.seen) <= 3, "awscrt keeps no headers of a 503: boto3 asks once for them"


@pytest.mark.parametrize("asked", ["2", "Wed, 21 Oct 2026 07:28:00 GMT", "-1", "soon", ""])
async def test_a_short_rest_or_a_date_leaves_the_tries_as_they_are(bench: Bench, asked: str) -> None:
    store, server = await bench.open(Reply(503, headers={"Retry-After": asked}), attempts=4)
    with pytest.raises(DestinationError) as caught:
        await put(store)
    assert caught.value.retry_after == (2.0 if asked == "2" else None)
    assert len(server.seen) >= 4


@pytest.mark.parametrize("reply", [Reply(500), Reply(500, "InternalError"), Reply(507)])
async def test_a_500_holds_the_store_unless_it_proves_to_be_one_keys(bench: Bench, reply: Reply) -> None:
    store, server = await bench.open(reply, listing=LISTING, attempts=3)
    with pytest.raises(DestinationError) as caught:
        await put(store)
    assert caught.value.may_be_one_keys
    assert "look into its log" in caught.value.hint
    assert "s3://bucket/a b" in str(caught.value)
    assert server.seen[-1].startswith("get /bucket?list-type=2")


async def test_a_500_is_an_outage_if_the_bucket_fails_too(bench: Bench) -> None:
    store, _ = await bench.open(Reply(500), listing=Reply(503), attempts=3)
    with pytest.raises(DestinationError) as caught:
        await put(store)
    assert caught.value.trouble is DestinationTrouble.UNREACHABLE


async def test_a_bare_refusal_of_head_asks_the_bucket_for_the_reason(bench: Bench) -> None:
    store, _ = await bench.open(Reply(400), Reply(400, "ExpiredToken"))
    with pytest.raises(DestinationError) as caught:
        await store.head("k")
    assert caught.value.trouble is DestinationTrouble.EXPIRED


async def test_a_bare_refusal_of_head_was_an_outage_if_it_is_over_once_the_bucket_was_asked(
    bench: Bench,
) -> None:
    store, server = await bench.open(Reply(400), OK, listing=LISTING)
    found = await store.head("k")
    assert found is not None
    assert [line.partition("?")[0] for line in server.seen] == [
        "head /bucket/k",
        "get /bucket",
        "head /bucket/k",
    ]


async def test_a_bare_refusal_that_lasts_while_the_bucket_answers_is_the_objects(bench: Bench) -> None:
    store, server = await bench.open(Reply(400), listing=LISTING)
    with pytest.raises(ObjectRefused):
        await store.head("k")
    assert len(server.seen) == 3


async def test_a_body_that_was_refused_without_a_word_is_whole_when_it_is_sent_again(
    bench: Bench,
) -> None:
    store, server = await bench.open(Reply(400), Reply(503, "SlowDown"), listing=LISTING)
    with pytest.raises(DestinationError) as caught:  # what it is now, and no file's own
        await put(store)
    assert caught.value.trouble is DestinationTrouble.THROTTLED
    assert len(server.seen) == 3


async def test_another_region_is_named(bench: Bench) -> None:
    elsewhere = {"x-amz-bucket-region": "eu-central-1"}
    store, _ = await bench.open(Reply(301, "PermanentRedirect", headers=elsewhere))
    with pytest.raises(DestinationError) as caught:
        await put(store)
    assert 'region = "eu-central-1"' in caught.value.hint


async def test_a_store_that_never_answers_is_left_after_two_tries(bench: Bench) -> None:
    store, server = await bench.open(Reply(hang=True), connect_timeout=0.8, read_timeout=0.2)
    with pytest.raises(DestinationError) as caught:
        await put(store)
    assert caught.value.trouble is DestinationTrouble.UNREACHABLE
    assert "no answer in time (within" in str(caught.value)
    async with asyncio.timeout(30):
        while len(server.seen) < 2:  # noqa: ASYNC110 - it stands in its buffers, if it was not read yet
            await asyncio.sleep(0.001)
    assert len(server.seen) == 2


async def test_an_early_refusal_is_heard(bench: Bench) -> None:
    store, _ = await bench.open(Reply(403, "AccessDenied", headers={"Connection": "close"}, early=True))
    with pytest.raises(DestinationError) as caught:
        await put(store)
    assert caught.value.trouble is DestinationTrouble.DENIED


async def test_a_put_can_be_cancelled_at_once(bench: Bench) -> None:
    store, server = await bench.open(Reply(hang=True), read_timeout=1.0)
    task = asyncio.create_task(put(store))
    await server.asked.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_a_broken_download_goes_on_where_it_broke(bench: Bench) -> None:
    broken = Reply(200, body="01234", headers={"Content-Length": "10"})
    store, server = await bench.open(broken, Reply(206, body="56789"))
    assert b"".join([chunk async for chunk in store.get("k")]) == b"0123456789"
    assert server.seen == ["get /bucket/k"] * 2
    assert "range: bytes=5-" in server.heads[1]
    assert 'if-match: "e"' in server.heads[1]


async def test_a_page_is_no_download(bench: Bench) -> None:
    store, _ = await bench.open(Page(200, body="<html>Back soon</html>"))
    with pytest.raises(DestinationError, match="no S3 store gave"):
        async for _chunk in store.get("k"):
            pass


async def test_a_download_never_goes_on_in_another_object(bench: Bench) -> None:
    broken = Reply(200, body="01234", headers={"Content-Length": "10"})
    store, _ = await bench.open(broken, Reply(412, "PreconditionFailed"))
    with pytest.raises(ObjectRefused):
        async for _chunk in store.get("k"):
            pass


async def test_the_put_engine_uses_its_signers_again() -> None:
    # A delegate whose last reference goes in a thread of awscrt is dropped without the GIL: after some
    # ten thousand requests the process dies of it.
    async with scripted(Reply(status=403, code="AccessDenied")) as server:
        engine = CrtPutEngine(region="us-east-1", connect_timeout=5, connections=8)
        keys, body = SigningKeys("AK", "SK", None), b"data"
        url = f"{server.endpoint_url}/bucket/key"
        sha256 = hashlib.sha256(body).digest()
        known: set[int] = set()
        for _ in range(3):
            puts = [engine.put(url, {}, body, sha256=sha256, keys=keys, deadline=20) for _ in range(10)]
            answers = await asyncio.gather(*puts)
            assert {answer.status for answer in answers} == {403}
            signers = {id(signer) for signer in engine._signers}
            assert known <= signers
            known = signers
        assert len(known) <= 10


async def test_the_put_engine_is_done_with_a_request_that_it_gave_up() -> None:
    # Until then it holds the body, and a copy of it.
    async with scripted(Reply(hang=True)) as server:
        engine = CrtPutEngine(region="us-east-1", connect_timeout=5, connections=8)
        url, sha256 = f"{server.endpoint_url}/bucket/key", hashlib.sha256(BODY).digest()
        put = partial(engine.put, url, {}, BODY, sha256=sha256, keys=SigningKeys("AK", "SK", None))
        answer = await put(deadline=0.2)
        assert (answer.fault, answer.detail) == (Fault.TIMEOUT, "within 0.2 s")
        assert engine._signers == engine._kept
        server.asked.clear()
        task = asyncio.create_task(put(deadline=60.0))
        await server.asked.wait()
        assert engine._signers == []
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert engine._signers == engine._kept


async def test_what_the_engine_had_no_time_for_goes_to_boto3_for_a_while(tmp_path: Path) -> None:
    login = FileLogin(write_credentials(tmp_path / "credentials", "KEY", "SECRET"))
    async with scripted(Reply(hang=True), OK) as server:
        settings = S3Settings(
            "bucket",
            endpoint_url=server.endpoint_url,
            login=login,
            connect_timeout=0.5,
            read_timeout=2.5,
            min_speed=200_000,
        )
        async with opened(settings, way="crt") as store:
            assert (await put(store, body=100 * BODY)).attempts == 2
            await put(store, body=100 * BODY)
            await put(store)
    assert ["crts3nativeclient" in head for head in server.heads] == [True, False, False, True]


@pytest.mark.parametrize(
    ("error", "meant"),
    [
        (ssl.SSLEOFError(8, "EOF occurred in violation of protocol"), Fault.CUT),
        (ssl.SSLZeroReturnError(6, "TLS/SSL connection has been closed"), Fault.CUT),
        (ssl.SSLCertVerificationError(1, "certificate verify failed"), Fault.TLS),
        (ssl.SSLError(1, "wrong version number"), Fault.TLS),
    ],
)
def test_a_connection_cut_within_tls_is_no_matter_of_certificates(
    error: ssl.SSLError, meant: Fault
) -> None:
    wrapped = boto_errors.SSLError(
        endpoint_url="https://store", error=urllib3.exceptions.SSLError(error)
    )
    assert fault(wrapped) is meant
