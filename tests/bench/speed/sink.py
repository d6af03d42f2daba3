"""A null sink that speaks S3 over HTTP: it hashes what arrives as a store must, and keeps nothing.

    python -m tests.bench.speed.sink --port 9000 --latency 0.02

Every body gets its real MD5 as ETag, and the checksums that came with it are echoed. Of bodies of up to
64 KiB an announced SHA-256 is compared with the bytes, and they stay readable for a while: a store is
asked what it does before it is believed. A larger body costs an MD5 and nothing more, whatever its
sender announces: here the store takes its CPU from the machine on which the uploader is measured.
Signatures are not checked. Each answer is held back for `latency` seconds after its request has arrived
whole: many wait at a time.

One thread serves all small requests from an epoll loop; a large body goes to a thread of its own, where
reading and hashing need no GIL. `GET /-/usage` tells the CPU seconds spent, the bytes of all bodies, the
objects there, and the requests of each kind; it forgets all objects, and begins to count anew.
"""

import argparse
import heapq
import select
import socket
import time
from collections import deque
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from tests.bench.speed.answers import Answers, Body, Request

_LARGE = 256 * 1024  # bytes of a body that gets a thread
_READ = 1 << 20


@dataclass(slots=True, eq=False)
class _Connection:
    """`held`: what came and is not yet served; `request`: whose body is still coming."""

    socket: socket.socket
    held: bytearray = field(default_factory=bytearray)
    request: Request | None = None


class Sink:
    """The server on one listening socket; `latency` in seconds."""

    def __init__(self, listening: socket.socket, latency: float) -> None:
        self._listening, self._latency = listening, latency
        self._answers = Answers()
        self._poll = select.epoll()
        self._connections: dict[int, _Connection] = {}
        self._later: list[tuple[float, int, _Connection, bytes]] = []
        self._number = 0
        self._done: deque[tuple[_Connection, bytes]] = deque()  # by the threads
        self._bell, self._rung = socket.socketpair()
        self._threads = ThreadPoolExecutor(64)
        self._buffer = memoryview(bytearray(_READ))

    def serve(self) -> None:
        """Until the process is ended."""
        self._listening.setblocking(False)
        self._poll.register(self._listening, select.EPOLLIN)
        self._poll.register(self._rung, select.EPOLLIN)
        while True:
            wait = max(0.0, self._later[0][0] - time.monotonic()) if self._later else -1
            for descriptor, _ in self._poll.poll(wait):
                if descriptor == self._listening.fileno():
                    self._accept()
                elif descriptor == self._rung.fileno():
                    self._rung.recv(4096)
                else:
                    self._read(self._connections[descriptor])
            while self._done:
                connection, answer = self._done.popleft()
                self._watch(connection)
                self._give(connection, answer)
            while self._later and self._later[0][0] <= time.monotonic():
                _, _, connection, answer = heapq.heappop(self._later)
                _send(connection, answer)

    def _accept(self) -> None:
        while True:
            try:
                accepted, _ = self._listening.accept()
            except BlockingIOError:
                return
            accepted.setblocking(False)
            accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._watch(_Connection(accepted))

    def _watch(self, connection: _Connection) -> None:
        self._connections[connection.socket.fileno()] = connection
        self._poll.register(connection.socket, select.EPOLLIN)

    def _unwatch(self, connection: _Connection) -> None:
        self._poll.unregister(connection.socket)
        del self._connections[connection.socket.fileno()]

    def _read(self, connection: _Connection) -> None:
        try:
            size = connection.socket.recv_into(self._buffer)
        except BlockingIOError:
            return
        except OSError:
            size = 0
        if not size:
            self._unwatch(connection)
            connection.socket.close()
            return
        connection.held += self._buffer[:size]
        while connection.held and self._take(connection):
            pass

    def _take(self, connection: _Connection) -> bool:
        """Serve the next request if it is there whole; returns whether another may be."""
        held, request = connection.held, connection.request
        if request is None:
            end = held.find(b"\r\n\r\n")
            if end < 0:
                return False
            request = connection.request = Request(bytes(held[:end]))
            del held[: end + 4]
            if b"expect" in request.headers:
                connection.socket.send(b"HTTP/1.1 100 Continue\r\n\r\n")
            if request.length >= _LARGE or request.is_http_chunked or request.is_aws_chunked:
                self._unwatch(connection)
                self._threads.submit(self._take_large, connection, request)
                return False
        if len(held) < request.length:
            return False
        body = Body()
        if request.length:
            body.update(bytes(held[: request.length]))
            del held[: request.length]
        connection.request = None
        self._give(connection, self._answers.answer(request, body))
        return True

    def _take_large(self, connection: _Connection, request: Request) -> None:
        """In a thread: read the body, hash it, and leave the answer to the loop."""
        try:
            connection.socket.setblocking(True)
            body = Body()
            for piece in _Incoming(connection.socket, connection.held).body(request):
                body.update(piece)
            connection.socket.setblocking(False)
        except OSError:
            connection.socket.close()
            return
        connection.request = None
        self._done.append((connection, self._answers.answer(request, body)))
        self._bell.send(b"!")

    def _give(self, connection: _Connection, answer: bytes) -> None:
        if not self._latency:
            _send(connection, answer)
            return
        self._number += 1
        heapq.heappush(self._later, (time.monotonic() + self._latency, self._number, connection, answer))


def _send(connection: _Connection, answer: bytes) -> None:
    try:
        sent = connection.socket.send(answer)
        if sent < len(answer):
            connection.socket.setblocking(True)
            connection.socket.sendall(memoryview(answer)[sent:])
            connection.socket.setblocking(False)
    except OSError:
        pass  # who asked is gone; the poll tells so, too


class _Incoming:
    """The rest of one request, from what was read already and then from its socket."""

    def __init__(self, connected: socket.socket, held: bytearray) -> None:
        self._socket, self._held = connected, held
        self._into = memoryview(bytearray(_READ))

    def body(self, request: Request) -> Iterator[bytes | memoryview]:
        """Its pieces, each gone when the next is asked for. Raises OSError if the sender is gone."""
        if request.is_http_chunked or request.is_aws_chunked:
            return self._chunks()
        return self._plain(request.length)

    def _plain(self, length: int) -> Iterator[bytes | memoryview]:
        if self._held:
            first = bytes(self._held[:length])
            del self._held[:length]
            length -= len(first)
            yield first
        while length:
            size = self._socket.recv_into(self._into, min(len(self._into), length))
            if not size:
                raise ConnectionResetError
            length -= size
            yield self._into[:size]

    def _chunks(self) -> Iterator[bytes | memoryview]:
        """HTTP's chunks, or AWS's with their signatures; trailing headers are left alone."""
        while size := int(self._line().partition(b";")[0], 16):
            yield from self._plain(size)
            self._line()
        while self._line():
            pass

    def _line(self) -> bytes:
        while (end := self._held.find(b"\r\n")) < 0:
            more = self._socket.recv(4096)
            if not more:
                raise ConnectionResetError
            self._held += more
        line = bytes(self._held[:end])
        del self._held[: end + 2]
        return line


def main() -> None:
    parser = argparse.ArgumentParser(description="a null sink that speaks S3")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--latency", type=float, default=0.0, help="seconds before each answer")
    options = parser.parse_args()
    listening = socket.create_server(("127.0.0.1", options.port), backlog=1024)
    print(listening.getsockname()[1], flush=True)  # noqa: T201 - for whoever starts it
    Sink(listening, options.latency).serve()


if __name__ == "__main__":
    main()
