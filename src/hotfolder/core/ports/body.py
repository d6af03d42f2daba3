"""Bytes that are handed on without a copy."""

from collections.abc import Iterator

Body = bytes | memoryview


class Scattered:
    """A body that lies in several pieces of memory, and is hashed and sent as it lies.

    To join 16 MiB is to touch 16 MiB of memory for the first time, which costs as much as hashing them.
    """

    __slots__ = ("_pieces", "_size")

    def __init__(self, pieces: list[Body]) -> None:
        self._pieces = pieces
        self._size = sum(map(len, pieces))

    def __len__(self) -> int:
        return self._size

    def __iter__(self) -> Iterator[Body]:
        return iter(self._pieces)

    def __bytes__(self) -> bytes:
        return b"".join(self._pieces)

    @property
    def is_whole(self) -> bool:
        """Whether it lies in one piece."""
        return len(self._pieces) == 1

    def whole(self) -> Body:
        """In one piece; a copy unless it is one."""
        return self._pieces[0] if self.is_whole else bytes(self)
