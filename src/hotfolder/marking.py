"""Files that wait for their markers, and markers that wait for their files (`ready = "marker"`)."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from hotfolder.core.errors import LocalError
from hotfolder.core.marker import MarkerName, is_of_this_version
from hotfolder.core.records import Fingerprint, Marker

_MOST_NOTED = 20_000  # of each; what is beyond is found by the next walk all the same


@dataclass(frozen=True, slots=True)
class Unmarked:
    """A file without its marker: how big, why it waits, and since when (monotonic seconds)."""

    size: int
    why: str
    since: float


class Marks:
    """Of one folder; without a `name` no file of it needs one. Owned by the event loop.

    Only files that are marked are tracked: a million that are not must not stand in their way.
    """

    def __init__(self, name: MarkerName | None, clock: Callable[[], float]) -> None:
        self._name = name
        self._clock = clock
        self._found: dict[str, Marker] = {}  # of files that settle
        self.unmarked: dict[str, Unmarked] = {}
        self.orphans: dict[str, str] = {}  # marker -> why it stays
        self._fresh: set[str] = set()  # files of which something was noted since the last walk
        self.bytes = 0  # of all that is unmarked

    def markers_of(self, relpaths: Iterable[str]) -> dict[str, str]:
        """Where the marker of each file belongs, if files of this folder have any."""
        return {} if self._name is None else {relpath: self._name.of(relpath) for relpath in relpaths}

    def judge(
        self, relpath: str, seen: Fingerprint | None, mark: Fingerprint | LocalError | None
    ) -> bool:
        """Whether a file that was `seen` is whole by its marker; notes why not, or that it is gone."""
        if self._name is None:
            return True
        known = self.unmarked.get(relpath)
        self.forget(relpath)
        marker = self._name.of(relpath)
        if isinstance(mark, LocalError):
            return False  # the next walk looks again
        if seen is None:
            if mark is not None and len(self.orphans) < _MOST_NOTED:
                self.orphans[marker] = f"the marker of {relpath}, which is not there"
                self._fresh.add(relpath)
            return False
        if mark is not None and is_of_this_version(mark, seen):
            self._found[relpath] = Marker(marker, mark)
            return True
        if len(self.unmarked) < _MOST_NOTED:
            why = f"waiting for {marker}"
            if mark is not None:
                why += f": the one that is there is older than {relpath}; make it anew (touch)"
            self.unmarked[relpath] = Unmarked(seen.size, why, known.since if known else self._clock())
            self.bytes += seen.size
            self._fresh.add(relpath)
        return False

    def forget(self, relpath: str) -> None:
        """Whatever was noted of a file does not hold any more."""
        if self._name is None:
            return
        unmarked = self.unmarked.pop(relpath, None)
        if unmarked is not None:
            self.bytes -= unmarked.size
        self.orphans.pop(self._name.of(relpath), None)
        self._found.pop(relpath, None)
        self._fresh.discard(relpath)

    def take(self, relpath: str) -> Marker | None:
        """The marker of a file that has settled; asked for once."""
        return self._found.pop(relpath, None)

    def stale(self) -> list[str]:
        """After a walk: files of which something is noted that it did not see; they may be gone."""
        if self._name is None:
            return []
        noted = [*self.unmarked, *filter(None, map(self._name.file_of, self.orphans))]
        stale = [relpath for relpath in noted if relpath not in self._fresh]
        self._fresh.clear()
        return stale

    def left(self) -> Mapping[str, str]:
        """Every path that waits for another one -> why."""
        return {**self.orphans, **{path: each.why for path, each in self.unmarked.items()}}
