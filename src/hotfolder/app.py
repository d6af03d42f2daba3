"""The composition root of what delivers: the daemon, `once`, and `upload`."""

import asyncio
import errno
import itertools
import os
import signal
import stat
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from hotfolder import durable
from hotfolder.activity import Activity
from hotfolder.adapters import mounts
from hotfolder.adapters.filters import ignore_filter
from hotfolder.adapters.lock import StateLock
from hotfolder.adapters.scan import walk
from hotfolder.beneath import device_of, lies_in
from hotfolder.config import Folder, Settings
from hotfolder.config.folders import outputs
from hotfolder.core.errors import ConfigError, HotfolderError
from hotfolder.core.records import Fingerprint, PassedOver, UploadNote
from hotfolder.engine import (
    Engine,
    Originals,
    engine,
    new_operation_id,
)
from hotfolder.folder_rules import grouping_of
from hotfolder.lines import MOST_FLIGHTS
from hotfolder.oneshot import OneShot
from hotfolder.state_folder import upload_lock

#: A progress display: follows the activity until it is cancelled.
Display = Callable[[Activity], Coroutine[Any, Any, None]]

_MAY_PASS = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EMFILE, errno.ENFILE, errno.ENOMEM})


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


def prepare_state(settings: Settings) -> None:
    """Make the state folder.

    Raises `ConfigError` where it cannot be, or stands on a network mount, and `LocalError` where the
    disk fails or is full, which may pass.
    """
    try:
        durable.make_directory(settings.state_dir, mode=0o750)
    except OSError as error:
        if error.errno in _MAY_PASS:
            raise durable.local_error("make the state folder", settings.state_dir, error) from error
        raise ConfigError(
            f"cannot make the state folder {settings.state_dir}: {error.strerror}",
            hint="set state_dir to a folder that this user may write to",
        ) from error
    mounts.require_local(settings.state_dir)


def prepare_outputs(name: str, folder: Folder, *, for_upload: bool = False) -> None:
    """Make completed/ and failed/ where missing.

    Raises `ConfigError`, and `LocalError` where the disk fails or is full, which may pass.
    Only beside an inbox that is there: all three may stand on a volume that is yet to be mounted.
    `for_upload`: of `upload --move`, which moves whatever `on_complete` says.
    """
    if not folder.inbox.is_dir():
        return
    moves = folder.on_complete == "move" or folder.keep_compressed or for_upload
    for place in (folder.completed, folder.failed) if moves else (folder.failed,):
        try:
            durable.make_directory(place)
        except OSError as error:
            if error.errno in _MAY_PASS | {errno.EROFS}:
                raise durable.local_error("make", place, error) from error
            raise ConfigError(
                f"folder {name!r}: cannot make {place}: {error.strerror}",
                hint="make it by hand, or let the user that runs hotfolder write there",
            ) from error
        if folder.directories == "archive" and device_of(str(place)) != device_of(str(folder.inbox)):
            raise ConfigError(
                f"folder {name!r}: {place} is on another file system than the inbox, and directories = "
                '"archive" moves a directory by renaming it',
                hint=f'put {place.name}/ on the inbox\'s file system, or write directories = "recurse"',
            )


def prepare_folder(settings: Settings, name: str) -> None:
    """Make the outputs of a folder, and see that its inbox holds nothing of ours.

    The configuration compares names; links and mounts may lead elsewhere. What is moved from an inbox
    into itself would be delivered for ever. Raises `ConfigError` and `LocalError`.
    """
    folder = settings.folders[name]
    prepare_outputs(name, folder)
    ours = {"state_dir": settings.state_dir}
    for other, theirs in settings.folders.items():
        ours |= {f"{role} folder of {other!r}": path for role, path in outputs(theirs)}
        if other != name:
            ours[f"inbox of {other!r}"] = theirs.inbox
    for what, path in ours.items():
        if lies_in(str(path), str(folder.inbox)):
            raise ConfigError(
                f"folder {name!r}: the {what} ({path}) leads to {os.path.realpath(path)}, which lies in "
                f"the inbox {folder.inbox}",
                hint="give it a place outside, and look at the links and mounts that lead there",
            )


@dataclass(frozen=True, slots=True)
class UploadRequest:
    """What `upload` was asked for. `folder` None: the first; `group` and `moment` None: as usual."""

    paths: tuple[Path, ...]
    command: tuple[str, ...]
    folder: str | None = None
    group: str | None = None
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    moment: float | None = None  # seconds since the epoch, for {timestamp} and {date}
    move: bool = False
    config_file: Path | None = None


async def upload(
    settings: Settings, request: UploadRequest, *, display: Display | None = None
) -> RunSummary:
    """Deliver `request.paths` with the settings of one folder."""
    prepare_state(settings)
    name = request.folder or next(iter(settings.folders))
    if name not in settings.folders:
        raise ConfigError(
            f"there is no folder {name!r}", hint=f"configured are {', '.join(settings.folders)}"
        )
    folder = settings.folders[name]
    if request.move:
        prepare_outputs(name, folder, for_upload=True)
    ignored = ignore_filter((*folder.ignore, *request.exclude), request.include or folder.include)
    task = asyncio.current_task()
    if task is not None:  # as Ctrl-C does: requests are cut; the same command goes on with large files
        for number in (signal.SIGTERM, signal.SIGHUP):
            asyncio.get_running_loop().add_signal_handler(number, task.cancel)
    async with AsyncExitStack() as stack:
        if request.move:
            stack.enter_context(StateLock(upload_lock(settings)))
        made = await stack.enter_async_context(engine(settings, uploads=True))
        await stack.enter_async_context(shown(made.activity, display))
        if request.move:
            await made.recorder.recover()  # what a killed one left
        recording = asyncio.create_task(made.recorder.run())
        shot = OneShot(
            made.courier(
                name,
                originals=Originals.MOVE_PROVEN if request.move else Originals.STAY,
                command=request.command,
            ),
            grouping=grouping_of(name, folder, forced=request.group),
            batch=new_operation_id(),
            new_operation_id=new_operation_id,
            remembered=partial(_remembered, made),
            threads=made.io,
            most_flights=MOST_FLIGHTS,
            size_refusal=folder.sizes.refusal,
            wall=time.time if request.moment is None else itertools.repeat(request.moment).__next__,
        )
        try:
            await made.recorder.recovered()  # or the same file could be delivered beside itself
            trouble: HotfolderError | None = made.recorder.trouble
            trouble = trouble or await shot.deliver(
                _files_of(request.paths, ignored, _own_places(settings, request))
            )
        finally:
            made.recorder.close()
            await recording
        return RunSummary(made.activity, shot.left, trouble)


def _remembered(made: Engine, root: str, relpath: str, seen: Fingerprint) -> UploadNote | None:
    """What an `upload` that was cut began; what the daemon did, it goes on with by itself."""
    inboxes = {str(folder.inbox) for folder in made.settings.folders.values()}
    return None if root in inboxes else made.notebook.remembered(root, relpath, seen)


def _files_of(
    paths: Sequence[Path], ignored: Callable[[str], bool], own: "_OwnPlaces"
) -> Iterator[tuple[str, str | PassedOver]]:
    """(root, relative path) of every file that is named, or lies below a folder that is."""
    for path in paths:
        whole = Path(os.path.abspath(path))
        root, real = str(whole.parent), os.path.realpath(whole)
        try:
            is_folder = stat.S_ISDIR(os.lstat(whole).st_mode)
        except OSError as error:
            yield root, PassedOver(whole.name, f"cannot be looked at: {error.strerror}")
            continue
        inside = (why for mine, why in own.never.items() if f"{real}/".startswith(f"{mine}/"))
        why = next(inside, None)
        if why is not None:
            yield root, PassedOver(whole.name, why)
        elif is_folder:
            below = {
                f"{whole.name}/{mine[len(real) + 1 :]}": why
                for mine, why in (own.never | own.unless_named).items()
                if mine.startswith(f"{real}/") and os.path.lexists(mine)
            }
            yield from ((root, PassedOver(relpath, why)) for relpath, why in below.items())
            skipped = partial(_is_skipped, ignored, below)
            yield from ((root, relpath) for relpath in walk(root, whole.name, skipped))
        else:
            yield root, whole.name


def _is_skipped(ignored: Callable[[str], bool], below: Mapping[str, str], relpath: str) -> bool:
    return relpath.rstrip("/") in below or ignored(relpath)


@dataclass(frozen=True, slots=True)
class _OwnPlaces:
    """Real path -> why `upload` leaves it, and all below it, alone."""

    never: dict[str, str]
    unless_named: dict[str, str]


def _own_places(settings: Settings, request: UploadRequest) -> _OwnPlaces:
    """What the daemon lives on, and what it moves itself."""
    state = "it is hotfolder's own record, configuration or key file"
    places: dict[Path, str] = {settings.state_dir: state, settings.status_file: state}
    if request.config_file is not None:
        places[request.config_file] = state
    for destination in (settings.destination, *settings.destinations()):
        for file in (destination.credentials_file, destination.ca_bundle):
            if file is not None:
                places[file] = state
    folders: dict[Path, str] = {}
    for name, folder in settings.folders.items():
        folders[folder.inbox] = f"it is the inbox of {name!r}: the daemon delivers it"
        folders[folder.completed] = folders[folder.failed] = f"the originals of {name!r} end there"
    never = places | folders if request.move else places
    return _OwnPlaces(_real(never), _real(folders))


def _real(places: Mapping[Path, str]) -> dict[str, str]:
    return {os.path.realpath(path): why for path, why in places.items()}


@asynccontextmanager
async def shown(activity: Activity, display: Display | None) -> AsyncIterator[None]:
    if display is None:
        yield
        return
    showing = asyncio.create_task(display(activity))
    try:
        yield
    finally:
        showing.cancel()
        await asyncio.gather(showing, return_exceptions=True)
