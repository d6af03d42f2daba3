"""What the doctor finds, decided from plain values: state folder, folders, disk space.

Limits of the kernel are in `limits_checkup`, the store in `store_checkup`. Sizes in bytes, times in
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
#: Types beside network and FUSE mounts whose files may change without this kernel's inotify.


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
class Place:
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


@dataclass(frozen=True, slots=True)
class Census:
    """What is in an inbox. `whole` is False where counting stopped at its bound.

    `shut` are folders that cannot be entered, `stuck` folders that files cannot be moved out of,
    `unreadable` files; of each only the first is named.
    """

    files: int
    directories: int
    odd: int = 0
    shut: int = 0
    stuck: int = 0
    unreadable: int = 0
    first_shut: str = ""
    first_stuck: str = ""
    first_unreadable: str = ""
    whole: bool = True


def verdict(findings: Iterable[Finding]) -> tuple[int, int]:
    """How many errors and warnings."""
    states = [finding.state for finding in findings]
    return states.count(State.ERROR), states.count(State.WARNING)


# -- the state folder and the daemon ---------------------------------------------------------------


def state_finding(place: Place, *, network: str | None, trouble: str, user: str) -> Finding:
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
    if place.read_only:
        return _read_only_finding(name, f"the state folder {path} cannot be used", place)
    if why in _NO_SPACE:
        what = f"the state folder {path} cannot be used: {why}"
        return Finding(name, State.ERROR, what, "free space on its file system")
    if why:
        return Finding(
            name,
            State.ERROR,
            f"the state folder {path} cannot be used: {why}",
            f"let the user {user} write there, or set `state_dir` to another folder",
            _let_write(place, user),
        )
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


def _read_only_finding(name: str, what: str, place: Place) -> Finding:
    where = place.maker or place.path
    fix = "mount it for writing; the kernel's log says why it is read-only"
    command = (f"findmnt --target {shlex.quote(where)}",)
    return Finding(name, State.ERROR, f"{what}: the file system of {where} is read-only", fix, command)


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


# -- a folder --------------------------------------------------------------------------------------


def inbox_finding(name: str, place: Place, *, user: str) -> Finding:
    """Whether files can be found in an inbox, and moved out of it."""
    path = place.path
    if not place.is_there:
        return Finding(
            name,
            State.ERROR,
            f"the inbox {path} {place.trouble or 'is not there'}",
            "mount its volume, or make it",
            _let_write(place, user),
        )
    if not (place.readable and place.writable):
        lacks = "list and enter" if not place.readable else "move files out of"
        return Finding(
            name,
            State.ERROR,
            f"the user {user} may not {lacks} the inbox {path}",
            f"let {user} read, write and enter it; where it is mounted read-only, remount it",
            _let_write(place, user),
        )
    if place.sticky:
        return Finding(
            name,
            State.WARNING,
            f"the inbox {path} has the sticky bit: only their owners may move files out of it",
            f"take the bit away, or give the folder to {user}",
            (f"sudo chmod -t {shlex.quote(path)}",),
        )
    return Finding(name, State.OK, f"the inbox {path} can be read, and files moved out of it")


def kept_finding(name: str, path: str, pid: int) -> Finding:
    """That a process which is not this state folder's daemon keeps an inbox; `pid` 0: an unseen one."""
    who = f"the process {pid}" if pid else "a process of another container"
    return Finding(
        name,
        State.ERROR,
        f"{who} keeps the inbox {path}: another daemon watches it",
        "one daemon watches an inbox: stop the other one, or give this one an inbox of its own",
        numbers={"pid": pid},
    )


def output_finding(
    name: str, place: Place, inbox: Place, *, trouble: str, user: str, whole: bool = False
) -> Finding:
    """Whether originals can be moved from `inbox` to `place`. `trouble`: why a probe was not moved.

    `whole`: directories are moved as one, which only a rename does.
    """
    path = place.path
    why = place.trouble or trouble
    if not why and not (place.writable and (place.readable or not place.is_there)):
        why = f"the user {user} may not write in {place.maker or path}"
    if place.read_only:
        return _read_only_finding(name, f"files cannot be moved to {path}", place)
    if why in _NO_SPACE:
        what = f"files cannot be moved to {path}: {why}"
        return Finding(name, State.ERROR, what, "free space on its file system")
    if why:
        return Finding(
            name,
            State.ERROR,
            f"files cannot be moved to {path}: {why}",
            f"let the user {user} make and rename files there",
            _let_write(place, user),
        )
    across = _why_across(place, inbox)
    if across and whole:
        return Finding(
            name,
            State.ERROR,
            f'{across}: directories = "archive" cannot move a directory there',
            'put both on one file system and below one mount, or write directories = "recurse"',
        )
    if across:
        return Finding(
            name,
            State.WARNING,
            f"{across}: every file is copied there, read back, and then removed from the inbox",
            "put both on one file system and below one mount, where a rename does: it takes no time, "
            "no second space and no wear",
        )
    if not place.is_there:
        return Finding(name, State.OK, f"{path} is not there yet and will be made")
    return Finding(name, State.OK, f"files can be moved to {path}")


def _why_across(place: Place, inbox: Place) -> str:
    """Why no rename leads from the inbox to the place; empty if one does."""
    if not inbox.is_there:
        return ""
    if place.device != inbox.device:
        return f"{place.path} is on another file system than {inbox.path}"
    if None not in {place.mount, inbox.mount} and place.mount != inbox.mount:
        return f"{place.path} and {inbox.path} are one file system, mounted twice"
    return ""


def _let_write(place: Place, user: str) -> tuple[str, ...]:
    """What gives a user a folder: made where it is absent, opened to them where it is another's."""
    if place.trouble:
        return ()
    who, path = shlex.quote(user), shlex.quote(place.path)
    if place.is_there:
        return (f"sudo setfacl -m u:{who}:rwx {path}",)
    return (f"sudo install -d -o {who} {path}",)


def census_finding(name: str, path: str, census: Census, *, user: str) -> Finding:
    """What waits in an inbox, and what of it cannot be delivered as it is."""
    numbers = {
        "files": census.files,
        "directories": census.directories,
        "never_delivered": census.odd,
        "folders_shut": census.shut,
        "folders_stuck": census.stuck,
        "files_unreadable": census.unreadable,
    }
    more = "" if census.whole else "at least "
    waiting = f"{more}{counted(census.files, 'file')} in {counted(census.directories, 'folder')}"
    quoted, who = shlex.quote(path), shlex.quote(user)
    rights = (f"sudo setfacl -R -m u:{who}:rwX,d:u:{who}:rwX {quoted}",)
    fix = f"give {user} the right to all below the inbox, also to what will be dropped"
    if census.shut or census.stuck:
        where = census.first_shut or census.first_stuck
        doing = "enter" if census.shut else "move files out of"
        folders = counted(census.shut or census.stuck, "folder")
        what = f"{user} may not {doing} {folders} in {path}, such as {where}"
        return Finding(name, State.ERROR, what, fix, rights, numbers)
    if census.unreadable:
        files = counted(census.unreadable, "file")
        what = f"{user} may not read {files} in {path}, such as {census.first_unreadable}"
        return Finding(name, State.ERROR, what, fix, rights, numbers)
    odd = f"; {counted(census.odd, 'entry', 'entries')} stay: links or devices" if census.odd else ""
    return Finding(name, State.OK, f"waiting in {path}: {waiting}{odd}", numbers=numbers)


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
