"""Where a file is seen: in flight, in an inbox, in the ledger; and what is told of it there."""

import os
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any

from hotfolder.adapters.control import ask
from hotfolder.adapters.filters import ignore_filter
from hotfolder.adapters.scan import walk, walk_top
from hotfolder.beneath import directory_at, parent_of
from hotfolder.cli.bars import row
from hotfolder.cli.output import ahead, local_time, shown, size, span
from hotfolder.config import Folder, Settings
from hotfolder.core.control import Command, Request
from hotfolder.core.entries import timestamp
from hotfolder.core.errors import HotfolderError, LocalError
from hotfolder.core.marker import MarkerName
from hotfolder.core.records import PassedOver
from hotfolder.core.timeline import (
    PROOFS,
    InInbox,
    Waits,
    events,
    is_id,
    is_named,
    traces_of,
    why_waiting,
)
from hotfolder.state_folder import open_ledger
from hotfolder.trees import see

_MOST_OPERATIONS = 1_000  # that one name may have in the ledger; the newest are shown
_PATIENCE = 5.0  # seconds for the daemon to answer
_STAYS = "delivered; stays in the inbox as on_complete says"

Facts = list[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Sighting:
    """One place where the file was found, in words. `facts` are (word at the left, what is so)."""

    path: str
    when: str
    status: str
    size: int | None
    facts: Facts
    as_json: Mapping[str, Any]


def told_by_daemon(settings: Settings, wanted: str) -> dict[str, Waits]:
    """Path -> why it waits, by the running daemon; nothing where that cannot be asked."""
    request = Request(Command.WHY, os.path.abspath(wanted) if os.path.lexists(wanted) else wanted)
    try:
        files = ask(settings.state_dir, request, timeout=_PATIENCE)["files"]
    except HotfolderError:
        return {}  # not this user's to ask, or an older one: the heartbeat tells the rule
    return {file["path"]: Waits(file["why"], file["until"], file["for_good"]) for file in files}


def _namer(wanted: str) -> Callable[[str], bool]:
    """Whether a path is meant: by all of it, by its end, or as seen from the current directory."""
    whole = os.path.abspath(wanted)
    return lambda path: path == whole or path.endswith(f"/{wanted.strip('/')}")


# -- where it is looked for ------------------------------------------------------------------


def in_flight(state: Mapping[str, Any], wanted: str) -> Iterator[Sighting]:
    is_meant = _namer(wanted)
    for flight in state["active"]:
        if is_meant(flight["path"]) or is_id(flight["operation_id"], wanted):
            told = row(flight, shown(flight["path"]))
            facts = [
                ("now", f"{told.stage}, {told.done} of {told.size}, {told.rate}, ETA {told.eta}"),
                ("since", f"{local_time(flight['started_at'])}, attempt {flight['attempt']}"),
                ("operation", flight["operation_id"]),
                ("group", shown(flight["group"])),
            ]
            if state["hold"] and "waiting to" in flight["stage"]:
                facts.insert(1, ("why", shown(state["hold"])))
            since = local_time(flight["started_at"])
            yield Sighting(flight["path"], since, "in flight", flight["size"], facts, flight)


def waiting(
    settings: Settings,
    state: Mapping[str, Any] | None,
    wanted: str,
    delivered: Collection[str],
    *,
    living: bool,
    told: Mapping[str, Waits],
) -> Iterator[Sighting]:
    """`delivered`: files that stand where they were dropped, just as they were delivered.

    `told`: what the daemon says of single files.
    """
    for folder in settings.folders.values():
        for entry, odd in _in_inbox(folder, wanted):
            relpath = entry.removesuffix("/")
            path = f"{folder.inbox}/{relpath}"
            try:
                with parent_of(str(folder.inbox), relpath) as (above, name):
                    seen = os.stat(name, dir_fd=above, follow_symlinks=False)
            except OSError:
                continue  # moved on meanwhile
            file = InInbox(
                path=path,
                size=None if entry.endswith("/") else seen.st_size,
                changed_at=seen.st_ctime,
                left=_why_left(folder, entry, seen.st_size, odd),
                settle=folder.settle,
                rescan=folder.rescan,
                bucket=folder.destination.bucket,
            )
            of_its_own = told.get(path) or (
                _without_files(folder, relpath) if entry != relpath else None
            )
            waits = why_waiting(file, state, time.time(), living=living, told=of_its_own)
            if folder.on_complete == "leave" and path in delivered:
                waits = Waits(_STAYS, for_good=True)
            if waits is not None:
                yield _waiting_sighting(file, waits)


def _in_inbox(folder: Folder, wanted: str) -> Iterator[tuple[str, str]]:
    """(path below it, why it is never opened or "") of what stands in an inbox and is meant.

    A directory that is delivered as one ends in "/".
    """
    inbox, is_meant = str(folder.inbox), _namer(wanted)
    walk_of = walk_top if folder.directories == "archive" else walk
    try:
        for entry in walk_of(inbox, "", lambda _: False):
            relpath, odd = (entry.relpath, entry.why) if isinstance(entry, PassedOver) else (entry, "")
            if is_meant(f"{inbox}/{relpath.removesuffix('/')}"):
                yield relpath, odd
    except FileNotFoundError:
        return  # a volume that is not mounted; `_not_found` says so
    except OSError as error:
        raise LocalError(
            f"cannot look into {inbox}: {error.strerror}", hint="let this user read the inbox"
        ) from error


def _why_left(folder: Folder, relpath: str, size: int, odd: str) -> str | None:
    """Why the folder does not take the entry; None if it does. `odd`: it is never opened."""
    if folder.ready == "marker":
        file = MarkerName(folder.marker).file_of(relpath)
        if file is not None:
            there = os.path.lexists(f"{folder.inbox}/{file}")
            what = ": it goes where that file goes" if there else ", which is not there"
            return f"the marker of {file}{what}"
    ignored = ignore_filter(folder.ignore, folder.include).why(relpath)
    if ignored is not None:
        return f"it is left alone: {ignored}"
    # The size of a directory as one is known to those alone who look through all of it.
    return odd or (None if relpath.endswith("/") else folder.sizes.refusal(size))


def _without_files(folder: Folder, relpath: str) -> Waits | None:
    """What a directory that is delivered as one waits for as long as it is nothing but directories."""
    try:
        is_empty = next(iter(walk(str(folder.inbox), relpath, lambda _: False)), None) is None
    except OSError:
        return None  # it is gone meanwhile, or not readable here: who waits for it says why
    return Waits("no file is in it yet") if is_empty else None


def _waiting_sighting(file: InInbox, waits: Waits) -> Sighting:
    facts = [
        ("now", "stays in the inbox" if waits.for_good else "waits in the inbox"),
        ("why", shown(waits.why)),
    ]
    if waits.until is not None:
        facts.append(("until", f"{local_time(waits.until)} ({ahead(waits.until)})"))
    if file.size is not None:
        facts.append(("size", size(file.size)))
    facts.append(("changed", local_time(file.changed_at)))
    as_json = {
        "path": file.path,
        "size": file.size,
        "changed_at": timestamp(file.changed_at),
        "why": waits.why,
        "until": None if waits.until is None else timestamp(waits.until),
        "for_good": waits.for_good,
    }
    status = "left" if waits.for_good else "waiting"
    return Sighting(file.path, local_time(file.changed_at), status, file.size, facts, as_json)


def recorded(settings: Settings, wanted: str) -> Iterator[Sighting]:
    whole = os.path.abspath(wanted)
    matches = (
        entry
        for entry in open_ledger(settings).newest_first(traces_of(wanted))
        if is_named(entry, wanted) or entry["target_path"] == whole or _is_place(entry, whole)
    )
    for entry in islice(matches, _MOST_OPERATIONS):
        place = _original(entry)
        there = None if place is None else is_there(place, entry)
        yield Sighting(
            entry["target_path"] or "",
            local_time(entry["completed_at"]),
            entry["status"],
            entry.get("original_size"),
            _operation_facts(entry, place, there),
            {**entry, "original_at": place, "original_is": there},
        )


def _is_place(entry: Mapping[str, Any], path: str) -> bool:
    return path in (entry["result_path"], entry.get("completed_dir_path"))


def _original(entry: Mapping[str, Any]) -> str | None:
    """Where the original of an upload was when its line was written."""
    if entry["operation_type"] != "upload":
        return None
    if entry["status"] == "failed":
        return entry["result_path"] or str(entry["target_path"])
    return entry["completed_dir_path"] or str(entry["target_path"])


def is_kept(told: Mapping[str, Any]) -> bool:
    """Whether an operation, told with `original_is`, delivered what stands where it was dropped."""
    return (
        told["status"] in {"success", "skipped"}
        and told["original_at"] == told["target_path"]
        and told["original_is"] == "there"
    )


def is_there(place: str, entry: Mapping[str, Any]) -> str:
    """What stands now where the original was: "there", "changed", "gone", or "unknown"."""
    try:
        with directory_at(os.path.dirname(place), "") as above:
            seen = see(above, os.path.basename(place))
    except (FileNotFoundError, NotADirectoryError):
        return "gone"
    except OSError:  # said as such: this user may not look there
        return "unknown"
    then = (entry["original_size"], entry["modified_at_ns"], bool(entry.get("is_directory")))
    same = seen is not None and (seen.size, seen.mtime_ns, bool(seen.tree)) == then
    return "there" if same else "changed"


# -- in words ----------------------------------------------------------------------------------

_THERE = {
    "there": "",
    "changed": "  (another file, or it was changed since)",
    "gone": "  (not there any more)",
    "unknown": "  (this user may not look there)",
}


def _operation_facts(entry: Mapping[str, Any], place: str | None, there: str | None) -> Facts:
    facts: Facts = [(local_time(moment), what) for moment, what in events(entry)]
    took = entry["duration_seconds"]
    facts += [("", ""), ("status", f"{entry['status']}, took {span(took)}")]
    if entry["error_message"]:
        facts.append(("reason", shown(entry["error_message"])))
    if place is not None and there is not None:
        facts.append(("now at", shown(place) + _THERE[there]))
    kept = entry.get("compressed_file_path")
    if kept:
        facts.append(("packed at", shown(kept)))
    key = entry.get("s3_object_key")
    if key:
        facts += [("object", shown(f"s3://{entry['s3_bucket']}/{key}"))]
    facts += _sizes(entry)
    proof = entry.get("verification")
    if proof:
        facts.append(("proof", f"{proof}: {PROOFS.get(proof, 'as the ledger words it')}"))
    named = {
        "ETag": "checksum_s3_etag",
        "version": "s3_version_id",
        "class": "s3_storage_class",
        "parts": "parts",
        "attempts": "attempts",
        "sha256": "checksum_original",
        "as packed": "checksum_compressed",
        "group": "group",
        "folder": "folder",
        "owner": "user",
    }
    facts += [(word, shown(entry[name])) for word, name in named.items() if entry.get(name) is not None]
    facts.append(("operation", entry["operation_id"]))
    return [(word, fact.removeprefix("sha256:")) for word, fact in facts]


def _sizes(entry: Mapping[str, Any]) -> Facts:
    original, packed = entry.get("original_size"), entry.get("compressed_size")
    if original is None:
        return []
    facts = [("size", _whole_size(original))]
    if packed is not None:
        ratio = entry["compression_ratio"]
        told = "" if ratio is None else f", ratio {ratio:.2f}"
        form = entry["metadata"].get("format", entry["compression_type"])
        facts.append(("packed", f"{_whole_size(packed)}, {form}{told}"))
    return facts


def _whole_size(count: int) -> str:
    return size(count) if count < 1_000 else f"{size(count)} ({count} bytes)"
