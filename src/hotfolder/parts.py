"""Cutting a packed stream into parts, and hashing them."""

import hashlib
from collections.abc import AsyncGenerator
from contextlib import aclosing

from hotfolder.core.ports import Body
from hotfolder.core.segments import PartCutter


class Part:
    """One part on its way: its bytes are handed over once, so that nobody else keeps them alive."""

    def __init__(self, number: int, body: Body, *, is_last: bool) -> None:
        self.number = number
        self.is_last = is_last
        self._body: Body | None = body

    def take(self) -> Body:
        if self._body is None:
            raise RuntimeError(f"part {self.number} was taken already")
        body, self._body = self._body, None
        return body


async def cut(chunks: AsyncGenerator[Body], size: int) -> AsyncGenerator[Part]:
    """The stream in parts of `size` bytes; the last may be shorter."""
    cutter = PartCutter(size)
    number = 0
    async with aclosing(chunks):
        async for chunk in chunks:
            for body in cutter.feed(chunk):
                number += 1
                part = Part(number, body, is_last=False)
                del body
                yield part
            del chunk
    yield Part(number + 1, cutter.rest(), is_last=True)


def sha256_of(body: Body) -> bytes:
    return hashlib.sha256(body).digest()


def md5_of(body: Body) -> bytes:
    return hashlib.md5(body, usedforsecurity=False).digest()
