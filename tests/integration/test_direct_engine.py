"""The engine of our own against servers that do what stores should not: each ends as a typed answer."""

import asyncio
import hashlib
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import pytest

from hotfolder.adapters.direct import DirectPutEngine
from hotfolder.adapters.direct.connection import Connection
from hotfolder.adapters.s3 import usual_bundle
from hotfolder.core.ports import SigningKeys
from hotfolder.core.refusals import Answer, Fault
from hotfolder.core.stalls import Bounds
from tests.support.certificates import Authority
from tests.support.ports import closed_port

BODY = b"0123456789" * 400
OK = b'HTTP/1.1 200 OK\r\nETag: "e"\r\nContent-Length: 0\r\n\r\n'
_TLS_HELLO = b"\x16"
CUT, HANG = b"", b"hang"


class RawServer:
    """Gives `answers` in order, byte by byte as they are, the last for ever; counts its connections.

    `CUT` closes in place of an answer, `HANG` reads on and says nothing. After an answer that says
    "close" the connection is closed; `deaf` reads heads alone.
    """

    def __init__(self, *answers: bytes, deaf: bool = False) -> None:
        self._answers, self._deaf = list(answers), deaf
        self.heads: list[bytes] = []
        self.connections = 0
        self.asked, self.left = asyncio.Event(), asyncio.Event()
        self.port = 0
        self._writers: list[asyncio.StreamWriter] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self._writers.append(writer)
        try:
            while await self._answer(reader, writer):
                pass
        except (asyncio.IncompleteReadError, ConnectionError):
            self.left.set()  # as clients do
        finally:
            writer.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        first = await reader.readexactly(1)
        if first == _TLS_HELLO:
            writer.write(self._answers[0])  # as many servers of plain HTTP do
            return False
        head = first + await reader.readuntil(b"\r\n\r\n")
        self.heads.append(head)
        self.asked.set()
        if self._deaf:
            await self.left.wait()
            return False
        length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
        await reader.readexactly(length)
        answer = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        if answer == HANG:
            await reader.readexactly(1)
        writer.write(answer)
        await writer.drain()
        return answer != CUT and b"close" not in answer.lower()

    def hang_up(self) -> None:
        for writer in self._writers:
            writer.close()


@asynccontextmanager
async def raw(
    *answers: bytes, deaf: bool = False, host: str = "127.0.0.1", tls: ssl.SSLContext | None = None
) -> AsyncIterator[RawServer]:
    served = RawServer(*answers, deaf=deaf)
    server = await asyncio.start_server(served.serve, host, 0, ssl=tls)
    served.port = server.sockets[0].getsockname()[1]
    try:
        yield served
    finally:
        served.left.set()
        server.close()
        served.hang_up()
        await asyncio.sleep(0)


@asynccontextmanager
async def engine(
    *, silence: float = 20.0, ca_bundle: Path | None = None, connections: int = 4
) -> AsyncIterator[DirectPutEngine]:
    made = DirectPutEngine(
        region="us-east-1",
        bounds=Bounds(5.0, silence, 0.0),
        connections=connections,
        ca_bundle=ca_bundle or usual_bundle(),
    )
    try:
        yield made
    finally:
        await made.close()


async def put(made: DirectPutEngine, url: str, body: bytes = BODY) -> Answer:
    sha256, keys = hashlib.sha256(body).digest(), SigningKeys("AK", "SK")
    return await made.put(url, {}, body, sha256=sha256, keys=keys, deadline=None)


def at(server: RawServer, host: str = "127.0.0.1", scheme: str = "http") -> str:
    return f"{scheme}://{host}:{server.port}/bucket/key"


async def asked(*answers: bytes) -> Answer:
    """What the engine makes of these bytes."""
    async with raw(*answers) as server, engine() as made:
        return await put(made, at(server))


@pytest.mark.parametrize(
    ("said", "status", "body"),
    [
        (b"HTTP/1.1 403 Forbidden\r\nContent-Length: 4\r\n\r\nbody", 403, b"body"),
        (
            b"HTTP/1.1 400 Bad\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nbo\r\n2\r\ndy\r\n0\r\n\r\n",
            400,
            b"body",
        ),
        (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", 200, b""),
        (b"HTTP/1.1 503 Slow\r\nConnection: close\r\n\r\nuntil the end", 503, b"until the end"),
        (b"HTTP/1.0 500 Old\r\nX: close\r\n\r\nbody", 500, b"body"),
        (b"HTTP/1.1 204 No Content\r\n\r\n", 204, b""),
    ],
    ids=["length", "chunked", "continue", "close", "1.0", "no content"],
)
async def test_answers_are_whole_however_they_are_framed(said: bytes, status: int, body: bytes) -> None:
    answer = await asked(said)
    assert (answer.status, answer.body, answer.fault, answer.requests) == (status, body, None, 1)


async def test_names_of_headers_come_in_lower_case_and_documents_bounded() -> None:
    said = (
        b"HTTP/1.1 500 Oops\r\nX-Amz-Request-ID: AbC\r\nContent-Length: 200000\r\n\r\n" + b"x" * 200_000
    )
    answer = await asked(said)
    assert answer.headers["x-amz-request-id"] == "AbC"
    assert len(answer.body) == 64 * 1024


@pytest.mark.parametrize(
    ("said", "fault"),
    [
        (b"\x15\x03\x03\x00\x02\x02\x46 close", Fault.OTHER),
        (b"SSH-2.0-OpenSSH_9.6\r\nclose", Fault.OTHER),
        (b"HTTP/1.1 101 Switching\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\nclose", Fault.OTHER),
        (b"HTTP/1.1 200 OK\r\n" + b"X: close\r\n" * 50_000, Fault.OTHER),
        (CUT, Fault.CUT),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\nConnection: close\r\n\r\nhalf", Fault.CUT),
        (b"HTTP/1.1 200 OK\r\nconnection: close\r\nETag", Fault.CUT),
    ],
    ids=["TLS alert", "SSH", "upgrade", "endless head", "nothing", "half a body", "half a head"],
)
async def test_what_is_no_answer_is_a_fault(said: bytes, fault: Fault) -> None:
    answer = await asked(said)
    assert (answer.status, answer.fault, answer.requests) == (0, fault, 1)
    assert answer.detail


async def test_a_connection_is_used_again_and_the_last_one_first() -> None:
    async with raw(OK) as server, engine(connections=2) as made:
        for _ in range(3):
            assert (await put(made, at(server))).status == 200
        assert server.connections == 1
        answers = await asyncio.gather(*(put(made, at(server)) for _ in range(4)))
        assert {answer.status for answer in answers} == {200}
        assert server.connections == 4
        await asyncio.gather(*(put(made, at(server)) for _ in range(4)))
        assert server.connections == 6, "no more than two were kept"


@pytest.mark.parametrize("end", [b"Connection: close\r\n", b""])
async def test_a_connection_that_the_store_closed_is_not_used(end: bytes) -> None:
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n" + end + b"\r\n"
    async with raw(answer) as server, engine() as made:
        assert (await put(made, at(server))).status == 200
        server.hang_up()
        while any(line.is_free for free in made._free.values() for line in free):  # noqa: ASYNC110 - turns
            await asyncio.sleep(0)
        assert (await put(made, at(server))).fault is None
        assert server.connections == 2


async def test_a_request_that_dies_on_a_used_connection_is_not_sent_again() -> None:
    async with raw(OK, CUT) as server, engine() as made:
        assert (await put(made, at(server))).status == 200
        answer = await put(made, at(server))
        assert (answer.fault, answer.requests) == (Fault.CUT, 1)
        assert (server.connections, len(server.heads)) == (1, 2)


async def test_what_comes_behind_an_answer_ends_the_connection() -> None:
    async with raw(OK + OK) as server, engine() as made:
        assert [(await put(made, at(server))).status for _ in range(2)] == [200, 200]
        assert server.connections == 2


async def test_a_large_body_goes_out_whole() -> None:
    body = bytes(range(256)) * 16384
    async with raw(OK) as server, engine() as made:
        assert (await put(made, at(server), body)).status == 200
        assert (await put(made, at(server), b"")).status == 200
        assert server.connections == 1


@pytest.mark.parametrize("deaf", [False, True], ids=["no answer", "body not taken"])
async def test_what_stands_still_ends(deaf: bool) -> None:
    body = BODY if not deaf else bytes(8 * 1024 * 1024)
    moved: list[None] = []
    async with raw(HANG, deaf=deaf) as server, engine(silence=0.3) as made:
        made._on_move = partial(moved.append, None)
        answer = await put(made, at(server), body)
    assert answer.fault is (Fault.STALLED if deaf else Fault.TIMEOUT)
    assert "0.3 s" in answer.detail


class Ended(asyncio.Transport):
    """As TLS leaves it behind: its socket is gone, and its protocol is told of that a turn later."""

    def write(self, data: bytes | bytearray | memoryview) -> None:
        pass

    def get_write_buffer_size(self) -> int:
        return 0

    def abort(self) -> None:
        pass


async def test_a_look_between_the_end_of_tls_and_the_news_of_it_tells_nothing() -> None:
    line = Connection()
    line.connection_made(Ended())
    answer = line.begin("key", b"PUT / HTTP/1.1\r\n\r\n", BODY)
    assert not line.look(Bounds(5.0, 20.0, 0.0), 1)
    line.connection_lost(None)
    assert (await answer).fault is Fault.CUT


async def test_a_cancelled_request_lets_go_of_its_body_and_of_the_store() -> None:
    async with raw(HANG, OK) as server, engine() as made:
        body = bytearray(BODY)
        task = asyncio.create_task(put(made, at(server), memoryview(body)))  # type: ignore[arg-type]
        await server.asked.wait()
        assert [step.about for step in made.steps()] == [f"PUT {at(server)}"]
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert made.steps() == []
        await server.left.wait()
        assert (await put(made, at(server))).status == 200
        assert server.connections == 2


async def test_nobody_listens() -> None:
    port = closed_port()
    async with engine() as made:
        answer = await put(made, f"http://127.0.0.1:{port}/b/k")
    assert (answer.fault, answer.detail) == (
        Fault.NO_CONNECTION,
        f"http://127.0.0.1:{port}: Connection refused",
    )


async def test_no_such_host() -> None:
    async with engine() as made:
        answer = await put(made, "http://store.invalid/b/k")
    assert answer.fault is Fault.NO_CONNECTION
    assert "store.invalid" in answer.detail


async def test_of_several_addresses_one_that_answers_is_enough() -> None:
    addresses = {place[4][0] for place in socket.getaddrinfo("localhost", 80, type=socket.SOCK_STREAM)}
    async with raw(OK) as server, engine() as made:
        assert (await put(made, at(server, "localhost"))).status == 200
    assert f"\r\nhost: localhost:{server.port}\r\n".encode() in server.heads[0]
    assert "127.0.0.1" in addresses


@pytest.mark.skipif(not socket.has_ipv6, reason="this machine has no IPv6")
async def test_ipv6() -> None:
    try:
        async with raw(OK, host="::1") as server, engine() as made:
            assert (await put(made, at(server, "[::1]"))).status == 200
            assert f"\r\nhost: [::1]:{server.port}\r\n".encode() in server.heads[0]
    except OSError as error:
        pytest.skip(f"no IPv6 on the loopback: {error}")


async def test_tls_is_used_again_and_its_failures_are_told_at_once(authority: Authority) -> None:
    async with raw(OK, tls=authority.tls()) as server:
        async with engine(ca_bundle=authority.bundle) as made:
            for size in (10, 10_000_000):
                answer = await put(made, at(server, "localhost", "https"), bytes(size))
                assert answer.status == 200, answer
            assert server.connections == 1
            wrong = await put(made, at(server, "127.1", "https"))
            assert wrong.fault is Fault.TLS, wrong
        async with engine() as made:
            answer = await put(made, at(server, "localhost", "https"))
            assert (answer.fault, "certificate" in answer.detail) == (Fault.TLS, True)
    async with raw(b"HTTP/1.1 400 close\r\n\r\n") as server, engine(ca_bundle=authority.bundle) as made:
        answer = await put(made, at(server, "localhost", "https"))
        assert answer.fault is Fault.NO_TLS, answer
