"""When a request is ended: silence, and too little in a window, shared by those under way."""

import math
from dataclasses import dataclass, field

from hotfolder.core.refusals import Fault
from hotfolder.core.stalls import Bounds, Phase, Progress, Stall, Traffic

BOUNDS = Bounds(connect=20.0, silence=300.0, speed=1000.0)


@dataclass
class Line:
    """A request that is looked at as often as it should be; bytes move as `rate` says."""

    phase: Phase
    queued: int = 0
    sharing: int = 1
    most: float = math.inf
    now: float = 1000.0
    moved: float = 0.0
    progress: Progress = field(default_factory=lambda: Progress(BOUNDS, 1000.0))

    def run(self, seconds: float, rate: float = 0.0) -> Stall | None:
        """The stall that ends it within `seconds`, or None."""
        end = self.now + seconds
        while self.now < end:
            self.now += BOUNDS.interval
            self.moved += rate * BOUNDS.interval
            traffic = Traffic(int(self.moved), self.queued)
            stall = self.progress.look(self.phase, traffic, self.now, self.sharing, self.most)
            if stall is not None:
                return stall
        return None


def test_a_body_of_which_nothing_is_taken_ends() -> None:
    line = Line(Phase.SENDING, queued=4096)
    assert line.run(290.0) is None
    assert line.run(90.0) == Stall(Fault.STALLED, "nothing was taken for 300 s")
    assert line.progress.alive_at == 1030.0


def test_a_byte_a_second_is_too_little() -> None:
    for phase in (Phase.SENDING, Phase.STREAMING):
        assert Line(phase, queued=4096).run(400.0, rate=1.0) == Stall(
            Fault.STALLED, "only 300 bytes in 300 s"
        )


def test_a_thin_line_is_shared() -> None:
    # 64 requests on a line of 1 kB/s: each has 16 bytes a second, and all are healthy.
    assert Line(Phase.SENDING, queued=1, sharing=64).run(5000.0, rate=16.0) is None
    assert Line(Phase.SENDING, queued=1, sharing=64).run(400.0, rate=10.0) is not None


def test_who_shared_the_line_until_now_is_judged_by_that() -> None:
    line = Line(Phase.SENDING, queued=1, sharing=64)
    assert line.run(240.0, rate=16.0) is None
    line.sharing = 1  # the others are through
    assert line.run(150.0, rate=900.0) is None


def test_what_we_slow_down_is_no_stall() -> None:
    # Allowed are 80 bytes a second for eight requests, and the line is to carry 1 kB/s at least.
    slowed = Line(Phase.SENDING, queued=1, sharing=8, most=80.0)
    assert slowed.run(5000.0, rate=10.0) is None
    slowed.most = math.inf
    assert slowed.run(290.0, rate=10.0) is None  # judged by what was allowed in all that time
    assert slowed.run(700.0, rate=10.0) is not None
    assert Line(Phase.SENDING, queued=1, sharing=8, most=80.0).run(400.0, rate=1.0) is not None


def test_a_peer_that_waits_for_us_is_no_stall() -> None:
    assert Line(Phase.SENDING, queued=0).run(5000.0) is None


def test_a_head_has_to_be_whole_in_time() -> None:
    late = Stall(Fault.TIMEOUT, "within 300 s")
    assert Line(Phase.WAITING).run(400.0) == late
    assert Line(Phase.WAITING).run(400.0, rate=1.0) == late


def test_the_wait_begins_when_the_kernel_has_sent_it_all() -> None:
    line = Line(Phase.WAITING, queued=4_000_000)
    assert line.run(3000.0, rate=1100.0) is None
    line.queued = 0
    assert line.run(290.0) is None
    assert line.run(90.0) == Stall(Fault.TIMEOUT, "within 300 s")


def test_blanks_in_an_answer_keep_it_alive_for_a_while() -> None:
    line = Line(Phase.READING)
    assert line.run(1100.0, rate=0.1) is None
    assert line.run(200.0, rate=0.1) == Stall(Fault.STALLED, "the answer was not whole after 1200 s")
    assert Line(Phase.READING).run(400.0) == Stall(Fault.STALLED, "nothing came for 300 s")


def test_what_never_connects_ends_and_what_waits_for_a_thread_does_not() -> None:
    assert Line(Phase.QUEUED).run(5000.0) is None
    assert Line(Phase.CONNECTING).run(400.0) == Stall(Fault.NO_CONNECTION, "within 320 s")


def test_a_process_that_stood_still_proves_nothing() -> None:
    line = Line(Phase.SENDING, queued=1)
    assert line.run(60.0, rate=2000.0) is None
    line.now += 10_000.0  # stopped, or asleep
    assert line.run(200.0) is None


def test_without_a_floor_a_byte_is_enough() -> None:
    line = Line(Phase.SENDING, queued=1)
    line.progress = Progress(Bounds(connect=20.0, silence=300.0, speed=0.0), 1000.0)
    assert line.run(5000.0, rate=0.1) is None
