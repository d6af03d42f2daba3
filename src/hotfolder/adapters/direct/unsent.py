"""A body on its way to the transport: handed over in runs, as it lies in memory."""

from collections import deque

from hotfolder.core.ports import Body, Scattered


class Unsent:
    """What of a body the transport does not have yet. Its length is in bytes."""

    __slots__ = ("_size", "_views")

    def __init__(self, body: Body | Scattered) -> None:
        pieces = body if isinstance(body, Scattered) else (body,)
        self._views = deque(memoryview(piece).cast("B") for piece in pieces)
        self._size = len(body)

    def __len__(self) -> int:
        return self._size

    def take(self, most: int) -> list[memoryview]:
        """The next `most` bytes, or what is left, without a copy."""
        taken: list[memoryview] = []
        room = min(most, self._size)
        self._size -= room
        while room:
            view = self._views.popleft()
            if len(view) > room:
                self._views.appendleft(view[room:])
                view = view[:room]
            room -= len(view)
            taken.append(view)
        return taken
