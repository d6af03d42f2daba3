"""An HTTP server on loopback that answers what its script says, request by request."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

_TLS_HELLO = b"\x16"  # the type of a TLS record that begins a handshake


@dataclass(frozen=True)
class Reply:
    """One answer. `cut` closes without one, `hang` never answers, `early` answers before the body.

    `headers` may declare more Content-Length than `body` has: then the connection ends too soon.
    """

    status: int = 200
    code: str = ""
    body: str = ""
    headers: dict[str, str] = field(default_factory=dict)
    cut: bool = False
    hang: bool = False
    early: bool = False

    @property
    def ends(self) -> bool:
        """Whether the connection closes after it."""
        return self.cut or self.early or "Content-Length" in self.headers

    def usual(self) -> dict[str, str]:
        """Headers that every answer has."""
        return {"ETag": '"e"'}

    def wire(self) -> bytes:
        document = f"<Error><Code>{self.code}</Code><Message>scripted</Message></Error>"
        body = document if self.code else self.body
        headers = {**self.usual(), "Content-Length": str(len(body)), **self.headers}
        lines = [f"HTTP/1.1 {self.status} Scripted", *(f"{k}: {v}" for k, v in headers.items())]
        return ("\r\n".join(lines) + "\r\n\r\n" + body).encode()


class Page(Reply):
    """An answer of something that is no store."""

    def usual(self) -> dict[str, str]:
        return {"Content-Type": "text/html"}


@dataclass
class ScriptedServer:
    """Gives `script` in order, the last reply for ever; `listing` answers listings, if it is there.

    Keeps the request lines without their version in `seen`, and whole heads in lower case in `heads`.
    """

    script: list[Reply]
    listing: Reply | None = None
    seen: list[str] = field(default_factory=list)
    heads: list[str] = field(default_factory=list)
    asked: asyncio.Event = field(default_factory=asyncio.Event)
    port: int = 0
    scheme: str = "http"
    _tasks: set["asyncio.Task[None]"] = field(default_factory=set)
    _writers: list[asyncio.StreamWriter] = field(default_factory=list)

    @property
    def endpoint_url(self) -> str:
        host = "localhost" if self.scheme == "https" else "127.0.0.1"
        return f"{self.scheme}://{host}:{self.port}"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is not None:
            self._tasks.add(task)
        self._writers.append(writer)
        try:
            while await self._answer(reader, writer):
                pass
        except (asyncio.IncompleteReadError, ConnectionError):
            return  # the client has gone, as clients do
        finally:
            writer.close()

    async def hang_up(self) -> None:
        for writer in self._writers:
            writer.close()
        await asyncio.gather(*self._tasks)

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        first = await reader.readexactly(1)
        if first == _TLS_HELLO:
            return False  # as servers of plain HTTP do; who asked would wait for two seconds else
        head = (first + await reader.readuntil(b"\r\n\r\n")).decode().lower()
        self.seen.append(head.partition(" http/")[0])
        self.heads.append(head)
        self.asked.set()
        reply = self._next(head)
        lengths = [line.split(":")[1] for line in head.split("\r\n") if "content-length:" in line]
        if not reply.early:
            await reader.readexactly(int(lengths[0]) if lengths else 0)
        if reply.hang:
            await reader.read()  # until the client gives up
            return False
        if not reply.cut:
            writer.write(reply.wire())
            await writer.drain()
        return not reply.ends

    def _next(self, head: str) -> Reply:
        if self.listing is not None and "list-type=2" in head:
            return self.listing
        return self.script.pop(0) if len(self.script) > 1 else self.script[0]


@asynccontextmanager
async def scripted(
    *script: Reply, listing: Reply | None = None, tls: ssl.SSLContext | None = None
) -> AsyncIterator[ScriptedServer]:
    """The server while it listens; with `tls` it speaks https."""
    served = ScriptedServer(list(script), listing, scheme="https" if tls else "http")
    server = await asyncio.start_server(served.serve, "127.0.0.1", 0, ssl=tls)
    served.port = server.sockets[0].getsockname()[1]
    try:
        yield served
    finally:
        server.close()
        await served.hang_up()
