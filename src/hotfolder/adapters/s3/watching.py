"""Requests that are looked at while a thread sends them, and ended where they do not get on.

A thread that is blocked in a socket cannot be stopped; but its socket can be shut down from elsewhere,
and then the thread comes back. So botocore's connections tell which request uses them, and the kernel is
asked what has moved. It knows what the peer confirmed, where a socket's own timeout knows only what was
handed to the kernel, megabytes ahead of a thin line: a socket that is watched has no timeout.
"""

import asyncio
import contextlib
import math
import socket
import threading
import time
from collections.abc import Callable
from concurrent.futures import Executor
from typing import TYPE_CHECKING, Any, TypeVar, cast

from botocore.awsrequest import (
    AWSHTTPConnection,
    AWSHTTPConnectionPool,
    AWSHTTPSConnection,
    AWSHTTPSConnectionPool,
)

from hotfolder import tcp
from hotfolder.adapters.s3.whole_answers import CountedBodies, WholeResponse
from hotfolder.core.allowance import Owner
from hotfolder.core.ports import Limiter
from hotfolder.core.pulse import Step
from hotfolder.core.stalls import Bounds, Phase, Progress, Stall, Traffic

if TYPE_CHECKING:
    from types_boto3_s3.client import S3Client

T = TypeVar("T")

_NAP = 0.2  # seconds after which a thread looks again whether it may send: the limit may be another


class Stalled(Exception):
    """The request did not get on, and was ended."""

    def __init__(self, stall: Stall) -> None:
        super().__init__(stall.detail)
        self.stall = stall


class Watch:
    """The connection of one request: its thread notes it here, and the event loop looks and cuts.

    Both may happen at once, also with the connection's end: a look at a socket that was closed tells
    nothing, and a cut of one does nothing.
    """

    def __init__(self, limiter: Limiter | None = None) -> None:
        """In the event loop."""
        self.limiter = limiter
        self.sender = Owner() if limiter is None else limiter.sender()
        self.phase = Phase.QUEUED
        self.connection: socket.socket | None = None
        self.is_cut = False

    def on(self, connection: socket.socket, phase: Phase) -> None:
        """The request uses this connection now, for `phase`."""
        self.connection, self.phase = connection, phase
        if self.is_cut:  # it was connecting: there was nothing to cut
            self.cut()

    def traffic(self) -> Traffic | None:
        """What moved on the connection so far; None where there is none."""
        connection = self.connection
        return None if connection is None else tcp.traffic(connection)

    def cut(self) -> None:
        """End the request: whatever its thread waits for on the connection fails now."""
        self.is_cut = True
        if self.connection is not None:
            with contextlib.suppress(OSError):  # closed, or never connected
                # SSLSocket's own would take the TLS state away under the thread that uses it.
                socket.socket.shutdown(self.connection, socket.SHUT_RDWR)


class _Here(threading.local):
    watch: Watch | None = None


_HERE = _Here()


def current_watch() -> Watch | None:
    """The watch of the request that this thread makes."""
    return _HERE.watch


class _Watched:
    """What botocore's connections do besides: note what they are about, and wait as long as it takes."""

    sock: Any
    timeout: float | None
    response_class = WholeResponse
    _connecting = False

    def connect(self) -> None:
        self._connecting = True  # which has timeouts of its own: TCP, a proxy's tunnel, TLS
        try:
            super().connect()  # type: ignore[misc] # a mixin: what is above it comes later
        finally:
            self._connecting = False
        self._note(Phase.SENDING)

    def send(self, data: Any) -> None:
        self._note(Phase.CONNECTING if self._connecting else Phase.SENDING)
        watch = _HERE.watch
        limiter = None if watch is None else watch.limiter
        if watch is None or limiter is None or limiter.rate == math.inf:
            super().send(data)  # type: ignore[misc] # as above
        elif isinstance(data, memoryview):
            self._send_in_turn(watch, limiter, data)
        else:  # a head, a document: it counts, and is too small to let an answer wait for it
            limiter.ask(len(data), watch.sender)
            super().send(data)  # type: ignore[misc] # as above

    def _send_in_turn(self, watch: Watch, limiter: Limiter, body: memoryview) -> None:
        while body:
            piece = body[: limiter.piece()]
            place = limiter.ask(len(piece), watch.sender)
            while (seconds := limiter.wait(place)) > 0 and not watch.is_cut:
                time.sleep(min(seconds, _NAP))
            super().send(piece)  # type: ignore[misc] # as above
            body = body[len(piece) :]

    def getresponse(self) -> Any:
        watch = _HERE.watch
        if watch is not None:
            self.timeout = None  # urllib3 gives it to the socket
            self._note(Phase.WAITING)
        response = super().getresponse()  # type: ignore[misc] # as above
        if watch is not None:
            watch.phase = Phase.READING
        return response

    def _note(self, phase: Phase) -> None:
        if _HERE.watch is not None and self.sock is not None:
            _HERE.watch.on(self.sock, phase)
            if phase is not Phase.CONNECTING:
                self.sock.settimeout(None)


class _WatchedConnection(_Watched, AWSHTTPConnection):  # type: ignore[misc] # the stubs' own clash
    pass


class _WatchedTLSConnection(_Watched, AWSHTTPSConnection):  # type: ignore[misc] # the same clash
    pass


class _WatchedPool(CountedBodies, AWSHTTPConnectionPool):
    ConnectionCls = _WatchedConnection


class _WatchedTLSPool(CountedBodies, AWSHTTPSConnectionPool):
    ConnectionCls = _WatchedTLSConnection


def watch_connections(client: "S3Client") -> None:
    """Let the requests of a new client be watched.

    botocore has no public way to the sockets: its one table of pools serves direct and proxied requests.
    """
    session = cast(Any, client)._endpoint.http_session
    session._pool_classes_by_scheme.update(http=_WatchedPool, https=_WatchedTLSPool)


class _UnderWay:
    """One request in its thread."""

    def __init__(self, about: str, bounds: Bounds, now: float, limiter: Limiter | None) -> None:
        self.about = about
        self.watch = Watch(limiter)
        self.progress = Progress(bounds, now)
        self.stall: Stall | None = None
        self.timer: asyncio.TimerHandle | None = None

    def run(self, work: Callable[[], T]) -> T:
        """In the thread."""
        self.watch.phase = Phase.CONNECTING
        _HERE.watch = self.watch
        try:
            return work()
        finally:
            _HERE.watch = None


class RequestThreads:
    """Runs the requests to one store, each in a thread; use it from one event loop."""

    def __init__(
        self,
        executor: Executor,
        bounds: Bounds,
        on_move: Callable[[], None],
        limiter: Limiter | None = None,
    ) -> None:
        """`on_move` is called now and then while bytes move."""
        self._executor, self._bounds, self._on_move = executor, bounds, on_move
        self._limiter = limiter
        self._under_way: set[_UnderWay] = set()

    def steps(self) -> list[Step]:
        """The requests that have a thread. What was cut, and does not come back, gets on no more."""
        return [
            Step("s3", each.about, each.progress.alive_at, self._bounds.longest)
            for each in self._under_way
            if each.watch.phase is not Phase.QUEUED
        ]

    async def run(self, about: str, work: Callable[[], T]) -> T:
        """Call `work`, which makes one request, in a thread.

        Raises as it does, and `Stalled`. A cancelled request is cut: its thread comes back at once.
        """
        loop = asyncio.get_running_loop()
        request = _UnderWay(about, self._bounds, loop.time(), self._limiter)
        self._under_way.add(request)
        self._look_later(request)
        try:
            done = await loop.run_in_executor(self._executor, request.run, work)
        except asyncio.CancelledError:
            request.watch.cut()
            raise
        except Exception as error:
            if request.stall is not None:
                raise Stalled(request.stall) from error
            raise
        finally:
            if request.timer is not None:
                request.timer.cancel()
            self._under_way.discard(request)
        if request.stall is not None:
            raise Stalled(request.stall)  # what seemed to be an answer may be the first half of one
        return done

    def _look_later(self, request: _UnderWay) -> None:
        loop = asyncio.get_running_loop()
        request.timer = loop.call_later(self._bounds.interval, self._look, request)

    def _look(self, request: _UnderWay) -> None:
        watch, now = request.watch, asyncio.get_running_loop().time()
        before = request.progress.moved
        most = math.inf if self._limiter is None else self._limiter.rate
        stall = request.progress.look(watch.phase, watch.traffic(), now, len(self._under_way), most)
        if request.progress.moved > before:
            self._on_move()
        if stall is None:
            self._look_later(request)
            return
        request.stall = stall
        watch.cut()
