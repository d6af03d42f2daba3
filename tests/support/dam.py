"""A forwarder in front of a store that holds requests back when a test says so: a store that hangs."""

import contextlib
import socket
import threading
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit


class Dam:
    """Listens on loopback and forwards to `endpoint_url`; `hold` keeps requests back until `release`.

    `drop` ends them instead: the store never hears of what was held back.
    """

    def __init__(self, endpoint_url: str) -> None:
        address = urlsplit(endpoint_url)
        self._ahead = str(address.hostname), int(address.port or 80)
        self._held: bytes | None = None
        self._to_pass = 0
        self._counting = threading.Lock()
        self._dropped: set[socket.socket] = set()
        self._free = threading.Event()
        self._free.set()
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listening.getsockname()[1]}"
        self.holding = 0
        self._connections: list[socket.socket] = []

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with contextlib.suppress(OSError):
            self._listening.shutdown(socket.SHUT_RDWR)  # which wakes the thread that accepts
        self._listening.close()
        for connection in self._connections:
            with contextlib.suppress(OSError):  # closed by its other end
                connection.shutdown(socket.SHUT_RDWR)
        self.release()

    def hold(self, beginning: bytes = b"", *, after: int = 0) -> None:
        """Keep back every request that begins so, but for the first `after` of them."""
        self._free.clear()
        self._to_pass = after
        self._held = beginning

    def release(self) -> None:
        self._held = None
        self._free.set()

    def drop(self) -> None:
        """Throw away what is held back, and hold nothing any more."""
        self._dropped.update(self._connections)
        self.release()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):  # closed
            while True:
                client, _ = self._listening.accept()
                onward = socket.create_connection(self._ahead)
                self._connections += [client, onward]
                for pump, ends in ((self._requests, (client, onward)), (_pump, (onward, client))):
                    threading.Thread(target=pump, args=ends, daemon=True).start()

    def _requests(self, client: socket.socket, onward: socket.socket) -> None:
        with contextlib.suppress(OSError), client, onward:
            while data := client.recv(65_536):
                if self._is_to_wait(data):
                    self.holding += 1
                    self._free.wait()
                    if client in self._dropped:
                        return
                onward.sendall(data)

    def _is_to_wait(self, data: bytes) -> bool:
        with self._counting:
            if self._held is None or not data.startswith(self._held):
                return False
            self._to_pass -= 1
            return self._to_pass < 0


def _pump(source: socket.socket, sink: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65_536):
            sink.sendall(data)
        sink.shutdown(socket.SHUT_WR)
