"""The composition of what outlives a lost `state.db`: files that stay, and files nobody recorded."""

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from hotfolder import durable, trees
from hotfolder.adapters.filters import ignore_filter
from hotfolder.adapters.finishing import tidy
from hotfolder.adapters.scan import folders_below, walk, walk_top
from hotfolder.adapters.state.chores import SqliteChores
from hotfolder.adapters.state.kept import SqliteKept
from hotfolder.adapters.state.names import NameSet
from hotfolder.adapters.state.tidying import SqliteTidying
from hotfolder.beneath import look_for_writers
from hotfolder.catching_up import CatchUp, kept_chore, lost_chore
from hotfolder.config import Folder
from hotfolder.core.naming import is_aside
from hotfolder.core.records import PassedOver
from hotfolder.engine import Engine, Originals, new_operation_id
from hotfolder.folder_rules import grouping_of, marker_of
from hotfolder.staying import Staying
from hotfolder.threads import Threads
from hotfolder.tidying import Tidier, Tidiness
from hotfolder.unrecorded import Outputs, Unrecorded


class Memory:
    """What is remembered of delivered files in `state.db`. Make it with `memory`."""

    def __init__(
        self,
        made: Engine,
        kept: SqliteKept,
        chores: SqliteChores,
        tidying: SqliteTidying,
        threads: Threads,
    ) -> None:
        self._made, self._kept, self._chores, self._threads = made, kept, chores, threads
        self._tidying = tidying

    def staying(self, name: str) -> Staying | None:
        """What stays in the inbox of the folder `name`; None where originals do not stay."""
        folder = self._made.settings.folders[name]
        if folder.on_complete != "leave":
            return None
        return Staying(self._kept, self._threads, folder=name, inbox=str(folder.inbox))

    def tidier(self, name: str) -> Tidier | None:
        """What tidies the inbox of the folder `name`; None where nothing is to be tidied."""
        folder = self._made.settings.folders[name]
        if folder.tidy == "never" or folder.on_complete == "leave":
            return None
        tidiness = Tidiness(
            str(folder.inbox),
            folder.tidy_after,
            folder.tidy == "emptied",
            frozenset(folder.groups if folder.group_by == "top-directory" else ()),
        )
        return Tidier(
            tidiness,
            self._tidying,
            tidy=tidy,
            folders=partial(_folders, folder.inbox),
            threads=self._made.io,
            notes_threads=self._threads,
            clock=time.monotonic,
        )

    def catch_up(self, name: str, staying: Staying | None, batch: str) -> CatchUp:
        """What has to be done for the folder `name` before its first file."""
        made, folder = self._made, self._made.settings.folders[name]
        return CatchUp(
            name,
            self._chores,
            self._threads,
            made.io,
            made.ledger,
            made.mover,
            partial(_entries, folder.inbox, _is_not_aside),
            staying,
            self._unrecorded(name, batch) if folder.on_complete == "move" else None,
        )

    def _unrecorded(self, name: str, batch: str) -> Unrecorded:
        made, folder = self._made, self._made.settings.folders[name]
        return Unrecorded(
            Outputs(
                str(folder.inbox),
                str(folder.completed),
                folder.completed_layout,
                grouping_of(name, folder),
                never_an_original(folder),
                partial(_walk_outputs, folder),
                [n for n, f in made.settings.folders.items() if f.completed == folder.completed],
                trees.look_for_writers if folder.directories == "archive" else look_for_writers,
            ),
            ledger=made.ledger,
            names=NameSet,
            courier=made.courier(name, originals=Originals.IN_PLACE),
            gate=made.lines.to(folder.destination).gate,
            threads=made.io,
            new_operation_id=new_operation_id,
            batch=batch,
            before=made.activity.started_at,
        )


@contextmanager
def memory(made: Engine) -> Iterator[Memory]:
    """Opened, and begun where `state.db` is new. Raises `LocalError`."""
    path = made.settings.state_dir / "state.db"
    threads = Threads("kept", 1)
    with SqliteKept(path) as kept, SqliteChores(path) as chores, SqliteTidying(path) as tidying:
        try:
            folders = made.settings.folders
            chores.begin([chore(name) for name in folders for chore in (kept_chore, lost_chore)])
            yield Memory(made, kept, chores, tidying, threads)
        finally:
            threads.close()


def _folders(inbox: Path) -> Iterator[str]:
    """Every folder below `inbox`. Raises `LocalError`."""
    try:
        yield from folders_below(str(inbox))
    except OSError as error:
        raise durable.local_error("read the folder", inbox, error) from error


def never_an_original(folder: Folder) -> Callable[[str], bool]:
    """What hotfolder does not take by itself, though it may stand in completed/: markers, too."""
    ignored, marker = ignore_filter(folder.ignore, folder.include), marker_of(folder)
    if marker is None:
        return ignored
    return lambda path: ignored(path) or marker.file_of(path) is not None


def _is_not_aside(relpath: str) -> bool:
    return not relpath.endswith("/") and not is_aside(relpath.rpartition("/")[2])


def _walk_outputs(folder: Folder) -> Iterator[str | PassedOver]:
    """What was moved to completed/ as one: every file, or every directory."""
    if not folder.completed.is_dir():
        return
    if folder.directories != "archive":
        yield from _entries(folder.completed, ignore_filter(()))
        return
    dates = "[0-9]" * 4 + "/" + "[0-9]" * 2 + "/" + "[0-9]" * 2
    tops = folder.completed.glob(dates) if folder.completed_layout == "dated" else [folder.completed]
    for top in tops:
        above = f"{top.relative_to(folder.completed)}/" if top != folder.completed else ""
        for entry in _entries(top, ignore_filter(()), walk_top):
            yield f"{above}{entry}" if isinstance(entry, str) else entry


def _entries(
    root: Path,
    ignored: Callable[[str], bool],
    walked: Callable[[str, str, Callable[[str], bool]], Iterable[str | PassedOver]] = walk,
) -> Iterator[str | PassedOver]:
    """All below `root`. Raises `LocalError`."""
    try:
        yield from walked(str(root), "", ignored)
    except OSError as error:
        raise durable.local_error("read the folder", root, error) from error
