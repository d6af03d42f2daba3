"""A socket whose calls keep the interpreter: they never block, and take microseconds.

Python lets go of its lock (the GIL) for every call of the kernel. A thread that waits for it takes it,
and the event loop stands there with its request sent until that thread lets go: of what small files cost
beside busy threads an eighth was that.
"""

import asyncio
import ctypes
import os
import socket
from typing import Any

_libc = ctypes.PyDLL(None, use_errno=True)  # unlike CDLL it keeps the lock
_libc.send.argtypes = (ctypes.c_int, ctypes.c_char_p, ctypes.c_size_t, ctypes.c_int)
_libc.recv.argtypes = (ctypes.c_int, ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)
_libc.send.restype = _libc.recv.restype = ctypes.c_ssize_t

_AT_ONCE = 64 * 1024  # bytes: what takes longer to copy is for a call that lets others go on
#: What was read last, of whichever connection: it is parsed before anything else is read.
BUFFER = memoryview(bytearray(_AT_ONCE))
_ADDRESS = ctypes.addressof(ctypes.c_char.from_buffer(BUFFER))


class PromptSocket(socket.socket):
    """A socket of an event loop's transport; see `make_prompt`."""

    __slots__ = ()

    def send(self, data: Any, flags: int = 0, /) -> int:
        """As `socket.send`."""
        if type(data) is not bytes or len(data) > _AT_ONCE:
            return super().send(data, flags)
        flags |= socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL
        return _checked(_libc.send(self.fileno(), data, len(data), flags))

    def recv_into(self, buffer: Any, nbytes: int = 0, flags: int = 0) -> int:
        """As `socket.recv_into`; prompt into `BUFFER`."""
        if buffer is not BUFFER:
            return super().recv_into(buffer, nbytes, flags)
        return _checked(
            _libc.recv(self.fileno(), _ADDRESS, nbytes or len(BUFFER), flags | socket.MSG_DONTWAIT)
        )


def make_prompt(transport: asyncio.BaseTransport) -> None:
    """From here on the transport's socket is prompt, if it is one of asyncio's own."""
    # The loop makes its sockets itself; what `get_extra_info` gives is a shell round them.
    inner = getattr(transport.get_extra_info("socket"), "_sock", None)
    if type(inner) is socket.socket:
        inner.__class__ = PromptSocket


def _checked(count: int) -> int:
    if count < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return count
