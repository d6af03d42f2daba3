"""Part `latency`: from the close of a file to its line in the ledger, one file at a time."""

import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass

from tests.bench.landing.ground import KIB, MIB, Ground, landing
from tests.bench.landing.sections import Section
from tests.torture.stage import Stage

COLUMNS = ("dropped singly", "files", "p50 (ms)", "p90 (ms)", "p99 (ms)", "longest (ms)")
PATIENCE = 30.0
_EVERY = 0.1  # seconds between two files, on average


@dataclass(frozen=True, slots=True)
class Drops:
    """So many files of one size, one now and then, whether the one before is recorded or not."""

    title: str
    size: int
    count: int

    def names(self) -> list[str]:
        return [f"{self.size}-{number:04d}.bin" for number in range(self.count)]


def took(ground: Ground, drops: Drops) -> list[float]:
    """Seconds from the close of each to its line, of those that have one."""
    closes = {}
    for name in drops.names():
        content = ground.content(name, drops.size)
        time.sleep(_EVERY * (0.5 + ground.dice.random()))
        with (ground.box.inbox / name).open("wb", buffering=0) as file:
            file.write(content)
        closes[name] = time.monotonic()
    ground.wait(list(closes), PATIENCE)
    recorded = ((ground.recorded(name), closed) for name, closed in closes.items())
    return [moment - closed for moment, closed in recorded if moment is not None]


def row(title: str, seconds: Sequence[float]) -> list[str]:
    cuts = statistics.quantiles(seconds, n=100, method="inclusive")
    figures = (cuts[49], cuts[89], cuts[98], max(seconds))
    return [title, str(len(seconds)), *(f"{1000 * each:.0f}" for each in figures)]


def run(stage: Stage, count: int, seed: int) -> Section:
    section = Section(COLUMNS)
    for title, folder in (
        ('`ready = "closed"`', 'ready = "closed"'),
        ('`settle = "2s"`', 'settle = "2s"'),
    ):
        with stage.box() as box:
            box.configure(folder)
            with landing(box, seed) as ground:
                box.start()
                for size, told in ((4 * KIB, "4 KiB"), (MIB, "1 MiB")):
                    drops = Drops(f"{told}, {title}", size, count)
                    section.add(row(drops.title, took(ground, drops)))
                section.wrong += ground.judge()
    return section
