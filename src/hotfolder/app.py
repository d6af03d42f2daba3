"""The composition root: the only place where real clients, clocks, dice and threads are made."""

import asyncio
import os
import random
import secrets
import signal
import socket
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from hotfolder import __version__
from hotfolder.activity import Activity
from hotfolder.adapters import allocator, compression, mounts, source
from hotfolder.adapters.archive import BareFile, TarArchive
from hotfolder.adapters.crt import CrtPutEngine
from hotfolder.adapters.filters import ignore_filter
from hotfolder.adapters.finishing import Finisher, Places
from hotfolder.adapters.heartbeat import HeartbeatFile
from hotfolder.adapters.journal import SqliteJournal
from hotfolder.adapters.ledger import FileLedger
from hotfolder.adapters.lock import StateLock
from hotfolder.adapters.s3 import S3Connection, S3Settings, S3Store
from hotfolder.adapters.scan import walk
from hotfolder.adapters.systemd import Notifier
from hotfolder.adapters.watcher import Watcher
from hotfolder.budget import ByteBudget
from hotfolder.config import EXTENSIONS, Folder, Settings
from hotfolder.core.errors import ConfigError, HotfolderError
from hotfolder.core.operation_id import RANDOM_BYTES, uuid7
from hotfolder.core.records import Disposition, PassedOver
from hotfolder.core.retry import Policy
from hotfolder.core.segments import segment_size
from hotfolder.courier import Courier
from hotfolder.daemon import Daemon, Parts, Watched, trouble_of
from hotfolder.delivery import Tools
from hotfolder.finding import Search
from hotfolder.gate import Gate
from hotfolder.intake import FolderPlan, Intake
from hotfolder.oneshot import OneShot
from hotfolder.packing import Format, Packer
from hotfolder.recorder import Recorder
from hotfolder.threads import Threads
from hotfolder.transfer import Sender, SendLimits
from hotfolder.wire import Wire

_MOST_FLIGHTS = 256  # files on their way at once; the byte budget bounds them further
_ONCE_PATIENCE = 3
#: A progress display: follows the activity until it is cancelled.
Display = Callable[[Activity], Coroutine[Any, Any, None]]


@dataclass(frozen=True, slots=True)
class RunSummary:
    """How a one-shot run ended. `left`: path -> why it stays where it is."""

    activity: Activity
    left: dict[str, str]
    trouble: HotfolderError | None

    @property
    def exit_code(self) -> int:
        if self.trouble is not None:
            return 69
        return 1 if self.activity.totals.failed or self.left else 0


def new_operation_id() -> str:
    return uuid7(time.time_ns() // 1_000_000, secrets.token_bytes(RANDOM_BYTES))


def prepare_state(settings: Settings) -> None:
    """Make the state folder. Raises `ConfigError` where it cannot be, or stands on a network mount."""
    try:
        settings.state_dir.mkdir(mode=0o750, parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(
            f"cannot make the state folder {settings.state_dir}: {error.strerror}",
            hint="set state_dir to a folder that this user may write to",
        ) from error
    mounts.require_local(settings.state_dir)


def open_ledger(settings: Settings) -> FileLedger:
    return FileLedger(settings.state_dir / "ledger.jsonl")


def prepare_outputs(name: str, folder: Folder) -> None:
    """Make completed/ and failed/ where missing. Raises `ConfigError`.

    Only beside an inbox that is there: all three may stand on a volume that is yet to be mounted.
    """
    if not folder.inbox.is_dir():
        return
    for place in (folder.completed, folder.failed):
        try:
            place.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ConfigError(
                f"folder {name!r}: cannot make {place}: {error.strerror}",
                hint="make it by hand, or let the user that runs hotfolder write there",
            ) from error
        if folder.inbox.stat().st_dev != place.stat().st_dev:
            raise ConfigError(
                f"folder {name!r}: {place} is on another file system than {folder.inbox}",
                hint="put both on one file system: moving between two is not supported yet",
            )


class Engine:
    """All that delivers, made of one `Settings`. Make it with `engine`."""

    def __init__(self, settings: Settings, *, journal: SqliteJournal) -> None:
        transfer, destination = settings.transfer, settings.destination
        self.settings = settings
        self.host = socket.gethostname()
        self.activity = Activity(version=__version__, pid=os.getpid(), host=self.host, clock=time.time)
        self.io = Threads("io", 4)
        self.packers = Threads("pack", transfer.workers)
        self.writer = Threads("record", 1)
        self.requests = ThreadPoolExecutor(transfer.requests, thread_name_prefix="s3")
        self.connection = S3Connection(
            S3Settings(
                bucket=destination.bucket,
                region=destination.region,
                endpoint_url=destination.endpoint_url,
                addressing_style=destination.addressing_style,
                credentials_file=destination.credentials_file,
                storage_class=destination.storage_class,
                connect_timeout=transfer.connect_timeout,
                read_timeout=transfer.read_timeout,
                attempts=transfer.attempts,
                max_pool_connections=transfer.requests,
            )
        )
        small_puts = CrtPutEngine(
            region=destination.region,
            connect_timeout=transfer.connect_timeout,
            connections=transfer.requests,
        )
        self.store = S3Store(self.connection, self.requests, single_put=small_puts)
        segment = segment_size(transfer.memory)
        self.packer = Packer(opener=source.open_original, threads=self.packers, segment=segment)
        self.sender = Sender(
            Wire(self.store, requests=transfer.requests, threads=self.packers),
            buffers=ByteBudget(transfer.memory),
            limits=SendLimits(transfer.memory, segment, transfer.part_size, transfer.workers),
        )
        self.recorder = Recorder(
            journal=journal,
            ledger=open_ledger(settings),
            mover=Finisher({name: _places(folder) for name, folder in settings.folders.items()}),
            threads=self.writer,
            clock=time.time,
        )
        self.gate = Gate(
            self.store,
            self.activity,
            policy=Policy(),
            clock=time.monotonic,
            wall=time.time,
            jitter=random.random,
        )

    def courier(
        self, name: str, *, leave: bool = False, command: tuple[str, ...] | None = None
    ) -> Courier:
        """Carries files of the folder `name`; with `leave` originals stay where they are."""
        settings, folder = self.settings, self.settings.folders[name]
        tools = Tools(
            packer=self.packer,
            sender=self.sender,
            recorder=self.recorder,
            route=settings.route(name),
            form=format_of(folder),
            bucket=settings.destination.bucket,
            storage_class=settings.destination.storage_class,
            host=self.host,
            clock=time.time,
            user_name=source.user_name,
            on_success=Disposition.LEAVE if leave else Disposition.COMPLETED,
            on_failure=Disposition.LEAVE if leave else Disposition.FAILED,
            command_args=command,
        )
        return Courier(
            tools,
            self.activity,
            policy=Policy(file_attempts=folder.file_attempts),
            clock=time.monotonic,
            jitter=random.random,
        )

    def close(self) -> None:
        for threads in (self.io, self.packers, self.writer):
            threads.close()
        self.requests.shutdown(wait=True, cancel_futures=True)
        self.connection.close()


@asynccontextmanager
async def engine(settings: Settings) -> AsyncIterator[Engine]:
    """An engine whose threads and files are closed at the end."""
    # A lease that another program's open breaks sends SIGIO, which kills unless it is ignored.
    signal.signal(signal.SIGIO, signal.SIG_IGN)
    allocator.share_one_heap()
    journal = SqliteJournal(settings.state_dir / "state.db")
    made = Engine(settings, journal=journal)
    try:
        yield made
    finally:
        await asyncio.to_thread(made.close)
        journal.close()


async def run(settings: Settings, *, once: bool = False, display: Display | None = None) -> RunSummary:
    """Run the daemon until it is stopped, or with `once` until the inboxes are done."""
    prepare_state(settings)
    with StateLock(settings.state_dir / "lock"):
        async with engine(settings) as made, _shown(made.activity, display):
            parts = _parts(made, once=once)
            daemon = Daemon(parts, once=once)
            await daemon.run()
            return RunSummary(made.activity, daemon.left(), trouble_of(parts) if once else None)


async def upload(
    settings: Settings, paths: list[Path], *, command: list[str], display: Display | None = None
) -> RunSummary:
    """Deliver `paths` with the settings of the first folder; the originals stay where they are."""
    prepare_state(settings)
    name = next(iter(settings.folders))
    task = asyncio.current_task()
    if task is not None:  # as Ctrl-C does: requests are cut, multipart uploads aborted
        for number in (signal.SIGTERM, signal.SIGHUP):
            asyncio.get_running_loop().add_signal_handler(number, task.cancel)
    async with engine(settings) as made, _shown(made.activity, display):
        recording = asyncio.create_task(made.recorder.run())
        shot = OneShot(
            made.courier(name, leave=True, command=tuple(command)),
            folder=name,
            batch=new_operation_id(),
            new_operation_id=new_operation_id,
            threads=made.io,
            most_flights=_MOST_FLIGHTS,
            wall=time.time,
        )
        try:
            trouble = await shot.deliver(_files_of(paths, ignore_filter(settings.folders[name].ignore)))
        finally:
            made.recorder.close()
            await recording
        return RunSummary(made.activity, shot.left, trouble)


def format_of(folder: Folder) -> Format:
    """What the files of a folder are packed into."""
    kind = {".gz": "gzip", ".zst": "zstd", "": "none"}[Path(f"x{EXTENSIONS[folder.compression]}").suffix]
    content_type = {
        "gzip": "application/gzip",
        "zstd": "application/zstd",
        "none": "application/octet-stream",
    }
    return Format(
        name=folder.compression,
        ext=EXTENSIONS[folder.compression],
        content_type=content_type[kind],
        archive=TarArchive() if folder.compression.startswith("tar.") else BareFile(),
        codec=compression.codec(kind, folder.level),
        sealed=kind != "none",
    )


def find_inbox(path: str) -> tuple[int, int] | None:
    """Device and inode of an inbox, or None while it is not there or may not be read."""
    try:
        status = os.stat(path)
        with os.scandir(path):
            return status.st_dev, status.st_ino
    except OSError:
        return None


def _parts(made: Engine, *, once: bool) -> Parts:
    settings = made.settings
    loop = asyncio.get_running_loop()
    wake = asyncio.Event()
    batch = new_operation_id()
    folders = []
    for name, folder in settings.folders.items():
        plan = FolderPlan(
            name=name,
            search=Search(
                inbox=str(folder.inbox),
                settle=folder.settle,
                rescan=None if once else folder.rescan,
                ignored=ignore_filter(folder.ignore),
                walk=walk,
                clock=time.monotonic,
                wall=time.time,
            ),
            new_operation_id=new_operation_id,
            batch=batch,
            patience=_ONCE_PATIENCE if once else None,
        )
        intake = Intake(
            plan,
            courier=made.courier(name),
            gate=made.gate,
            threads=made.io,
            wake=wake.set,
        )
        folders.append(
            Watched(
                intake,
                _watcher_maker(str(folder.inbox), loop, wake),
                prepare=partial(prepare_outputs, name, folder),
            )
        )
    return Parts(
        folders=folders,
        gate=made.gate,
        recorder=made.recorder,
        activity=made.activity,
        threads=made.io,
        beat=HeartbeatFile(settings.status_file).write,
        notifier=Notifier(),
        find_inbox=find_inbox,
        clock=time.monotonic,
        interval=settings.status.interval,
        most_flights=_MOST_FLIGHTS,
        wake=wake,
    )


def _watcher_maker(
    inbox: str, loop: asyncio.AbstractEventLoop, wake: asyncio.Event
) -> Callable[[], Watcher]:
    return lambda: Watcher(inbox, lambda: loop.call_soon_threadsafe(wake.set))


def _places(folder: Folder) -> Places:
    return Places(str(folder.inbox), str(folder.completed), str(folder.failed))


def _files_of(
    paths: list[Path], ignored: Callable[[str], bool]
) -> Iterator[tuple[str, str | PassedOver]]:
    """(root, relative path) of every file that is named, or lies below a folder that is."""
    for path in paths:
        whole = Path(os.path.abspath(path))
        if whole.is_dir() and not whole.is_symlink():
            found = walk(str(whole.parent), whole.name, ignored)
            yield from ((str(whole.parent), relpath) for relpath in found)
        else:
            yield str(whole.parent), whole.name


@asynccontextmanager
async def _shown(activity: Activity, display: Display | None) -> AsyncIterator[None]:
    if display is None:
        yield
        return
    showing = asyncio.create_task(display(activity))
    try:
        yield
    finally:
        showing.cancel()
        await asyncio.gather(showing, return_exceptions=True)
