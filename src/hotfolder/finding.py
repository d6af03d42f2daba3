"""Finding the files of one inbox: hints and scans in, settled files out.

The inbox itself is the backlog: at most `WINDOW` files are known at a time, and the scan waits at
that mark. Whatever a hint or a crash loses, the next scan finds.
"""

import asyncio
import heapq
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Protocol

import structlog

from hotfolder.beneath import look_at_all
from hotfolder.core.errors import LocalError
from hotfolder.core.records import Fingerprint, PassedOver
from hotfolder.core.settle import SettleTracker
from hotfolder.threads import Threads

log = structlog.get_logger()

WINDOW = 20_000  # files known at a time
_BATCH = 2_000  # files looked at in one hop to a thread
_MOST_WALKS = 200  # walks of new directories waiting; beyond that one walk of the whole is cheaper
_NEW_TREE_AGAIN = 2.0  # seconds after which a new directory is scanned a second time
_MOST_NOTED = 1_000  # entries that are passed over, kept to be shown
_LEAST_REST = 1.0  # seconds before a file that was busy at the last moment is looked at again


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


class Stays(Protocol):
    """Knows delivered files that stay in the inbox; `count` of them."""

    count: int

    async def delivered(self, seen: Sequence[tuple[str, Fingerprint]]) -> set[str]: ...
    async def tidy(self) -> None: ...


class Finder:
    """Knows the files that are not whole yet. Owned by the event loop.

    `claimed(path)` says that a file is on its way already; `news(path, seen)` whether what was seen
    there now matters all the same. `wake` is called when a turn may find more to do.
    """

    def __init__(
        self,
        search: Search,
        *,
        threads: Threads,
        claimed: Callable[[str], bool],
        news: Callable[[str, Fingerprint | None], bool],
        has_room: Callable[[], bool],
        wake: Callable[[], None],
        stays: Stays | None = None,
    ) -> None:
        """`stays` knows the files that were delivered and stay in the inbox."""
        self._search = search
        self._stays = stays
        self._threads = threads
        self._claimed, self._news, self._has_room, self._wake = claimed, news, has_room, wake
        self.tracker = SettleTracker(search.settle)
        self._hinted: set[str] = set()
        self._missed = False  # hints came for which there was no room
        self._resting: dict[str, float] = {}
        self._walks: list[tuple[float, str]] = [(search.clock(), "")]  # a heap: (when, from where)
        self._walking: asyncio.Task[None] | None = None
        self._room = asyncio.Event()
        self.passed_over: dict[str, str] = {}  # path -> why it is never opened; the first few
        self.last_walk: float | None = None  # when the whole inbox was last walked through

    def hint(self, relpath: str, is_directory: bool = False) -> None:
        """Something happened at `relpath`. Only ever a reason to look."""
        if is_directory:
            self._hint_directory(relpath)
        elif len(self._hinted) >= WINDOW:
            self._missed = True
        elif not self._search.ignored(relpath):
            paths, refused = self._sort([relpath])
            self._hinted.update(paths)
            self._note(refused)

    def _hint_directory(self, relpath: str) -> None:
        """Walk a new directory, and again in a moment: its first files may come before its watch."""
        if self._search.ignored(f"{relpath}/"):
            return
        if len(self._walks) >= _MOST_WALKS:
            self._missed = True
            return
        now = self._search.clock()
        for moment in (now, now + _NEW_TREE_AGAIN):
            if (moment, relpath) not in self._walks:
                heapq.heappush(self._walks, (moment, relpath))

    def rest(self, relpath: str) -> None:
        """Look at a file that was changed or busy once more, but not at once."""
        self._resting[relpath] = self._search.clock() + max(0.0, _LEAST_REST - self._search.settle)

    def forget(self, relpath: str) -> None:
        """Do not look at this file again before the next hint or walk."""
        self._hinted.discard(relpath)
        self._resting.pop(relpath, None)
        self.tracker.observe(relpath, None, self._search.clock())

    def walk_now(self) -> None:
        """Walk the whole inbox at the next turn."""
        self._walks = [(when, start) for when, start in self._walks if start]
        heapq.heapify(self._walks)
        heapq.heappush(self._walks, (self._search.clock(), ""))

    async def turn(self) -> list[tuple[str, Fingerprint]]:
        """Look at what was hinted and what is due; returns the files that have settled."""
        now = self._search.clock()
        if self._missed and len(self._hinted) < WINDOW // 2:
            self._missed = False
            self.walk_now()
        if self._walking is None and self._walks and self._walks[0][0] <= now:
            _, start = heapq.heappop(self._walks)
            self._walking = asyncio.create_task(self._walk(start))
        rested = [path for path, until in self._resting.items() if until <= now]
        for path in rested:
            del self._resting[path]
        self._hinted.update(rested)
        hinted = list(islice(self._hinted, _BATCH))
        self._hinted.difference_update(hinted)
        await self._look(hinted)
        await self._look(self.tracker.pop_due(self._search.clock(), _BATCH))
        if self._has_room():
            self._room.set()
        return self.tracker.pop_settled()

    def next_turn(self) -> float:
        """The moment (monotonic) at which a turn may find something to do without being woken."""
        if self._hinted:
            return self._search.clock()
        moments = [self.tracker.next_due(), min(self._resting.values(), default=None)]
        if self._walks and self._walking is None:
            moments.append(self._walks[0][0])
        return min((moment for moment in moments if moment is not None), default=float("inf"))

    def kept(self) -> int:
        """How many delivered files stay, as of the last walk."""
        return self._stays.count if self._stays is not None else 0

    def is_empty(self) -> bool:
        """Whether nothing is left to look at, and no walk is due."""
        looking = self._hinted or self._resting or len(self.tracker)
        return not looking and self._walking is None and not self._walks

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
            while batch := await self._threads.run(lambda: list(islice(entries, _BATCH))):
                paths, refused = self._sort(batch)
                passed_over |= self._note(refused)
                await self._look([path for path in paths if not self._is_known(path)])
                self._wake()
                while not self._has_room():
                    self._room.clear()
                    await self._room.wait()
            self._forget_gone(start, passed_over)
            if self._stays is not None and not start:
                await self._stays.tidy()
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
        if not any(start == "" for _, start in self._walks):
            heapq.heappush(self._walks, (self._search.clock() + seconds, ""))

    def _is_known(self, path: str) -> bool:
        return path in self.tracker or self._claimed(path)

    async def _look(self, paths: list[str]) -> None:
        """See what stands at `paths` and tell the tracker."""
        if not paths:
            return
        begun = self._search.clock()
        # A file that ends its flight while we ask may be kept just behind our question.
        busy = set(filter(self._claimed, paths)) if self._stays is not None else set()
        try:
            looks = await self._threads.run(look_at_all, self._search.inbox, paths)
            stays = await self._delivered(looks)
        except LocalError:
            self._hinted.update(paths)  # what was due would never be due again
            raise
        ended = self._search.clock()
        refused = [seen for _, seen in looks if isinstance(seen, LocalError)]
        if refused:
            log.warning("scan.refused", files=len(refused), first=str(refused[0]), hint=refused[0].hint)
        for path, seen in looks:
            if isinstance(seen, LocalError):
                self.tracker.observe(path, None, begun)  # the next scan looks again
            elif path in stays:
                self.tracker.observe(path, None, begun)
            elif not (path in busy or self._claimed(path)) or self._news(path, seen):
                self.tracker.observe(path, seen, begun, ended)

    async def _delivered(self, looks: list[tuple[str, Fingerprint | LocalError | None]]) -> set[str]:
        """Which of these were delivered as they are, and stay."""
        seen = [(path, there) for path, there in looks if isinstance(there, Fingerprint)]
        return await self._stays.delivered(seen) if self._stays is not None and seen else set()
