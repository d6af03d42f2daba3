"""Memory for pieces of files: chunks of one size, that are used again once nobody looks at them.

What is read and what is packed of it differ by a few bytes, are many, and are let go of in any order.
As blocks of malloc they leave holes that the next one does not fit into: at a peak a heap of 242 MiB
held 113. Chunks of one size leave none. A chunk is lent as a `memoryview`; it comes back by itself with
the last of the views, slices of slices too, that the interpreter keeps of it. So nobody can give back
too early what a socket, a hash or another try still needs.
"""

import contextlib
import ctypes
import mmap
from collections import deque
from typing import Any

from hotfolder.core.segments import KIB, PIECE

#: A piece, and room around it: for what stored blocks put between its bytes, and to begin elsewhere.
SIZE = PIECE + 4 * KIB
_LITTLE = PIECE // 4  # bytes that are not worth a chunk
_TERM = 256  # chunks lent, after which those are let go of that no moment of it needed


class _Lent(ctypes.Array[ctypes.c_ubyte]):
    """A chunk while it is lent: all views of it keep it, and with the last one it comes back."""

    _type_ = ctypes.c_ubyte
    _length_ = SIZE
    source: "PieceMemory"
    memory: mmap.mmap

    def __del__(self) -> None:
        self.source.take_back(self.memory)


class PieceMemory:
    """Lends chunks of `SIZE` bytes, in any thread. How many there are is up to the budget of who asks.

    Chunks that come back are kept for the next; of those that are too many some are let go of now and
    then, all by `give_back`.
    """

    def __init__(self) -> None:
        self._free: deque[mmap.mmap] = deque()  # of any thread: no lock; the last one was used last
        self._spare = 0  # the fewest that were free at any time of this term
        self._lent = 0  # in this term

    @property
    def free(self) -> int:
        """How many chunks wait for their next use."""
        return len(self._free)

    def lend(self) -> memoryview:
        """A chunk with whatever stands in it, writable. Raises `MemoryError`."""
        try:
            memory = self._free.pop()
        except IndexError:
            memory = _mapped()
        self._count()
        chunk: Any = _Lent.from_buffer(memory)
        chunk.source, chunk.memory = self, memory
        return memoryview(chunk).cast("B")

    def room_for(self, size: int) -> memoryview:
        """`size` bytes, writable: of a chunk where they are about a piece, else of their own."""
        if _LITTLE < size <= SIZE:
            return self.lend()[:size]
        return memoryview(bytearray(size))

    def take_back(self, memory: mmap.mmap) -> None:
        """Of `_Lent`, at any moment and in any thread."""
        self._free.append(memory)

    def give_back(self) -> None:
        """Let the system have what is free."""
        self._free.clear()

    def _count(self) -> None:
        """End the term when it is time to. Threads that do so at once keep or lose some chunks more."""
        self._spare = min(self._spare, len(self._free))
        self._lent += 1
        if self._lent < _TERM:
            return
        spare, self._lent = self._spare, 0
        with contextlib.suppress(IndexError):  # others took them meanwhile
            for _ in range(spare):
                self._free.popleft()
        self._spare = len(self._free)


def _mapped() -> mmap.mmap:
    try:
        return mmap.mmap(-1, SIZE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    except OSError as error:
        raise MemoryError(error.strerror) from error


#: This process', as malloc's heap is.
PIECES = PieceMemory()
