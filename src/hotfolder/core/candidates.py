"""What may be delivered of an inbox, by the paths that are heard of and walked past. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass

from hotfolder.core.hints import Heard
from hotfolder.core.marker import MarkerName


@dataclass(frozen=True, slots=True)
class Candidate:
    """Something to look at. Not `is_directory`: as far as was heard."""

    relpath: str
    is_directory: bool
    heard: Heard

    @property
    def entry(self) -> str:
        """Its path for filters and groups, to which a directory ends in "/"."""
        return f"{self.relpath}/" if self.is_directory else self.relpath


@dataclass(frozen=True, slots=True)
class Candidates:
    """Of one folder: each file or, if `whole`, each file and directory at the top of the inbox.

    With a `marker` what is heard of a marker is its file's.
    """

    whole: bool = False
    marker: MarkerName | None = None

    def of(self, relpath: str) -> str:
        """What `relpath` is delivered with: itself, or the top directory that holds it."""
        return relpath.partition("/")[0] if self.whole else relpath

    def heard(self, relpath: str, what: Heard) -> Candidate | None:
        """What a hint is about; None if it is nothing to look at."""
        candidate = self.of(relpath)
        is_inside = candidate != relpath
        if is_inside and self.marker is not None:
            return None  # its directory's marker is what counts, and a look takes its time
        if is_inside or what is Heard.DIRECTORY:
            return Candidate(candidate, is_directory=True, heard=Heard.APPEARED)
        return Candidate(self._marked(candidate), is_directory=False, heard=what)

    def walked(self, entries: list[str]) -> Iterable[str]:
        """The paths of what a walk came past, each once."""
        if self.whole:
            entries = [entry.removesuffix("/") for entry in entries]
        return entries if self.marker is None else dict.fromkeys(map(self._marked, entries))

    def _marked(self, relpath: str) -> str:
        file = None if self.marker is None else self.marker.file_of(relpath)
        return file or relpath
