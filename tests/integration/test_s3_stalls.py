"""Stores that are there and do not get on: every request ends, its thread comes back."""

import asyncio
import hashlib
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pytest

from hotfolder.adapters.s3 import FileLogin, S3Connection, S3Settings, S3Store
from hotfolder.core.errors import DestinationError, DestinationTrouble
from hotfolder.core.records import ObjectDraft, Receipt
from tests.support.certificates import Authority, make_authority
from tests.support.s3_stores import Naps, write_credentials
from tests.support.sluggish import Peer, Sluggish

MIB = 1024 * 1024
SMALL, LARGE = b"0123456789" * 400, bytes(9 * MIB)
OK = b'HTTP/1.1 200 OK\r\nETag: "e"\r\nContent-Length: 0\r\n\r\n'
SILENCE = 0.4
PATIENT = 1.5  # seconds of silence where some of it must come in time, from a thread of ours
THREADS = 2


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return make_authority(tmp_path_factory.mktemp("certificates") / "ours")


Open = Callable[..., tuple[S3Store, Sluggish]]


@pytest.fixture(params=["http", "https"])
def scheme(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def open_store(scheme: str, tmp_path: Path, authority: Authority) -> Iterator[Open]:
    """Opens a store with few threads before a server that behaves so; its end waits for the threads."""
    login = FileLogin(write_credentials(tmp_path / "keys", "KEY", "SECRET"))
    with ExitStack() as stack:

        def opening(
            behave: Callable[[Peer], None],
            *,
            min_speed: float = 256 * 1024.0,
            connect_timeout: float = 2.0,
            read_timeout: float = SILENCE,
            on_move: Callable[[], None] = lambda: None,
        ) -> tuple[S3Store, Sluggish]:
            tls = authority.tls() if scheme == "https" else None
            server = stack.enter_context(Sluggish(behave, tls=tls))
            connection = S3Connection(
                S3Settings(
                    "bucket",
                    endpoint_url=server.endpoint_url,
                    addressing_style="path",
                    login=login,
                    ca_bundle=authority.bundle if tls else None,
                    connect_timeout=connect_timeout,
                    read_timeout=read_timeout,
                    min_speed=min_speed,
                )
            )
            stack.callback(connection.close)
            executor = stack.enter_context(ThreadPoolExecutor(THREADS))
            return S3Store(connection, executor, sleep=Naps(), on_move=on_move), server

        yield opening


async def put(store: S3Store, body: bytes) -> Receipt:
    sha256 = hashlib.sha256(body).digest()
    return await store.put(ObjectDraft("a b"), body, sha256=sha256, unless_exists=True)


async def stalled(store: S3Store, body: bytes = SMALL) -> str:
    """What a PUT ends with."""
    with pytest.raises(DestinationError) as caught:
        await put(store, body)
    assert caught.value.trouble is DestinationTrouble.UNREACHABLE
    assert "s3://bucket/a b" in str(caught.value)
    assert "min_speed" in caught.value.hint
    assert caught.value.failing_for is not None
    assert caught.value.failing_for >= 2 * SILENCE
    return str(caught.value)


def mute(peer: Peer) -> None:
    peer.rest()


def sips(peer: Peer) -> None:
    peer.head()
    peer.swallow(len(LARGE), at_once=1, pause=0.01)


def stops_reading(peer: Peer) -> None:
    peer.head()
    peer.swallow(len(LARGE) // 2)
    peer.rest()


def never_answers(peer: Peer) -> None:
    peer.listen()


def only_asks_to_go_on(peer: Peer) -> None:
    peer.swallow(peer.head())
    while True:
        peer.drip(b"HTTP/1.1 100 Continue\r\n\r\n", pause=0.002)


def drips_the_head(peer: Peer) -> None:
    peer.swallow(peer.head())
    peer.drip(b"HTTP/1.1 200 OK\r\nX-Long: " + b"x" * 10_000, pause=0.01)


def drips_the_document(peer: Peer) -> None:
    peer.swallow(peer.head())
    peer.say(b"HTTP/1.1 503 Slow\r\nContent-Length: 10000\r\n\r\n")
    peer.drip(b"<" * 10_000, pause=0.01)


def stops_in_the_document(peer: Peer) -> None:
    peer.swallow(peer.head())
    peer.say(b"HTTP/1.1 503 Slow\r\nContent-Length: 10000\r\n\r\n<Error>")
    peer.rest()


@pytest.mark.parametrize(
    ("behave", "body", "said"),
    [
        (mute, LARGE, "stalled ("),
        (sips, LARGE, "stalled ("),
        (stops_reading, LARGE, "stalled ("),
        (never_answers, SMALL, "no answer in time (within 0.4 s)"),
        (only_asks_to_go_on, SMALL, "no answer in time (within 0.4 s)"),
        (drips_the_head, SMALL, "no answer in time (within 0.4 s)"),
        (drips_the_document, SMALL, "the answer was not whole"),
        (stops_in_the_document, SMALL, "nothing came for 0.4 s"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
async def test_a_put_that_does_not_get_on_ends(
    open_store: Open, behave: Callable[[Peer], None], body: bytes, said: str, scheme: str
) -> None:
    store, server = open_store(behave)
    if behave is mute and scheme == "https":
        with pytest.raises(DestinationError):  # not even a handshake: connecting has its own limit
            await put(store, body)
        return
    assert said in await stalled(store, body)
    assert server.connections == 2


async def test_stalls_use_up_no_threads_and_no_descriptors(open_store: Open) -> None:
    store, _ = open_store(never_answers)
    await stalled(store)
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(3):
        await asyncio.gather(*(stalled(store) for _ in range(THREADS)))
    async with asyncio.timeout(30):  # its threads close the server's end, when they come to it
        while len(os.listdir("/proc/self/fd")) > before + 2 * THREADS:  # noqa: ASYNC110 - the kernel's
            await asyncio.sleep(0.01)


async def test_the_next_try_never_takes_a_connection_that_may_be_as_dead(open_store: Open) -> None:
    def good_once(peer: Peer) -> None:
        peer.swallow(peer.head())
        peer.say(OK)
        peer.rest()  # as a line that died since: what is sent now is never answered

    store, server = open_store(good_once, read_timeout=PATIENT)
    await asyncio.gather(*(put(store, SMALL) for _ in range(THREADS)))  # all of these are kept
    assert (await put(store, SMALL)).attempts == 2
    assert server.connections == THREADS + 1


async def test_a_slow_store_that_gets_on_is_left_alone(open_store: Open) -> None:
    # Slower than a piece in `connect_timeout`, and its kernel and ours hold much more than it has read
    # when the last byte is handed over: the wait for the answer begins when all was taken.
    def gets_on(peer: Peer) -> None:
        peer.swallow(peer.head(), at_once=16_384, pause=0.002)
        peer.say(OK)
        peer.rest()

    moves: list[None] = []
    store, server = open_store(
        gets_on, connect_timeout=0.1, read_timeout=3.0, on_move=lambda: moves.append(None)
    )
    assert (await put(store, LARGE)).attempts == 1
    assert moves
    assert server.connections == 1


async def test_a_download_that_drips_ends(open_store: Open) -> None:
    def drips(peer: Peer) -> None:
        peer.head()
        peer.say(b'HTTP/1.1 200 OK\r\nETag: "e"\r\nContent-Length: 3000000\r\n\r\n')
        if server.connections == 1:
            peer.say(bytes(2 * MIB))
        peer.drip(bytes(10_000), pause=0.01)

    store, server = open_store(drips, read_timeout=PATIENT)
    download = store.get("k")
    assert len(await anext(download)) == len(await anext(download)) == MIB
    with pytest.raises(DestinationError, match=r"stalled \(only"):
        await anext(download)
    assert server.connections == 2


async def test_a_reader_that_takes_its_time_is_no_stall(open_store: Open) -> None:
    def whole(peer: Peer) -> None:
        peer.head()
        peer.say(b'HTTP/1.1 200 OK\r\nETag: "e"\r\nContent-Length: 3145728\r\n\r\n' + bytes(3 * MIB))
        peer.rest()

    store, server = open_store(whole, read_timeout=PATIENT)
    got = 0
    async for chunk in store.get("k"):
        if not got:
            await asyncio.sleep(1.5 * PATIENT)
        got += len(chunk)
    assert got == 3 * MIB
    assert server.connections == 1


async def test_a_cancelled_put_ends_in_its_thread_too(open_store: Open) -> None:
    heard = asyncio.Event()
    loop = asyncio.get_running_loop()

    def hears(peer: Peer) -> None:
        peer.head()
        loop.call_soon_threadsafe(heard.set)
        peer.rest()

    store, _ = open_store(hears)
    for _ in range(2 * THREADS):
        heard.clear()
        task = asyncio.create_task(put(store, LARGE))
        await heard.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task


def test_botocore_still_has_the_connections_that_are_watched(tmp_path: Path) -> None:
    login = FileLogin(write_credentials(tmp_path / "keys", "KEY", "SECRET"))
    client = S3Connection(S3Settings("bucket", login=login, proxy="http://127.0.0.1:9")).client()
    session = client._endpoint.http_session  # type: ignore[attr-defined]
    for scheme in ("http", "https"):
        for manager in (session._manager, session._get_proxy_manager("http://127.0.0.1:9")):
            pool = manager.connection_from_url(f"{scheme}://example.com")
            assert pool.ConnectionCls.__module__ == "hotfolder.adapters.s3.watching"
