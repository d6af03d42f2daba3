"""The matrix: every fault that we know how to make, each in a play of its own."""

import re
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from tests.torture import local, store_faults
from tests.torture.scenario import COLUMNS, Boxes, Row, Scenario, play

_KINDS = {
    "store": "spoilt by a proxy in front of SeaweedFS, over http",
    "store, https": "the same over https",
    "local": "on the machine of the daemon",
}


@dataclass(frozen=True, slots=True)
class Bounds:
    """How much is tried. `rounds` of every scenario; `only`: a pattern of names; `minute` in seconds."""

    rounds: int
    only: str
    minute: float
    seed: int
    at_once: int


def scenarios(bounds: Bounds) -> list[Scenario]:
    every = [*store_faults.scenarios(bounds.minute), *local.SCENARIOS]
    return [each for each in every if re.search(bounds.only, f"{each.name}, {each.kind}")]


def rows(stage: Boxes, bounds: Bounds) -> Iterator[Row]:
    """One row for every scenario, as they come to their end, in order."""

    def played(scenario: Scenario) -> Row:
        every = [play(scenario, stage, seed=bounds.seed + number) for number in range(bounds.rounds)]
        return _sum(every)

    with ThreadPoolExecutor(bounds.at_once) as several:
        yield from several.map(played, scenarios(bounds))


def _sum(every: Sequence[Row]) -> Row:
    first, *rest = every
    for row in rest:
        for name in ("dropped", "delivered", "skipped", "failed", "waiting", "seconds"):
            setattr(first, name, getattr(first, name) + getattr(row, name))
        for name in ("lost", "twice", "unproven", "problems"):
            getattr(first, name).extend(getattr(row, name))
    return first


def section(bounds: Bounds, found: Sequence[Row]) -> list[str]:
    """The lines of the page."""
    return [
        "# Every fault has a good end",
        "",
        f"{bounds.rounds} rounds of every row, seed {bounds.seed}; the minute of an outage had",
        f"{bounds.minute:g} s. Each round: a real daemon on a real SeaweedFS, files of many kinds",
        "dropped before, during and after the fault, kill -9 and a restart at two or more random",
        "moments; then every file, ledger line and object compared by plain means: boto3 on the store",
        "itself, tar, SHA-256. `skipped`: a killed daemon had stored it, and the next one found the",
        "same bytes there.",
        "",
        *(f"- {kind}: {_KINDS[kind]}" for kind in dict.fromkeys(row.kind for row in found)),
        "",
        f"| {' | '.join(COLUMNS)} |",
        f"|---|---|{'---:|' * (len(COLUMNS) - 2)}",
        *(f"| {' | '.join(row.cells())} |" for row in found),
        "",
    ]
