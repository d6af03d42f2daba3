"""A server on loopback that is there, and does not get on: one behaviour for every connection."""

import contextlib
import socket
import ssl
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Self

_SMALL = 16_384  # bytes that its kernel takes for it


class Sluggish:
    """Gives each connection to `behave` in a thread of its own; counts those that the client ended."""

    def __init__(self, behave: Callable[["Peer"], None], *, tls: ssl.SSLContext | None = None) -> None:
        self._behave, self._tls = behave, tls
        self._listening = socket.create_server(("127.0.0.1", 0))
        self._listening.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _SMALL)
        host = "https://localhost" if tls else "http://127.0.0.1"
        self.endpoint_url = f"{host}:{self._listening.getsockname()[1]}"
        self._threads: list[threading.Thread] = []
        self._over = threading.Event()
        self.connections = 0

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._listening.shutdown(socket.SHUT_RDWR)  # which wakes the thread that accepts
        self._listening.close()
        for thread in self._threads:
            thread.join()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):  # closed
            while True:
                connection, _ = self._listening.accept()
                self.connections += 1
                thread = threading.Thread(target=self._serve, args=(connection,), daemon=True)
                self._threads.append(thread)
                thread.start()

    def _serve(self, connection: socket.socket) -> None:
        with contextlib.suppress(OSError):  # the client gave up, as it is to
            if self._tls is not None:
                connection = self._tls.wrap_socket(connection, server_side=True)
            with connection:
                self._behave(Peer(connection, self._over))


class Peer:
    """The server's end of one connection."""

    def __init__(self, connection: socket.socket, over: threading.Event) -> None:
        self._connection, self._over = connection, over

    def head(self) -> int:
        """Read a request's head to its end; returns the length that it declares for the body."""
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            head += self.take(1)
        lengths = [line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length")]
        return int(lengths[0].split(b":")[1]) if lengths else 0

    def take(self, size: int) -> bytes:
        data = self._connection.recv(size)
        if not data:
            raise ConnectionResetError
        return data

    def swallow(self, size: int, *, at_once: int = 65_536, pause: float = 0.0) -> None:
        """Read `size` bytes, with a pause after each `at_once`."""
        while size:
            size -= len(self.take(min(size, at_once)))
            self.rest(pause)

    def listen(self) -> None:
        """Read until the client ends the connection."""
        while True:
            self.take(65_536)

    def say(self, text: bytes) -> None:
        self._connection.sendall(text)

    def drip(self, text: bytes, *, pause: float) -> None:
        """Send byte by byte."""
        for byte in text:
            self.say(bytes([byte]))
            self.rest(pause)

    def rest(self, seconds: float | None = None) -> None:
        """Do nothing so long, or until the test is over."""
        if seconds != 0.0 and self._over.wait(seconds):
            raise ConnectionResetError
