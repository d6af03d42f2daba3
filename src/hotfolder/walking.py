"""The walks through one inbox: which are due, the one under way, and what they pass over.

Whatever a hint or a crash loses, the next walk finds. A walk waits where there is no room for more.
"""

import asyncio
import heapq
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from itertools import islice

import structlog

from hotfolder.core.errors import LocalError
from hotfolder.core.records import PassedOver
from hotfolder.core.settle import Ready
from hotfolder.threads import Threads

log = structlog.get_logger()

BATCH = 2_000  # files looked at in one hop to a thread
_MOST_WALKS = 200  # walks of new directories waiting; beyond that one walk of the whole is cheaper
_NEW_TREE_AGAIN = 2.0  # seconds after which a new directory is scanned a second time
_MOST_NOTED = 1_000  # entries that are passed over, kept to be shown


@dataclass(frozen=True, slots=True)
class Search:
    """Where and how to look. Durations in seconds; `rescan` None: walk the inbox once."""

    inbox: str
    settle: float
    rescan: float | None
    ignored: Callable[[str], bool]
    refusal: Callable[[str], str | None]  # why no group takes a file, None if one does
    walk: Callable[[str, str, Callable[[str], bool]], Iterator[str | PassedOver]]
    clock: Callable[[], float]  # monotonic
    wall: Callable[[], float]  # since the epoch
    ready: Ready = Ready.QUIET


class Walks:
    """Owned by the event loop. `found` takes every batch of files; `done` comes after a whole walk."""

    def __init__(
        self,
        search: Search,
        *,
        threads: Threads,
        found: Callable[[list[str]], Awaitable[None]],
        done: Callable[[], Awaitable[None]],
        has_room: Callable[[], bool],
        wake: Callable[[], None],
    ) -> None:
        self._search, self._threads = search, threads
        self._found, self._done, self._has_room, self._wake = found, done, has_room, wake
        self._planned: list[tuple[float, str]] = [(search.clock(), "")]  # a heap: (when, from where)
        self._walking: asyncio.Task[None] | None = None
        self._room = asyncio.Event()
        self.passed_over: dict[str, str] = {}  # path -> why it is never opened; the first few
        self.last_walk: float | None = None  # when the whole inbox was last walked through

    def plan_tree(self, relpath: str) -> bool:
        """Walk a new directory, and again in a moment: its first files may come before its watch.

        False where so many are planned that one walk of the whole is cheaper.
        """
        if len(self._planned) >= _MOST_WALKS:
            return False
        now = self._search.clock()
        for moment in (now, now + _NEW_TREE_AGAIN):
            if (moment, relpath) not in self._planned:
                heapq.heappush(self._planned, (moment, relpath))
        return True

    def walk_now(self) -> None:
        """Walk the whole inbox at the next turn."""
        self._planned = [(when, start) for when, start in self._planned if start]
        heapq.heapify(self._planned)
        heapq.heappush(self._planned, (self._search.clock(), ""))

    def begin_due(self) -> None:
        """Begin the next walk, if one is due and none is under way."""
        if self._walking is None and self._planned and self._planned[0][0] <= self._search.clock():
            _, start = heapq.heappop(self._planned)
            self._walking = asyncio.create_task(self._walk(start))

    def go_on(self) -> None:
        """There is room again for what a walk finds."""
        self._room.set()

    def next_begin(self) -> float | None:
        """The moment (monotonic) at which `begin_due` may begin one; None while one is under way."""
        return self._planned[0][0] if self._planned and self._walking is None else None

    def is_idle(self) -> bool:
        """Whether no walk is under way, and none is planned."""
        return self._walking is None and not self._planned

    async def stop(self) -> None:
        """End the walk that may be under way."""
        if self._walking is not None:
            self._walking.cancel()
            await asyncio.gather(self._walking, return_exceptions=True)

    async def _walk(self, start: str) -> None:
        """Walk the inbox below `start`, and set the next walk if it was the whole."""
        search = self._search
        passed_over: set[str] = set()
        try:
            entries = search.walk(search.inbox, start, search.ignored)
            while batch := await self._threads.run(lambda: list(islice(entries, BATCH))):
                paths, refused = self._sort(batch)
                passed_over |= self._note(refused)
                await self._found(paths)
                self._wake()
                while not self._has_room():
                    self._room.clear()
                    await self._room.wait()
            self._forget_gone(start, passed_over)
            if not start:
                await self._done()
        except (OSError, LocalError) as error:
            # The folder itself: the daemon sees that it is gone and says so; the next walk tries again.
            log.warning("scan.failed", path=f"{search.inbox}/{start}", reason=str(error))
        finally:
            if not start:
                self.last_walk = search.wall()
                if search.rescan is not None:
                    self._plan_rescan(search.rescan)
            self._walking = None
            self._wake()

    def takes(self, relpath: str) -> bool:
        """Whether a file that was heard of is one to look at; what no group takes is noted."""
        paths, refused = self._sort([relpath])
        self._note(refused)
        return bool(paths)

    def _sort(self, entries: list[str | PassedOver]) -> tuple[list[str], list[PassedOver]]:
        """The files that some group takes, and what is passed over."""
        paths, refused = [], []
        for entry in entries:
            if isinstance(entry, PassedOver):
                refused.append(entry)
            elif (why := self._search.refusal(entry)) is None:
                paths.append(entry)
            else:
                refused.append(PassedOver(entry, why))
        return paths, refused

    def _note(self, entries: list[PassedOver]) -> set[str]:
        """Keep what is passed over, tell of each once, and return the paths."""
        for entry in entries:
            if entry.relpath not in self.passed_over and len(self.passed_over) < _MOST_NOTED:
                self.passed_over[entry.relpath] = entry.why
                log.warning(
                    "scan.passed_over", path=f"{self._search.inbox}/{entry.relpath}", reason=entry.why
                )
        return {entry.relpath for entry in entries}

    def _forget_gone(self, start: str, seen: set[str]) -> None:
        """Forget what was passed over once and is not there any more."""
        below = f"{start}/" if start else ""
        for path in [p for p in self.passed_over if p.startswith(below) and p not in seen]:
            del self.passed_over[path]

    def _plan_rescan(self, seconds: float) -> None:
        """Set the next walk of the whole, unless one is set already."""
        if not any(start == "" for _, start in self._planned):
            heapq.heappush(self._planned, (self._search.clock() + seconds, ""))
