"""The byte budget: never over its total, first come first served, nothing lost on the way out."""

import asyncio
import random
from collections.abc import Coroutine
from typing import Any

import pytest

from hotfolder.budget import ByteBudget


class Leases:
    """Files that take a lease and hold it until told; `order` is who got theirs, in turn."""

    def __init__(self, budget: ByteBudget) -> None:
        self.budget = budget
        self.order: list[str] = []
        self.granted: dict[str, int] = {}
        self._ends: dict[str, asyncio.Event] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}

    async def ask(self, name: str, least: int, most: int | None = None, *, folder: str = "") -> None:
        self._ends[name] = asyncio.Event()
        self._tasks[name] = asyncio.create_task(self._hold(name, least, most or least, folder))
        await settled()

    async def end(self, name: str) -> None:
        self._ends[name].set()
        await self._tasks[name]
        await settled()

    async def cancel(self, name: str) -> None:
        self._tasks[name].cancel()
        await asyncio.gather(self._tasks[name], return_exceptions=True)
        await settled()

    async def _hold(self, name: str, least: int, most: int, folder: str) -> None:
        async with self.budget.lease(least, most, folder) as granted:
            self.order.append(name)
            self.granted[name] = granted
            await self._ends[name].wait()


async def settled() -> None:
    """Let every task that can run do so."""
    for _ in range(5):
        await asyncio.sleep(0)


async def test_a_lease_gets_as_much_as_is_free_up_to_what_it_can_use() -> None:
    leases = Leases(ByteBudget(100))
    await leases.ask("a", 10, 60)
    await leases.ask("b", 10, 60)
    assert leases.granted == {"a": 60, "b": 40}
    assert leases.budget.free == 0
    await leases.end("a")
    await leases.end("b")
    assert leases.budget.free == 100


async def test_who_cannot_be_served_waits_until_enough_is_given_back() -> None:
    leases = Leases(ByteBudget(100))
    await leases.ask("a", 50)
    await leases.ask("b", 40)
    await leases.ask("c", 60)
    assert leases.order == ["a", "b"]
    await leases.end("b")
    assert leases.order == ["a", "b"]
    await leases.end("a")
    assert leases.order == ["a", "b", "c"]


async def test_equal_leases_are_served_in_the_order_they_came() -> None:
    leases = Leases(ByteBudget(10))
    for number in range(20):
        await leases.ask(str(number), 10)
    for number in range(20):
        await leases.end(str(number))
    assert leases.order == [str(number) for number in range(20)]


async def test_small_leases_pass_a_large_one_only_as_often_as_its_patience() -> None:
    leases = Leases(ByteBudget(100, patience=3))
    await leases.ask("first", 60)
    await leases.ask("large", 100)
    for number in range(6):
        await leases.ask(f"small {number}", 1)
    assert leases.order == ["first", "small 0", "small 1", "small 2"]
    await leases.end("first")
    for number in range(3):
        await leases.end(f"small {number}")
    assert leases.order[4:] == ["large"], "next is the one that waited, whatever fits beside it"
    await leases.end("large")
    assert leases.order[5:] == ["small 3", "small 4", "small 5"]


async def test_a_stream_of_small_leases_never_starves_a_large_one() -> None:
    leases = Leases(ByteBudget(100, patience=5))
    await leases.ask("small 0", 10)
    await leases.ask("large", 100)
    for number in range(1, 50):
        await leases.ask(f"small {number}", 10)
        previous = f"small {number - 1}"
        if previous in leases.order:
            await leases.end(previous)
        if "large" in leases.order:
            break
    assert "large" in leases.order


async def test_the_patience_counts_anew_for_the_next_large_one() -> None:
    leases = Leases(ByteBudget(10, patience=2))
    await leases.ask("a", 9)
    await leases.ask("large 1", 10)
    await leases.ask("b", 1)
    await leases.end("a")
    await leases.end("b")
    assert leases.order[-1] == "large 1"
    await leases.ask("large 2", 10)
    await leases.end("large 1")
    await leases.ask("x", 1)
    assert leases.order[-1] == "large 2"
    await leases.end("large 2")
    assert leases.order[-1] == "x"


async def test_small_leases_do_not_wait_for_large_ones_to_end() -> None:
    leases = Leases(ByteBudget(100, patience=2, kept=10, small=2))
    await leases.ask("large 1", 60, 1000)
    assert leases.granted["large 1"] == 90, "all but what is kept"
    await leases.ask("large 2", 60)
    for number in range(20):  # of which each takes a fifth of what is kept, one after the other
        await leases.ask(f"small {number}", 2)
        await leases.end(f"small {number}")
    assert len(leases.order) == 21
    for number in range(6):
        await leases.ask(f"more {number}", 2)
    assert leases.order[-1] == "more 4", "what is kept is all that they get beside one who is next"
    await leases.end("large 1")
    assert leases.order[-2:] == ["large 2", "more 5"]
    for name in ("large 2", *(f"more {number}" for number in range(6))):
        await leases.end(name)
    assert leases.budget.free == 100


async def test_a_lease_that_needs_nearly_all_is_not_starved_by_small_ones() -> None:
    leases = Leases(ByteBudget(100, patience=2, kept=10, small=2))
    await leases.ask("small 0", 2)
    await leases.ask("huge", 99)
    for number in range(1, 6):
        await leases.ask(f"small {number}", 2)
    assert leases.order == ["small 0", "small 1", "small 2"]
    for number in range(3):
        await leases.end(f"small {number}")
    assert leases.order[-1] == "huge"


async def test_the_folder_that_has_least_is_next() -> None:
    leases = Leases(ByteBudget(100))
    for number in range(4):
        await leases.ask(f"a{number}", 50, folder="a")
    for number in range(2):
        await leases.ask(f"b{number}", 50, folder="b")
    assert leases.order == ["a0", "a1"]
    await leases.end("a0")
    await leases.end("a1")
    assert leases.order[2:] == ["b0", "a2"]
    await leases.end("b0")
    await leases.end("a2")
    assert leases.order[4:] == ["b1", "a3"]


async def test_of_three_places_each_of_two_folders_has_two_by_turns() -> None:
    leases = Leases(ByteBudget(90))
    for number in range(12):
        for folder in ("a", "b"):
            await leases.ask(f"{folder}{number}", 30, folder=folder)
    for ended in range(15):
        await leases.end(leases.order[ended])
    assert sum(name.startswith("a") for name in leases.order) == 9


async def test_no_folder_takes_what_is_spared_for_the_others() -> None:
    leases = Leases(ByteBudget(90, spared=30))
    await leases.ask("a0", 10, 1000, folder="a")
    await leases.ask("a1", 10, folder="a")
    assert leases.granted == {"a0": 60}
    await leases.ask("b0", 10, 1000, folder="b")
    assert leases.granted == {"a0": 60, "b0": 30}
    await leases.end("b0")
    assert "a1" not in leases.granted, "its own folder has to give back first"
    await leases.end("a0")
    assert "a1" in leases.granted


async def test_a_lease_alone_may_take_more_than_a_folders_share() -> None:
    leases = Leases(ByteBudget(90, spared=30))
    await leases.ask("a0", 10, folder="a")
    await leases.ask("huge", 80, 1000, folder="a")
    assert leases.order == ["a0"]
    await leases.end("a0")
    assert leases.granted["huge"] == 80


async def test_what_waits_for_its_own_folder_is_in_nobody_elses_way() -> None:
    leases = Leases(ByteBudget(90, patience=2, spared=30))
    await leases.ask("a0", 55, folder="a")
    await leases.ask("a1", 10, folder="a")
    for number in range(10):
        await leases.ask(f"b{number}", 20, folder="b")
        await leases.end(f"b{number}")
    assert len(leases.order) == 11
    for number in range(3):
        await leases.ask(f"small {number}", 1, folder="a")
    assert leases.order[11:] == [], "those of its own folder have passed it often enough"


async def test_a_folder_that_needs_much_is_not_starved_by_two_that_need_little() -> None:
    leases = Leases(ByteBudget(90, patience=5, spared=30))
    held = [(f"{folder}{number}", folder) for number in range(4) for folder in ("a", "b")]
    for name, folder in held:
        await leases.ask(name, 10, folder=folder)
    await leases.ask("large", 40, folder="c")
    for number in range(100):
        name, folder = held.pop(0)
        held.append((f"{folder}{number + 4}", folder))
        await leases.ask(held[-1][0], 10, folder=folder)
        if name not in leases.order:
            break
        await leases.end(name)
    for name, _ in held:
        if name in leases.order:
            await leases.end(name)
    assert leases.order.index("large") < 20


async def test_a_large_lease_is_not_starved_by_small_ones_of_two_folders_that_take_turns() -> None:
    leases = Leases(ByteBudget(90, patience=5))
    for number in range(12):
        for folder in ("a", "b"):
            await leases.ask(f"{folder}{number}", 10, folder=folder)
    await leases.ask("large", 40, folder="b")
    for number in range(12, 50):
        for folder in ("a", "b"):
            await leases.ask(f"{folder}{number}", 10, folder=folder)
            await leases.end(leases.order[2 * (number - 12) + (folder == "b")])
        if "large" in leases.order:
            break
    assert leases.order.index("large") < 2 * 12 + 2 + 5, (
        "after those before it, and as many as it lets pass"
    )


async def test_who_waits_for_its_own_folder_does_not_keep_others_waiting_behind_small_ones() -> None:
    leases = Leases(ByteBudget(90, patience=2, spared=30))
    await leases.ask("a0", 20, folder="a")
    await leases.ask("a1", 45, folder="a")  # its own folder has to give back first
    await leases.ask("b0", 25, folder="b")
    for number in range(2):
        await leases.ask(f"c{number}", 15, folder="c")
    await leases.ask("large", 35, folder="b")
    for number in range(2, 20):
        await leases.end(f"c{number - 2}")
        await leases.ask(f"c{number}", 15, folder="c")
        if f"c{number}" not in leases.order:
            break
    await leases.end(f"c{number - 1}")
    assert leases.order[-1] == "large"


async def test_a_waiting_lease_that_is_cancelled_lets_the_others_through() -> None:
    leases = Leases(ByteBudget(100, patience=0))
    await leases.ask("first", 60)
    await leases.ask("large", 100)
    await leases.ask("small", 1)
    assert leases.order == ["first"]
    await leases.cancel("large")
    assert leases.order == ["first", "small"]
    await leases.end("first")
    await leases.end("small")
    assert leases.budget.free == 100


async def test_a_lease_that_is_cancelled_in_use_gives_its_bytes_back() -> None:
    leases = Leases(ByteBudget(100))
    await leases.ask("a", 100)
    await leases.ask("b", 100)
    await leases.cancel("a")
    assert leases.order == ["a", "b"]
    await leases.cancel("b")
    assert leases.budget.free == 100


async def test_a_lease_that_is_cancelled_between_grant_and_use_gives_its_bytes_back() -> None:
    budget = ByteBudget(100)

    async def hold() -> None:
        async with budget.lease(100, 100):
            raise AssertionError("was cancelled before it could begin")

    async with budget.lease(100, 100):
        task = asyncio.create_task(hold())
        await settled()
    task.cancel()  # granted by the exit above, and not yet run
    assert budget.free == 0
    await asyncio.gather(task, return_exceptions=True)
    assert task.cancelled()
    assert budget.free == 100


async def test_an_error_inside_a_lease_gives_its_bytes_back() -> None:
    budget = ByteBudget(100)
    with pytest.raises(RuntimeError):
        async with budget.lease(60, 100):
            raise RuntimeError
    assert budget.free == 100


async def test_bytes_that_are_not_needed_any_more_serve_others_before_the_end() -> None:
    budget = ByteBudget(100)
    lease = budget.lease(60, 60)
    async with lease:
        lease.give_back()
        async with budget.lease(100, 100):
            lease.give_back()  # it has nothing more to give
            assert budget.free == 0
    assert budget.free == 100


async def test_a_lease_shrinks_to_what_is_needed_yet_and_serves_who_waits() -> None:
    budget = ByteBudget(100)
    lease = budget.lease(60, 60)
    leases = Leases(budget)
    async with lease:
        await leases.ask("next", 70)
        lease.shrink(40)
        await settled()
        assert leases.order == []
        lease.shrink(30)
        await settled()
        assert leases.order == ["next"]
        lease.shrink(35)  # it never takes anything back
        assert (lease.share, budget.free) == (30, 0)
    await leases.end("next")
    assert budget.free == 100


async def test_a_lease_grows_up_to_its_most_while_bytes_are_free_and_nobody_waits() -> None:
    budget = ByteBudget(100, kept=20, small=10)
    leases = Leases(budget)
    await leases.ask("other", 40)
    lease = budget.lease(20, 50)
    async with lease:
        assert lease.share == 40
        assert not lease.grow(10)  # what is left is for small files
        await leases.ask("waits", 41)
        await leases.end("other")
        assert leases.order == ["other"]  # 60 are free, but for 20
        assert not lease.grow(10)  # somebody waits
        await leases.cancel("waits")
        assert lease.grow(10)
        assert not lease.grow(10)  # that is the most it asked for
        assert (lease.share, budget.free) == (50, 50)
    assert budget.free == 100
    assert not lease.grow(10)  # it is over


async def test_a_lease_that_can_never_fit_is_refused_at_once() -> None:
    budget = ByteBudget(100)
    with pytest.raises(ValueError, match="can never fit"):
        async with budget.lease(101, 200):
            raise AssertionError("never granted")
    assert budget.free == 100


@pytest.mark.parametrize("seed", range(20))
async def test_the_sum_of_all_leases_is_never_over_the_total(seed: int) -> None:
    dice = random.Random(seed)
    budget = ByteBudget(
        1000,
        patience=dice.randrange(4),
        kept=dice.choice([0, 100]),
        small=20,
        spared=dice.choice([0, 300]),
    )
    held = 0

    async def file() -> None:
        nonlocal held
        least = dice.randrange(0, 1001)
        most = dice.randrange(least, 2001)
        async with budget.lease(least, most, dice.choice("abc")) as granted:
            held += granted
            try:
                assert least <= granted <= most
                assert 0 <= budget.free <= 1000 - held  # some are granted and not yet in use
                for _ in range(dice.randrange(4)):
                    await asyncio.sleep(0)
            finally:
                held -= granted

    async def fickle(work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        for _ in range(dice.randrange(30)):
            await asyncio.sleep(0)
        if dice.random() < 0.3:
            task.cancel()
        for outcome in await asyncio.gather(task, return_exceptions=True):
            assert outcome is None or isinstance(outcome, asyncio.CancelledError)

    await asyncio.gather(*(fickle(file()) for _ in range(100)))
    assert (budget.free, held) == (1000, 0)
