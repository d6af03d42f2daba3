"""Cutting a packed stream into parts, and hashing them."""

import hashlib
from collections.abc import AsyncGenerator
from contextlib import aclosing

from hotfolder.core.ports import Body, Scattered
from hotfolder.core.segments import PartCutter


class Part:
    """One part on its way: its bytes are handed over once, so that nobody else keeps them alive."""

    def __init__(self, number: int, body: Scattered, *, is_last: bool) -> None:
        self.number = number
        self.is_last = is_last
        self._body: Scattered | None = body

    def take(self) -> Scattered:
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
            for pieces in cutter.feed(chunk):
                number += 1
                part = Part(number, Scattered(pieces), is_last=False)
                del pieces
                yield part
            del chunk
    yield Part(number + 1, Scattered(cutter.rest()), is_last=True)


def sha256_of(body: Body | Scattered) -> bytes:
    return _hashed(hashlib.sha256(), body)


def md5_of(body: Body | Scattered) -> bytes:
    return _hashed(hashlib.md5(usedforsecurity=False), body)


def _hashed(hashing: "hashlib._Hash", body: Body | Scattered) -> bytes:
    for piece in body if isinstance(body, Scattered) else (body,):
        hashing.update(piece)
    return hashing.digest()


def joined(body: Scattered) -> tuple[Body, bytes]:
    """A body in one piece, and its SHA-256."""
    whole = body.whole()
    return whole, sha256_of(whole)
