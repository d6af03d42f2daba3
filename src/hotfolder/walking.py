"""The walks through one inbox: which are due, the one under way, and what they pass over.

Whatever a hint or a crash loses, the next walk finds. A walk waits where there is no room for more.
"""

import asyncio
import heapq
from collections.abc import Awaitable, Callable, Container, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

import structlog

from hotfolder.beneath import Look, look_for_writers
from hotfolder.core.candidates import Candidates
from hotfolder.core.errors import LocalError
from hotfolder.core.records import PassedOver
from hotfolder.core.settle import Ready
from hotfolder.threads import Threads

log = structlog.get_logger()

BATCH = 2_000  # files looked at in one hop to a thread
_HOP = 0.5  # seconds after which a hop gives what it found, in a tree of many directories and few files
_MOST_WALKS = 200  # walks of new directories waiting; beyond that one walk of the whole is cheaper
_FAILED_AGAIN = 5.0  # seconds until a walk that failed is begun anew: nobody else knows what it missed
_NEW_TREE_AGAIN = 2.0  # seconds after which a new directory is scanned a second time
_MOST_NOTED = 1_000  # entries that are passed over, kept to be shown
_HELD_OPEN = 10.0  # seconds that a walk which waits for room keeps a directory open
_AGAIN = 300.0  # seconds between two takings up of a walk where there is little room
_JITTER = 0.1  # of the time between two scans: many daemons do not walk one file server together


class Entries(Protocol):
    """The entries of one walk, in batches; None at its end.

    `rest` lets go of what is open; some may come again afterwards.
    """

    def some(self, most: int, is_late: Callable[[], bool]) -> list[str | PassedOver] | None: ...
    def rest(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Search:
    """Where and how to look. Durations in seconds; `rescan` None: walk the inbox once."""

    inbox: str
    settle: float
    rescan: float | None
    ignored: Callable[[str], bool]
    refusal: Callable[[str], str | None]  # why no group takes a file, None if one does
    walk: Callable[[str, str, Callable[[str], bool]], Entries]
    clock: Callable[[], float]  # monotonic
    wall: Callable[[], float]  # since the epoch
    ready: Ready = Ready.QUIET
    candidates: Candidates = field(default_factory=Candidates)
    dice: Callable[[], float] = lambda: 0.5  # gives [0, 1)
    size_refusal: Callable[[int], str | None] = lambda _: None  # why a file of these bytes is not taken
    #: Which of these could not leave in the end, and why; of some the last look told a part.
    whys_stuck: Callable[[str, Iterable[str], Container[str]], Mapping[str, str]] | None = None
    look: Callable[[str, Iterable[tuple[str, bool]]], list[Look]] = look_for_writers


class Walks:
    """Owned by the event loop. `found` takes every batch of files; `done` comes after a whole walk.

    `room`: how many more files may be known; `plenty` of it is worth taking up a walk again.
    """

    def __init__(
        self,
        search: Search,
        *,
        threads: Threads,
        found: Callable[[list[str]], Awaitable[None]],
        done: Callable[[], Awaitable[None]],
        room: Callable[[], int],
        plenty: int,
        wake: Callable[[], None],
    ) -> None:
        self._search, self._threads = search, threads
        self._found, self._done, self._wake = found, done, wake
        self._room, self._plenty = room, plenty
        self._planned: list[tuple[float, str]] = [(search.clock(), "")]  # a heap: (when, from where)
        self._walking: asyncio.Task[None] | None = None
        self._turned = asyncio.Event()
        self.passed_over: dict[str, str] = {}  # path -> why it is never opened; the first few
        self.took: dict[str, float] = {}  # from where -> seconds that its last walk was at work
        self.last_walk: float | None = None  # when the whole inbox was last walked through
        self._failing: dict[str, float] = {}  # from where a walk failed, and not yet worked; since when
        self.trouble: LocalError | None = None  # why the last of these failed; all are tried again

    def plan_tree(self, relpath: str, *, is_heard: bool = False) -> bool:
        """Walk a new directory, and again in a moment: its first files may come before its watch.

        `is_heard`: whoever told of it looks into it, too, and tells of each file: then only in a moment.
        False where so many are planned that one walk of the whole is cheaper.
        """
        if len(self._planned) >= _MOST_WALKS:
            return False
        now = self._search.clock()
        for moment in (now + _NEW_TREE_AGAIN,) if is_heard else (now, now + _NEW_TREE_AGAIN):
            if (moment, relpath) not in self._planned:
                heapq.heappush(self._planned, (moment, relpath))
        return True

    def walk_now(self) -> None:
        """Walk the whole inbox at the next turn."""
        self._planned = [(when, start) for when, start in self._planned if start]
        heapq.heapify(self._planned)
        heapq.heappush(self._planned, (self._search.clock(), ""))

    def poll(self, relpath: str) -> None:
        """Walk what is at `relpath` at the next turn, once: no event tells what is put there."""
        now = self._search.clock()
        if not any(start in {"", relpath} and when <= now for when, start in self._planned):
            heapq.heappush(self._planned, (now, relpath))

    def begin_due(self) -> None:
        """Begin the next walk, if one is due and none is under way."""
        if self._walking is None and self._planned and self._planned[0][0] <= self._search.clock():
            _, start = heapq.heappop(self._planned)
            self._walking = asyncio.create_task(self._walk(start))

    def go_on(self) -> None:
        """Let a walk that waits see whether there is room again."""
        self._turned.set()

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
        took, begun = 0.0, search.clock()
        try:
            entries = search.walk(search.inbox, start, search.ignored)
            while (batch := await self._threads.run(self._hop, entries)) is not None:
                paths, refused = self._sort(batch)
                passed_over |= self._note(refused)
                await self._found(paths)
                took += search.clock() - begun
                self._wake()
                await self._until_room(entries)
                begun = search.clock()
            self._note_time(start, took + search.clock() - begun)
            self._forget_gone(start, passed_over)
            if not start:
                await self._done()
                self.last_walk = search.wall()
            self._worked(start)
        except Exception as error:  # noqa: BLE001 - whatever it is, what the walk missed is to be found
            self._failed(start, error)
        finally:
            if not start and search.rescan is not None:
                self._plan_rescan(search.rescan)
            self._walking = None
            self._wake()

    def _failed(self, start: str, error: Exception) -> None:
        """Tell of it once, and walk there again soon, also in a single run: it may have missed files."""
        path = self._path(start)
        self._failing.setdefault(start, self._search.clock())
        if self.trouble is None:
            defect = None if isinstance(error, OSError | LocalError) else error
            log.warning("scan.failed", path=path, reason=str(error), exc_info=defect)
        told = error if isinstance(error, LocalError) else LocalError(f"cannot walk {path}: {error}")
        self.trouble = told
        again = self._search.clock() + _FAILED_AGAIN
        if not any(where in {"", start} and when <= again for when, where in self._planned):
            heapq.heappush(self._planned, (again, start))

    def _worked(self, start: str) -> None:
        """A walk came to its end. That walks work again is told once none fails any more."""
        since = min(self._failing.values(), default=0.0)
        if start:
            self._failing.pop(start, None)
        else:
            self._failing.clear()
        if self.trouble is not None and not self._failing:
            self.trouble = None
            lasted = round(self._search.clock() - since, 1)
            log.info("scan.resumed", path=self._path(start), lasted=lasted)

    def _path(self, start: str) -> str:
        return f"{self._search.inbox}/{start}".rstrip("/")

    def _hop(self, entries: Entries) -> list[str | PassedOver] | None:
        """The next entries; in a thread."""
        late = self._search.clock() + _HOP
        return entries.some(BATCH, lambda: self._search.clock() >= late)

    async def _until_room(self, entries: Entries) -> None:
        """Wait for room; where that takes long, with nothing held open.

        What is let go of costs reading a directory anew: it is taken up again when that is worth it.
        """
        clock = self._search.clock
        since, rested = clock(), False
        while self._room() < (self._plenty if rested and clock() - since < _AGAIN else 1):
            self._turned.clear()
            await self._turned.wait()
            if not rested and clock() - since >= _HELD_OPEN:
                rested = True
                await self._threads.run(entries.rest)

    def _note_time(self, start: str, seconds: float) -> None:
        if len(self.took) >= _MOST_WALKS:
            self.took.clear()  # of folders that came and went
        self.took[start] = seconds

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
        """Keep what is passed over, tell of each once, and return the paths of those that are kept."""
        for entry in entries:
            if entry.relpath not in self.passed_over and len(self.passed_over) < _MOST_NOTED:
                self.passed_over[entry.relpath] = entry.why
                log.warning(
                    "scan.passed_over", path=f"{self._search.inbox}/{entry.relpath}", reason=entry.why
                )
        return {entry.relpath for entry in entries if entry.relpath in self.passed_over}

    def _forget_gone(self, start: str, seen: set[str]) -> None:
        """Forget what was passed over once and is not there any more."""
        below = f"{start}/" if start else ""
        for path in [p for p in self.passed_over if p.startswith(below) and p not in seen]:
            del self.passed_over[path]

    def _plan_rescan(self, seconds: float) -> None:
        """Set the next walk of the whole, unless one is set already."""
        if not any(start == "" for _, start in self._planned):
            jittered = seconds * (1 + _JITTER * (2 * self._search.dice() - 1))
            heapq.heappush(self._planned, (self._search.clock() + jittered, ""))
