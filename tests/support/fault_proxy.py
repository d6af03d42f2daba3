"""A proxy in front of an S3 store that spoils requests and answers by rules, over http or https.

It forwards what it gets as it got it, the Host header too, so that signatures stay right. What it does
to one request is an `Act`; which requests it does that to says a `Rule`.
"""

import asyncio
import contextlib
import random
import re
import socket
import ssl
import struct
import threading
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit

_PIECE = 64 * 1024
_TRICKLE = 1.0  # seconds a byte


class Operation(Enum):
    """What a request asks of the store."""

    PUT = "put"
    CREATE = "create multipart"
    PART = "upload part"
    COMPLETE = "complete"
    ABORT = "abort"
    HEAD = "head"
    GET = "get"
    LIST = "list"
    LIST_PARTS = "list parts"
    OTHER = "other"


SENDING = frozenset({Operation.PUT, Operation.PART})
MAKING = frozenset({Operation.PUT, Operation.PART, Operation.COMPLETE})
TELLING = frozenset({*MAKING, Operation.HEAD, Operation.LIST_PARTS})


@dataclass(frozen=True, slots=True)
class Request:
    """A request's head; `fields` by lower-case name. `lines` are as the client sent them."""

    method: str
    target: str
    lines: tuple[bytes, ...]
    fields: dict[str, str]

    @property
    def operation(self) -> Operation:
        query = parse_qs(urlsplit(self.target).query, keep_blank_values=True)
        match self.method:
            case "PUT":
                return Operation.PART if "partNumber" in query else Operation.PUT
            case "POST":
                return (
                    Operation.CREATE
                    if "uploads" in query
                    else Operation.COMPLETE
                    if "uploadId" in query
                    else Operation.OTHER
                )
            case "DELETE":
                return Operation.ABORT if "uploadId" in query else Operation.OTHER
            case "HEAD":
                return Operation.HEAD
            case "GET" if "list-type" in query or "uploads" in query:
                return Operation.LIST
            case "GET":
                return Operation.LIST_PARTS if "uploadId" in query else Operation.GET
        return Operation.OTHER

    def head(self) -> bytes:
        return b"\r\n".join(self.lines) + b"\r\n\r\n"


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer, whole. `head` ends with the empty line; `body` is as it is on the wire."""

    head: bytes
    body: bytes

    def with_field(self, name: str, change: Callable[[bytes], bytes] | None) -> "Answer":
        """The header `name` with another value, or (None) without it."""
        lines = self.head.split(b"\r\n")
        kept = []
        for line in lines:
            key, colon, value = line.partition(b":")
            if colon and key.lower() == name.lower().encode():
                if change is None:
                    continue
                line = key + b": " + change(value.strip())
            kept.append(line)
        return replace(self, head=b"\r\n".join(kept))


class Exchange:
    """One request under way: what an act can do with it."""

    def __init__(
        self,
        request: Request,
        client: tuple[asyncio.StreamReader, asyncio.StreamWriter],
        onward: tuple[asyncio.StreamReader, asyncio.StreamWriter],
    ) -> None:
        self.request = request
        self.reader, self.writer = client
        self._ahead, self._onward = onward
        self._told_to_go_on = False

    @property
    def length(self) -> int:
        return int(self.request.fields.get("content-length", 0))

    async def body(self, size: int | None = None) -> bytes:
        """The next `size` bytes of the request's body; None: all of them. Chunks come as they are."""
        if self.request.fields.get("expect") and not self._told_to_go_on:
            self._told_to_go_on = True
            await self.send(b"HTTP/1.1 100 Continue\r\n\r\n")
        if self.request.fields.get("transfer-encoding") == "chunked":
            return b"".join([piece async for piece in _chunks(self.reader)])
        return await self.reader.readexactly(self.length if size is None else size)

    async def ask(self, body: bytes) -> Answer:
        """What the store answers to the request with this body."""
        self._onward.write(self.request.head() + body)
        await self._onward.drain()
        head = await self._ahead.readuntil(b"\r\n\r\n")
        return Answer(head, await self._answer_body(head))

    async def _answer_body(self, head: bytes) -> bytes:
        fields = _fields(head.split(b"\r\n")[1:-2])
        status = int(head.split(b" ", 2)[1])
        if self.request.method == "HEAD" or status in {204, 304}:
            return b""
        if "content-length" in fields:
            return await self._ahead.readexactly(int(fields["content-length"]))
        if fields.get("transfer-encoding") == "chunked":
            return b"".join([piece async for piece in _chunks(self._ahead)])
        return b""

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def answer(self, answer: Answer) -> None:
        await self.send(answer.head + answer.body)

    def reset(self) -> None:
        """Cut the connection the hard way: the client gets a RST."""
        tcp = self.writer.get_extra_info("socket")
        with contextlib.suppress(OSError):  # it may have gone already
            tcp.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()
        raise Cut


class Cut(Exception):
    """The connection is no more."""


#: Does something wrong with one exchange; returns normally if the connection may live on.
Act = Callable[[Exchange], Coroutine[Any, Any, None]]


@dataclass(frozen=True, slots=True)
class Rule:
    """`act` on requests for `on` (empty: any) whose target has `key` in it.

    Of those it lets `skip` pass first, then strikes a `share` of them, at most `times`.
    """

    act: Act
    on: frozenset[Operation] = frozenset()
    key: str = ""
    share: float = 1.0
    skip: int = 0
    times: int | None = None

    def means(self, request: Request) -> bool:
        return (not self.on or request.operation in self.on) and self.key in request.target


async def pass_on(exchange: Exchange) -> None:
    """Nothing wrong."""
    await exchange.answer(await exchange.ask(await exchange.body()))


def refuse(status: int, code: str, **fields: str) -> Act:
    """Answer with an error document, without asking the store."""

    async def act(exchange: Exchange) -> None:
        await exchange.body()
        document = f"<Error><Code>{code}</Code><Message>as the test wants it</Message></Error>".encode()
        if exchange.request.method == "HEAD":
            document = b""
        lines = [f"HTTP/1.1 {status} Spoilt", f"Content-Length: {len(document)}"]
        lines += [f"{name.replace('_', '-')}: {value}" for name, value in fields.items()]
        await exchange.send("\r\n".join([*lines, "", ""]).encode() + document)

    return act


def page(**fields: str) -> Act:
    """Answer everything as a proxy with a page of its own does, which says that all is well."""

    async def act(exchange: Exchange) -> None:
        await exchange.body()
        document = b"<html><body>We will be back soon</body></html>"
        lines = ["HTTP/1.1 200 OK", f"Content-Length: {len(document)}", "Content-Type: text/html"]
        lines += [f"{name}: {value}" for name, value in fields.items()]
        head = "\r\n".join([*lines, "", ""]).encode()
        await exchange.send(head if exchange.request.method == "HEAD" else head + document)

    return act


async def reset_before_body(exchange: Exchange) -> None:
    exchange.reset()


async def reset_in_body(exchange: Exchange) -> None:
    await exchange.body(exchange.length // 2)
    exchange.reset()


async def reset_after_body(exchange: Exchange) -> None:
    await exchange.body()
    exchange.reset()


async def lose_answer(exchange: Exchange) -> None:
    """The store does it, and the client never hears of it."""
    await exchange.ask(await exchange.body())
    exchange.reset()


async def truncate_answer(exchange: Exchange) -> None:
    """Half of the answer's body, or of its head where it has none; then the connection ends."""
    answer = await exchange.ask(await exchange.body())
    whole = answer.head + answer.body
    await exchange.send(whole[: len(answer.head) * (1 if answer.body else 0) + _half(answer)])
    exchange.writer.close()
    raise Cut


def _half(answer: Answer) -> int:
    return len(answer.body or answer.head) // 2


async def alter_body(exchange: Exchange) -> None:
    """One bit of what the client sends is another when it arrives."""
    await exchange.answer(await exchange.ask(_flipped(await exchange.body())))


def change_answer(*changes: Callable[[Answer], Answer]) -> Act:
    """The store does it, and its answer arrives with these changes."""

    async def act(exchange: Exchange) -> None:
        answer = await exchange.ask(await exchange.body())
        for change in changes:
            answer = change(answer)
        await exchange.answer(answer)

    return act


def other_etag(answer: Answer) -> Answer:
    """Of the same form, and of other bytes."""
    answer = answer.with_field("etag", _other_hex)
    return _in_body(answer, rb"(<ETag>[^<]*?)([0-9a-f]{32})", _other_hex)


def other_checksum(answer: Answer) -> Answer:
    """A SHA-256 of other bytes."""
    answer = answer.with_field("x-amz-checksum-sha256", _other_base64)
    return _in_body(answer, rb"(<ChecksumSHA256>)([^<]+)", _other_base64)


def without_checksum(answer: Answer) -> Answer:
    """As of a store that knows of none; as long as it was, so that lengths and chunks stay right."""
    answer = answer.with_field("x-amz-checksum-sha256", None)
    return replace(answer, body=answer.body.replace(b"ChecksumSHA256>", b"NothingKnown42>"))


def other_body(answer: Answer) -> Answer:
    """One bit of it is another."""
    return replace(answer, body=_flipped(answer.body))


async def trickle(exchange: Exchange) -> None:
    """One byte a second, both ways: what is sent is hardly taken, what is answered hardly comes."""
    taken = b""
    while len(taken) < min(exchange.length, 3):
        taken += await exchange.body(1)
        await asyncio.sleep(_TRICKLE)
    if exchange.length > _PIECE:
        while True:  # large ones never get through
            await exchange.body(1)
            await asyncio.sleep(_TRICKLE)
    answer = await exchange.ask(taken + await exchange.body(exchange.length - len(taken)))
    for number in range(len(answer.head + answer.body)):
        await exchange.send((answer.head + answer.body)[number : number + 1])
        await asyncio.sleep(_TRICKLE)


def _flipped(data: bytes) -> bytes:
    """With one bit in its middle another."""
    changed = bytearray(data)
    if changed:
        changed[len(changed) // 2] ^= 0x10
    return bytes(changed)


def _other_hex(value: bytes) -> bytes:
    """Another ETag of the same form."""
    return re.sub(rb"[0-9a-f]{32}", lambda found: found[0][::-1].translate(_TURN), value)


_TURN = bytes.maketrans(b"0123456789abcdef", b"123456789abcdef0")


def _other_base64(value: bytes) -> bytes:
    return (b"B" if value[:1] == b"A" else b"A") + value[1:]


def _in_body(answer: Answer, pattern: bytes, change: Callable[[bytes], bytes]) -> Answer:
    body = re.sub(pattern, lambda found: found[1] + change(found[2]), answer.body)
    assert len(body) == len(answer.body)
    return replace(answer, body=body)


class FaultProxy:
    """Listens on loopback while used as a context manager and forwards to `endpoint_url`.

    `tls`: it speaks https. `wrong_tls` (with `tls`): the context of which no client is to think well.
    `struck` counts, by rule, how often it did what it was told.
    """

    def __init__(
        self,
        endpoint_url: str,
        *,
        tls: ssl.SSLContext | None = None,
        wrong_tls: ssl.SSLContext | None = None,
        seed: int = 1,
    ) -> None:
        behind = urlsplit(endpoint_url)
        self._behind = str(behind.hostname), int(behind.port or 80)
        self._tls, self._wrong_tls = tls, wrong_tls
        self._dice = random.Random(seed)
        self._rules: tuple[Rule, ...] = ()
        self._is_tls_wrong = False
        if tls is not None:
            tls.sni_callback = self._choose_certificate
        self._met: dict[int, int] = {}
        self.struck: dict[int, int] = {}
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="fault-proxy", daemon=True)
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None
        self.port = 0

    @property
    def url(self) -> str:
        return f"https://localhost:{self.port}" if self._tls else f"http://127.0.0.1:{self.port}"

    def __enter__(self) -> Self:
        self._thread.start()
        self._call(self._listen())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._call(self._hang_up())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def obey(self, rules: Sequence[Rule]) -> None:
        """From now on these rules hold. What they began with a request under way goes on."""
        self._met, self.struck = {}, {}
        self._rules = tuple(rules)

    def obey_none(self) -> None:
        """No rule holds any more, and what was held up by one is cut off."""
        self._rules = ()
        self._call(self._drop_connections())

    def refuse_connections(self) -> None:
        """The port is closed, and whoever is connected is thrown out."""
        self._call(self._hang_up())

    def take_connections(self) -> None:
        self._call(self._listen())

    def fail_handshakes(self, wrong: bool) -> None:
        self._is_tls_wrong = wrong
        self._call(self._drop_connections())

    def _call(self, work: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(30)

    async def _listen(self) -> None:
        listening = socket.socket()
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        # What is not read stays with the client: whoever sends much notices that nobody takes it.
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _PIECE)
        listening.bind(("127.0.0.1", self.port))  # again after it was closed: the client knows the port
        self.port = listening.getsockname()[1]
        self._server = await asyncio.start_server(
            self._serve, sock=listening, limit=_PIECE, ssl=self._tls
        )

    async def _hang_up(self) -> None:
        if self._server is not None:
            self._server.close()
        await self._drop_connections()

    async def _drop_connections(self) -> None:
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        onward: asyncio.StreamWriter | None = None
        try:
            ahead, onward = await asyncio.open_connection(*self._behind, limit=_PIECE)
            while True:
                await self._exchange((reader, writer), (ahead, onward))
        except (Cut, OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            return  # cut here, or by either end, as connections are
        finally:
            self._tasks.discard(task)
            for end in filter(None, (writer, onward)):
                end.transport.abort()

    def _choose_certificate(self, met: ssl.SSLObject, _name: str | None, _: ssl.SSLContext) -> None:
        if self._is_tls_wrong and self._wrong_tls is not None:
            self.struck[0] = self.struck.get(0, 0) + 1
            met.context = self._wrong_tls

    async def _exchange(
        self,
        client: tuple[asyncio.StreamReader, asyncio.StreamWriter],
        onward: tuple[asyncio.StreamReader, asyncio.StreamWriter],
    ) -> None:
        request = _request(await client[0].readuntil(b"\r\n\r\n"))
        await self._act_on(request)(Exchange(request, client, onward))

    def _act_on(self, request: Request) -> Act:
        for number, rule in enumerate(self._rules):
            if not rule.means(request):
                continue
            met = self._met[number] = self._met.get(number, 0) + 1
            struck = self.struck.get(number, 0)
            if met <= rule.skip or (rule.times is not None and struck >= rule.times):
                continue
            if self._dice.random() < rule.share:
                self.struck[number] = struck + 1
                return rule.act
        return pass_on


def _request(head: bytes) -> Request:
    first, *lines = head.split(b"\r\n")[:-2]
    method, target, _ = first.decode().split(" ")
    # Answered here, so that the store need not be asked before it is known what becomes of the body.
    kept = [line for line in lines if not line.lower().startswith(b"expect:")]
    return Request(method, target, (first, *kept), _fields(lines))


def _fields(lines: Sequence[bytes]) -> dict[str, str]:
    split = (line.decode("latin-1").partition(":") for line in lines)
    return {name.lower(): value.strip() for name, _, value in split}


async def _chunks(reader: asyncio.StreamReader) -> AsyncIterator[bytes]:
    """The pieces of a chunked body, framing and all."""
    while True:
        line = await reader.readuntil(b"\r\n")
        size = int(line.split(b";")[0], 16)
        yield line + await reader.readexactly(size + 2)
        if size == 0:
            return
