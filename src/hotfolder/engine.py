"""All that delivers, made of one configuration: real clients, clocks, dice and threads."""

import asyncio
import functools
import os
import random
import secrets
import signal
import socket
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from enum import Enum, auto
from functools import partial
from pathlib import Path

from hotfolder import __version__, packing_child
from hotfolder.activity import Activity
from hotfolder.adapters import allocator, lock, source
from hotfolder.adapters.archive import TreeTar
from hotfolder.adapters.child_process.parent import ChildProcess
from hotfolder.adapters.finishing import Finisher, rename_without_clobbering
from hotfolder.adapters.spool.files import SpoolFolder
from hotfolder.adapters.spool.keeping import Keeper
from hotfolder.adapters.state.call_offs import SqliteCallOffs
from hotfolder.adapters.state.journal import SqliteJournal
from hotfolder.adapters.state.mounts import SqliteMounts
from hotfolder.adapters.state.profiles import SqliteProfiles
from hotfolder.adapters.state.staged import SqliteStaged
from hotfolder.adapters.state.uploads import SqliteUploads
from hotfolder.bandwidth import Bandwidth
from hotfolder.calling_off import CallOffs
from hotfolder.config import Folder, Settings
from hotfolder.core.operation_id import RANDOM_BYTES, uuid7
from hotfolder.core.ports import Original
from hotfolder.core.pulse import Step
from hotfolder.core.records import Disposition, Fingerprint, Job, JournalRow, Staged, UploadNote
from hotfolder.core.retry import Policy
from hotfolder.core.segments import segment_size
from hotfolder.courier import Courier
from hotfolder.delivery import Tools
from hotfolder.folder_rules import roots_of, rules_of
from hotfolder.indexing import IndexedLedger
from hotfolder.lines import Lines
from hotfolder.packing import Packer, Packs
from hotfolder.packing_process import PackingProcess
from hotfolder.piece_memory import PIECES
from hotfolder.recorder import Recorder
from hotfolder.resuming import Notebook
from hotfolder.spool import Spool
from hotfolder.staging import Stager
from hotfolder.state_folder import indexer, open_index, open_ledger, spool_folder, upload_lock
from hotfolder.threads import Threads
from hotfolder.upkeep import Upkeep
from hotfolder.whole import InThreads


class Originals(Enum):
    """What becomes of originals.

    The daemon does as the folder says, `upload` leaves them or moves what is proven. What stands in
    completed/ already is recorded in place.
    """

    AS_CONFIGURED = auto()
    MOVE_PROVEN = auto()
    STAY = auto()
    IN_PLACE = auto()


_ON_COMPLETE = {
    "move": Disposition.COMPLETED,
    "delete": Disposition.DELETE,
    "leave": Disposition.KEEP,
}
_ON_SUCCESS = {
    Originals.MOVE_PROVEN: Disposition.COMPLETED,
    Originals.STAY: Disposition.LEAVE,
    Originals.IN_PLACE: Disposition.IN_PLACE,
}
_ON_FAILURE = {
    Originals.AS_CONFIGURED: Disposition.FAILED,
    Originals.IN_PLACE: Disposition.IN_PLACE,
}


def new_operation_id() -> str:
    return uuid7(time.time_ns() // 1_000_000, secrets.token_bytes(RANDOM_BYTES))


def new_activity() -> Activity:
    return Activity(version=__version__, pid=os.getpid(), host=socket.gethostname(), clock=time.time)


def _open(job: Job) -> Original:
    return source.open_tree(job, TreeTar()) if job.fingerprint.tree else source.open_original(job)


def _give_memory_back() -> None:
    PIECES.give_back()
    allocator.give_back()


async def start_packing(
    on_answer: Callable[[bytes], object], on_end: Callable[[str], object]
) -> ChildProcess:
    """`packing_process.Start`."""
    return await ChildProcess.start(
        packing_child.__name__, greeting=packing_child.GREETING, on_message=on_answer, on_end=on_end
    )


def _is_an_uploads(_: Path, row: JournalRow) -> bool:
    return bool(row.root)


def _is_the_daemons(uploading: Path, row: JournalRow) -> bool:
    """With what an `upload --move` left behind that was killed; not what one is about to record."""
    return not row.root or not lock.is_held(uploading)


class Engine:
    """All that delivers, made of one `Settings`. Make it with `engine`."""

    def __init__(
        self,
        settings: Settings,
        *,
        journal: SqliteJournal,
        uploads: SqliteUploads,
        staged: SqliteStaged,
        call_offs: SqliteCallOffs,
        mounts: SqliteMounts,
        profiles: SqliteProfiles,
        is_the_daemon: bool = True,
        activity: Activity | None = None,
        bandwidth: Bandwidth | None = None,
    ) -> None:
        transfer = settings.transfer
        self.settings = settings
        self.bandwidth = bandwidth or Bandwidth(settings.timetable())
        self.host = socket.gethostname()
        self.activity = activity or new_activity()
        #: Do not wait at the end for requests that were cut off: a store that hangs keeps their threads.
        self.leaves_requests = False
        self.io = Threads("io", 4)
        self.packers = Threads("pack", transfer.workers)
        self.writer = Threads("record", 1)
        self.upkeepers = Threads("upkeep", 1)
        self.notes = Threads("notes", 1)
        self.notebook = Notebook(uploads, self.notes, time.time)
        self._call_offs = call_offs
        self.copiers = Threads("copy", 2)
        self._pools = (
            *(self.io, self.packers, self.writer),
            *(self.notes, self.copiers, self.upkeepers),
        )
        # The segment is a part of the recipe: one size for all, whatever the number of destinations.
        self._segment = segment_size(transfer.memory // len(settings.destinations()))
        in_threads = InThreads(self.packers, source.open_originals)
        # On one core it would only take turns with us.
        self._packing_process = (
            PackingProcess(in_threads, start_packing, clock=time.monotonic)
            if len(os.sched_getaffinity(0)) > 1
            else None
        )
        self.packer = Packer(
            opener=_open,
            threads=self.packers,
            segment=self._segment,
            files=self._packing_process or in_threads,
        )
        self._journal = journal
        self.ledger = IndexedLedger(open_ledger(settings), open_index(settings))
        self.lines = Lines(
            settings,
            host=self.host,
            activity=self.activity,
            bandwidth=self.bandwidth,
            notebook=self.notebook,
            profiles=profiles,
            ledger=IndexedLedger(open_ledger(settings), open_index(settings)),
            hashers=self.packers,
            notes=self.notes,
            segment=self._segment,
        )
        self.spool = Spool(
            SpoolFolder(spool_folder(settings)),
            staged,
            threads=self.io,
            index_threads=self.notes,
            wall=time.time,
        )
        keeper = Keeper(
            {name: str(folder.completed) for name, folder in settings.folders.items()},
            rename=rename_without_clobbering,
        )
        roots = {name: roots_of(folder) for name, folder in settings.folders.items()}
        self.mounts = mounts
        self.mover = Finisher(roots, mounts)
        self.recorder = Recorder(
            journal=journal,
            ledger=self.ledger,
            keeper=keeper,
            mover=self.mover,
            threads=self.writer,
            clock=time.time,
            copiers=self.copiers,
            mine=partial(_is_the_daemons if is_the_daemon else _is_an_uploads, upload_lock(settings)),
        )

    async def load(self, *, is_new: bool) -> None:
        """Read what former runs noted. `is_new`: `state.db` was lost, or never was."""
        await self.notebook.load(is_new=is_new)
        await self.lines.load()

    def courier(
        self,
        name: str,
        *,
        originals: Originals = Originals.AS_CONFIGURED,
        command: tuple[str, ...] | None = None,
    ) -> Courier:
        """Carries files of the folder `name`."""
        settings, folder = self.settings, self.settings.folders[name]
        tools = Tools(
            # `upload` streams: the spool is the daemon's.
            packer=self._packs(folder) if originals is Originals.AS_CONFIGURED else self.packer,
            sender=self.lines.to(folder.destination).sender,
            recorder=self.recorder,
            rules=functools.lru_cache(maxsize=1000)(partial(rules_of, settings, name)),
            layout=folder.completed_layout,
            inbox=str(folder.inbox),
            bucket=folder.destination.bucket,
            storage_class=folder.destination.storage_class,
            host=self.host,
            clock=time.time,
            user_name=source.user_name,
            on_success=_ON_SUCCESS.get(originals, _ON_COMPLETE[folder.on_complete]),
            on_failure=_ON_FAILURE.get(originals, Disposition.LEAVE),
            command_args=command,
        )
        return Courier(
            tools,
            self.activity,
            policy=Policy(file_attempts=folder.file_attempts),
            clock=time.monotonic,
            jitter=random.random,
        )

    def _packs(self, folder: Folder) -> Packs:
        if folder.spool == "stream":
            return self.packer
        return Stager(
            self.packer,
            self.spool,
            buffers=self.lines.to(folder.destination).buffers,
            threads=self.packers,
            keep=folder.keep_compressed,
        )

    async def recover_spool(self) -> None:
        """Take up what a former run staged. Before the recorder recovers. Raises `LocalError`."""
        await self.spool.recover(self._journal, self.ledger)

    def remembered(
        self, root: str, relpath: str, fingerprint: Fingerprint
    ) -> UploadNote | Staged | None:
        """What was begun of this very version of a file: its operation goes on."""
        begun = self.notebook.remembered(root, relpath, fingerprint)
        return begun or self.spool.remembered(root, relpath, fingerprint)

    async def called_off(self) -> dict[str, CallOffs]:
        """What was called off and not asked for again, of each folder."""
        known = await self.notes.run(self._call_offs.all)
        return {
            name: CallOffs(
                self.notes, self._call_offs, [called for called in known if called.folder == name]
            )
            for name in self.settings.folders
        }

    def upkeep(self) -> Upkeep:
        """What the daemon does beside its work."""
        return Upkeep(
            indexer=indexer(self.settings),
            pack=open_ledger(self.settings).pack_rotated,
            threads=self.upkeepers,
            clock=time.monotonic,
            idle_seconds=self.activity.idle_seconds,
            relax=_give_memory_back,
        )

    def steps(self) -> list[Step]:
        """All that blocks now, in threads and in requests."""
        steps = [step for threads in self._pools for step in threads.steps()]
        return steps + self.lines.steps()

    async def let_go(self) -> None:
        """End what the event loop holds: connections, and the process that packs."""
        await self.lines.hang_up()
        if self._packing_process is not None:
            await self._packing_process.close()

    def close(self) -> None:
        for threads in self._pools:
            threads.close()
        self.lines.close(wait=not self.leaves_requests)


@asynccontextmanager
async def engine(
    settings: Settings,
    *,
    uploads: bool = False,
    activity: Activity | None = None,
    bandwidth: Bandwidth | None = None,
) -> AsyncIterator[Engine]:
    """An engine whose threads and files are closed at the end. `uploads`: it is not the daemon's.

    `activity`, `bandwidth`: those to go on with, after a reload.
    """
    # A lease that another program's open breaks sends SIGIO, which kills unless it is ignored.
    signal.signal(signal.SIGIO, signal.SIG_IGN)
    allocator.share_one_heap()
    path = settings.state_dir / "state.db"
    is_new = not path.exists()
    with (
        SqliteJournal(path) as journal,
        SqliteUploads(path) as notes,
        SqliteStaged(path) as staged,
        SqliteCallOffs(path) as call_offs,
        SqliteMounts(path) as mounts,
        SqliteProfiles(path) as profiles,
    ):
        made = Engine(
            settings,
            journal=journal,
            uploads=notes,
            staged=staged,
            call_offs=call_offs,
            mounts=mounts,
            profiles=profiles,
            is_the_daemon=not uploads,
            activity=activity,
            bandwidth=bandwidth,
        )
        keeping = asyncio.create_task(made.bandwidth.keep())
        try:
            await made.load(is_new=is_new)
            yield made
        finally:
            keeping.cancel()
            await made.let_go()
            await asyncio.to_thread(made.close)
