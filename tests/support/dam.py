"""A forwarder in front of a store that holds requests back when a test says so: a store that hangs."""

import contextlib
import socket
import threading
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit


class Dam:
    """Listens on loopback and forwards to `endpoint_url`; `hold` keeps requests back until `release`."""

    def __init__(self, endpoint_url: str) -> None:
        address = urlsplit(endpoint_url)
        self._ahead = str(address.hostname), int(address.port or 80)
        self._held: bytes | None = None
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
        self._listening.close()
        for connection in self._connections:
            with contextlib.suppress(OSError):  # closed by its other end
                connection.shutdown(socket.SHUT_RDWR)
        self.release()

    def hold(self, beginning: bytes = b"") -> None:
        """Keep back every request that begins so."""
        self._free.clear()
        self._held = beginning

    def release(self) -> None:
        self._held = None
        self._free.set()

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
                if self._held is not None and data.startswith(self._held):
                    self.holding += 1
                    self._free.wait()
                onward.sendall(data)


def _pump(source: socket.socket, sink: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65_536):
            sink.sendall(data)
        sink.shutdown(socket.SHUT_WR)
