"""The thread that listens to one inbox: reads events, and has a watch set on every directory (`plants`).

Both in one thread, in turns, so that no lock and no order of threads decides what is seen.
"""

import math
import os
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import ParamSpec

from watchdog.observers.inotify_c import InotifyConstants as In

from hotfolder.adapters.watching.hints import Hints
from hotfolder.adapters.watching.inotify import OPENED, ROOT, Event, Inotify
from hotfolder.adapters.watching.plants import Plants
from hotfolder.adapters.watching.tree import Node, Tree
from hotfolder.beneath import directory_at
from hotfolder.core.hints import Heard, note
from hotfolder.core.watching import Hearing

P = ParamSpec("P")

_SLICE = 50  # directories planted between two looks at the events
_FLOOD = 0.005  # seconds: events that are less apart are gathered for as long; the kernel keeps 16,384
_MOST_HEARD = 10_000  # paths that are kept until they are handed on
_ENDS = {
    int(In.IN_DELETE_SELF): "the inbox was removed",
    int(In.IN_UNMOUNT): "the volume of the inbox was unmounted",
    int(In.IN_MOVE_SELF): "the inbox was moved away",
    int(In.IN_IGNORED): "the kernel ended the watch of the inbox",
}


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
        self._root, self._hints = root, hints
        self._heard: dict[str, Heard] = {}
        self.surveyed = threading.Event()
        self._inotify = inotify or Inotify()
        try:
            self._tree = Tree(self._watch("", ROOT))
        except BaseException:
            self._inotify.close()
            raise
        self.plants = Plants(
            root,
            self._inotify,
            self._tree,
            tell=self._tell,
            surveyed=self._tell_survey,
            deaf=deaf,
            wall=wall,
        )
        self._orders: deque[Callable[[], None]] = deque()
        self._overflows = self._faults = self._events = self._answered = self._asked = self._sung = 0
        self._fault: str | None = None
        self._dead: str | None = None
        self._turned_at = -math.inf
        self._lock, self._ended = threading.Lock(), False
        self.plants.begin_survey()

    # -- from other threads ------------------------------------------------------------------------

    def hearing(self) -> Hearing:
        """What it says of itself."""
        dead = self._dead
        if dead is None and self._ended:
            dead = "its thread ended"
        return Hearing(
            directories=len(self._tree),
            to_come=self.plants.to_come,
            surveys=self.plants.surveys,
            answered=self._answered,
            events=self._events,
            overflows=self._overflows,
            faults=self._faults,
            fault=self._fault,
            dead=dead,
            unwatched=self.plants.unwatched,
            obstacle=self.plants.obstacle,
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
        plants = self.plants
        has_work = plants.to_come or self._orders or plants.is_surveying
        self._inotify.wait(0 if has_work else None)
        if not has_work and time.monotonic() - self._turned_at < _FLOOD:
            time.sleep(
                _FLOOD
            )  # they come one behind the other: a turn for each would cost ten times as much
        for event in self._inotify.read():
            self._guarded(self._on, event)
        while self._orders:
            self._guarded(self._orders.popleft())
        for _ in range(min(_SLICE, plants.to_come)):
            self._guarded(plants.plant_next)
        if plants.is_surveying and not plants.to_come:
            plants.end_survey()
        self._pass_on()
        self._answered = self._sung  # what came before it was told
        plants.tell_unwatched()
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
            if not self.plants.is_surveying:
                self.plants.begin_survey()

    def _on(self, event: Event) -> None:
        self._events += 1
        if event.has(In.IN_Q_OVERFLOW):
            self._overflows += 1
            self.plants.begin_survey()
            return
        node = self._tree.at(event.number)
        if node is None:
            return  # of a watch that was ended
        if event.name:
            self._on_entry(event, node)
        elif node is self._tree.root:
            self._on_root(event)
        elif event.has(In.IN_IGNORED | In.IN_UNMOUNT):
            self.plants.cut(node)
        elif event.has(In.IN_MOVE_SELF) and node.parent is not None:
            # Within the inbox its new place came first; what is not at its place now has left.
            self.plants.add(node.parent, node.name, Heard.COMPLETED)

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
        self.plants.add(node, name, heard)
        if node is self._tree.root:
            self._tell(name, Heard.DIRECTORY)

    def _tell_survey(self) -> None:
        self.surveyed.set()
        self._hints.stir()

    def _tell(self, relpath: str, heard: Heard) -> None:
        note(self._heard, relpath, heard)
        if len(self._heard) >= _MOST_HEARD:
            self._pass_on()

    def _pass_on(self) -> None:
        heard, self._heard = self._heard, {}
        if heard:
            self._hints.add(heard)

    def _watch(self, relpath: str, mask: int) -> int:
        with directory_at(self._root, relpath) as directory:
            return self._inotify.watch(directory, mask)

    # -- its end -----------------------------------------------------------------------------------

    def _finish(self) -> None:
        self._ended = True

    def _nudge(self) -> None:
        with self._lock:
            if not self._ended:
                self._inotify.wake()
