"""The benchmark's pure parts: turns in a bounded time, medians, ratios, goals, and how they are told."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from tests.bench.speed import goals, plan, report
from tests.bench.speed.budget import Budget
from tests.bench.speed.results import (
    FARTHER,
    HOTFOLDER,
    NEAR,
    S5CMD_CP,
    TAR_GZIP_AWS,
    Figures,
    Results,
    Row,
    errors,
    from_json,
    to_json,
)
from tests.support.page import read_section, write_section

MIB = 1 << 20


def figures(wall: float, cpu: float = 1.0, peak: int = 100 * MIB) -> Figures:
    return Figures(wall, cpu, peak, requests=10, sink_cpu=0.5)


def row(work: str, contestant: str, *walls: float, store: str = NEAR, files: int = 10) -> Row:
    rounds = [figures(wall) for wall in walls]
    return Row(work, f"title of {work}", files, 10_000_000, store, contestant, 3, rounds)


def results(*rows: Row) -> Results:
    return Results("2026-01-02", {"cores": "2 cores"}, {"s5cmd": "2"}, 7, 60, 50, list(rows))


def turns(groups: list[list[Row]], seconds: float, each: float) -> list[str]:
    """Who ran, each run taking `each` seconds of `seconds`."""
    now = 0.0
    ran = []
    budget = Budget(seconds, lambda: now)
    for group, place in budget.turns(groups):
        ran.append(groups[group][place].contestant)
        now += each
    return ran


def wishing(contestant: str, wished: int) -> Row:
    return replace(row("small", contestant), wished=wished)


def test_contestants_alternate_from_one_end_and_then_from_the_other() -> None:
    group = [wishing("a", 3), wishing("b", 3), wishing("c", 1)]
    assert turns([group], seconds=1000, each=1) == ["a", "b", "c", "b", "a", "a", "b"]


def test_every_row_has_a_first_round_and_more_only_while_they_fit() -> None:
    groups = [[wishing("a", 3), wishing("b", 3)], [wishing("c", 3)]]
    assert turns(groups, seconds=0, each=10) == ["a", "b", "c"]
    assert turns(groups, seconds=45, each=10) == ["a", "b", "c", "b"]


def test_a_row_that_failed_has_no_further_turn() -> None:
    group = [wishing("a", 2), wishing("b", 2)]
    group[0].error = "it ended with 1"
    assert turns([group], seconds=1000, each=1) == ["b", "b"]
    assert errors(group) == [f"a, title of small, {NEAR}: it ended with 1"]


def test_a_row_tells_medians_and_its_highest_peak() -> None:
    measured = replace(
        row("small", HOTFOLDER),
        rounds=[figures(2, 1.0, 5), figures(9, 3.0, 7), figures(4, 2.0, 6)],
    )
    assert (measured.wall, measured.cpu, measured.peak, measured.requests) == (4, 2.0, 7, 10)
    assert measured.sink_share == 0.125


def test_ratios_are_to_hotfolder_on_the_same_files_and_store() -> None:
    peer, elsewhere = row("small", S5CMD_CP, 3.0), row("small", S5CMD_CP, 3.0, store=FARTHER)
    told = results(row("small", HOTFOLDER, 2.0), peer, elsewhere)
    assert told.ratio(peer) == 1.5
    assert told.ratio(elsewhere) is None
    assert told.dropped == 6


def test_results_come_back_from_json() -> None:
    told = results(row("small", HOTFOLDER, 2.0, 3.0), row("small", S5CMD_CP))
    assert from_json(json.loads(json.dumps(to_json(told)))) == told


@pytest.mark.parametrize(("wall", "is_met"), [(1.9, True), (2.0, True), (2.1, False)])
def test_a_ratio_is_a_goal(wall: float, is_met: bool) -> None:
    (goal, _) = goals.judged(results(row("small", HOTFOLDER, wall), row("small", S5CMD_CP, 2.0)))
    assert goal.text == f"title of small, {NEAR}: at least as fast as `{S5CMD_CP}`"
    assert goal.is_met == is_met


def test_the_goals_of_latency_memory_and_many_files() -> None:
    few, many = row("few", HOTFOLDER, 1.0, files=10), row("many", HOTFOLDER, 1.0, files=100)
    few.rounds, many.rounds = [figures(1, cpu=1.0)], [figures(1, cpu=11.5, peak=400 * MIB)]
    near, far = row("mixed", HOTFOLDER, 9.0), row("mixed", HOTFOLDER, 9.9, store=FARTHER)
    told = {
        goal.text: (goal.measured, goal.is_met) for goal in goals.judged(results(near, far, few, many))
    }
    assert told == {
        "title of mixed: throughput at 80 ms within 10 % of that at 0 ms": ("91% of it", True),
        "memory under 300 MiB in every row": (f"400 MiB (title of many, {NEAR})", False),
        "CPU a file with 100 files within 10 % of that with 10": ("115.000 ms, 100.000 ms: +15%", False),
    }


def test_the_plan_measures_what_the_goals_ask_for() -> None:
    planned = {
        (group.work.name, group.store, contestant.name)
        for group in plan.full()
        for contestant in group.contestants
    }
    for work, store, peer, _ in goals.RATIOS:
        assert {(work, store, peer), (work, store, HOTFOLDER)} <= planned
    for work in goals.LATENT:
        assert {(work, NEAR, HOTFOLDER), (work, FARTHER, HOTFOLDER)} <= planned
    assert {("few", NEAR, HOTFOLDER), ("many", NEAR, HOTFOLDER)} <= planned


@pytest.mark.parametrize("groups", [plan.full(), plan.quick()], ids=["full", "quick"])
def test_hotfolder_is_in_every_group_of_a_plan(groups: list[plan.Group]) -> None:
    for group in groups:
        assert HOTFOLDER in {contestant.name for contestant in group.contestants}


def test_the_page_shows_every_row_and_what_was_left_out() -> None:
    told = results(row("text", HOTFOLDER, 2.0, 3.0, 4.0), row("text", TAR_GZIP_AWS, 30.0))
    page = report.page(told)
    assert f"### title of text, {NEAR}" in page
    assert any(
        line.startswith("| **hotfolder** | **3** | **3.00** | **2.00 - 4.00** |") for line in page
    )
    assert any(line.startswith(r"| tar \| gzip \| aws s3 cp | 1 | 30.0 |  | 10.00 |") for line in page)
    assert page[-1] == "The time given (1 minutes) left 2 rounds out."


def test_the_readme_shows_seconds_and_what_was_missed() -> None:
    lines = report.readme(results(row("text", HOTFOLDER, 4.0), row("text", TAR_GZIP_AWS, 30.0)))
    assert r"| title of text | **4.00** | 30.0 (7.5 x) |" in lines
    missed = f"- title of text, {NEAR}: at least 8 times as fast as `{TAR_GZIP_AWS}`: 7.50 x"
    assert missed in lines


def test_a_section_is_found_again(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("before\n")
    write_section(page, "make bench", "one", ["old"])
    write_section(page, "make bench", "two", ["two"])
    write_section(page, "make bench", "one", ["x", "", "y"])
    assert read_section(page, "make bench", "one") == ["x", "", "y"]
    assert read_section(page, "make bench", "two") == ["two"]
    assert read_section(page, "make bench", "none") == []
    assert page.read_text().startswith("before\n<!-- begin")
