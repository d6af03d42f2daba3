"""One folder with `spool = "disk"`: real files, a real spool and state.db, and a store in memory."""

import asyncio
from pathlib import Path

from hotfolder.activity import Activity
from hotfolder.adapters.finishing import rename_without_clobbering
from hotfolder.adapters.source import open_original
from hotfolder.adapters.spool.files import SpoolFolder
from hotfolder.adapters.spool.keeping import Keeper
from hotfolder.adapters.state.journal import SqliteJournal
from hotfolder.adapters.state.staged import SqliteStaged
from hotfolder.budget import ByteBudget
from hotfolder.core.ports import Body, Codec, PackedSegment
from hotfolder.core.ports import Keeper as KeeperPort
from hotfolder.core.records import Job, Staged
from hotfolder.core.retry import Policy
from hotfolder.core.routing import Route, parse_template
from hotfolder.core.segments import MIB
from hotfolder.courier import Courier, Ended, NotNow
from hotfolder.delivery import Rules, Tools
from hotfolder.formats import Format
from hotfolder.packing import Packer
from hotfolder.places import RequestPlaces
from hotfolder.recorder import Recorder
from hotfolder.resuming import Notebook, Resumer
from hotfolder.spool import Spool
from hotfolder.staging import Stager
from hotfolder.threads import Threads
from hotfolder.transfer import Sender, SendLimits
from hotfolder.wire import Wire
from tests.support.folders import Folders
from tests.support.memory_ledger import MemoryLedger
from tests.support.memory_store import MemoryStore
from tests.support.memory_uploads import MemoryUploads
from tests.support.packing_line import form
from tests.support.samples import MOMENT, job_at

MEMORY = 64 * MIB


class CountedCodec:
    """A codec that tells how often it packed."""

    def __init__(self, codec: Codec) -> None:
        self._codec = codec
        self.head, self.recipe = codec.head, codec.recipe
        self.packs = 0

    def pack(self, pieces: list[Body]) -> PackedSegment:
        self.packs += 1
        return self._codec.pack(pieces)

    def combine(self, crc32: int, segment: PackedSegment) -> int:
        return self._codec.combine(crc32, segment)

    def end(self, crc32: int, size: int) -> bytes:
        return self._codec.end(crc32, size)

    def seal(self, sha256: bytes, size: int) -> bytes:
        return self._codec.seal(sha256, size)


def counted(name: str, level: str | int = "fast") -> tuple[Format, CountedCodec]:
    """A format and the counter in it."""
    made = form(name, level)
    codec = CountedCodec(made.codec)
    return (
        Format(made.name, made.ext, made.content_type, made.archive, codec, made.sealed),
        codec,
    )


class SpoolWorld:
    """What survives a restart: the folders, the state folder, the ledger, the store."""

    def __init__(self, root: Path, *, spool: Path | None = None) -> None:
        self.folders = Folders(root)
        self.state = root / "state"
        self.state.mkdir()
        self.spool_path = spool or self.state / "spool"
        self.store, self.ledger = MemoryStore(), MemoryLedger()
        self.form, self.codec = counted("tar.gz")
        self.key = "{prefix}/{timestamp}/{relpath}{ext}"
        self.keep = False
        self.now = MOMENT + 60.0

    def drop(self, data: bytes, relpath: str = "clip.mp4", *, number: int = 1) -> Job:
        self.folders.drop(relpath, data)
        return job_at(self.folders.inbox, relpath, number=number)

    def staged_files(self) -> list[str]:
        there = self.spool_path.iterdir() if self.spool_path.exists() else ()
        return sorted(path.name for path in there)

    def rows(self) -> list[Staged]:
        with SqliteStaged(self.state / "state.db") as index:
            return index.all()

    def keeper(self) -> Keeper:
        places = {"media": str(self.folders.completed)}
        return Keeper(places, rename=rename_without_clobbering)


class SpoolRun:
    """One run of a daemon in a world. Use in an `async with`."""

    def __init__(self, world: SpoolWorld, *, keeper: KeeperPort | None = None) -> None:
        self.world = world
        self.activity = Activity(version="0", pid=1, host="nas", clock=lambda: MOMENT)
        self.threads = Threads("test-pack", 3)
        self.writer, self.notes = Threads("test-record", 1), Threads("test-notes", 1)
        self.buffers = ByteBudget(MEMORY)
        self.journal = SqliteJournal(world.state / "state.db")
        self.index = SqliteStaged(world.state / "state.db")
        self.files = SpoolFolder(world.spool_path)
        self.spool = Spool(
            self.files,
            self.index,
            threads=self.threads,
            index_threads=self.notes,
            wall=lambda: world.now,
        )
        self.recorder = Recorder(
            journal=self.journal,
            ledger=world.ledger,
            mover=world.folders.finisher(),
            threads=self.writer,
            clock=lambda: MOMENT + 60.0,
            keeper=keeper or world.keeper(),
            copiers=self.threads,
        )
        self.courier = Courier(
            self._tools(),
            self.activity,
            policy=Policy(),
            clock=lambda: 0.0,
            jitter=lambda: 0.0,
        )

    async def __aenter__(self) -> "SpoolRun":
        await self.spool.recover(self.journal, self.world.ledger)
        await self.recorder.recover()
        self._running = asyncio.create_task(self.recorder.run())
        return self

    async def __aexit__(self, *_: object) -> None:
        self.recorder.close()
        await self._running
        for threads in (self.threads, self.writer, self.notes):
            threads.close()
        self.journal.close()
        self.index.close()

    async def carry(self, job: Job) -> Ended | NotNow:
        return await self.courier.carry(job)

    def _tools(self) -> Tools:
        world = self.world
        wire = Wire(world.store, requests=RequestPlaces(4), threads=self.threads)
        notebook = Notebook(MemoryUploads(), self.notes, lambda: MOMENT)
        self.packer = Packer(opener=open_original, threads=self.threads, segment=MIB)
        self.stager = Stager(
            self.packer, self.spool, buffers=self.buffers, threads=self.threads, keep=world.keep
        )
        return Tools(
            packer=self.stager,
            sender=Sender(
                wire,
                Resumer(wire, notebook, bucket="media"),
                buffers=self.buffers,
                limits=SendLimits(MEMORY, MIB, None, 3),
            ),
            recorder=self.recorder,
            rules=lambda _: Rules(
                Route("media", parse_template(world.key), "nas1", world.form.ext, "nas"), world.form
            ),
            layout="tree",
            inbox=str(world.folders.inbox),
            bucket="media",
            storage_class="STANDARD",
            host="nas",
            clock=lambda: MOMENT,
            user_name=str,
        )
