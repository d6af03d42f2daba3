"""Messages on a stream: each behind its length."""

import struct

LENGTH = struct.Struct("<I")


def framed(message: bytes) -> bytes:
    return LENGTH.pack(len(message)) + message
