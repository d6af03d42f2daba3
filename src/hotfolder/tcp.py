"""What the kernel knows of a TCP connection: what its peer confirmed, and what is still on its way."""

import fcntl
import socket
import struct
import termios
from typing import Protocol

from hotfolder.core.stalls import Traffic

_TCP_INFO = struct.Struct("=120xQQ")  # linux/tcp.h since 4.2: tcpi_bytes_acked, tcpi_bytes_received
_QUEUED = struct.Struct("i")


class Connected(Protocol):
    """A socket, or what an event loop shows of one."""

    def fileno(self) -> int: ...

    def getsockopt(self, level: int, optname: int, buflen: int, /) -> bytes: ...


def traffic(connection: Connected) -> Traffic | None:
    """What moved on the connection so far; None where it is closed."""
    try:
        told = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _TCP_INFO.size)
        queued = fcntl.ioctl(connection.fileno(), termios.TIOCOUTQ, bytes(_QUEUED.size))
    except (OSError, ValueError):
        return None  # it was closed just now
    return Traffic(sum(_TCP_INFO.unpack(told)), *_QUEUED.unpack(queued))
