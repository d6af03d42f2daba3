"""watchdog: hints that something happened in an inbox. Hints may be lost; the scan is the truth."""

import logging
import os
import warnings
from collections import deque
from collections.abc import Callable

from watchdog.events import (
    DirCreatedEvent,
    DirMovedEvent,
    FileClosedEvent,
    FileCreatedEvent,
    FileMovedEvent,
    FileSystemEvent,
    FileSystemEventHandler,
)
from watchdog.observers import Observer
from watchdog.observers.api import BaseObserver
from watchdog.observers.inotify_move_event_grouper import InotifyMoveEventGrouper

from hotfolder.core.errors import LocalError
from hotfolder.core.hints import Heard

_EVENTS: list[type[FileSystemEvent]] = [
    FileClosedEvent,
    FileMovedEvent,
    FileCreatedEvent,
    DirCreatedEvent,
    DirMovedEvent,
]
_MOST_HINTS = 100_000  # more than this between two turns of the loop, and a scan is cheaper


def _is_no_stop(record: logging.LogRecord) -> bool:
    # watchdog calls it an error when it is stopped while an event is on its way.
    return "called when the thread is inactive" not in record.getMessage()


logging.getLogger("watchdog.observers.inotify").addFilter(_is_no_stop)
# For half a second watchdog holds back all that follows a name that left the inbox, in case it comes
# back under another one; and whatever we deliver leaves it. The kernel tells both in one breath.
InotifyMoveEventGrouper.delay = 0.01
# watchdog reaches a new directory by its event and by its parent's walk, and warns that it did.
warnings.filterwarnings("ignore", r"Callback with id .* already exists for watch", RuntimeWarning)


def _heard(event: FileSystemEvent) -> Heard:
    if event.is_directory:
        return Heard.DIRECTORY
    is_complete = isinstance(event, FileClosedEvent | FileMovedEvent)
    return Heard.COMPLETED if is_complete else Heard.APPEARED


class _Handler(FileSystemEventHandler):
    def __init__(self, root: str, take: Callable[[str, Heard], None]) -> None:
        self._root = root
        self._take = take

    def dispatch(self, event: FileSystemEvent) -> None:
        path = os.fsdecode(event.dest_path or event.src_path)
        if path.startswith(f"{self._root}/"):
            self._take(path[len(self._root) + 1 :], _heard(event))


class Watcher:
    """Watches one inbox with all that is below it. `wake` is called from watchdog's thread, at most
    once until the next `take`.
    """

    def __init__(self, root: str, wake: Callable[[], object]) -> None:
        self._root = root
        self._wake = wake
        self._hints: deque[tuple[str, Heard]] = deque()
        self._lost_some = False
        self._observer: BaseObserver | None = None

    def start(self) -> None:
        """Begin to watch. Blocking: sets a watch on every directory. Raises `LocalError`."""
        observer = Observer()
        observer.schedule(
            _Handler(self._root, self._add), self._root, recursive=True, event_filter=_EVENTS
        )
        try:
            observer.start()
        except OSError as error:
            raise LocalError(
                f"cannot watch {self._root}: {error.strerror}",
                hint="raise fs.inotify.max_user_watches and max_user_instances; scans go on meanwhile",
            ) from error
        self._observer = observer

    def stop(self) -> None:
        """End watching; harmless if it never began. Blocking, a moment."""
        if self._observer is not None:
            self._observer.stop()
            self._observer.join(timeout=5)
            self._observer = None

    def take(self) -> list[tuple[str, Heard]]:
        """The hints since the last call: path relative to the root, and what happened there."""
        return [self._hints.popleft() for _ in range(len(self._hints))]

    def lost_some(self) -> bool:
        """Whether more happened since the last call than is kept, so that only a scan can tell."""
        lost, self._lost_some = self._lost_some, False
        return lost

    def _add(self, relpath: str, heard: Heard) -> None:
        was_empty = not self._hints
        if len(self._hints) < _MOST_HINTS:
            self._hints.append((relpath, heard))
        else:
            self._lost_some = True
        if was_empty:
            self._wake()
