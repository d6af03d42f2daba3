"""A TCP proxy on loopback that counts what passes to the server, for what a daemon really sends."""

import socket
import threading
from contextlib import suppress
from types import TracebackType
from typing import Self

_PIECE = 256 * 1024


class CountingProxy:
    """Stands before `port` of loopback while used as a context manager; `sent` counts bytes to it."""

    def __init__(self, port: int) -> None:
        self._behind = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._counting = threading.Lock()
        self.port: int = self._listener.getsockname()[1]
        self.sent = 0

    def __enter__(self) -> Self:
        threading.Thread(target=self._serve, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._listener.close()

    def _serve(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return  # closed: it is over
            try:
                server = socket.create_connection(("127.0.0.1", self._behind))
            except OSError:
                client.close()
                continue
            for source, target, counts in ((client, server, True), (server, client, False)):
                arguments = (source, target, counts)
                threading.Thread(target=self._pump, args=arguments, daemon=True).start()

    def _pump(self, source: socket.socket, target: socket.socket, counts: bool) -> None:
        buffer = memoryview(bytearray(_PIECE))
        with suppress(OSError):  # either side may be killed; the other is told below
            while size := source.recv_into(buffer):
                target.sendall(buffer[:size])
                if counts:
                    with self._counting:
                        self.sent += size
        for end in (source, target):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()
