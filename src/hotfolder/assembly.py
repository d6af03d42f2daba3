"""The parts of one daemon, made of an engine."""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import TypeVar

from hotfolder import trees
from hotfolder.adapters import machine
from hotfolder.adapters.filters import ignore_filter
from hotfolder.adapters.heartbeat import HeartbeatFile
from hotfolder.adapters.inbox_locks import InboxLocks
from hotfolder.adapters.mounts import MountTable
from hotfolder.adapters.scan import walk, walk_top
from hotfolder.adapters.systemd import Notifier
from hotfolder.adapters.volumes import Volumes
from hotfolder.adapters.watching import Watcher
from hotfolder.alarm import Alarm
from hotfolder.app import prepare_folder
from hotfolder.beneath import device_of, look_for_writers
from hotfolder.calling_off import CallOffs
from hotfolder.config import Settings
from hotfolder.core.candidates import Candidates
from hotfolder.core.errors import LocalError
from hotfolder.core.marker import MarkerName
from hotfolder.core.room import Disk
from hotfolder.core.settle import Ready
from hotfolder.daemon import Parts
from hotfolder.engine import Engine, new_operation_id
from hotfolder.folder_rules import grouping_of, marker_of
from hotfolder.heart import Heart
from hotfolder.idling import Idling
from hotfolder.inboxes import Inboxes, Watched
from hotfolder.intake import FolderPlan, Intake
from hotfolder.lines import MOST_FLIGHTS
from hotfolder.rebuilding import Memory
from hotfolder.recorder import Recorder
from hotfolder.reserve import Reserve, WrittenFolder
from hotfolder.stuck import whys_stuck
from hotfolder.waking import Waker
from hotfolder.walking import Search
from hotfolder.watching import Watching

T = TypeVar("T")

_ONCE_PATIENCE = 3


def parts_of(
    made: Engine,
    known: Memory,
    called_off: Mapping[str, CallOffs],
    *,
    once: bool,
    notifier: Notifier,
    locks: InboxLocks,
) -> Parts:
    """`called_off`: of each folder, what somebody asked not to deliver. `locks` outlive a reload."""
    settings = made.settings
    loop = asyncio.get_running_loop()
    wake = asyncio.Event()
    batch = new_operation_id()
    folders = []
    mount_table = MountTable()
    reserve = Reserve(
        _places(settings),
        reserve=settings.transfer.reserve,
        measure=_measure,
        threads=made.io,
        clock=time.monotonic,
    )
    for name in settings.folders:
        intake = _intake(
            made,
            name,
            known=known,
            called_off=called_off[name],
            batch=batch,
            once=once,
            wake=wake,
            refusal=partial(_refusal, reserve, made.recorder, name),
        )
        folder = settings.folders[name]
        watching = Watching(
            intake.inbox,
            wanted=folder.watcher,
            make=_watcher_maker(intake.inbox, Waker(loop, wake.set)),
            mounts=mount_table.within,
            walks=intake.finder.walks,
            threads=made.io,
            clock=time.monotonic,
            wall=time.time,
        )
        folders.append(Watched(intake, watching, prepare=partial(prepare_folder, settings, name)))
    inboxes = Inboxes(
        folders,
        find=Volumes(made.mounts).find,
        locks=locks,
        threads=made.io,
        recorder=made.recorder,
        watching=not once,
        clock=time.monotonic,
    )
    gates = [line.gate for line in made.lines.all()]
    idling = Idling(inboxes, made.activity, time.monotonic)
    heart = Heart(
        inboxes,
        gates=gates,
        recorder=made.recorder,
        activity=made.activity,
        alarm=Alarm(lambda: [*made.steps(), *idling.steps()], made.activity, clock=time.monotonic),
        bandwidth=made.bandwidth,
        write=HeartbeatFile(settings.status_file, group_key=settings.status.group_key).write,
        notifier=notifier,
        clock=time.monotonic,
        interval=settings.status.interval,
    )
    return Parts(
        inboxes=inboxes,
        gates=gates,
        recorder=made.recorder,
        reserve=reserve,
        upkeep=made.upkeep(),
        activity=made.activity,
        heart=heart,
        notifier=notifier,
        clock=time.monotonic,
        most_flights=MOST_FLIGHTS,
        sweepers=made.lines.sweepers(made.io),
        profilers=[line.profiler for line in made.lines.all()],
        wake=wake,
    )


def _intake(
    made: Engine,
    name: str,
    *,
    known: Memory,
    called_off: CallOffs,
    batch: str,
    once: bool,
    wake: asyncio.Event,
    refusal: Callable[[], LocalError | None],
) -> Intake:
    """Of the folder `name`."""
    folder = made.settings.folders[name]
    whole = folder.directories == "archive"
    grouping, staying = grouping_of(name, folder), known.staying(name)
    marker = marker_of(folder)
    ignored: Callable[[str], bool] = ignore_filter(folder.ignore, folder.include)
    ungrouped: Callable[[str], str | None] = grouping.refusal
    if marker is not None:
        ignored, ungrouped = _as_file(marker, ignored), _as_file(marker, ungrouped)
    search = Search(
        inbox=str(folder.inbox),
        settle=folder.settle,
        rescan=None if once else folder.rescan,
        ignored=ignored,
        refusal=ungrouped,
        size_refusal=folder.sizes.refusal,
        whys_stuck=None if folder.on_complete == "leave" else whys_stuck,
        walk=walk_top if whole else walk,
        clock=time.monotonic,
        wall=time.time,
        ready=Ready(folder.ready),
        candidates=Candidates(whole=whole, marker=marker),
        dice=random.random,
        look=trees.look_for_writers if whole else look_for_writers,
    )
    plan = FolderPlan(
        name=name,
        grouping=grouping,
        search=search,
        new_operation_id=new_operation_id,
        batch=batch,
        patience=_ONCE_PATIENCE if once else None,
        remembered=made.remembered,
        called_off=called_off,
        order=folder.order,
        why_closed=made.bandwidth.why_closed,
        is_shut_out=made.bandwidth.is_shut_out,
        is_paused=lambda: made.activity.paused is not None,
    )
    catch_up = known.catch_up(name, staying, batch)
    tidier = None if once else known.tidier(name)
    return Intake(
        plan,
        courier=made.courier(name),
        gate=made.lines.to(folder.destination).gate,
        threads=made.io,
        wake=wake.set,
        is_finishing=made.recorder.is_finishing,
        stays=staying,
        catch_up=catch_up if tidier is None else partial(_in_turn, catch_up, tidier.begin),
        refusal=refusal,
        tidier=tidier,
    )


async def _in_turn(*works: Callable[[], Awaitable[None]]) -> None:
    for work in works:
        await work()


def _as_file(marker: MarkerName, judge: Callable[[str], T]) -> Callable[[str], T]:
    """What holds for a file holds for its marker, whatever that is called."""
    return lambda path: judge(marker.file_of(path) or path)


def _refusal(reserve: Reserve, recorder: Recorder, folder: str) -> LocalError | None:
    return recorder.refusal(folder) or reserve.refusal(folder)


def _places(settings: Settings) -> list[WrittenFolder]:
    """Whatever is written to: by all folders, and by each."""
    return [
        WrittenFolder(str(settings.state_dir), frozenset(settings.folders)),
        *(
            WrittenFolder(str(output), frozenset({name}), str(folder.inbox))
            for name, folder in settings.folders.items()
            for output in (folder.completed, folder.failed)
        ),
    ]


def _measure(place: WrittenFolder) -> Disk | None:
    try:
        if place.inbox and device_of(place.inbox) == device_of(place.path):
            return None
        space = machine.space(place.path)
    except OSError:
        return None  # it is not there, and whoever writes there says so
    return Disk(space.free, space.size)


def _watcher_maker(inbox: str, waker: Waker) -> Callable[[], Watcher]:
    return lambda: Watcher(inbox, waker.wake)
