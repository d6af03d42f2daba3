"""Bodies under a limit: every byte is asked for, and none goes before its turn, whoever sends it."""

import asyncio
import hashlib
import math
from pathlib import Path

import pytest

from hotfolder.adapters.s3 import FileLogin, S3Settings
from hotfolder.core.allowance import Owner, Place
from hotfolder.core.errors import DestinationError
from hotfolder.core.ports import Scattered
from hotfolder.core.records import ObjectDraft
from tests.support.s3_stores import WAYS, Way, opened, sender, write_credentials
from tests.support.scripted_http import Reply, scripted

PIECE = 10_000
BODY = bytes(PIECE * 7 + 1)
ME = Owner("folder", 1)
EMPTY = Reply(200, body="<ListBucketResult><Name>bucket</Name></ListBucketResult>")


class Turns:
    """A limiter that lets each piece wait once, and holds senders to their turn."""

    def __init__(self, rate: float = 1e6) -> None:
        self.rate = rate
        self.asked: list[int] = []
        self._waiting: dict[Place, bool] = {}  # place -> whether its wait is over
        self.sent_too_soon = 0
        self.window, self.knocked = asyncio.Event(), asyncio.Event()
        self.window.set()

    async def opened(self) -> None:
        self.knocked.set()
        await self.window.wait()

    def piece(self) -> int:
        return PIECE

    def sender(self) -> Owner:
        return ME

    def ask(self, size: int, sender: Owner) -> Place:
        """The next is asked for when the last one went: one request at a time is sent here."""
        if not all(self._waiting.values()):
            self.sent_too_soon += 1
        assert sender == ME
        self.asked.append(size)
        return Place(sender, sum(self.asked))

    def wait(self, place: Place) -> float:
        is_over = place in self._waiting
        self._waiting[place] = is_over
        return 0.0 if is_over else 0.001


@pytest.fixture
def login(tmp_path: Path) -> FileLogin:
    return FileLogin(write_credentials(tmp_path / "keys", "KEY", "SECRET"))


async def put(way: Way, login: FileLogin, turns: Turns, body: bytes) -> list[str]:
    """Send one object; returns the heads that came."""
    async with scripted(Reply(200)) as server:
        settings = S3Settings("bucket", endpoint_url=server.endpoint_url, login=login)
        async with opened(settings, way=way, limiter=turns) as store:
            sha256 = hashlib.sha256(body).digest()
            await store.put(ObjectDraft("key"), body, sha256=sha256, unless_exists=True)
    return server.heads


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("body", [BODY, b"small"])
async def test_all_bytes_take_their_turn(way: Way, login: FileLogin, body: bytes) -> None:
    turns = Turns()
    (head,) = await put(way, login, turns, body)
    assert sum(turns.asked) == len(head) + len(body)
    pieces = turns.asked[1:]
    assert pieces == [PIECE] * (len(body) // PIECE) + [len(body) % PIECE]
    assert turns.sent_too_soon == 0
    # awscrt cannot be slowed down: boto3 sends in its place.
    assert sender(head) == ("direct" if way == "direct" else "boto3")


@pytest.mark.parametrize("way", WAYS)
async def test_so_do_those_of_a_part(way: Way, login: FileLogin) -> None:
    turns, body = Turns(), Scattered([BODY[: PIECE + 1], b"x", BODY[PIECE + 2 :]])
    async with scripted(Reply(200)) as server:
        settings = S3Settings("bucket", endpoint_url=server.endpoint_url, login=login)
        async with opened(settings, way=way, limiter=turns) as store:
            await store.upload_part("k", "id", 1, body, sha256=hashlib.sha256(bytes(body)).digest())
    (head,) = server.heads
    assert sum(turns.asked) == len(head) + len(body)
    assert max(turns.asked[1:]) == PIECE
    assert turns.sent_too_soon == 0
    assert sender(head) == ("direct" if way == "direct" else "boto3")


@pytest.mark.parametrize("way", WAYS)
async def test_without_a_limit_nobody_asks(way: Way, login: FileLogin) -> None:
    turns = Turns(math.inf)
    (head,) = await put(way, login, turns, BODY)
    assert turns.asked == []
    assert sender(head) == way


@pytest.mark.parametrize("way", WAYS)
async def test_a_body_is_not_sent_again_while_the_window_is_closed(way: Way, login: FileLogin) -> None:
    turns = Turns(math.inf if way == "crt" else 1e6)
    turns.window.clear()  # what is on its way is none of its business
    tries = 2 if way == "crt" else 1  # awscrt repeats one request by itself, till one gets through
    failing = [Reply(500, "InternalError")] * tries
    async with scripted(*failing, Reply(200), listing=EMPTY) as server:
        settings = S3Settings("bucket", endpoint_url=server.endpoint_url, login=login)
        async with opened(settings, way=way, limiter=turns) as store:
            sha256 = hashlib.sha256(BODY).digest()
            putting = asyncio.create_task(
                store.put(ObjectDraft("key"), BODY, sha256=sha256, unless_exists=True)
            )
            await turns.knocked.wait()
            assert len(server.seen) == tries
            await store.check()  # questions are asked at any time
            assert len(server.seen) == tries + 1
            assert not putting.done()
            turns.window.set()
            await putting
            assert len(server.seen) == tries + 2


async def test_hours_without_uploads_are_no_failing(login: FileLogin) -> None:
    turns = Turns()
    turns.window.clear()
    async with scripted(Reply(200, cut=True), listing=EMPTY) as server:
        settings = S3Settings("bucket", endpoint_url=server.endpoint_url, login=login, attempts=2)
        async with opened(settings, limiter=turns) as store:
            sha256 = hashlib.sha256(BODY).digest()
            putting = asyncio.create_task(
                store.put(ObjectDraft("key"), BODY, sha256=sha256, unless_exists=True)
            )
            await turns.knocked.wait()
            loop, real = asyncio.get_running_loop(), asyncio.get_running_loop().time
            loop.time = lambda: real() + 36_000.0  # type: ignore[method-assign] # ten hours later
            turns.window.set()
            with pytest.raises(DestinationError) as failure:
                await putting
            assert failure.value.failing_for is not None
            assert failure.value.failing_for < 36_000.0


@pytest.mark.parametrize("way", ["boto3", "direct"])  # awscrt repeats by itself, and tells nobody
async def test_each_answer_that_asks_for_less_is_passed_on(way: Way, login: FileLogin) -> None:
    told = []
    async with scripted(Reply(503, "SlowDown"), Reply(503, "SlowDown"), Reply(200)) as server:
        settings = S3Settings("bucket", endpoint_url=server.endpoint_url, login=login)
        async with opened(settings, way=way, on_throttled=lambda: told.append(1)) as store:
            sha256 = hashlib.sha256(BODY).digest()
            await store.put(ObjectDraft("key"), BODY, sha256=sha256, unless_exists=True)
    assert len(told) == 2


async def test_other_trouble_asks_for_nothing(login: FileLogin) -> None:
    told = []
    async with scripted(Reply(500, "InternalError"), Reply(200)) as server:
        settings = S3Settings("bucket", endpoint_url=server.endpoint_url, login=login)
        async with opened(settings, on_throttled=lambda: told.append(1)) as store:
            await store.put(
                ObjectDraft("key"), b"", sha256=hashlib.sha256().digest(), unless_exists=True
            )
    assert (len(server.seen), told) == (2, [])
