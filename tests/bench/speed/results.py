"""What a run of the bench measured, as it is kept in JSON; medians and ratios of it. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from statistics import median
from typing import Any

from tests.bench.speed import names


@dataclass(frozen=True, slots=True)
class Figures:
    """One run. Seconds, bytes; what only a sink tells is None with another store."""

    wall: float
    cpu: float
    peak: int
    requests: int | None
    sink_cpu: float | None


@dataclass(slots=True)
class Row:
    """All rounds of one contestant on one work against one store.

    `work` is the work's short name, `title` what people read; `size` in bytes, of all files.
    """

    work: str
    title: str
    files: int
    size: int
    store: str
    contestant: str
    wished: int
    rounds: list[Figures] = field(default_factory=list)
    error: str | None = None

    @property
    def wall(self) -> float:
        return median(each.wall for each in self.rounds)

    @property
    def cpu(self) -> float:
        return median(each.cpu for each in self.rounds)

    @property
    def peak(self) -> int:
        return max(each.peak for each in self.rounds)

    @property
    def requests(self) -> int | None:
        known = [each.requests for each in self.rounds if each.requests is not None]
        return round(median(known)) if known else None

    @property
    def sink_share(self) -> float | None:
        """The sink's CPU seconds in a second of wall clock: 1 is one core."""
        known = [each.sink_cpu / each.wall for each in self.rounds if each.sink_cpu is not None]
        return median(known) if known else None


@dataclass(slots=True)
class Results:
    """`machine` and `versions` are told as they are; `budget` and `took` in seconds."""

    when: str
    machine: Mapping[str, str]
    versions: Mapping[str, str]
    seed: int
    budget: float
    took: float
    rows: list[Row]

    def row(self, work: str, store: str, contestant: str) -> Row | None:
        """The row, if it was measured."""
        for row in self.rows:
            if (row.work, row.store, row.contestant) == (work, store, contestant) and row.rounds:
                return row
        return None

    def groups(self) -> list[Sequence[Row]]:
        """Measured rows of the same work and store, in the order in which they were planned."""
        found: dict[tuple[str, str], list[Row]] = {}
        for row in self.rows:
            if row.rounds:
                found.setdefault((row.work, row.store), []).append(row)
        return list(found.values())

    def ratio(self, row: Row) -> float | None:
        """How many times hotfolder's wall clock this row took; None where hotfolder has none."""
        ours = self.row(row.work, row.store, names.HOTFOLDER)
        return row.wall / ours.wall if ours else None

    @property
    def dropped(self) -> int:
        """Wished rounds for which there was no time."""
        return sum(max(0, row.wished - len(row.rounds)) for row in self.rows if row.error is None)


def to_json(results: Results) -> dict[str, Any]:
    return asdict(results)


def from_json(told: Mapping[str, Any]) -> Results:
    rows = [
        Row(**{**row, "rounds": [Figures(**each) for each in row["rounds"]]}) for row in told["rows"]
    ]
    return Results(**{**told, "rows": rows})


def errors(rows: Iterable[Row]) -> list[str]:
    return [f"{row.contestant}, {row.title}, {row.store}: {row.error}" for row in rows if row.error]
