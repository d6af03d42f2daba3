"""The doctor: every check of `hotfolder check`, from the configuration to the store, in order.

A composition root of its own: it asks through adapters, and the `checkup` modules of `core` decide
what the answers mean.
"""

import asyncio
import os
import secrets
import time
from collections.abc import AsyncIterator, Callable, Generator, Iterator
from dataclasses import replace
from functools import partial
from itertools import islice
from pathlib import Path

from hotfolder.adapters import inbox_locks, lock, machine, mounts, source
from hotfolder.adapters.filters import ignore_filter
from hotfolder.adapters.finishing import rehearse
from hotfolder.adapters.s3 import S3Settings
from hotfolder.adapters.s3.survey import credential_origin
from hotfolder.adapters.scan import walk
from hotfolder.beneath import look_for_writers
from hotfolder.config import Destination, Folder, Settings
from hotfolder.core import checkup, folder_checkup, limits_checkup, store_checkup
from hotfolder.core.checkup import Finding, FolderFacts, State, counted
from hotfolder.core.errors import ConfigError, DestinationError, LocalError
from hotfolder.core.folder_checkup import Census
from hotfolder.core.pulse import completed, is_stale
from hotfolder.core.settle import Ready
from hotfolder.core.settling_checkup import settling_finding
from hotfolder.core.watching import plan_of
from hotfolder.core.watching_checkup import watching_finding
from hotfolder.destinations import s3_settings
from hotfolder.lines import MOST_FLIGHTS
from hotfolder.state_folder import read_heartbeat, spool_folder
from hotfolder.surveying import Surveyor, surveyor

_MOST_ASKED = 100  # files that are asked for a writer
_MOST_ENTRIES = 3_000_000  # counted in an inbox
_LONGEST_COUNT = 30.0  # seconds
_PATIENCE = 10.0  # seconds that a store may say nothing; then nothing more is asked


def examine(
    settings: Settings, file: Path, tell: Callable[[str], None] = lambda _: None
) -> Iterator[Finding]:
    """Every check in turn; nothing raises, and nothing but the doctor's own probes is changed.

    `tell` hears what is looked at, before what may take seconds.
    """
    folders = counted(len(settings.folders), "folder")
    buckets = ", ".join(repr(destination.bucket) for _, destination in _destinations(settings))
    yield Finding("config", State.OK, f"{file}: {folders}, bucket {buckets}")
    user = source.user_name(os.geteuid())
    pid = lock.holder(settings.state_dir / "lock")
    measured: set[int] = set()  # devices whose free space was told
    yield from _state(settings, user, measured)
    owner = machine.owner_of(pid) if pid is not None else None
    yield checkup.daemon_finding(
        pid, owner=user if owner is None else source.user_name(owner), user=user
    )
    if pid is not None:
        yield from _holds(settings, pid)
    counts = []
    for name, folder in settings.folders.items():
        spool = spool_folder(settings)
        tell(f"looking through {folder.inbox}")
        count = yield from _folder(f"folders.{name}", folder, spool, user, measured, pid)
        counts.append(count)
    yield from _limits(settings, counts, daemon=pid)
    closed = limits_checkup.bandwidth_finding(settings.timetable())
    if closed is not None:
        yield closed
    destinations = list(_destinations(settings))
    for name, destination in destinations:
        try:
            s3 = s3_settings(destination, settings.transfer)
        except ConfigError as error:  # what `auth` needs is not here
            yield store_checkup.error_finding(f"{name}.credentials", error)
            continue
        tell(f"asking bucket {destination.bucket!r}; a silent store is given {_PATIENCE:.0f} s")
        for finding in _in_turn(_destination(name, s3, prefix=destination.prefix)):
            several = len(destinations) > 1
            yield replace(finding, what=f"[{name}] {finding.what}") if several else finding


def _holds(settings: Settings, pid: int) -> Iterator[Finding]:
    """What the daemon says of itself. It knows what nobody else can see: a volume that went away."""
    try:
        told = read_heartbeat(settings)
    except LocalError:
        return  # being replaced on a full disk; that is found below
    if told is not None and told["pid"] == pid:
        stale = is_stale(told, time.time(), settings.status.interval, exists=True)
        yield from checkup.hold_findings(completed(told), stale=stale)


def _destinations(settings: Settings) -> Iterator[tuple[str, Destination]]:
    """Every destination that some folder delivers to, once, under the name of its table."""
    told: list[Destination] = []
    for name, folder in settings.folders.items():
        if folder.destination not in told:
            told.append(folder.destination)
            shared = folder.destination == settings.destination
            yield "destination" if shared else f"folders.{name}.destination", folder.destination


def _state(settings: Settings, user: str, measured: set[int]) -> Iterator[Finding]:
    path = str(settings.state_dir)
    found = machine.place(path)
    trouble = _trouble(lambda: machine.write_probe(path)) if found.is_there else ""
    network = mounts.network_filesystem(path)
    yield checkup.state_finding(found, network=network, trouble=trouble, user=user)
    yield from _space("state_dir.space", found, measured)


def _folder(
    name: str, folder: Folder, spool: Path, user: str, measured: set[int], daemon: int | None
) -> Generator[Finding, None, Census]:
    if folder.spool == "disk":
        yield _spool(f"{name}.spool", spool, kept=folder.keep_compressed)
    inbox = machine.place(str(folder.inbox))
    yield folder_checkup.inbox_finding(f"{name}.inbox", inbox, user=user)
    keeper = inbox_locks.holder(inbox.path)
    if keeper is not None and keeper != daemon:
        yield folder_checkup.kept_finding(f"{name}.keeper", inbox.path, keeper)
    roles = [("completed", str(folder.completed))] if folder.on_complete == "move" else []
    for role, path in (*roles, ("failed", str(folder.failed))):
        found = machine.place(path)
        can_try = found.is_there and found.writable
        trouble = _trouble(partial(rehearse, path)) if can_try else ""
        whole = folder.directories == "archive"
        yield folder_checkup.output_finding(
            f"{name}.{role}", found, inbox, trouble=trouble, user=user, whole=whole
        )
        if not inbox.is_there or found.device != inbox.device:
            yield from _space(f"{name}.{role}.space", found, measured)
    if not inbox.is_there:
        return Census(0, 1)
    found_mounts = mounts.MountTable().within(inbox.path)
    yield watching_finding(
        f"{name}.filesystem",
        inbox.path,
        found_mounts,
        wanted=folder.watcher,
        rescan=folder.rescan,
    )
    yield _settling(f"{name}.settling", folder)
    listens = plan_of(found_mounts, folder.watcher).listens
    yield from _space(f"{name}.space", inbox, measured)
    end = time.monotonic() + _LONGEST_COUNT
    try:
        count = machine.census(
            inbox.path,
            ignored=ignore_filter(folder.ignore, folder.include),
            most=_MOST_ENTRIES,
            enough=lambda: time.monotonic() > end,
        )
    except OSError:
        return Census(0, 1)  # the inbox's own line says that it cannot be read
    yield folder_checkup.census_finding(f"{name}.waiting", inbox.path, count, user=user)
    return count if listens else replace(count, directories=0)


def _settling(name: str, folder: Folder) -> Finding:
    """Asks for the writers of some files that wait. SIGIO has to be ignored: see `beneath.writer_of`."""
    inbox = str(folder.inbox)
    entries = walk(inbox, "", ignore_filter(folder.ignore, folder.include))
    try:
        some = [entry for entry in islice(entries, _MOST_ASKED) if isinstance(entry, str)]
        looks = look_for_writers(inbox, [(relpath, True) for relpath in some])
    except (OSError, LocalError):
        looks = []  # the inbox's own line says that it cannot be read
    finally:
        entries.rest()
    return settling_finding(
        name,
        inbox,
        [look.writer for look in looks],
        network=mounts.network_filesystem(inbox),
        ready=Ready(folder.ready),
        settle=folder.settle,
    )


def _spool(name: str, spool: Path, *, kept: bool) -> Finding:
    """The spool is made with its first file, on the file system of the state folder."""
    found = machine.place(str(spool))
    try:
        space = machine.space(found.path if found.is_there else found.maker)
    except OSError as error:
        what = f"the free space of the spool {spool} cannot be read: {error.strerror}"
        return Finding(name, State.WARNING, what, "look into the kernel log; is the volume there?")
    return checkup.spool_finding(name, str(spool), space, kept=kept)


def _limits(settings: Settings, counts: list[Census], *, daemon: int | None) -> Iterator[Finding]:
    watches, instances = machine.inotify_use(without=daemon)
    yield limits_checkup.watches_finding(
        sum(count.directories for count in counts),
        machine.watch_limit(),
        in_use=watches,
        whole=all(count.whole for count in counts),
    )
    listening = sum(1 for count in counts if count.directories)
    yield limits_checkup.instances_finding(listening, machine.instance_limit(), in_use=instances)
    yield limits_checkup.queue_finding(machine.queue_limit())
    yield limits_checkup.open_files_finding(
        machine.open_files_limit(),
        connections=len(settings.destinations())
        * (2 * settings.transfer.requests + settings.transfer.small_requests),
        flights=MOST_FLIGHTS,
        folders=len(counts),
    )


def _in_turn(findings: AsyncIterator[Finding]) -> Iterator[Finding]:
    """Each as soon as it is there."""
    with asyncio.Runner() as runner:
        while True:
            finding = runner.run(_next(findings))
            if finding is None:
                return
            yield finding


async def _next(findings: AsyncIterator[Finding]) -> Finding | None:
    return await anext(findings, None)


async def _destination(name: str, s3: S3Settings, *, prefix: str) -> AsyncIterator[Finding]:
    """The store's lines. Slow or silent stores are given a few seconds, whatever `transfer` says."""
    try:
        async with surveyor(s3, prefix, silence=_PATIENCE / 2) as asking:  # it is asked twice
            async for finding in _survey(name, asking):
                yield finding
    except ConfigError as error:  # an endpoint_url that botocore does not take
        yield store_checkup.error_finding(name, error)


async def _survey(name: str, asking: Surveyor) -> AsyncIterator[Finding]:
    try:
        origin = await asyncio.to_thread(credential_origin, asking.connection)
    except DestinationError as error:
        yield store_checkup.error_finding(f"{name}.credentials", error)
        return
    exposed = machine.is_exposed(origin.place)
    yield store_checkup.credentials_finding(
        f"{name}.credentials", origin, now=time.time(), exposed=exposed
    )
    answers, skew = await asking.ask(secrets.token_hex(8), time.time)
    if skew is not None:
        yield store_checkup.clock_finding(f"{name}.clock", skew)
    bucket = asking.connection.settings.bucket
    for finding in store_checkup.store_findings(name, bucket, answers, skew=skew):
        yield finding


def _space(name: str, found: FolderFacts, measured: set[int]) -> Iterator[Finding]:
    """Free space, once for each file system."""
    if found.trouble or found.device in measured:
        return
    measured.add(found.device)
    path = found.maker or found.path
    try:
        yield checkup.space_finding(name, path, machine.space(path))
    except OSError as error:
        what = f"the free space of {path} cannot be read: {error.strerror}"
        yield Finding(name, State.WARNING, what, "look into the kernel log; is the volume there?")


def _trouble(attempt: Callable[[], None]) -> str:
    """Why something cannot be done, empty if it can."""
    try:
        attempt()
    except OSError as error:
        return error.strerror or str(error)
    return ""
