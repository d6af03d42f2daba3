"""Settling against a model: whatever happens to files, and whenever somebody looks."""

from dataclasses import dataclass, replace

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from hotfolder.core.records import Fingerprint
from hotfolder.core.settle import SettleTracker, Word, Writer
from tests.support.samples import fingerprint

PATHS = st.sampled_from(["a", "b", "sub/c"])
DELAYS = st.sampled_from([0.0, 0.0, 3.0, 7.0])  # seconds that a look takes
SETTLE = 5.0


@dataclass
class Truth:
    """What a file is, what was seen of it last and since when, and what was handed out."""

    now: Fingerprint
    seen: Fingerprint | None = None
    since: float = 0.0
    handed_out: Fingerprint | None = None
    is_open: bool = False
    was_closed: bool = False  # when it was looked at last


class Settling(RuleBasedStateMachine):
    """Files come, change, are opened and go; hints and due files are looked at, as the finder does."""

    def __init__(self) -> None:
        super().__init__()
        self.tracker = SettleTracker(SETTLE)
        self.clock = 1000.0
        self.version = 0
        self.files: dict[str, Truth] = {}

    @rule(path=PATHS, inode=st.booleans())
    def write(self, path: str, inode: bool) -> None:
        self.version += 1
        there = self.files.get(path)
        fresh = fingerprint(size=self.version, mtime_ns=self.version)
        if there is None:
            self.files[path] = Truth(fresh)
        else:
            there.now = replace(fresh, inode=there.now.inode + 1) if inode else fresh

    @rule(path=PATHS)
    def open(self, path: str) -> None:
        if path in self.files:
            self.files[path].is_open = True

    @rule(path=PATHS, hinted=st.booleans(), before=DELAYS)
    def close(self, path: str, hinted: bool, before: float) -> None:
        """Its writer closes it, and mostly that is heard of, where a close makes a file whole."""
        there = self.files.get(path)
        if there is not None:
            there.is_open = False
        if hinted:
            self._look(path, before, word=Word.CLOSED)

    @rule(path=PATHS)
    def remove(self, path: str) -> None:
        self.files.pop(path, None)

    @rule(seconds=st.sampled_from([0.0, 0.5, 2.5, 4.999, 5.0, 60.0]))
    def wait(self, seconds: float) -> None:
        self.clock += seconds

    @rule(path=PATHS, before=DELAYS, after=DELAYS)
    def hint(self, path: str, before: float, after: float) -> None:
        self._look(path, before, after)

    @rule(limit=st.integers(1, 3), before=DELAYS, after=DELAYS)
    def take_due(self, limit: int, before: float = 0.0, after: float = 0.0) -> None:
        due = self.tracker.pop_due(self.clock, limit)
        assert len(due) == len(set(due)) <= limit
        for path in due:
            self._look(path, before, after)

    def _look(self, path: str, before: float = 0.0, after: float = 0.0, word: Word = Word.NONE) -> None:
        """Observe by a look of some length, and keep the model's own book of what was seen when."""
        there = self.files.get(path)
        if there is not None and there.handed_out == there.now:
            return  # on its way already: the finder passes it over
        begun = self.clock
        moment = begun + before
        self.clock = moment + after
        was_waiting = path in self.tracker
        writer = Writer.UNASKED
        if there is not None and (word is Word.CLOSED or self.tracker.asks(path, begun)):
            writer = Writer.OPEN if there.is_open else Writer.NONE
        self.tracker.observe(
            path, there.now if there else None, begun, self.clock, writer=writer, word=word
        )
        if there is None:
            assert path not in self.tracker
            return
        if there.is_open:
            assert writer is Writer.UNASKED or path in self.tracker, "it is open for writing"
        if there.seen != there.now:
            there.seen, there.since = there.now, moment
            assert path in self.tracker or word is Word.CLOSED, "what was just seen is not quiet"
        elif was_waiting and path not in self.tracker and word is not Word.CLOSED:
            assert writer is Writer.NONE
            assert moment - there.since >= SETTLE or there.was_closed
        there.was_closed = word is Word.CLOSED

    @rule()
    def take_settled(self) -> None:
        for path, seen in self.tracker.pop_settled():
            assert path not in self.tracker
            there = self.files.get(path)
            if there is None or there.now != seen:
                continue  # went or changed after the last look: opening it will tell
            assert there.handed_out != seen, "each version at most once"
            there.handed_out = seen

    @precondition(lambda self: len(self.tracker) > 0)
    @rule()
    def nothing_that_waits_is_forgotten(self) -> None:
        assert self.tracker.next_due() is not None

    @invariant()
    def bytes_are_those_of_what_waits(self) -> None:
        waiting = [path for path in ("a", "b", "sub/c") if path in self.tracker]
        assert len(waiting) == len(self.tracker)
        assert (self.tracker.bytes > 0) == bool(waiting)
        oldest = self.tracker.oldest()
        assert (oldest is None) == (not waiting)

    def teardown(self) -> None:
        """Left in peace, every file that is still there is handed out, in its last version."""
        self.take_settled()
        for path in self.files:
            self.files[path].is_open = False
            self._look(path)
        self.clock += SETTLE + 30.0  # the longest pause between two looks at what was open
        self.take_due(10)
        self.take_settled()
        for there in self.files.values():
            assert there.handed_out == there.now


Settling.TestCase.settings = settings(max_examples=300, stateful_step_count=40)
TestSettling = Settling.TestCase
