"""What the doctor finds, decided from plain values: the state folder, the daemon, disk space.

Inboxes and where their files go are in `folder_checkup`, limits of the kernel in `limits_checkup`, the
store in `store_checkup`. Sizes in bytes, times in
seconds. Every function returns a `Finding`; nothing here asks the machine.
"""

import errno
import os
import shlex
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from hotfolder.core.room import RESERVE

_FULL, _SCARCE, _SCARCE_SHARE = 100_000_000, 1_000_000_000, 0.05  # bytes, and of the whole
_FEWEST_INODES = 1000
#: Reasons that no permission cures, in the words of the system.
_NO_SPACE = frozenset({os.strerror(errno.ENOSPC), os.strerror(errno.EDQUOT)})


class State(StrEnum):
    """`error`: files are not delivered like this. `warning`: they are, but not as well as could be."""

    OK = "ok"
    WARNING = "warning"
    ERROR = "error"


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the doctor. `id` is a dotted path, like a key of the configuration.

    `fix` says what to do, `commands` are to be typed as they stand, `numbers` are what it was read from.
    """

    id: str
    state: State
    what: str
    fix: str = ""
    commands: tuple[str, ...] = ()
    numbers: Mapping[str, float | None] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class FolderFacts:
    """A folder as this user meets it.

    Where it is absent, `maker` is the nearest folder above that is there, and device, mount and
    `writable` are that one's. `trouble` says why nothing could be learnt.
    """

    path: str
    is_there: bool
    readable: bool = False
    writable: bool = False
    sticky: bool = False  # and another's: files in it may be moved by their owners only
    device: int = 0
    mount: int | None = None
    maker: str = ""
    trouble: str = ""
    read_only: bool = False  # its whole file system


@dataclass(frozen=True, slots=True)
class Space:
    """What statvfs says is left to this user; `inodes` is 0 where they are not counted."""

    size: int
    free: int
    inodes: int = 0
    inodes_free: int = 0


def verdict(findings: Iterable[Finding]) -> tuple[int, int]:
    """How many errors and warnings."""
    states = [finding.state for finding in findings]
    return states.count(State.ERROR), states.count(State.WARNING)


# -- the state folder and the daemon ---------------------------------------------------------------


def state_finding(place: FolderFacts, *, network: str | None, trouble: str, user: str) -> Finding:
    """Whether records can be kept there. `trouble`: why a probe file could not be written."""
    name, path = "state_dir", place.path
    if network is not None:
        return Finding(
            name,
            State.ERROR,
            f"the state folder {path} is on a network file system ({network})",
            "set `state_dir` to a folder on a local disk: locks and SQLite are not safe there",
        )
    if not place.is_there and not place.trouble and place.writable:
        return Finding(name, State.OK, f"the state folder {path} is not there yet and will be made")
    why = place.trouble or trouble
    if not place.is_there or not (place.readable and place.writable):
        why = why or f"the user {user} may not write in {place.maker or path}"
    fix = f"let the user {user} write there, or set `state_dir` to another folder"
    unusable = unusable_finding(name, f"the state folder {path} cannot be used", why, place, fix, user)
    if unusable is not None:
        return unusable
    return Finding(name, State.OK, f"the state folder {path} is local and writable")


def daemon_finding(pid: int | None, *, owner: str, user: str) -> Finding:
    """Whether a daemon runs on this state folder, and whether it is who this check speaks for."""
    if pid is None:
        return Finding("daemon", State.OK, f"no daemon runs now; this check speaks for the user {user}")
    if owner != user:
        return Finding(
            "daemon",
            State.WARNING,
            f"the daemon (process {pid}) runs as {owner}; this check speaks for {user}",
            f"run it as {owner}, who may be allowed more or less",
            (f"sudo -u {shlex.quote(owner)} hotfolder check",),
            {"pid": pid},
        )
    return Finding("daemon", State.OK, f"the daemon runs (process {pid})", numbers={"pid": pid})


def hold_findings(beat: Mapping[str, Any], *, stale: bool) -> Iterator[Finding]:
    """What keeps the daemon from its work, as it says itself. `beat`: its last; `stale`: long ago."""
    if stale:
        what = "the daemon runs, and its heartbeat stopped: it is stuck, or cannot write the heartbeat"
        yield Finding("daemon.heartbeat", State.ERROR, what, "look into its log")
    if beat["hold"]:
        yield Finding("daemon.hold", State.ERROR, f"the daemon waits: {beat['hold']}")
    if beat["paused"] is not None:
        what = f"{beat['paused']['by']} paused the daemon"
        yield Finding("daemon.paused", State.WARNING, what, "let it go on", ("hotfolder resume",))


def let_write(place: FolderFacts, user: str) -> tuple[str, ...]:
    """What gives a user a folder: made where it is absent, opened to them where it is another's."""
    if place.trouble:
        return ()
    who, path = shlex.quote(user), shlex.quote(place.path)
    if place.is_there:
        return (f"sudo setfacl -m u:{who}:rwx {path}",)
    return (f"sudo install -d -o {who} {path}",)


def unusable_finding(
    name: str, what: str, why: str, place: FolderFacts, fix: str, user: str
) -> Finding | None:
    """Why no file can be made in a place, with what cures it; None where nothing is in the way.

    `what` begins the sentence that `why` ends; `fix` is against a lack of rights.
    """
    if place.read_only:
        where = place.maker or place.path
        what = f"{what}: the file system of {where} is read-only"
        cure = "mount it for writing; the kernel's log says why it is read-only"
        return Finding(name, State.ERROR, what, cure, (f"findmnt --target {shlex.quote(where)}",))
    if why in _NO_SPACE:
        return Finding(name, State.ERROR, f"{what}: {why}", "free space on its file system")
    if why:
        return Finding(name, State.ERROR, f"{what}: {why}", fix, let_write(place, user))
    return None


def space_finding(name: str, path: str, space: Space) -> Finding:
    """Free bytes and inodes of the file system under `path`."""
    numbers: dict[str, float | None] = {"free_bytes": space.free, "size_bytes": space.size}
    if space.inodes:
        numbers |= {"free_inodes": space.inodes_free, "inodes": space.inodes}
    left = f"{as_size(space.free)} of {as_size(space.size)} free on the file system of {path}"
    command = (f"df -h {shlex.quote(path)}",)
    if space.free < _FULL:
        fix = f"free space: below {as_size(_FULL)} writes fail sooner or later"
        return Finding(name, State.ERROR, f"only {left}", fix, command, numbers)
    if space.inodes and space.inodes_free < _FEWEST_INODES:
        what = f"only {space.inodes_free} files more can be made on the file system of {path} (inodes)"
        fix = "delete files, or make the file system anew with more inodes"
        return Finding(name, State.ERROR, what, fix, (f"df -i {shlex.quote(path)}",), numbers)
    if space.free < max(_SCARCE, _SCARCE_SHARE * space.size):
        fix = "free space before it runs out; completed/ grows with every file"
        return Finding(name, State.WARNING, f"only {left}", fix, command, numbers)
    return Finding(name, State.OK, left, numbers=numbers)


def spool_finding(name: str, path: str, space: Space, *, kept: bool) -> Finding:
    """How large a file may be that is packed into the spool `path`. `kept`: packed files are kept."""
    room = max(0, space.free - RESERVE)
    what = f"compressed files stand in {path} until they are proven; {as_size(room)} are free for them"
    numbers: dict[str, float | None] = {"free_bytes": space.free, "room_bytes": room}
    if room < _SCARCE:
        larger = "wait" if kept else "are compressed while they are sent"
        fix = f"free space on the file system of the state folder: larger files {larger}"
        return Finding(name, State.WARNING, what, fix, (f"df -h {shlex.quote(path)}",), numbers)
    return Finding(name, State.OK, what, numbers=numbers)


# -- words -----------------------------------------------------------------------------------------


def counted(count: int, one: str, many: str = "") -> str:
    return f"{count} {one if count == 1 else many or one + 's'}"


def as_size(count: float) -> str:
    """Bytes as disks are sold: 1.5 GB."""
    for unit in ("bytes", "kB", "MB", "GB", "TB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "bytes" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} PB"


def as_span(seconds: float) -> str:
    """A duration in its two largest units: 1h 5m, 3m 20s, 45s."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    units = [(days, "d"), (hours, "h"), (minutes, "m"), (rest, "s")]
    told = [f"{count}{unit}" for count, unit in units if count]
    return " ".join(told[:2]) or "0s"
