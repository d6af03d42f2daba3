"""The roots of the folders, and what an OSError below them means."""

import contextlib
import errno
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from hotfolder.adapters.finishing.targets import refused
from hotfolder.beneath import NOT_THERE
from hotfolder.core.errors import AnotherFileSystem, HotfolderError, LocalError, SourceChanged
from hotfolder.core.records import Disposition, JournalRow
from hotfolder.stuck import why_stuck

_FORBIDDEN = frozenset({errno.EACCES, errno.EPERM})


@dataclass(frozen=True, slots=True)
class Roots:
    """The three roots of one folder, absolute."""

    inbox: str
    completed: str
    failed: str


class RootsByFolder:
    """The roots of all folders by name, as rows ask for them."""

    def __init__(self, roots: Mapping[str, Roots]) -> None:
        self._roots = roots

    def inbox(self, folder: str) -> str:
        """Of a folder that is configured."""
        return self._roots[folder].inbox

    def of(self, row: JournalRow) -> tuple[str, str]:
        """The inbox of the row, and the root of its target. Raises `LocalError`."""
        roots = self._roots.get(row.folder)
        if roots is None:
            raise LocalError(
                f"the folder {row.folder!r} of {row.relpath} is not configured any more",
                hint="configure it under its old name until its files are recorded",
            )
        failed = row.disposition is Disposition.FAILED
        return row.root or roots.inbox, roots.failed if failed else roots.completed

    @contextlib.contextmanager
    def refusals(self, row: JournalRow) -> Iterator[None]:
        """What is refused within is raised in words of the row."""
        try:
            yield
        except OSError as error:
            raise self.in_words(row, error) from error

    def in_words(self, row: JournalRow, error: OSError) -> HotfolderError:
        """An OSError in the words of what it means for the row."""
        inbox, target_root = self.of(row)
        if error.errno == errno.EXDEV:
            return AnotherFileSystem(f"{target_root} is on another file system")
        # A missing inbox may be a volume to come; the folder of an `upload` is gone with its file.
        is_gone = bool(row.root) or os.path.isdir(inbox)
        is_gone = is_gone and not os.path.lexists(f"{inbox}/{row.relpath}")
        if error.errno in NOT_THERE and is_gone:
            return SourceChanged(f"{inbox}/{row.relpath} is gone")
        # Shut since it settled: the file's own trouble, which must not hold its folder. Nothing is
        # recorded; it is left until that has changed, and then the store is found to have it.
        stuck = why_stuck(inbox, row.relpath) if error.errno in _FORBIDDEN else None
        if stuck is not None:
            return SourceChanged(f"{row.relpath} cannot leave the inbox: {stuck}")
        return refused(row, target_root, error)
