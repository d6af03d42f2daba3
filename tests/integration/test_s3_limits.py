"""Bodies under a limit: every byte is asked for, and none goes before its turn, whoever sends it."""

import hashlib
import math
from pathlib import Path

import pytest

from hotfolder.adapters.s3 import FileLogin, S3Settings
from hotfolder.core.records import ObjectDraft
from tests.support.s3_stores import WAYS, Way, opened, sender, write_credentials
from tests.support.scripted_http import Reply, scripted

PIECE = 10_000
BODY = bytes(PIECE * 7 + 1)


class Turns:
    """A limiter that lets each piece wait once, and holds senders to their turn."""

    def __init__(self, rate: float = 1e6) -> None:
        self.rate = rate
        self.asked: list[int] = []
        self._waiting: dict[float, bool] = {}  # place -> whether its wait is over
        self.sent_too_soon = 0

    def piece(self) -> int:
        return PIECE

    def ask(self, size: int) -> float:
        """The next is asked for when the last one went: one request at a time is sent here."""
        if not all(self._waiting.values()):
            self.sent_too_soon += 1
        self.asked.append(size)
        return float(sum(self.asked))

    def wait(self, place: float) -> float:
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
async def test_without_a_limit_nobody_asks(way: Way, login: FileLogin) -> None:
    turns = Turns(math.inf)
    (head,) = await put(way, login, turns, BODY)
    assert turns.asked == []
    assert sender(head) == way


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
