"""Folders of an inbox that deliveries have emptied: taken away once they are quiet.

Only a folder that came later than hotfolder, and from which it took a file: what was there first may be
somebody's drop folder. In doubt a folder stays: an empty one harms nobody.
"""

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

import structlog

from hotfolder.core.errors import LocalError
from hotfolder.core.ports import TidyingNotes
from hotfolder.core.records import Fingerprint
from hotfolder.threads import Threads

log = structlog.get_logger()

_BATCH = 2_000
_ALL_NOTED = ""  # in the place of a path: what was there first is known
_AT_ONCE = 500  # folders looked at in one hop to a thread

#: Removes empty folders that look as they did; see `adapters.finishing.tidy`.
Tidy = Callable[[str, Sequence[tuple[str, Fingerprint | None]]], dict[str, Fingerprint | bool]]


@dataclass(frozen=True, slots=True)
class Tidiness:
    """What holds for one folder. `after`: seconds without a change.

    `keeps_standing`: what was there first stays. `places`: top directories that stay in any case.
    """

    inbox: str
    after: float
    keeps_standing: bool
    places: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class _Watched:
    seen: Fingerprint | None
    due: float


class Tidier:
    """Of one inbox. Owned by the event loop. `notes_threads`: the one thread that owns `notes`."""

    def __init__(
        self,
        tidiness: Tidiness,
        notes: TidyingNotes,
        *,
        tidy: Tidy,
        folders: Callable[[], Iterable[str]],
        threads: Threads,
        notes_threads: Threads,
        clock: Callable[[], float],
    ) -> None:
        """`folders` lists every folder below the inbox; `clock` is monotonic seconds."""
        self._tidiness, self._notes, self._tidy, self._folders = tidiness, notes, tidy, folders
        self._threads, self._notes_threads, self._clock = threads, notes_threads, clock
        self._new: set[str] = set()
        self._watched: dict[str, _Watched] = {}
        self._soonest = float("inf")  # no later than the first that is due

    async def begin(self) -> None:
        """Note what is there first, before anything is delivered. Raises `LocalError`."""
        inbox, notes, ask = self._tidiness.inbox, self._notes, self._notes_threads.run
        if not await ask(notes.standing, inbox, [_ALL_NOTED]):
            folders = iter(self._folders())
            while some := await self._threads.run(lambda: list(islice(folders, _BATCH))):
                await ask(notes.add_standing, inbox, some)
            await ask(notes.add_standing, inbox, [_ALL_NOTED])
        self._new.update(await self._notes_threads.run(self._notes.emptied, inbox))

    def taken(self, relpath: str) -> None:
        """What stood at `relpath` has left the inbox."""
        for folder in _above(relpath):
            if folder in self._new or folder in self._watched:
                return  # and so are those above it
            if folder not in self._tidiness.places:
                self._new.add(folder)

    def next_turn(self) -> float:
        """The moment (monotonic) at which a turn finds something to do."""
        if self._new:
            return self._clock()
        return self._soonest

    async def turn(self) -> None:
        """Look at folders that are new or due, and remove those that may go. Raises `LocalError`."""
        if not self._new and self._clock() < self._soonest:
            return
        await self._take_up()
        now = self._clock()
        due = [path for path, watched in self._watched.items() if watched.due <= now]
        # The deepest first, so that those above them are empty at their turn.
        due.sort(key=lambda path: path.count("/"), reverse=True)
        looks = [(path, self._watched[path].seen) for path in due[:_AT_ONCE]]
        ends = await self._threads.run(self._tidy, self._tidiness.inbox, looks)
        over = []
        again = self._clock() + self._tidiness.after  # one for all: those above come due with theirs
        for path, end in ends.items():
            if isinstance(end, Fingerprint):
                self._watched[path] = _Watched(end, again)
                continue
            del self._watched[path]
            over.append(path)
            if end:
                log.info("folder.tidied", path=f"{self._tidiness.inbox}/{path}")
                self.taken(path)
        self._soonest = min((watched.due for watched in self._watched.values()), default=float("inf"))
        if over:
            await self._note((), over)

    async def _take_up(self) -> None:
        """Watch new folders from now on, but for those that were there first."""
        new = sorted(self._new)[:_AT_ONCE]
        if not new:
            return
        standing: set[str] = set()
        if self._tidiness.keeps_standing:
            ask = self._notes.standing
            standing = await self._notes_threads.run(ask, self._tidiness.inbox, new)
        self._new.difference_update(new)
        arrived = [path for path in new if path not in standing]
        now = self._clock()
        # Not looked at yet: what it looks like after the files are gone is what must last.
        self._watched.update({path: _Watched(None, now) for path in arrived})
        if arrived:
            await self._note(arrived, ())

    async def _note(self, emptied: Sequence[str], over: Sequence[str]) -> None:
        """Only for the next start: a failure changes nothing now."""
        note, inbox = self._notes.note_emptied, self._tidiness.inbox
        try:
            await self._notes_threads.run(lambda: note(inbox, emptied, over=over))
        except LocalError as error:
            log.warning("folder.not_noted", path=inbox, reason=error.sentence)


def _above(relpath: str) -> Iterator[str]:
    """The folders that hold it, from the deepest up, without the inbox."""
    while relpath := os.path.dirname(relpath):
        yield relpath
