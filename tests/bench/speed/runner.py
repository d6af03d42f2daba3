"""Runs a plan: makes the files, starts the stores, gives every contestant its turns."""

import contextlib
import os
import platform
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

import hotfolder
from tests.bench.speed import goals, stores, works
from tests.bench.speed.budget import Budget
from tests.bench.speed.contest import Ground
from tests.bench.speed.measure import RunFailed
from tests.bench.speed.names import SEAWEED
from tests.bench.speed.peers import Tools
from tests.bench.speed.plan import LATENCIES, Group
from tests.bench.speed.results import Results, Row
from tests.bench.speed.works import Made

Say = Callable[[str], None]


def measure(
    groups: Sequence[Group], budget: Budget, tools: Tools, place: Path, seed: int, say: Say
) -> Results:
    """Run the plan in a folder of its own below `place`, which is gone afterwards."""
    versions = {"hotfolder": hotfolder.__version__, **tools.versions}
    when = datetime.now(UTC).strftime("%Y-%m-%d")
    with tempfile.TemporaryDirectory(prefix="run-", dir=place) as folder:
        root = Path(folder)
        told = machine(root)
        made = make(groups, root, seed, say)
        rows = [plan_rows(group, made[group.work.name]) for group in groups]
        with started({group.store for group in groups}, root) as found:
            ground = Ground(root, tools, seed)
            for number, place_in_group in budget.turns(rows, goals.measured()):
                group, row = groups[number], rows[number][place_in_group]
                contestant = list(group.contestants)[place_in_group]
                try:
                    figures = ground.run(contestant, made[row.work], found[row.store])
                except (RunFailed, AssertionError) as error:
                    row.error = str(error)
                    say(f"{_line(row)}: {row.error}")
                    continue
                row.rounds.append(figures)
                say(f"{budget.spent:4.0f} s  {_line(row)}: {figures.wall:.2f} s")
    every = [row for group in rows for row in group]
    return Results(when, told, versions, seed, budget.seconds, budget.spent, every)


def make(groups: Sequence[Group], root: Path, seed: int, say: Say) -> Mapping[str, Made]:
    """The files of every work, by its short name."""
    made = {}
    for work in {group.work.name: group.work for group in groups}.values():
        begun = time.monotonic()
        made[work.name] = works.make(work, root / work.name, seed)
        say(f"made {work.title} in {time.monotonic() - begun:.1f} s")
    return made


def plan_rows(group: Group, made: Made) -> list[Row]:
    """A row without a round for each contestant."""
    work = group.work
    return [
        Row(work.name, work.title, made.files, made.size, group.store, contestant.name, wished)
        for contestant, wished in group.contestants.items()
    ]


@contextlib.contextmanager
def started(names: set[str], root: Path) -> Iterator[Mapping[str, stores.Store]]:
    """The stores of these names, running."""
    with contextlib.ExitStack() as stack:
        found: dict[str, stores.Store] = {}
        for name, latency in LATENCIES.items():
            if name in names:
                found[name] = stack.enter_context(stores.sink(name, latency))
        if SEAWEED in names:
            found[SEAWEED] = stack.enter_context(stores.seaweed(SEAWEED, root / "seaweed"))
        yield found


def machine(place: Path) -> dict[str, str]:
    """What the figures depend on, in words. `place`: where the files are."""
    information = Path("/proc/cpuinfo").read_text().splitlines()
    models = [line.partition(":")[2].strip() for line in information if line.startswith("model name")]
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / (1 << 30)
    mounts = [line.split() for line in Path("/proc/mounts").read_text().splitlines()]
    around = [fields for fields in mounts if place.resolve().is_relative_to(fields[1])]
    return {
        "cores": f"{os.cpu_count()} cores ({models[0] if models else platform.machine()})",
        "memory": f"{memory:.0f} GiB of memory",
        "disk": f"files on {max(around, key=lambda fields: len(fields[1]))[2]}",
        "load": f"load {os.getloadavg()[0]:.1f} at the start",
    }


def _line(row: Row) -> str:
    return f"{row.contestant}, {row.title}, {row.store}"
