"""The benchmark's pure parts: turns in a bounded time, medians, ratios, goals, and how they are told."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from tests.bench.speed import __main__ as command
from tests.bench.speed import goals, plan, report
from tests.bench.speed.budget import Budget
from tests.bench.speed.names import (
    AT_ONCE,
    BY_THOUSANDS,
    FARTHER,
    HOTFOLDER,
    NEAR,
    OURS,
    RCLONE,
    RCLONE_64,
    S5CMD_CP,
    TAR_GZIP_AWS,
)
from tests.bench.speed.results import Figures, Results, Row, errors, from_json, to_json
from tests.bench.speed.shown import number
from tests.support.page import read_section, write_section

MIB = 1 << 20


def figures(wall: float, cpu: float = 1.0, peak: int = 100 * MIB) -> Figures:
    return Figures(wall, cpu, peak, requests=10, sink_cpu=0.5)


def row(work: str, contestant: str, *walls: float, store: str = NEAR, files: int = 10) -> Row:
    rounds = [figures(wall) for wall in walls]
    return Row(work, f"title of {work}", files, 10_000_000, store, contestant, 3, rounds)


def results(*rows: Row) -> Results:
    return Results("2026-01-02", {"cores": "2 cores"}, {"s5cmd": "2"}, 7, 60, 50, list(rows))


def turns(
    groups: list[list[Row]], seconds: float, each: float, goals_of: str = "", is_hard: bool = False
) -> list[str]:
    """Who ran, each run taking `each` seconds of `seconds`; `goals_of`: whom a goal needs."""
    now = 0.0
    ran = []
    budget = Budget(seconds, lambda: now, is_hard)
    needed = {("small", NEAR, contestant) for contestant in goals_of}
    for group, place in budget.turns(groups, needed):
        ran.append(groups[group][place].contestant)
        now += each
    return ran


def wishing(contestant: str, wished: int) -> Row:
    return replace(row("small", contestant), wished=wished)


def test_contestants_alternate_from_one_end_and_then_from_the_other() -> None:
    group = [wishing("a", 3), wishing("b", 3), wishing("c", 1)]
    alternating = ["a", "b", "c", "b", "a", "a", "b"]
    assert turns([group], seconds=1000, each=1) == alternating
    assert turns([group], seconds=1000, each=1, goals_of="abc")[:7] == alternating


def test_what_a_goal_needs_is_run_first() -> None:
    groups = [[wishing("a", 2), wishing("b", 1)], [wishing("c", 1), wishing("d", 2)]]
    first, then = ["a", "c", "a"], ["b", "d", "d"]
    beyond = ["c", "a", "c"]  # until each has three
    assert turns(groups, seconds=1000, each=1, goals_of="ac") == first + then + beyond


def test_of_what_a_goal_needs_one_round_is_run_in_any_case_and_all_else_while_it_fits() -> None:
    groups = [[wishing("a", 3), wishing("b", 3)], [wishing("c", 3)]]
    assert turns(groups, seconds=0, each=10, goals_of="ac") == ["a", "c"]
    assert turns(groups, seconds=45, each=10, goals_of="ac") == ["a", "c", "a", "c", "b"]


def test_past_a_hard_bound_nothing_is_begun() -> None:
    group = [wishing("a", 1), wishing("b", 1), wishing("c", 1)]
    assert turns([group], seconds=15, each=10, goals_of="c", is_hard=True) == ["c", "a"]


def test_a_row_that_failed_has_no_further_turn() -> None:
    group = [wishing("a", 2), wishing("b", 2)]
    group[0].error = "it ended with 1"
    assert turns([group], seconds=1000, each=1, goals_of="a") == ["b", "b"]
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
    few, many = row("few", BY_THOUSANDS, files=10), row("many", AT_ONCE, files=100)
    few.rounds, many.rounds = [figures(1, cpu=1.0)] * 3, [figures(1, cpu=11.5, peak=400 * MIB)]
    near, far = row("mixed", HOTFOLDER, 9.0), row("mixed", HOTFOLDER, 9.9, store=FARTHER)
    told = {
        goal.text: (goal.measured, goal.rounds, goal.is_met)
        for goal in goals.judged(results(near, far, few, many))
    }
    assert told == {
        "title of mixed: throughput at 80 ms within 10 % of that at 0 ms": ("91% of it", "1, 1", True),
        "memory under 300 MiB in every row": (f"400 MiB (title of many, {NEAR})", "6", False),
        "CPU a file, 100 files at once, within 10 % of that 1,000 at a time": (
            "115.000 ms, 100.000 ms: +15%",
            "1, 3",
            False,
        ),
    }


@pytest.mark.parametrize(("near", "far", "is_met"), [(9.0, 10.0, True), (8.9, 10.0, False)])
def test_nine_tenths_of_the_throughput_is_within_ten_percent(
    near: float, far: float, is_met: bool
) -> None:
    rows = row("large", HOTFOLDER, near), row("large", HOTFOLDER, far, store=FARTHER)
    assert [goal.is_met for goal in goals.judged(results(*rows))] == [is_met, True]


@pytest.mark.parametrize(("many", "is_met"), [(1.1, True), (1.11, False)])
def test_a_file_among_many_may_cost_a_tenth_more(many: float, is_met: bool) -> None:
    few, crowd = row("few", BY_THOUSANDS, files=1), row("many", AT_ONCE, files=1)
    few.rounds, crowd.rounds = [figures(1, cpu=1.0)], [figures(1, cpu=many)]
    assert [goal.is_met for goal in goals.judged(results(few, crowd))] == [True, is_met]


def test_goals_go_by_medians_of_alternating_rounds() -> None:
    ours, theirs = row("small", HOTFOLDER, 9.0, 2.0, 1.0), row("small", S5CMD_CP, 3.0, 1.0, 1.9)
    (goal, _) = goals.judged(results(ours, theirs))
    assert (goal.measured, goal.rounds, goal.is_met) == ("0.95 x", "3, 3", False)
    assert goal.why == (
        "the whole job takes 100,000 us of CPU a file and keeps 0.5 cores busy, "
        "`s5cmd cp` takes 100,000 us of CPU a file and keeps 0.5"
    )


def test_the_plan_measures_what_the_goals_ask_for() -> None:
    planned = {
        (group.work.name, group.store, contestant.name)
        for group in plan.full()
        for contestant in group.contestants
    }
    assert goals.measured() <= planned


@pytest.mark.parametrize("groups", [plan.full(), plan.quick()], ids=["full", "quick"])
def test_hotfolder_is_in_every_group_of_a_plan(groups: list[plan.Group]) -> None:
    for group in groups:
        assert {contestant.name for contestant in group.contestants} & OURS


def test_the_page_shows_every_row_and_what_was_left_out() -> None:
    told = results(row("text", HOTFOLDER, 2.0, 3.0, 4.0), row("text", TAR_GZIP_AWS, 30.0))
    page = report.page(told)
    assert f"### title of text, {NEAR}" in page
    assert any(
        line.startswith("| **hotfolder** | **3** | **3.00** | **2.00 - 4.00** |") for line in page
    )
    assert any(line.startswith(r"| tar \| gzip \| aws s3 cp | 1 | 30.0 |  | 10.00 |") for line in page)
    assert page[-1].endswith("The time given (1 minutes) left 2 rounds out.")


def test_the_page_says_what_was_missed_and_why() -> None:
    page = report.page(results(row("text", HOTFOLDER, 4.0), row("text", TAR_GZIP_AWS, 30.0)))
    told = " ".join(line.strip() for line in page)
    missed = rf"- **title of text, {NEAR}: at least 8 times as fast as `{TAR_GZIP_AWS}`**: 7.50 x: the"
    assert missed in told
    assert "- **memory" not in told
    assert max(len(line) for line in page if not line.startswith("|")) < 120


def test_the_readme_shows_seconds_and_how_many_goals_are_met() -> None:
    told = results(row("text", HOTFOLDER, 4.0), row("text", TAR_GZIP_AWS, 30.0))
    lines = report.readme(told)
    assert r"| title of text | **4.00** | 30.0 (7.5 x) |" in lines
    assert " ".join(lines).endswith(
        "Of 2 goals that hotfolder had set itself 1 are met; "
        "[which are missed, and why](docs/speed.md#goals)."
    )
    assert max(map(len, lines)) < 120


def test_of_a_program_the_way_is_shown_that_did_best() -> None:
    told = results(row("small", HOTFOLDER, 4.0), row("small", RCLONE, 9.0), row("small", RCLONE_64, 8.0))
    assert "| title of small | **4.00** | 8.00 (2.0 x, 64 transfers) |" in report.readme(told)


@pytest.mark.parametrize(
    ("value", "shown"), [(0.456, "0.46"), (9.994, "9.99"), (10.04, "10.0"), (1234.5, "1,234")]
)
def test_a_figure_has_three_digits_that_count(value: float, shown: str) -> None:
    assert number(value) == shown


def test_without_the_package_that_draws_no_older_chart_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(command, "_CAN_DRAW", False)
    stale = tmp_path / "speed.svg"
    stale.write_text("of another run")
    assert not command.draw(results(row("text", HOTFOLDER, 4.0)), stale)
    assert not stale.exists()


def test_a_chart_shows_what_was_measured_and_nothing_draws_none(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="in the extra `bench`")
    drawn = tmp_path / "speed.svg"
    told = results(row("text", HOTFOLDER, 4.0), row("text", TAR_GZIP_AWS, 30.0))
    assert command.draw(told, drawn)
    assert all(word in drawn.read_text() for word in ("title of text", "4.00 s", "30.0 s"))
    assert not command.draw(results(), drawn)
    assert not drawn.exists()


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
