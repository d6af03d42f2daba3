"""The thread that listens to one inbox: reads events, and sets a watch on every directory.

Both in one thread, in turns, so that no lock and no order of threads decides what is seen. A directory
is watched first and looked into then: what was put there before is seen, what comes after is heard.
"""

import errno
import math
import os
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import NamedTuple, ParamSpec

from watchdog.observers.inotify_c import InotifyConstants as In

from hotfolder.adapters.watching.hints import Hints
from hotfolder.adapters.watching.inotify import DIRECTORY, OPENED, ROOT, Event, Inotify
from hotfolder.adapters.watching.tree import Node, Tree
from hotfolder.beneath import NOT_THERE, directory_at, is_too_deep
from hotfolder.core.hints import Heard, note
from hotfolder.core.watching import Hearing

P = ParamSpec("P")

_SLICE = 50  # directories planted between two looks at the events
_FLOOD = 0.005  # seconds: events that are less apart are gathered for as long; the kernel keeps 16,384
_MOST_HEARD = 10_000  # paths that are kept until they are handed on
_MOST_UNWATCHED = 50  # parts that are named; beyond that the whole inbox is one
_CLOCKS_APART = 2.0  # seconds: a directory's time is that of the last tick, or that of a coarse clock
_NOT_OURS = NOT_THERE | {errno.EACCES, errno.EPERM}  # the scan says what cannot be read
_ENDS = {
    int(In.IN_DELETE_SELF): "the inbox was removed",
    int(In.IN_UNMOUNT): "the volume of the inbox was unmounted",
    int(In.IN_MOVE_SELF): "the inbox was moved away",
    int(In.IN_IGNORED): "the kernel ended the watch of the inbox",
}


class _Planting(NamedTuple):
    """A directory to be watched with all below it. `heard`: what to tell of its files, if at all."""

    parent: Node
    name: str
    heard: Heard | None


class Listener(threading.Thread):
    """Make it (sets the watch on the inbox itself, raises OSError), `start` it, `stop` it."""

    def __init__(
        self,
        root: str,
        hints: Hints,
        *,
        deaf: frozenset[str],
        inotify: Inotify | None = None,
        wall: Callable[[], float] = time.time,
    ) -> None:
        """`deaf`: directories, relative to the root, that are left out; `wall`: epoch seconds."""
        super().__init__(name="watch", daemon=True)
        self._root, self._hints, self._deaf, self._wall = root, hints, deaf, wall
        self._inotify = inotify or Inotify()
        try:
            self._tree = Tree(self._watch("", ROOT))
        except BaseException:
            self._inotify.close()
            raise
        self._planting: deque[_Planting] = deque()
        self._orders: deque[Callable[[], None]] = deque()
        self._heard: dict[str, Heard] = {}
        self._unwatched: set[str] = set()
        self._told_unwatched: tuple[str, ...] = ()
        self._obstacle: str | None = None
        self._survey, self._is_surveying = 0, False
        self._overflows = self._faults = self._events = self._answered = self._asked = self._sung = 0
        self._fault: str | None = None
        self._dead: str | None = None
        self._turned_at = -math.inf
        self._lock, self._ended = threading.Lock(), False
        self.surveyed = threading.Event()
        self._begin_survey()

    # -- from other threads ------------------------------------------------------------------------

    def hearing(self) -> Hearing:
        """What it says of itself."""
        dead = self._dead
        if dead is None and self._ended:
            dead = "its thread ended"
        return Hearing(
            directories=len(self._tree),
            to_come=len(self._planting),
            surveys=self._survey - self._is_surveying,
            answered=self._answered,
            events=self._events,
            overflows=self._overflows,
            faults=self._faults,
            fault=self._fault,
            dead=dead,
            unwatched=self._told_unwatched,
            obstacle=self._obstacle,
        )

    def order(self, work: Callable[[], None]) -> None:
        """Have `work` done in this thread."""
        self._orders.append(work)
        self._nudge()

    def stop(self) -> None:
        """End it, and wait a moment for that."""
        self.order(self._finish)
        if self.is_alive():
            self.join(timeout=5)

    # -- orders ------------------------------------------------------------------------------------

    def sing(self, number: int) -> None:
        """Prove that events arrive: open the inbox, which makes one. Nothing is written."""
        try:
            if self._watch("", ROOT | OPENED) != self._tree.root.number:
                self._dead = "another directory is at the path of the inbox now"
                return
            self._asked = number
            self._watch("", ROOT)  # opens it as well, before it takes the wish back
        except OSError:
            return  # it is not there now, which is noticed elsewhere

    def leave_out(self, deaf: frozenset[str]) -> None:
        self._deaf = deaf

    def replant(self, relpath: str) -> None:
        """Another file system is at `relpath` now, or none."""
        above, _, name = relpath.rpartition("/")
        parent, node = self._tree.find(above), self._tree.find(relpath)
        if node is not None and node is not self._tree.root:
            self._unwatch(self._tree.cut(node))
        if parent is not None:
            self._planting.append(_Planting(parent, name, Heard.APPEARED))

    def retry(self) -> None:
        """Try once more to watch what could not be."""
        unwatched, self._unwatched = self._unwatched, set()
        if "" in unwatched:
            self._begin_survey()
            return
        for relpath in unwatched:
            above, _, name = relpath.rpartition("/")
            parent = self._tree.find(above)
            if parent is not None:
                self._planting.append(_Planting(parent, name, Heard.APPEARED))

    # -- the thread --------------------------------------------------------------------------------

    def run(self) -> None:
        try:
            while not self._ended:
                self._turn()
        except OSError as error:
            self._dead = f"its events cannot be read: {error.strerror}"
        finally:
            with self._lock:
                self._ended = True
                self._inotify.close()
            self.surveyed.set()
            self._hints.stir()

    def _turn(self) -> None:
        has_work = self._planting or self._orders or self._is_surveying
        self._inotify.wait(0 if has_work else None)
        if not has_work and time.monotonic() - self._turned_at < _FLOOD:
            time.sleep(
                _FLOOD
            )  # they come one behind the other: a turn for each would cost ten times as much
        for event in self._inotify.read():
            self._guarded(self._on, event)
        while self._orders:
            self._guarded(self._orders.popleft())
        for _ in range(min(_SLICE, len(self._planting))):
            self._guarded(self._plant_next)
        if self._is_surveying and not self._planting:
            self._end_survey()
        self._pass_on()
        self._answered = self._sung  # what came before it was told
        if not self._planting and not self._is_surveying:  # else it is not known yet
            self._told_unwatched = tuple(sorted(self._unwatched))
        if self._dead is not None:
            self._ended = True
        self._turned_at = time.monotonic()

    def _guarded(self, work: Callable[P, None], *args: P.args, **kwargs: P.kwargs) -> None:
        """Whatever is wrong with one event, the next ones are heard; a survey makes up for it."""
        try:
            work(*args, **kwargs)
        except Exception as error:  # noqa: BLE001  # it is told, and ends nothing
            self._faults += 1
            self._fault = f"{type(error).__name__}: {error}"
            if not self._is_surveying:
                self._begin_survey()

    def _on(self, event: Event) -> None:
        self._events += 1
        if event.has(In.IN_Q_OVERFLOW):
            self._overflows += 1
            self._begin_survey()
            return
        node = self._tree.at(event.number)
        if node is None:
            return  # of a watch that was ended
        if event.name:
            self._on_entry(event, node)
        elif node is self._tree.root:
            self._on_root(event)
        elif event.has(In.IN_IGNORED | In.IN_UNMOUNT):
            self._unwatch(self._tree.cut(node))
        elif event.has(In.IN_MOVE_SELF) and node.parent is not None:
            # Within the inbox its new place came first; what is not at its place now has left.
            self._planting.append(_Planting(node.parent, node.name, Heard.COMPLETED))

    def _on_root(self, event: Event) -> None:
        if event.has(In.IN_OPEN):
            self._sung = self._asked
        for flag, what in _ENDS.items():
            if self._dead is None and event.has(flag):
                self._dead = what

    def _on_entry(self, event: Event, node: Node) -> None:
        name = os.fsdecode(event.name)
        is_whole = event.has(In.IN_CLOSE_WRITE | In.IN_MOVED_TO)
        if not event.has(In.IN_CREATE) and not is_whole:
            return  # opened, while a canary was asked
        heard = Heard.COMPLETED if is_whole else Heard.APPEARED
        if not event.has(In.IN_ISDIR):
            self._tell(self._tree.path(node, name), heard)
            return
        self._planting.append(_Planting(node, name, heard))
        if node is self._tree.root:
            self._tell(name, Heard.DIRECTORY)

    def _tell(self, relpath: str, heard: Heard) -> None:
        note(self._heard, relpath, heard)
        if len(self._heard) >= _MOST_HEARD:
            self._pass_on()

    def _pass_on(self) -> None:
        heard, self._heard = self._heard, {}
        if heard:
            self._hints.add(heard)

    # -- planting ----------------------------------------------------------------------------------

    def _begin_survey(self) -> None:
        self._survey += 1
        self._is_surveying = True
        self._unwatched.clear()
        self._planting.clear()
        self._tree.root.seen = self._survey
        self._began = self._wall()
        try:
            with directory_at(self._root, "") as directory:
                self._look_into(self._tree.root, None, directory)
        except OSError as error:
            if error.errno not in _NOT_OURS:
                self._leave_unwatched("", error)

    def _end_survey(self) -> None:
        if "" not in self._unwatched:  # else it was broken off
            for node in self._tree.unseen(self._survey):
                if self._tree.holds(node):
                    self._unwatch(self._tree.cut(node))
        self._is_surveying = False
        self.surveyed.set()
        self._hints.stir()

    def _plant_next(self) -> None:
        parent, name, heard = self._planting.popleft()
        relpath = self._tree.path(parent, name)
        if not self._tree.holds(parent) or relpath in self._deaf or is_too_deep(relpath):
            return
        try:
            with directory_at(self._root, relpath) as directory:
                self._plant(parent, name, heard, directory)
        except OSError as error:
            if error.errno in _NOT_OURS:
                gone = self._tree.find(relpath)
                self._unwatch(self._tree.cut(gone) if gone is not None else [])
            else:
                self._leave_unwatched(relpath, error)

    def _plant(self, parent: Node, name: str, heard: Heard | None, directory: int) -> None:
        """Watch the directory that is open, and look into it."""
        relpath = self._tree.path(parent, name)
        number = self._inotify.watch(directory, DIRECTORY)
        node, is_new, dropped = self._tree.put(parent, name, number)
        self._unwatch(dropped)
        if not self._tree.holds(node):
            self._begin_survey()  # what we knew of the tree contradicts what is there
            return
        self._unwatched.discard(relpath)
        if is_new or node.seen < self._survey:
            node.seen = self._survey
            self._look_into(node, heard, directory)

    def _look_into(self, node: Node, heard: Heard | None, directory: int) -> None:
        """Plant what is in the directory that is open, and tell of its files, if at all."""
        told = heard
        if heard is None and node is not self._tree.root and self._changed_lately(directory):
            told = Heard.APPEARED  # the walk may have been here before them
        with os.scandir(directory) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    self._planting.appendleft(_Planting(node, entry.name, heard))
                elif told is not None:
                    self._tell(self._tree.path(node, entry.name), told)

    def _changed_lately(self, directory: int) -> bool:
        """Whether names came or went there since the survey began."""
        return os.fstat(directory).st_mtime >= self._began - _CLOCKS_APART

    def _leave_unwatched(self, relpath: str, error: OSError) -> None:
        self._obstacle = error.strerror
        self._unwatched.add(relpath)
        if len(self._unwatched) > _MOST_UNWATCHED:
            self._unwatched = {""}
        if "" in self._unwatched and self._is_surveying:
            self._planting.clear()  # the rest fares no better

    def _watch(self, relpath: str, mask: int) -> int:
        with directory_at(self._root, relpath) as directory:
            return self._inotify.watch(directory, mask)

    def _unwatch(self, numbers: list[int]) -> None:
        for number in numbers:
            self._inotify.unwatch(number)

    # -- its end -----------------------------------------------------------------------------------

    def _finish(self) -> None:
        self._ended = True

    def _nudge(self) -> None:
        with self._lock:
            if not self._ended:
                self._inotify.wake()
