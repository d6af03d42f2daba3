"""Which file goes next: nobody waits for ever, and the places of large files leave some free."""

from random import Random

from hypothesis import given
from hypothesis import strategies as st

from hotfolder.backlog import Backlog
from hotfolder.core.order import Order, full_lanes, lane_of, row_of
from hotfolder.core.records import Fingerprint, Job
from hotfolder.queued import Queued
from tests.unit.test_gate import Way, trouble

MIB = 1024 * 1024
SIZES = st.sampled_from([0, 1, MIB - 1, MIB, 2 * MIB, 64 * MIB - 1, 64 * MIB, 10**12])
LANES = 3
SECONDS_TO_WAIT_BEHIND_OTHERS = 60  # at most, for each turn of a file that the store refused


def job(number: int, size: int, mtime: int = 0) -> Job:
    seen = Fingerprint(1, number, size, mtime, 4)
    return Job("id", "run", "media", "/srv/inbox", f"{number:04}", "g", seen, 5.0)


JOBS = st.lists(st.tuples(SIZES, st.integers(0, 5)), max_size=30).map(
    lambda each: [job(number, size, mtime) for number, (size, mtime) in enumerate(each)]
)
WANTED = {
    Order.OLDEST: lambda each: (each.fingerprint.mtime_ns, each.relpath),
    Order.SMALLEST: lambda each: (each.fingerprint.size, each.relpath),
    Order.NAME: lambda each: each.relpath,
}


def drained(queued: Queued) -> list[Job]:
    taken = []
    while (first := queued.next()) is not None:
        taken.append(first)
        queued.take(first.relpath)
    return taken


@given(JOBS, st.sampled_from(sorted(WANTED)), st.randoms(use_true_random=False))
def test_a_strict_order_holds_however_they_came(jobs: list[Job], order: Order, dice: Random) -> None:
    queued = Queued(order)
    for each in dice.sample(jobs, len(jobs)):
        queued.add(each)
    assert drained(queued) == sorted(jobs, key=WANTED[order])


@given(JOBS)
def test_fair_keeps_the_order_of_arrival_among_files_of_like_size(jobs: list[Job]) -> None:
    queued = Queued(Order.FAIR)
    for each in jobs:
        queued.add(each)
    taken = drained(queued)
    for lane in range(LANES):
        in_lane = [each for each in jobs if lane_of(each.fingerprint.size) == lane]
        assert [each for each in taken if lane_of(each.fingerprint.size) == lane] == in_lane


@given(st.lists(st.tuples(SIZES, st.lists(SIZES, max_size=3)), max_size=60), SIZES)
def test_fair_starves_none_whatever_else_comes(coming: list[tuple[int, list[int]]], size: int) -> None:
    """A file with `n` of its lane before it has its turn among the next (n + 1) x lanes."""
    queued = Queued(Order.FAIR)
    numbers = iter(range(10_000))
    for first, _ in coming[:10]:
        queued.add(job(next(numbers), first))
    mine = job(next(numbers), size)
    before = sum(lane_of(other.fingerprint.size) == lane_of(size) for other in queued.jobs())
    queued.add(mine)
    turns = 0
    while mine.relpath in queued:
        for more in coming[turns % len(coming)][1] if coming else []:
            queued.add(job(next(numbers), more))
        ready = queued.next()
        assert ready is not None
        queued.take(ready.relpath)
        turns += 1
    assert turns <= (before + 1) * LANES


@given(st.sampled_from(list(Order)), JOBS)
def test_one_that_comes_back_is_behind_all_that_had_no_turn(order: Order, jobs: list[Job]) -> None:
    queued = Queued(order)
    back = job(9_999, 0, mtime=-1)
    for each in jobs:
        queued.add(each)
    queued.add(back, turns=1)
    taken = drained(queued)
    if order is Order.FAIR:
        taken = [each for each in taken if lane_of(each.fingerprint.size) == 0]
    assert taken[-1] == back


@given(st.integers(1, 256), st.lists(SIZES, max_size=300))
def test_large_files_leave_places_for_small_ones(most: int, sizes: list[int]) -> None:
    flying = [0] * LANES
    for size in sizes:
        lane = lane_of(size)
        if sum(flying) < most and lane not in full_lanes(Order.FAIR, flying, most):
            flying[lane] += 1
    assert flying[2] <= max(1, most // 2)
    assert flying[1] + flying[2] <= max(1, most * 3 // 4)
    assert full_lanes(Order.NAME, flying, 1) == frozenset()
    if most > 1:  # nothing that is on its way closes the way of small ones while there are places
        assert sum(flying) == most or 0 not in full_lanes(Order.FAIR, flying, most)


@given(
    st.sampled_from(list(Order)),
    st.lists(st.tuples(st.sampled_from(["add", "drop", "next"]), st.integers(0, 6), SIZES), max_size=60),
)
def test_a_row_holds_what_was_added_and_not_dropped(
    order: Order, steps: list[tuple[str, int, int]]
) -> None:
    row, there = row_of(order), dict[str, Job]()
    for step, number, size in steps:
        path = f"{number:04}"
        if step in {"add", "drop"} and path in there:
            row.drop(there.pop(path))
        if step == "add":
            there[path] = job(number, size)
            row.add(there[path])
        first = row.first()
        assert first is None if not there else first in there.values()
        if step == "next" and first is not None:
            row.took(first)


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["add", "refuse", "absolve", "deliver", "hold", "start", "drop"]),
            st.integers(0, 5),
        ),
        max_size=40,
    )
)
def test_while_nothing_flies_something_may_always_start(steps: list[tuple[str, int]]) -> None:
    way = Way()
    backlog, there = Backlog(way.gate, way.clock), set[str]()
    for step, number in steps:
        path = f"{number:04}"
        way.clock.now += 1.0
        match step:
            case "add":
                backlog.add(job(number, 1))
                there.add(path)
            case "refuse":
                backlog.refused(path)
            case "absolve":
                backlog.absolve(path)
            case "hold":
                way.gate.hold(trouble())
            case "deliver":
                way.deliver()
            case "drop":
                backlog.drop(path)
                there.discard(path)
            case "start":
                first = backlog.next_to_start((), ())
                assert (first is not None) == bool(there)
                if first is not None:
                    backlog.take(first.relpath)
                    there.discard(first.relpath)
        assert {each.relpath for each in backlog.jobs()} == there
        assert (len(backlog), backlog.bytes) == (len(there), len(there))
        assert (backlog.ready is not None) == bool(there)


@given(
    tries=st.lists(st.integers(0, 3), min_size=1, max_size=6),
    slow=st.integers(0, 2),
    coming=st.lists(st.integers(0, 2), max_size=8),
)
def test_no_file_waits_for_ever_behind_others_that_take_for_ever(
    tries: list[int], slow: int, coming: list[int]
) -> None:
    """Each is taken after so many refusals, though there are uploads on their way that never end."""
    way = Way()
    backlog = Backlog(way.gate, way.clock)
    flying = {f"slow{number}" for number in range(slow)}
    refusals = {f"{number:04}": times for number, times in enumerate(tries)}
    for number in range(len(tries)):
        backlog.add(job(number, 1))
    numbers = iter(range(1000, 2000))
    for _ in range(SECONDS_TO_WAIT_BEHIND_OTHERS * sum(times + 1 for times in tries) // 5):
        way.clock.now += 5.0
        for _ in range(coming.pop() if coming else 0):
            backlog.add(job(new := next(numbers), 1))
            refusals[f"{new:04}"] = 0
        started = []
        while len(flying) < slow + 2 and (first := backlog.next_to_start(flying, ())) is not None:
            backlog.take(first.relpath)
            flying.add(first.relpath)
            started.append(first)
        for each in started:
            flying.discard(each.relpath)
            if refusals[each.relpath]:
                refusals[each.relpath] -= 1
                backlog.refused(each.relpath)
                backlog.put_back(each)
            else:
                way.deliver()
                backlog.absolve(each.relpath)
    assert list(backlog.jobs()) == []
