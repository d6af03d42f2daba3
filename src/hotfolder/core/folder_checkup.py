"""What the doctor finds of a watched folder: its inbox, what waits there, and where originals go."""

import shlex
from dataclasses import dataclass

from hotfolder.core.checkup import (
    Finding,
    FolderFacts,
    State,
    counted,
    let_write,
    unusable_finding,
)


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


def inbox_finding(name: str, place: FolderFacts, *, user: str) -> Finding:
    """Whether files can be found in an inbox, and moved out of it."""
    path = place.path
    if not place.is_there:
        return Finding(
            name,
            State.ERROR,
            f"the inbox {path} {place.trouble or 'is not there'}",
            "mount its volume, or make it",
            let_write(place, user),
        )
    if not (place.readable and place.writable):
        lacks = "list and enter" if not place.readable else "move files out of"
        return Finding(
            name,
            State.ERROR,
            f"the user {user} may not {lacks} the inbox {path}",
            f"let {user} read, write and enter it; where it is mounted read-only, remount it",
            let_write(place, user),
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
    name: str, place: FolderFacts, inbox: FolderFacts, *, trouble: str, user: str, whole: bool = False
) -> Finding:
    """Whether originals can be moved from `inbox` to `place`. `trouble`: why a probe was not moved.

    `whole`: directories are moved as one, which only a rename does.
    """
    path = place.path
    why = place.trouble or trouble
    if not why and not (place.writable and (place.readable or not place.is_there)):
        why = f"the user {user} may not write in {place.maker or path}"
    fix = f"let the user {user} make and rename files there"
    unusable = unusable_finding(name, f"files cannot be moved to {path}", why, place, fix, user)
    if unusable is not None:
        return unusable
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


def _why_across(place: FolderFacts, inbox: FolderFacts) -> str:
    """Why no rename leads from the inbox to the place; empty if one does."""
    if not inbox.is_there:
        return ""
    if place.device != inbox.device:
        return f"{place.path} is on another file system than {inbox.path}"
    if None not in {place.mount, inbox.mount} and place.mount != inbox.mount:
        return f"{place.path} and {inbox.path} are one file system, mounted twice"
    return ""


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
