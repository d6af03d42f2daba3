"""`DirectPutEngine`: PUTs that the event loop itself writes to its sockets.

A request is one string, one signature and one parsed answer: a third of the CPU that awscrt asks for a
small one. Connections are kept and used again, the last one first, so that as few as possible are kept
warm. One timer looks at all requests: what does not get on is ended by what the kernel saw move, so that
a thin line is no stall.
"""

import asyncio
import ssl
import time
from collections.abc import Callable, Mapping
from functools import lru_cache, partial
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

from hotfolder.adapters.direct.connection import Connection
from hotfolder.adapters.direct.tls import open_trust, unconnected, unreadable
from hotfolder.core.ports import Body, Limiter, Scattered, SigningKeys
from hotfolder.core.pulse import Step
from hotfolder.core.refusals import Answer, Fault
from hotfolder.core.signing import Signer
from hotfolder.core.stalls import Bounds

_REST = 15.0  # seconds that a connection is kept without use; stores close theirs after some 20
_LOOK = 5.0  # seconds between two looks at all connections, at most
_UNSIGNED = "user-agent: hotfolder\r\n"  # proxies change it
_NEXT_ADDRESS = 0.25  # seconds until the next of several addresses is tried beside (RFC 8305)
_TURNS = 16  # of the event loop, in which a connection that was ended is closed


class Origin(NamedTuple):
    """Where connections lead."""

    scheme: str
    netloc: str  # as the Host header has it
    host: str
    port: int

    def __str__(self) -> str:
        return f"{self.scheme}://{self.netloc}"


class DirectPutEngine:
    """A `PutEngine`; use it from one event loop. Keeps up to `connections` open for the next request.

    `ca_bundle` names the CAs that are trusted; it is read when the first https address is asked, and
    again where that failed. `bounds` say when a request does not get on any more.
    """

    sees_progress = True

    def __init__(
        self,
        *,
        region: str,
        bounds: Bounds,
        connections: int,
        ca_bundle: Path,
        on_move: Callable[[], None] = lambda: None,
        wall: Callable[[], float] = time.time,
        limiter: Limiter | None = None,
    ) -> None:
        """`on_move` is called now and then while the bytes of a long request move.

        `limiter`: of the line that it shares with others.
        """
        self._limiter = limiter
        self._bounds, self._connections, self._ca_bundle = bounds, connections, ca_bundle
        self._on_move, self._wall = on_move, wall
        self._interval = min(bounds.interval, _LOOK)
        self._signer = Signer(region)
        self._second, self._moment = 0, ""
        self._trust: ssl.SSLContext | None = None
        self._trusting = asyncio.Lock()
        self._free: dict[Origin, list[Connection]] = {}  # the last one was used last
        self._busy: set[Connection] = set()
        self._timer: asyncio.TimerHandle | None = None

    def steps(self) -> list[Step]:
        """The requests that have a connection."""
        longest = self._bounds.longest
        return [Step("direct", f"PUT {line.about}", line.alive_at, longest) for line in self._busy]

    async def put(
        self,
        url: str,
        headers: Mapping[str, str],
        body: Body | Scattered,
        *,
        sha256: bytes,
        keys: SigningKeys,
        deadline: float | None = None,
    ) -> Answer:
        """See `PutEngine`. The signature binds the body: it covers `sha256`."""
        start = url.index("/", url.index("//") + 2)
        origin = _origin(url[:start])
        head = self._head(origin, url[start:], headers, len(body), sha256, keys)
        line = self._take(origin) or await self._connect(origin)
        if isinstance(line, Answer):
            return line
        if self._timer is None:
            self._look_later()
        self._busy.add(line)
        try:
            answer = line.begin(url, head, body)
            return await (answer if deadline is None else _within(deadline, answer))
        finally:
            self._busy.discard(line)
            self._put_back(origin, line)

    async def close(self) -> None:
        """End all connections; they are closed when it returns."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        lines = [*self._busy, *(line for free in self._free.values() for line in free)]
        self._free.clear()
        for line in lines:
            line.end()
        for _ in range(_TURNS):
            if all(line.is_lost for line in lines):
                return
            await asyncio.sleep(0)

    # -- connections ---------------------------------------------------------------------------------

    def _take(self, origin: Origin) -> Connection | None:
        free = self._free.get(origin, ())
        while free:
            line = free.pop()
            if line.is_free:  # the store closes what rests too long
                return line
        return None

    def _put_back(self, origin: Origin, line: Connection) -> None:
        free = self._free.setdefault(origin, [])
        if line.is_free and len(free) < self._connections:
            free.append(line)
        else:
            line.end()  # also where the caller was cancelled: the body is not ours any more

    async def _connect(self, origin: Origin) -> Connection | Answer:
        loop, trust = asyncio.get_running_loop(), None
        if origin.scheme == "https":
            try:
                trust = await self._trusted()
            except OSError as error:
                return unreadable(self._ca_bundle, error)
        seconds = self._bounds.connect
        try:
            async with asyncio.timeout(seconds):
                _, line = await loop.create_connection(
                    partial(Connection, self._limiter),
                    origin.host,
                    origin.port,
                    ssl=trust,
                    ssl_handshake_timeout=seconds if trust else None,
                    happy_eyeballs_delay=_NEXT_ADDRESS,
                )
        except TimeoutError:
            return Answer(0, fault=Fault.NO_CONNECTION, detail=f"{origin}: within {seconds:g} s")
        except OSError as error:
            return unconnected(str(origin), error)
        if not line.is_free:
            return Answer(0, fault=Fault.CUT, detail=f"{origin}: closed as soon as it was open")
        return line

    async def _trusted(self) -> ssl.SSLContext:
        async with self._trusting:  # hundreds ask at the same moment
            if self._trust is None:
                self._trust = await asyncio.to_thread(open_trust, self._ca_bundle)
            return self._trust

    # -- the look at all -----------------------------------------------------------------------------

    def _look_later(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(self._interval, self._look)

    def _look(self) -> None:
        self._timer = None
        now, moved = asyncio.get_running_loop().time(), False
        try:
            for line in tuple(self._busy):
                if now - line.begun >= self._interval:
                    moved = line.look(self._bounds, len(self._busy)) or moved
            if moved:
                self._on_move()
            self._end_rested(now)
        finally:  # whatever happened: without the next look nobody sees what stands still
            if self._busy or any(self._free.values()):
                self._look_later()

    def _end_rested(self, now: float) -> None:
        """Close the connections that nobody has used for a while."""
        for origin, free in self._free.items():
            kept = [line for line in free if line.is_free and now - line.begun < _REST]
            for line in set(free).difference(kept):
                line.end()
            self._free[origin] = kept

    # -- the request ---------------------------------------------------------------------------------

    def _head(
        self,
        origin: Origin,
        target: str,
        headers: Mapping[str, str],
        size: int,
        sha256: bytes,
        keys: SigningKeys,
    ) -> bytes:
        path, _, query = target.partition("?")
        signed = self._signer.signed(
            "PUT",
            path,
            {"host": origin.netloc, **headers},
            sha256=sha256,
            keys=keys,
            moment=self._now(),
            query=query,
        )
        return f"PUT {target} HTTP/1.1\r\n{signed}{_UNSIGNED}content-length: {size}\r\n\r\n".encode()

    def _now(self) -> str:
        """The moment as it is signed; written once a second."""
        second = int(self._wall())
        if second != self._second:
            self._second = second
            self._moment = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(second))
        return self._moment


async def _within(deadline: float, answer: "asyncio.Future[Answer]") -> Answer:
    try:
        async with asyncio.timeout(deadline):
            return await answer
    except TimeoutError:
        return Answer(0, fault=Fault.TIMEOUT, detail=f"within {deadline:g} s")


@lru_cache(maxsize=16)
def _origin(start: str) -> Origin:
    """Of the beginning of a URL, up to its path."""
    parts = urlsplit(start)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    return Origin(parts.scheme, parts.netloc.rpartition("@")[2], parts.hostname or "", port)
