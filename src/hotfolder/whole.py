"""A small file on its way into the store: opened, read, packed and closed in one go.

Many of them share a hop to a thread (`batches`), or a message to a process (`packing_process`). No
descriptor is kept between two of them.
"""

import copy
import hashlib
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from types import TracebackType
from typing import Any, Protocol, Self

from hotfolder.batches import Batches
from hotfolder.core.ports import Body, Original
from hotfolder.core.records import Digests, Job
from hotfolder.core.segments import worst_case
from hotfolder.formats import Format
from hotfolder.packed_file import PackedFile, packed_file
from hotfolder.threads import Threads

Opener = Callable[[Job], Original]


class SmallFiles(Protocol):
    """Reads files of one segment, each as its job saw it. Raises as opening and reading them does."""

    async def pack(self, job: Job, form: Format, mtime_ns: int) -> PackedFile:
        """All of the file, as of the time `mtime_ns`."""
        ...

    async def hash(self, job: Job) -> bytes:
        """The file's SHA-256."""
        ...


class InThreads:
    """`SmallFiles` in the threads of this process. `together`: what opens the files of one hop."""

    def __init__(self, threads: Threads, together: Callable[[], AbstractContextManager[Opener]]) -> None:
        self._batches: Batches[_Reading, Any] = Batches(threads, partial(_reading, together))

    async def pack(self, job: Job, form: Format, mtime_ns: int) -> PackedFile:
        """See `SmallFiles`."""
        packed: PackedFile = await self._batches.run((job, partial(packed_file, job, form, mtime_ns)))
        return packed

    async def hash(self, job: Job) -> bytes:
        """See `SmallFiles`."""
        sha256: bytes = await self._batches.run((job, _hash))
        return sha256


class Whole:
    """`packing.Packed` of a file of one segment. It is what the job says, or reading it raises."""

    def __init__(
        self, job: Job, form: Format, *, files: SmallFiles, on_read: Callable[[int], None]
    ) -> None:
        self.job = job
        self.form = form
        self.size = job.fingerprint.size
        self.mtime_ns = job.fingerprint.mtime_ns
        self.owner = -1  # known once it was read
        self.window = 1
        self.staged_at: str | None = None
        self.digests: Digests | None = None
        self._files = files
        self._on_read = on_read
        self._packed_mtime_ns = self.mtime_ns

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Nothing is open between two readings."""

    def final_digests(self) -> Digests:
        """The digests of a stream that was read to its end."""
        if self.digests is None:
            raise RuntimeError("the packed stream was not read to its end")
        return self.digests

    def as_of(self, mtime_ns: int) -> "Whole":
        """See `packing.Packed`."""
        twin = copy.copy(self)
        twin._packed_mtime_ns = mtime_ns
        return twin

    async def hash_original(self) -> bytes:
        """A reading of its own, for formats that cannot carry it inside."""
        return await self._files.hash(self.job)

    async def whole(self, most: int) -> Body | None:
        """See `packing.Packed`."""
        return await self._in_one() if worst_case(self.size, self.size + 1) <= most else None

    async def chunks(self) -> AsyncGenerator[Body]:
        yield await self._in_one()

    async def _in_one(self) -> Body:
        self.digests = None
        packed = await self._files.pack(self.job, self.form, self._packed_mtime_ns)
        self.digests, self.owner = packed.digests, packed.owner
        self._on_read(self.size)
        return packed.body


# -- blocking ------------------------------------------------------------------------------------------

#: What a thread does with an open original.
_Reading = tuple[Job, Callable[[Original], Any]]


@contextmanager
def _reading(
    together: Callable[[], AbstractContextManager[Opener]],
) -> Iterator[Callable[[_Reading], Any]]:
    """What a thread does for each small file of one hop."""
    with together() as opener:
        yield partial(_read, opener)


def _read(opener: Opener, reading: _Reading) -> Any:
    job, read = reading
    original = opener(job)
    try:
        return read(original)
    finally:
        original.close()


def _hash(original: Original) -> bytes:
    sha256 = hashlib.sha256(original.read(0, original.size)).digest()
    original.unchanged()
    return sha256
