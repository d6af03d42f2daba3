"""The real packer on real files, with small segments so that every boundary is cheap."""

import asyncio
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from hotfolder.adapters.archive import BareFile, TarArchive
from hotfolder.adapters.compression import codec
from hotfolder.adapters.source import open_original
from hotfolder.core.ports import Body, Original
from hotfolder.core.records import Digests, Job
from hotfolder.formats import Format
from hotfolder.packing import Packer
from hotfolder.packing_process import MANY, PackingProcess
from hotfolder.parts import cut
from hotfolder.threads import Threads

PATIENCE = 150.0  # seconds: only a test that fails waits so long
_EXTENSIONS = {"tar.gz": ".tar.gz", "gz": ".gz", "tar.zst": ".tar.zst", "zst": ".zst", "none": ""}
Opener = Callable[[Job], Original]


def form(name: str, level: str | int = "fast") -> Format:
    """The format as `app` makes it."""
    kind = {"gz": "gzip", "zst": "zstd", "none": "none"}[name.removeprefix("tar.")]
    return Format(
        name=name,
        ext=_EXTENSIONS[name],
        content_type="application/octet-stream",
        archive=TarArchive() if name.startswith("tar.") else BareFile(),
        codec=codec(kind, level),
        sealed=kind != "none",
    )


@dataclass(frozen=True, slots=True)
class Line:
    """What came off the line: the stream in chunks and in parts, and what was said of it."""

    stream: bytes
    parts: list[bytes]
    digests: Digests
    bytes_read: int


class PackingLine:
    """Packs files one after the other. `segment` and `window` as `transfer` would set them."""

    def __init__(self, *, segment: int, threads: int = 3) -> None:
        self.segment = segment
        self.threads = Threads("test-pack", threads)

    def close(self) -> None:
        self.threads.close()

    async def pack(
        self,
        job: Job,
        form: Format,
        *,
        window: int = 3,
        part: int = 1 << 20,
        opener: Opener = open_original,
    ) -> Line:
        """One whole pass."""
        heard: list[int] = []
        packer = Packer(opener=opener, threads=self.threads, segment=self.segment)
        async with await packer.open(job, form, heard.append) as packed:
            packed.window = window
            parts = [bytes(one.take()) async for one in cut(packed.chunks(), part)]
            digests = packed.digests
        assert digests is not None
        return Line(b"".join(parts), parts, digests, sum(heard))


@contextmanager
def packing_line(*, segment: int, threads: int = 3) -> Iterator[PackingLine]:
    line = PackingLine(segment=segment, threads=threads)
    try:
        yield line
    finally:
        line.close()


class Meddled:
    """An open original with somebody else at work: `meddle(n)` runs before the n-th read, from 0."""

    def __init__(self, job: Job, meddle: Callable[[int], object]) -> None:
        self._original = open_original(job)
        self._meddle = meddle
        self._reads = 0
        self.is_closed = False

    @property
    def size(self) -> int:
        return self._original.size

    @property
    def mode(self) -> int:
        return self._original.mode

    @property
    def mtime_ns(self) -> int:
        return self._original.mtime_ns

    @property
    def owner(self) -> int:
        return self._original.owner

    @property
    def is_archive(self) -> bool:
        return self._original.is_archive

    def read(self, offset: int, size: int) -> Body:
        self._meddle(self._reads)
        self._reads += 1
        return self._original.read(offset, size)

    def unchanged(self) -> None:
        self._original.unchanged()

    def close(self) -> None:
        self.is_closed = True
        self._original.close()


def write(path: str | os.PathLike[str] | bytes, data: bytes) -> None:
    with open(path, "wb") as file:
        file.write(data)


async def until_it_runs(files: PackingProcess, job: Job) -> None:
    """Ask for a file as often at once as it takes, until there is a process."""
    gz = form("gz")
    async with asyncio.timeout(PATIENCE):
        while not files.is_running:
            asked = [files.pack(job, gz, 0) for _ in range(MANY)]
            assert len(set(await asyncio.gather(*asked))) == 1
            await asyncio.sleep(0)
