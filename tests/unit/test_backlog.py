"""What waits of one folder: whose turn comes next, above all of files that the store refused."""

import math

from hotfolder.backlog import Backlog
from hotfolder.core.records import Job
from hotfolder.core.retry import Deferred
from tests.support.samples import job
from tests.unit.test_gate import Way, trouble


class Waiting:
    """A backlog before a gate; the clock of both is `way.clock`."""

    def __init__(self, *names: str) -> None:
        self.way = Way()
        self.backlog = Backlog(self.way.gate, self.way.clock)
        for name in names:
            self.backlog.add(job(name))

    def next(self, *flying: str, barred: tuple[str, ...] = ()) -> str | None:
        first: Job | None = self.backlog.next_to_start(flying, barred)
        return None if first is None else first.relpath

    def refuse(self, name: str) -> None:
        self.way.clock.now += 1.0
        self.backlog.refused(name)


def test_files_start_in_order_without_those_that_are_barred() -> None:
    waiting = Waiting("a", "b")
    assert waiting.next() == "a"
    assert waiting.next(barred=("a",)) == "b"
    assert waiting.next(barred=("a", "b")) is None


def test_what_was_refused_lets_others_pass_and_comes_when_there_are_none() -> None:
    waiting = Waiting("a", "b")
    waiting.refuse("a")
    assert waiting.next() == "b"
    waiting.backlog.drop("b")
    assert waiting.next("b") is None, "whether that one is taken shows whose fault it is"
    assert waiting.next() == "a"


def test_what_was_refused_has_its_turn_again_once_the_store_took_another() -> None:
    waiting = Waiting("a", "b")
    waiting.refuse("a")
    assert not waiting.backlog.took_others_since("a")
    waiting.way.deliver()
    assert waiting.backlog.took_others_since("a")
    assert waiting.next() == "a"
    waiting.way.gate.hold(trouble())
    assert waiting.next() == "b", "while the store is in trouble those come first that it never refused"
    assert not waiting.backlog.took_others_since("a")
    assert not waiting.backlog.took_others_since("b"), "it was never refused"


def test_the_first_refusal_counts_until_the_file_is_absolved() -> None:
    waiting = Waiting("a")
    waiting.refuse("a")
    waiting.way.deliver()
    waiting.refuse("a")
    assert waiting.backlog.took_others_since("a")
    waiting.backlog.absolve("a")
    assert not waiting.backlog.took_others_since("a")


def test_what_is_put_off_comes_back_at_its_time_with_its_attempt() -> None:
    waiting = Waiting()
    backlog, now = waiting.backlog, waiting.way.clock.now
    assert backlog.next_wake() == math.inf
    backlog.put_off(job("a"), Deferred(now + 5.0, 3, "the store said no"))
    assert (len(backlog), backlog.bytes, backlog.next_wake()) == (1, job("a").fingerprint.size, now + 5)
    backlog.wake()
    assert waiting.next() is None
    assert backlog.oldest_put_off() == (job("a"), "the store said no")
    waiting.way.clock.now += 5.0
    backlog.wake()
    assert backlog.ready is not None
    assert (backlog.ready.relpath, backlog.ready.attempt) == ("a", 3)
    assert (len(backlog), backlog.oldest_put_off()) == (1, None)


def test_a_wait_can_be_ended_and_a_file_be_dropped() -> None:
    waiting = Waiting()
    backlog = waiting.backlog
    assert not backlog.wake_now("a")
    backlog.put_off(job("a"), Deferred(math.inf, 2, "no"))
    assert backlog.wake_now("a")
    backlog.wake()
    assert waiting.next() == "a"
    backlog.drop("a")
    assert (len(backlog), "a" in backlog, list(backlog.jobs()), backlog.groups) == (0, False, [], {})
