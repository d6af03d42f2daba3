"""Which directories of an inbox are watched: planted with all below them, and surveyed after a loss.

A directory is watched first and looked into then: what was put there before is seen, what comes after
is heard.
"""

import errno
import os
from collections import deque
from collections.abc import Callable
from typing import NamedTuple

from hotfolder.adapters.watching.inotify import DIRECTORY, Inotify
from hotfolder.adapters.watching.tree import Node, Tree
from hotfolder.beneath import NOT_THERE, directory_at, is_too_deep
from hotfolder.core.hints import Heard

_MOST_UNWATCHED = 50  # parts that are named; beyond that the whole inbox is one
_CLOCKS_APART = 2.0  # seconds: a directory's time is that of the last tick, or that of a coarse clock
_NOT_OURS = NOT_THERE | {errno.EACCES, errno.EPERM}  # the scan says what cannot be read


class _Planting(NamedTuple):
    """A directory to be watched with all below it. `heard`: what to tell of its files, if at all."""

    parent: Node
    name: str
    heard: Heard | None


class Plants:
    """Of one inbox, whose own watch is that of the `tree`'s root. Owned by the thread that listens.

    `tell` is given the files that a directory holds. `deaf`: directories, relative to the root, that are
    left out; `wall`: epoch seconds. `surveyed` is called when a survey is done.
    Other threads may look at `to_come`, `surveys`, `unwatched` and `obstacle`.
    """

    def __init__(
        self,
        root: str,
        inotify: Inotify,
        tree: Tree,
        *,
        tell: Callable[[str, Heard], None],
        surveyed: Callable[[], None],
        deaf: frozenset[str],
        wall: Callable[[], float],
    ) -> None:
        self._root, self._inotify, self.tree = root, inotify, tree
        self._tell, self._surveyed, self._deaf, self._wall = tell, surveyed, deaf, wall
        self._planting: deque[_Planting] = deque()
        self._unwatched: set[str] = set()
        self.unwatched: tuple[str, ...] = ()  # parts that cannot be watched
        self.obstacle: str | None = None
        self._survey, self.is_surveying = 0, False

    # -- what is asked of it ------------------------------------------------------------------------

    @property
    def to_come(self) -> int:
        """Directories that are still to be planted."""
        return len(self._planting)

    @property
    def surveys(self) -> int:
        """How many surveys are done."""
        return self._survey - self.is_surveying

    def tell_unwatched(self) -> None:
        """Let `unwatched` be what is known now."""
        if not self._planting and not self.is_surveying:  # else it is not known yet
            self.unwatched = tuple(sorted(self._unwatched))

    def add(self, parent: Node, name: str, heard: Heard | None) -> None:
        """The directory `name` in `parent` is to be watched; its files are told as `heard`."""
        self._planting.append(_Planting(parent, name, heard))

    def cut(self, node: Node) -> None:
        """It is gone, with all below it."""
        self._unwatch(self.tree.cut(node))

    def leave_out(self, deaf: frozenset[str]) -> None:
        self._deaf = deaf

    def replant(self, relpath: str) -> None:
        """Another file system is at `relpath` now, or none."""
        above, _, name = relpath.rpartition("/")
        parent, node = self.tree.find(above), self.tree.find(relpath)
        if node is not None and node is not self.tree.root:
            self.cut(node)
        if parent is not None:
            self.add(parent, name, Heard.APPEARED)

    def retry(self) -> None:
        """Try once more to watch what could not be."""
        unwatched, self._unwatched = self._unwatched, set()
        if "" in unwatched:
            self.begin_survey()
            return
        for relpath in unwatched:
            above, _, name = relpath.rpartition("/")
            parent = self.tree.find(above)
            if parent is not None:
                self.add(parent, name, Heard.APPEARED)

    # -- planting ----------------------------------------------------------------------------------

    def begin_survey(self) -> None:
        self._survey += 1
        self.is_surveying = True
        self._unwatched.clear()
        self._planting.clear()
        self.tree.root.seen = self._survey
        self._began = self._wall()
        try:
            with directory_at(self._root, "") as directory:
                self._look_into(self.tree.root, None, directory)
        except OSError as error:
            if error.errno not in _NOT_OURS:
                self._leave_unwatched("", error)

    def end_survey(self) -> None:
        if "" not in self._unwatched:  # else it was broken off
            for node in self.tree.unseen(self._survey):
                if self.tree.holds(node):
                    self.cut(node)
        self.is_surveying = False
        self._surveyed()

    def plant_next(self) -> None:
        parent, name, heard = self._planting.popleft()
        relpath = self.tree.path(parent, name)
        if not self.tree.holds(parent) or relpath in self._deaf or is_too_deep(relpath):
            return
        try:
            with directory_at(self._root, relpath) as directory:
                self._plant(parent, name, heard, directory)
        except OSError as error:
            if error.errno in _NOT_OURS:
                gone = self.tree.find(relpath)
                if gone is not None:
                    self.cut(gone)
            else:
                self._leave_unwatched(relpath, error)

    def _plant(self, parent: Node, name: str, heard: Heard | None, directory: int) -> None:
        """Watch the directory that is open, and look into it."""
        relpath = self.tree.path(parent, name)
        number = self._inotify.watch(directory, DIRECTORY)
        node, is_new, dropped = self.tree.put(parent, name, number)
        self._unwatch(dropped)
        if not self.tree.holds(node):
            self.begin_survey()  # what we knew of the tree contradicts what is there
            return
        self._unwatched.discard(relpath)
        if is_new or node.seen < self._survey:
            node.seen = self._survey
            self._look_into(node, heard, directory)

    def _look_into(self, node: Node, heard: Heard | None, directory: int) -> None:
        """Plant what is in the directory that is open, and tell of its files, if at all."""
        told = heard
        if heard is None and node is not self.tree.root and self._changed_lately(directory):
            told = Heard.APPEARED  # the walk may have been here before them
        with os.scandir(directory) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    self._planting.appendleft(_Planting(node, entry.name, heard))
                elif told is not None:
                    self._tell(self.tree.path(node, entry.name), told)

    def _changed_lately(self, directory: int) -> bool:
        """Whether names came or went there since the survey began."""
        return os.fstat(directory).st_mtime >= self._began - _CLOCKS_APART

    def _leave_unwatched(self, relpath: str, error: OSError) -> None:
        self.obstacle = error.strerror
        self._unwatched.add(relpath)
        if len(self._unwatched) > _MOST_UNWATCHED:
            self._unwatched = {""}
        if "" in self._unwatched and self.is_surveying:
            self._planting.clear()  # the rest fares no better

    def _unwatch(self, numbers: list[int]) -> None:
        for number in numbers:
            self._inotify.unwatch(number)
