"""All that delivers, over a store in memory and real files."""

import asyncio
import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hotfolder.adapters.source import open_original
from hotfolder.adapters.unpacking import unpacker
from hotfolder.budget import ByteBudget
from hotfolder.core.conflict import EarlierObject, Family, OnConflict, earlier_object
from hotfolder.core.ports import UploadNotes
from hotfolder.core.records import Job, ObjectInfo, Verify
from hotfolder.core.routing import Route, parse_template
from hotfolder.core.segments import MIB
from hotfolder.delivery import Rules, Tools, deliver
from hotfolder.packing import Packer
from hotfolder.places import RequestPlaces
from hotfolder.recorder import Recorder
from hotfolder.resuming import Notebook, Resumer
from hotfolder.threads import Threads
from hotfolder.transfer import Sender, SendLimits
from hotfolder.wire import Wire
from tests.support.folders import Folders
from tests.support.memory_journal import MemoryJournal
from tests.support.memory_ledger import MemoryLedger
from tests.support.memory_store import MemoryStore
from tests.support.memory_uploads import MemoryUploads
from tests.support.packing_line import form
from tests.support.profiles import AS_S3
from tests.support.samples import MOMENT, job_at

MEMORY = 64 * MIB
KEY = "nas1/clip.mp4.tar.gz"


class Log:
    """The stages of a flight, and how much of the original was read."""

    def __init__(self) -> None:
        self.stages: list[str] = []
        self.bytes_read = 0

    def stage(self, name: str) -> None:
        self.stages.append(name)

    def read(self, size: int) -> None:
        self.bytes_read += size


class Works:
    """All that delivers into one store, below one folder."""

    def __init__(self, root: Path, store: MemoryStore, notes: UploadNotes | None = None) -> None:
        self.profile = AS_S3  # what is known of the store
        self.on_conflict = OnConflict.KEEP_BOTH
        self.verify = Verify.AUTO
        self.folders = Folders(root)
        self.store = store
        self.buffers = ByteBudget(MEMORY)
        self.threads, self.writer = Threads("test-pack", 3), Threads("test-record", 1)
        self.notes = notes or MemoryUploads()
        self.notebook = Notebook(self.notes, self.writer, lambda: MOMENT)
        self.ledger, self.journal = MemoryLedger(), MemoryJournal()
        self.recorder = Recorder(
            journal=self.journal,
            ledger=self.ledger,
            mover=self.folders.finisher(),
            threads=self.writer,
            clock=lambda: MOMENT + 60.0,
        )
        self.opener: Callable[[Job], Any] = open_original
        self.log = Log()
        self._running = asyncio.create_task(self.recorder.run())

    def tools(
        self,
        name: str = "tar.gz",
        key: str = "{prefix}/{relpath}{ext}",
        memory: int = MEMORY,
        level: str | int = "fast",
        part_size: int | None = None,
    ) -> Tools:
        form_of = form(name, level)
        wire = Wire(self.store, requests=RequestPlaces(4), threads=self.threads)
        return Tools(
            packer=Packer(opener=self.opener, threads=self.threads, segment=MIB),
            sender=Sender(
                wire,
                Resumer(wire, self.notebook, bucket="media"),
                buffers=self.buffers,
                limits=SendLimits(memory, MIB, part_size, 3),
                profile=lambda: self.profile,
                earlier=self._earlier,
                unpackers=unpacker,
            ),
            recorder=self.recorder,
            rules=lambda _: Rules(
                Route("media", parse_template(key), "nas1", form_of.ext, "nas"),
                form_of,
                verify=self.verify,
                on_conflict=self.on_conflict,
            ),
            layout="tree",
            inbox=str(self.folders.inbox),
            bucket="media",
            storage_class="STANDARD",
            host="nas",
            clock=lambda: MOMENT,
            user_name=str,
        )

    async def _earlier(self, family: Family) -> list[EarlierObject]:
        known = map(earlier_object, self.ledger.newest_first())
        return [line for line in known if line is not None and line.key in family]

    async def deliver(self, job: Job, tools: Tools | None = None) -> dict[str, Any]:
        return await deliver(job, tools or self.tools(), self.log)

    def drop(self, data: bytes, relpath: str = "clip.mp4", *, number: int = 1) -> Job:
        self.folders.drop(relpath, data)
        return job_at(self.folders.inbox, relpath, number=number)

    def put_there(self, data: bytes, key: str = KEY, **metadata: str) -> None:
        """An object that somebody else made."""
        etag = hashlib.md5(data, usedforsecurity=False).hexdigest()
        self.store.objects[key] = (ObjectInfo(key, len(data), etag, None, metadata), data)

    def nothing_ended(self, data: bytes, relpath: str = "clip.mp4") -> None:
        """The file is where it was, nothing is recorded, nothing lies about in store or memory."""
        assert (self.folders.inbox / relpath).read_bytes() == data
        assert list(self.ledger.newest_first()) == []
        assert self.store.uploads == {}
        assert self.buffers.free == MEMORY

    async def close(self) -> None:
        self.recorder.close()
        await self._running
        self.threads.close()
        self.writer.close()
