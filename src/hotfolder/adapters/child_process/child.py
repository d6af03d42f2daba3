"""The other end, in the process itself."""

import contextlib
import signal
import socket
from collections.abc import Callable
from typing import BinaryIO

from hotfolder.adapters.child_process.framing import LENGTH, framed


def serve(greeting: bytes, answer: Callable[[bytes], bytes]) -> None:
    """Answer messages until our end is closed."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # it ends with us, and we still need it to stop
    with (
        contextlib.suppress(ConnectionError),  # nobody waits for the answer any more
        socket.socket(fileno=0) as channel,
        channel.makefile("rb") as stream,
    ):
        channel.sendall(framed(greeting))
        while (message := _read(stream)) is not None:
            channel.sendall(framed(answer(message)))


def _read(stream: BinaryIO) -> bytes | None:
    head = stream.read(LENGTH.size)
    if len(head) < LENGTH.size:
        return None
    (length,) = LENGTH.unpack(head)
    message = stream.read(length)
    return message if len(message) == length else None
