"""A burst wakes the loop a few times, one event at once."""

import asyncio
from typing import Any, cast

from hotfolder.waking import Waker


class Loop:
    """The part of an event loop that a waker uses, with a clock that is stepped."""

    def __init__(self) -> None:
        self.now = 0.0
        self.due: list[tuple[float, Any]] = []

    def time(self) -> float:
        return self.now

    def call_soon_threadsafe(self, work: Any) -> None:
        work()

    def call_at(self, when: float, work: Any) -> None:
        self.due.append((when, work))

    def run(self, seconds: float) -> None:
        self.now += seconds
        ready = [work for when, work in self.due if when <= self.now]
        self.due = [each for each in self.due if each[0] > self.now]
        for work in ready:
            work()


def test_one_event_wakes_at_once_and_a_burst_rarely() -> None:
    loop, woken = Loop(), []
    waker = Waker(cast("asyncio.AbstractEventLoop", loop), lambda: woken.append(loop.now))
    waker.wake()
    loop.run(0.0)
    assert woken == [0.0]
    for _ in range(1000):
        waker.wake()
        loop.run(0.001)
    assert 15 <= len(woken) <= 21
    loop.run(1.0)
    count = len(woken)
    waker.wake()
    loop.run(0.0)
    assert len(woken) == count + 1


def test_a_loop_that_has_ended_is_not_woken() -> None:
    loop = asyncio.new_event_loop()
    loop.close()
    Waker(loop, lambda: None).wake()
