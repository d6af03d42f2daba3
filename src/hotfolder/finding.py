"""Finding the files of one inbox: hints and scans in, settled files out.

The inbox itself is the backlog: at most `WINDOW` files are known at a time, and the scan waits at
that mark. Whatever a hint or a crash loses, the next scan finds.
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from itertools import islice
from typing import Protocol

import structlog

from hotfolder.beneath import Look, look_at_all
from hotfolder.core.candidates import Candidate
from hotfolder.core.errors import LocalError
from hotfolder.core.hints import Heard, note
from hotfolder.core.records import Fingerprint
from hotfolder.core.settle import Ready, SettleTracker, Word, Writer
from hotfolder.marking import Marks
from hotfolder.threads import Threads
from hotfolder.unfit import Unfit
from hotfolder.walking import Search, Walks

log = structlog.get_logger()

WINDOW = 20_000  # files known at a time
LOOKS = 500  # files looked at in one turn: those that have settled can start meanwhile
_LEAST_REST = 1.0  # seconds before a file that was busy at the last moment is looked at again
_UNPROVEN = (
    "whether a program writes to it cannot be asked (a network mount, or another user's file and no "
    "CAP_LEASE), so the quiet time alone decides: let `settle` be longer than any pause of a writer"
)


class Stays(Protocol):
    """Knows delivered files that stay in the inbox; `count` of them."""

    count: int

    async def delivered(self, seen: Sequence[tuple[str, Fingerprint]]) -> set[str]: ...
    async def tidy(self) -> None: ...


class Finder:
    """Knows the files that are not whole yet. Owned by the event loop.

    `claimed(path)` says that a file is on its way already; `news(path, seen)` whether what was seen
    there now matters all the same; `room` how many more files may be known. `wake` is called when a
    turn may find more to do.
    """

    def __init__(
        self,
        search: Search,
        *,
        threads: Threads,
        claimed: Callable[[str], bool],
        news: Callable[[str, Fingerprint | None], bool],
        room: Callable[[], int],
        wake: Callable[[], None],
        stays: Stays | None = None,
    ) -> None:
        """`stays` knows the files that were delivered and stay in the inbox."""
        self._search, self._candidates = search, search.candidates
        self._stays = stays
        self._threads = threads
        self._claimed, self._news, self._room = claimed, news, room
        self.tracker = SettleTracker(search.settle)
        self.unfit = Unfit(search.inbox, search.size_refusal)
        self._heard: dict[str, Heard] = {}  # as it came: a dropped folder tells of thousands at once
        self._hinted: dict[str, Heard] = {}  # of it, what is to be looked at
        self._missed = False  # hints came for which there was no room
        self._resting: dict[str, float] = {}
        self._may_leave: set[str] = set()  # of the looks since the last turn
        self._told_unknown = False
        self.marks = Marks(search.candidates.marker, search.clock)
        self.walks = Walks(
            search,
            threads=threads,
            found=self._look_at_new,
            done=self._tidy,
            room=room,
            plenty=WINDOW // 2,
            wake=wake,
        )

    def hint(self, relpath: str, heard: Heard = Heard.APPEARED) -> None:
        """Something happened at `relpath`. Only ever a reason to look."""
        is_full = len(self._heard) + len(self._hinted) >= WINDOW
        if heard is Heard.DIRECTORY or (self._candidates.whole and not is_full):
            self._sort(relpath, heard)  # of all that is heard of a directory comes one look
        elif is_full and relpath not in self._heard:
            self._missed = True
        else:
            note(self._heard, relpath, heard)

    def _sort_heard(self) -> None:
        """See what of that which was heard is to be looked at; not of more than is looked at soon."""
        for relpath in list(islice(self._heard, max(0, LOOKS - len(self._hinted)))):
            self._sort(relpath, self._heard.pop(relpath))

    def _sort(self, relpath: str, heard: Heard) -> None:
        candidate = self._candidates.heard(relpath, heard)
        if candidate is None or self._search.ignored(candidate.entry):
            return
        if candidate.is_directory and not self._candidates.whole:
            # Whoever watches it looks into it, too, and tells of each file.
            self._missed |= not self.walks.plan_tree(candidate.relpath, is_heard=True)
        elif candidate.is_directory and candidate.relpath in self.tracker:
            return  # the look that is due compares all of it: each one takes its time
        elif self._is_taken(candidate):
            self._note(candidate.relpath, candidate.heard)

    def _is_taken(self, candidate: Candidate) -> bool:
        """Whether some group takes it. What is at the top may be a directory, whatever was heard."""
        is_taken_whole = self._candidates.whole and self._search.refusal(f"{candidate.relpath}/") is None
        return is_taken_whole or self.walks.takes(candidate.entry)

    def _note(self, relpath: str, heard: Heard = Heard.APPEARED) -> None:
        """Look at it in the next turn."""
        note(self._hinted, relpath, heard)

    def rest(self, relpath: str) -> None:
        """Look at a file that was changed or busy once more, but not at once."""
        self._resting[relpath] = self._search.clock() + max(0.0, _LEAST_REST - self._search.settle)

    def forget(self, relpath: str) -> None:
        """Do not look at this file again but for a hint, which may be of another version, or a walk."""
        self._resting.pop(relpath, None)
        self.marks.forget(relpath)
        self.tracker.observe(relpath, None, self._search.clock())

    async def seen(self, relpath: str) -> Fingerprint | None:
        """What stands at `relpath` now, if it is something to deliver. Raises `LocalError`."""
        (look,) = await self._threads.run(self._search.look, self._search.inbox, [(relpath, False)])
        if isinstance(look.there, LocalError):
            raise look.there
        return look.there

    async def turn(self) -> list[tuple[str, Fingerprint]]:
        """Look at what was hinted and what is due; returns the files that have settled."""
        now = self._search.clock()
        if self._missed and len(self._heard) + len(self._hinted) < WINDOW // 2:
            self._missed = False
            self.walks.walk_now()
        self.walks.begin_due()
        rested = [path for path, until in self._resting.items() if until <= now]
        for path in rested:
            del self._resting[path]
            self._note(path)
        self._sort_heard()
        hinted = dict(islice(self._hinted.items(), max(0, min(LOOKS, self._room()))))
        for path in hinted:
            del self._hinted[path]
        await self._look(hinted)
        await self._look(_unheard(self.tracker.pop_due(self._search.clock(), LOOKS)))
        self.walks.go_on()
        may_leave, self._may_leave = self._may_leave, set()
        stuck = await self._stuck(self.tracker.quiet(), may_leave)
        return [(path, seen) for path, seen in self.tracker.pop_settled() if path not in stuck]

    async def _stuck(self, paths: list[str], may_leave: set[str]) -> set[str]:
        """Those that could not leave the inbox in the end: they are left until that has changed."""
        whys_stuck = self._search.whys_stuck
        if whys_stuck is None or not paths:
            return set()
        whys = await self._threads.run(whys_stuck, self._search.inbox, paths, may_leave)
        return {path for path in paths if not self.unfit.settled(path, whys.get(path))}

    def next_turn(self) -> float:
        """The moment (monotonic) at which a turn may find something to do without being woken."""
        if (self._heard or self._hinted) and self._room() > 0:
            return self._search.clock()
        resting = min(self._resting.values(), default=None)
        moments = (self.tracker.next_due(), resting, self.walks.next_begin())
        return min((moment for moment in moments if moment is not None), default=float("inf"))

    def unmarked(self) -> Collection[str]:
        """The files that wait for their markers."""
        return self.marks.unmarked

    def kept(self) -> int:
        """How many delivered files stay, as of the last walk."""
        return self._stays.count if self._stays is not None else 0

    def is_empty(self) -> bool:
        """Whether nothing is left to look at, and no walk is due."""
        looking = self._heard or self._hinted or self._resting or len(self.tracker)
        return not looking and self.walks.is_idle()

    def _is_known(self, path: str) -> bool:
        """Also where it was heard of, and the look at it is still to come."""
        is_looked_at = path in self.tracker or path in self._heard or path in self._hinted
        return is_looked_at or self._claimed(path)

    async def _look_at_new(self, entries: list[str]) -> None:
        paths = self._candidates.walked(entries)
        await self._look(_unheard(path for path in paths if not self._is_known(path)))

    async def _tidy(self) -> None:
        """After a walk of the whole: what is gone without a word is forgotten."""
        if self.unfit.reasons:
            noted = [(path, False) for path in self.unfit.reasons]
            looks = await self._threads.run(self._search.look, self._search.inbox, noted)
            self.unfit.forget(look.relpath for look in looks if look.there is None)
        if self._stays is not None:
            await self._stays.tidy()
        for path in self.marks.stale():
            self._note(path)

    async def _look(self, heard: Mapping[str, Heard]) -> None:
        """See what stands at these paths and tell the tracker. Raises `LocalError`."""
        if not heard:
            return
        begun = self._search.clock()
        # A file that ends its flight while we ask may be kept just behind our question.
        busy = set(filter(self._claimed, heard)) if self._stays is not None else set()
        try:
            marks = await self._look_at_markers(heard)
            words = {path: self._word(what, marks.get(path)) for path, what in heard.items()}
            questions = [
                (path, word is not Word.NONE or self.tracker.asks(path, begun))
                for path, word in words.items()
            ]
            looks = await self._threads.run(self._search.look, self._search.inbox, questions)
            stays = await self._delivered(looks)
        except LocalError:
            for path, what in heard.items():  # what was due would never be due again
                self._note(path, what)
            raise
        ended = self._search.clock()
        self._report(looks)
        for look in looks:
            path, is_busy = look.relpath, look.relpath in busy
            if path in stays:
                self.marks.forget(path)
                seen = None
            elif self._is_left_alone(look, is_busy=is_busy):
                # A walk that saw it just before it was claimed may have had it settle anew: it is looked
                # at when it comes back, and would stand here for ever.
                self.tracker.observe(path, None, begun)
                continue
            else:
                seen = self._fit(look, marks.get(path))
            if look.may_leave:
                self._may_leave.add(path)
            self.tracker.observe(path, seen, begun, ended, writer=look.writer, word=words[path])

    def _is_left_alone(self, look: Look, *, is_busy: bool) -> bool:
        """Whether the file is on its way, and what was seen of it changes nothing."""
        if isinstance(look.there, LocalError):
            return False
        is_claimed = is_busy or self._claimed(look.relpath)
        return is_claimed and not self._news(look.relpath, look.there)

    def _fit(self, look: Look, mark: Fingerprint | LocalError | None) -> Fingerprint | None:
        """What was seen, if it is to settle; else why not is noted, and the next walk looks again."""
        if isinstance(look.there, LocalError):
            self.marks.forget(look.relpath)
            self.unfit.note(look.relpath, look.there.sentence)
            return None
        if not self.marks.judge(look.relpath, look.there, mark):
            return None
        return self.unfit.fit(look.relpath, look.there)

    async def _look_at_markers(
        self, paths: Iterable[str]
    ) -> Mapping[str, Fingerprint | LocalError | None]:
        """What stands where the marker of each file belongs."""
        markers = self.marks.markers_of(paths)
        if not markers:
            return {}
        looks = dict(await self._threads.run(look_at_all, self._search.inbox, markers.values()))
        return {path: looks[marker] for path, marker in markers.items()}

    def _word(self, heard: Heard, mark: Fingerprint | LocalError | None) -> Word:
        """What of that which was heard, or stands beside the file, makes the quiet time needless."""
        if mark is not None:
            return Word.GIVEN
        is_closed = heard is Heard.COMPLETED and self._search.ready is Ready.CLOSED
        return Word.CLOSED if is_closed else Word.NONE

    def _report(self, looks: Sequence[Look]) -> None:
        if not self._told_unknown and any(look.writer is Writer.UNKNOWN for look in looks):
            self._told_unknown = True
            first = next(look.relpath for look in looks if look.writer is Writer.UNKNOWN)
            log.info("settle.unproven", path=f"{self._search.inbox}/{first}", hint=_UNPROVEN)

    async def _delivered(self, looks: Sequence[Look]) -> set[str]:
        """Which of these were delivered as they are, and stay."""
        seen = [(look.relpath, look.there) for look in looks if isinstance(look.there, Fingerprint)]
        return await self._stays.delivered(seen) if self._stays is not None and seen else set()


def _unheard(paths: Iterable[str]) -> dict[str, Heard]:
    """Of which nothing was heard but that they are there."""
    return dict.fromkeys(paths, Heard.APPEARED)
