"""`make bench-landing`: every way into an inbox, slow writers, bursts, how soon; judged by plain means.

Exits with 1 if anything is wrong; each part that is fine writes its section of docs/landing.md.
"""

import argparse
import os
import secrets
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from rich.console import Console
from rich.table import Table

from hotfolder.seaweed import SeaweedFS
from tests.bench.landing import arriving, burst, latency, millions, writers
from tests.bench.landing.sections import Section
from tests.support.page import write_section
from tests.torture.stage import Stage

PAGE = Path(__file__).parents[3] / "docs" / "landing.md"
console = Console(width=150)


def ways(stage: Stage, options: argparse.Namespace) -> Section:
    return arriving.run(stage, 1.0, options.seed)


def slow_writers(stage: Stage, options: argparse.Namespace) -> Section:
    return writers.run(stage, ("quiet", "closed", "marker"), 1.0, options.seed)


def bursts(stage: Stage, options: argparse.Namespace) -> Section:
    with tempfile.TemporaryDirectory(prefix="landing-", dir="/dev/shm") as place:
        return burst.run(options.files, stage.at(Path(place)), options.seed, options.patience)


def soon(stage: Stage, options: argparse.Namespace) -> Section:
    return latency.run(stage, options.drops, options.seed)


def very_many(stage: Stage, options: argparse.Namespace) -> Section:
    section = Section(("with a million files", "measured"))
    with tempfile.TemporaryDirectory(prefix="landing-millions-", dir=options.dir) as place:
        for row in millions.rows(Path(place)):
            section.add([row.what, row.shown])
    return section


USUAL: dict[str, Callable[[Stage, argparse.Namespace], Section]] = {
    "ways": ways,
    "writers": slow_writers,
    "burst": bursts,
    "latency": soon,
}
PARTS = USUAL | {"millions": very_many}  # which takes a quarter of an hour, and a million inodes


def show(name: str, section: Section) -> None:
    table = Table(*section.columns, title=name)
    for row in section.rows:
        table.add_row(*row)
    console.print(table)
    for wrong in section.wrong[:40]:
        console.print(f"{name}: {wrong}", style="red", markup=False)


def conditions(seed: int) -> list[str]:
    """What a reader of the figures has to know of the machine."""
    cores, (_, load, _) = os.cpu_count(), os.getloadavg()
    return ["", f"{cores} cores, load {load:.1f} with the benchmark's own; seed {seed}."]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("parts", nargs="*", default=list(USUAL), help=" ".join(PARTS))
    parser.add_argument("--seed", type=int, default=secrets.randbits(32))
    parser.add_argument("--files", type=int, default=50_000, help="of a burst")
    parser.add_argument("--patience", type=float, default=400, help="seconds a burst may take")
    parser.add_argument("--drops", type=int, default=300, help="of each size, for the latency")
    parser.add_argument("--dir", type=Path, default=None, help="where a million files are made")
    options = parser.parse_args()
    console.print(f"seed {options.seed}", highlight=False)
    wrong = 0
    with tempfile.TemporaryDirectory(prefix="landing-") as place:
        root = Path(place)
        with SeaweedFS(root / "store", access_key="LANDING", secret_key=secrets.token_hex(16)) as store:
            for name in options.parts:
                began = time.monotonic()
                section = PARTS[name](Stage(root, store), options)
                show(f"{name}, {time.monotonic() - began:.0f} s", section)
                wrong += len(section.wrong)
                if not section.wrong:
                    write_section(
                        PAGE,
                        "make bench-landing",
                        name,
                        [*section.markdown(), *conditions(options.seed)],
                    )
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
