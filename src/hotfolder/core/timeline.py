"""Which operations somebody asks for, and what each line says happened when. Pure."""

import re
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from hotfolder.core.bandwidth import LocalTime, closed_in
from hotfolder.core.entries import seconds_of
from hotfolder.core.jsonline import spellings
from hotfolder.core.pulse import OF_NOTHING_OUTSIDE

_LEAST_ID = 8  # digits of an operation id that name it: fewer could as well be a file
_ID = re.compile(r"[0-9a-f-]+")

PROOFS = {
    "checksum": "the store's own checksum equals ours",
    "etag": "the store's ETag is the MD5 of our bytes",
    "readback": "the object was read back, and its bytes are ours",
    "head": "a HEAD found the object with our size, as `verify` allows",
}


@dataclass(frozen=True, slots=True)
class Selection:
    """Which ledger lines to show. Empty sets and None ask for nothing in particular.

    `since` and `until` in seconds since the epoch, of an operation's end; `until` is exclusive.
    """

    types: frozenset[str] = frozenset()
    statuses: frozenset[str] = frozenset()
    groups: frozenset[str] = frozenset()
    folders: frozenset[str] = frozenset()
    since: float | None = None
    until: float | None = None

    def takes(self, entry: Mapping[str, Any]) -> bool:
        asked = (
            (self.types, "operation_type"),
            (self.statuses, "status"),
            (self.groups, "group"),
            (self.folders, "folder"),
        )
        if any(values and entry.get(name) not in values for values, name in asked):
            return False
        if self.since is None and self.until is None:
            return True
        ended = seconds_of(entry["completed_at"])
        return (self.since is None or ended >= self.since) and (self.until is None or ended < self.until)

    def traces(self) -> list[bytes]:
        """Bytes of which a line has at least one if it is taken; nothing where any line may be."""
        rarest_first = (self.groups, self.folders, self.statuses, self.types)
        values = next(filter(None, rarest_first), frozenset())
        return sorted(spelling for value in values for spelling in spellings(f"{value}"))


def traces_of(wanted: str) -> list[bytes]:
    """Bytes of which a line has at least one if `wanted` names it (`is_named`)."""
    name = wanted.rstrip("/").rpartition("/")[2]
    return sorted(spellings(name) | spellings(wanted.lower()))


def is_named(entry: Mapping[str, Any], wanted: str) -> bool:
    """Whether `wanted` names this operation.

    By the file's name, its path or the end of it, its operation id (or the first digits), its key or
    s3:// address, or the place it went to.
    """
    if not wanted:
        return False
    path = entry["target_path"] or ""  # a search has none
    if wanted == entry["target_name"] or path == wanted or path.endswith(f"/{wanted.lstrip('/')}"):
        return True
    if is_id(entry["operation_id"], wanted):
        return True
    places = ("s3_object_key", "result_path", "completed_dir_path", "compressed_file_path")
    return any(entry.get(name) == wanted for name in places)


def is_meant(path: str, wanted: str) -> bool:
    """Whether `wanted` is the path, or the end of it: its name at least."""
    return bool(wanted) and (path == wanted or path.endswith(f"/{wanted.strip('/')}"))


def is_id(operation_id: str, wanted: str) -> bool:
    """Whether `wanted` is the operation id or the first digits of it."""
    digits = wanted.lower()
    return (
        len(digits) >= _LEAST_ID
        and _ID.fullmatch(digits) is not None
        and operation_id.startswith(digits)
    )


def made_at(operation_id: str) -> float | None:
    """When the job was made, in seconds since the epoch: a UUIDv7 says it. None for any other id."""
    try:
        made = uuid.UUID(operation_id)
    except ValueError:
        return None  # of an imported line
    return (made.int >> 80) / 1000 if made.version == 7 else None


def events(entry: Mapping[str, Any]) -> Iterator[tuple[float, str]]:
    """What happened to the file of an upload: (seconds since the epoch, in words), oldest first."""
    changed = entry.get("modified_at_ns")
    if changed is not None:
        yield changed / 1e9, "last changed"
    settled, started = made_at(entry["operation_id"]), seconds_of(entry["started_at"])
    attempts = entry.get("attempts") or 1
    if settled is not None:
        yield settled, "found whole"
    if entry["status"] not in {"failed", "cancelled"}:
        yield started, "opened" if attempts == 1 else f"opened, attempt {attempts}"
    ended = seconds_of(entry["completed_at"])
    after = f" after {attempts} attempts" if attempts > 1 else ""
    words = {
        "success": "delivered, proven and recorded",
        "skipped": "skipped: the store has the same bytes already",
        "failed": f"given up{after}",
        "cancelled": "cancelled: it stays in the inbox until it changes, or `retry` names it",
    }
    yield ended, words.get(entry["status"], entry["status"])


@dataclass(frozen=True, slots=True)
class InInbox:
    """A file that stands in an inbox, and what its folder is like. Times in seconds."""

    path: str
    size: int | None  # of a directory that is delivered as one nobody knows it yet
    changed_at: float  # since the epoch
    left: str | None  # why its folder does not take it
    settle: float
    rescan: float
    bucket: str = ""


@dataclass(frozen=True, slots=True)
class Waits:
    """Why a file is still in its inbox; `until` in seconds since the epoch where somebody knows."""

    why: str
    until: float | None = None
    for_good: bool = False


def why_waiting(
    file: InInbox,
    state: Mapping[str, Any] | None,
    now: float,
    *,
    living: bool,
    told: Waits | None = None,
    local: LocalTime = datetime.fromtimestamp,
) -> Waits | None:
    """Why `file` waits, by the heartbeat `state`; None if it does not wait but is on its way.

    `living`: the daemon works. `told`: what it says of this very file, if it could be asked; of others
    than the oldest the heartbeat tells no more than the rule. `local`: see `bandwidth.LocalTime`.
    """
    if state is None or not living:
        reason = _put_down(file, state) or _hangs(state)
        return reason or Waits("no daemon is running; start it with `hotfolder run`")
    if any(flight["path"] == file.path for flight in state["active"]):
        return None
    known = _put_down(file, state) or _put_off(file, state) or told
    if known is not None:
        return known
    if state["hold"]:
        return Waits(state["hold"])
    if state["paused"] is not None:
        return Waits(f"{state['paused']['by']} paused hotfolder; `hotfolder resume` goes on")
    closed = closed_in(state, now, local)
    if closed is not None:
        return Waits(closed, state["bandwidth"]["until"])
    destination = state.get("destinations", {}).get(file.bucket, state["destination"])
    if destination["last_error"]:
        trouble = f"its store is not ready ({destination['state']}): {destination['last_error']}"
        hint = f"; {destination['hint']}" if destination["hint"] else ""
        return Waits(f"{trouble}{hint}", destination["next_try"])
    quiet = file.changed_at + file.settle
    if now < quiet:
        return Waits("settling: it may still grow", quiet)
    waiting = state["waiting"]
    if waiting["oldest"] == file.path:
        return Waits(waiting["why"])
    if waiting["count"]:
        return Waits(f"settling or queued: {waiting['count']} files wait for their turn")
    scanned = state["last_scan"]
    return Waits(
        "just taken up, or not seen yet: then the next scan finds it", scanned and scanned + file.rescan
    )


def _put_down(file: InInbox, state: Mapping[str, Any] | None) -> Waits | None:
    """The reason of a file that nobody will deliver."""
    if file.left is not None:
        return Waits(file.left, for_good=True)
    left = state["left"]["first"] if state is not None else ()
    for entry in left:
        if entry["path"] == file.path:
            return Waits(entry["why"], for_good=True)
    return None


def _hangs(state: Mapping[str, Any] | None) -> Waits | None:
    """What the daemon was stuck in when it last told of itself."""
    if state is None or not state.get("stuck") or state["phase"] == "stopped":
        return None
    about, at = state["stuck"][0]["about"], state["stuck"][0]["at"]
    if at in OF_NOTHING_OUTSIDE:
        return Waits(f"the daemon stands still ({about}): restart it")
    return Waits(f"the daemon hangs in {about}: look at that disk, mount or store")


def _put_off(file: InInbox, state: Mapping[str, Any]) -> Waits | None:
    for entry in state["put_off"]["first"]:
        if entry["path"] == file.path:
            return Waits(f"attempt {entry['attempt']} follows: {entry['why']}", entry["until"])
    return None
