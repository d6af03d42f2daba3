"""What the README's table and the chart show of the results, and how: programs, places, figures."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from tests.bench.speed import names
from tests.bench.speed.results import Results, Row


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of program: of its ways (contestants) the one is shown that did best."""

    title: str
    ways: tuple[str, ...]

    def best(self, results: Results, work: str, store: str) -> Row | None:
        found = [row for way in self.ways if (row := results.row(work, store, way))]
        return min(found, key=lambda row: row.wall, default=None)


KINDS = (
    Kind("**hotfolder**, the whole job", (names.HOTFOLDER,)),
    Kind("`s5cmd cp`, upload only", (names.S5CMD_CP,)),
    Kind("`rclone move`", (names.RCLONE, names.RCLONE_64)),
    Kind("`rclone move`, compress", (names.RCLONE_COMPRESS,)),
    Kind("`aws s3 mv`", (names.AWS_MV,)),
    Kind("`tar \\| gzip \\| aws s3 cp`", (names.TAR_GZIP_AWS,)),
)

_SIDE_BY_SIDE = 2
#: Works and stores, two by two of about as many programs.
PLACES = (
    ("small", names.NEAR),
    ("mixed", names.NEAR),
    ("small", names.FAR),
    ("mixed", names.FARTHER),
    ("random", names.NEAR),
    ("text", names.NEAR),
    ("source", names.NEAR),
)
_WHERE = {names.NEAR: "", names.FAR: ", 20 ms away", names.FARTHER: ", 80 ms away"}


def places(results: Results) -> list[Sequence[Row | None]]:
    """For each place that was measured what each kind did there."""
    found = [[kind.best(results, *place) for kind in KINDS] for place in PLACES]
    return [rows for rows in found if any(rows)]


def pairs(places: Sequence[Sequence[Row]]) -> Iterator[Sequence[Sequence[Row]]]:
    """As they stand side by side."""
    for number in range(0, len(places), _SIDE_BY_SIDE):
        yield places[number : number + _SIDE_BY_SIDE]


def where(row: Row) -> str:
    return f"{row.title}{_WHERE[row.store]}"


def number(value: float) -> str:
    """Three figures that count."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"
