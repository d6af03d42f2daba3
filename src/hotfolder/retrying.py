"""Putting failed files back where they were dropped. Blocking: it reads the ledger backward."""

import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Protocol

import structlog

from hotfolder.core.control import Request
from hotfolder.core.errors import HotfolderError
from hotfolder.core.jsonline import spellings
from hotfolder.core.marker import MarkerName
from hotfolder.core.records import Status
from hotfolder.core.timeline import is_named, traces_of

log = structlog.get_logger()


class PutBack(Protocol):
    """Moves `place` below `failed` to `relpath` below `inbox`, durably and without clobbering.

    Raises `HotfolderError` where it is not what has `size` and `mtime_ns`, or the name is taken.
    """

    def __call__(
        self, failed: str, place: str, inbox: str, relpath: str, *, size: int, mtime_ns: int
    ) -> None: ...


@dataclass(frozen=True, slots=True)
class WayBack:
    """Where files of one folder are dropped, and where its failed ones lie. Absolute.

    `marker`: what markers are called that come back with them, if the folder waits for such.
    """

    inbox: str
    failed: str
    marker: MarkerName | None = None


@dataclass(frozen=True, slots=True)
class Retried:
    """A failed file: put back to `path`, or still in `was_at` for the reason `why`."""

    path: str
    was_at: str
    why: str | None = None

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


class Retrying:
    """`newest_first` is the ledger's; `put_back` is the only thing here that moves a file."""

    def __init__(
        self,
        newest_first: Callable[[list[bytes]], Iterator[Mapping[str, Any]]],
        put_back: PutBack,
        ways: Mapping[str, WayBack],
    ) -> None:
        self._newest_first, self._put_back, self._ways = newest_first, put_back, ways

    def run(self, request: Request) -> list[Retried]:
        """Put back every failed file that `request` means; each with what became of it."""
        return [self._one(entry) for entry in self._failed(request)]

    def _failed(self, request: Request) -> Iterator[Mapping[str, Any]]:
        """The newest failed line of each place where a file still lies."""
        traces = traces_of(request.wanted) if request.wanted else sorted(spellings(Status.FAILED))
        seen: set[str] = set()
        for entry in self._newest_first(traces):
            place = entry.get("result_path")
            if entry.get("status") != Status.FAILED or not place or place in seen:
                continue
            if _means(request, entry) and entry.get("folder") in self._ways and os.path.lexists(place):
                seen.add(place)
                yield entry

    def _one(self, entry: Mapping[str, Any]) -> Retried:
        place, path = str(entry["result_path"]), str(entry["target_path"])
        way = self._ways[entry["folder"]]
        size, mtime_ns = entry["original_size"], entry["modified_at_ns"]
        try:
            failed = _below(way.failed, place, "failed")
            relpath = _below(way.inbox, path, "inbox")
            self._put_back(way.failed, failed, way.inbox, relpath, size=size, mtime_ns=mtime_ns)
        except HotfolderError as error:
            log.warning("retry.refused", file=place, reason=error.sentence)
            return Retried(path, place, error.sentence)
        log.info("retry.put_back", file=path, was_at=place)
        if way.marker is not None:
            self._put_marker_back(way, way.marker.of(failed), way.marker.of(relpath))
        return Retried(path, place)

    def _put_marker_back(self, way: WayBack, failed: str, relpath: str) -> None:
        """Behind its file, so that it is the younger one. Without it the file waits for a new one."""
        place = f"{way.failed}/{failed}"
        try:
            seen = os.lstat(place)
        except OSError as error:
            log.warning("retry.refused", file=place, reason=f"no marker: {error.strerror}")
            return
        size, mtime_ns = seen.st_size, seen.st_mtime_ns
        try:
            self._put_back(way.failed, failed, way.inbox, relpath, size=size, mtime_ns=mtime_ns)
        except HotfolderError as error:
            log.warning("retry.refused", file=place, reason=error.sentence)


def _means(request: Request, entry: Mapping[str, Any]) -> bool:
    if request.wanted:
        return is_named(entry, request.wanted)
    return request.everything or entry.get("group") == request.group


def _below(root: str, path: str, key: str) -> str:
    relpath = path.removeprefix(f"{root}/")
    if relpath == path:
        raise HotfolderError(
            f"{path} is not below {root}, which is the folder's `{key}` now", hint="move it by hand"
        )
    return relpath
