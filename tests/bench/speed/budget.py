"""The order of runs in a bounded time: what the goals need, then all else, then more. Pure."""

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field

from tests.bench.speed.results import Row

_ENOUGH = 3  # rounds of what a goal needs: a median that one odd round does not move
Groups = Sequence[Sequence[Row]]
_Place = tuple[int, int]  # of a group, and of a row in it


@dataclass(slots=True)
class Budget:
    """`seconds` from now on; `clock` in seconds. A row's next round should take as long as its last.

    `is_hard`: past them nothing is begun at all.
    """

    seconds: float
    clock: Callable[[], float]
    is_hard: bool = False
    begun: float = field(init=False)

    def __post_init__(self) -> None:
        self.begun = self.clock()

    @property
    def spent(self) -> float:
        return self.clock() - self.begun

    def turns(self, groups: Groups, first: Collection[tuple[str, str, str]]) -> Iterator[_Place]:
        """Group and place of the row to run next; the caller runs it before it asks for the next.

        First come all wished rounds of the rows in `first` (work, store, contestant), then those of the
        others, then rounds beyond the wish for those in `first` that have fewer than three. The first
        round of a row in `first` is run in any case (but for a hard bound), any other only if it fits.
        The contestants of a group alternate, from one end and then from the other. A row with an error
        has no more turns.
        """
        last: dict[_Place, float] = {}
        for place, is_sure in _order(groups, first):
            if groups[place[0]][place[1]].error is not None:
                continue
            if (self.is_hard or not is_sure) and self.spent + last.get(place, 0.0) >= self.seconds:
                continue
            begun = self.clock()
            yield place
            last[place] = self.clock() - begun


def _order(groups: Groups, first: Collection[tuple[str, str, str]]) -> Iterator[tuple[_Place, bool]]:
    """All turns, and whether each is to be run in any case."""

    def needed(row: Row) -> bool:
        return (row.work, row.store, row.contestant) in first

    for turn, place in _rounds(groups, lambda row: range(row.wished if needed(row) else 0)):
        yield place, turn == 0
    for _, place in _rounds(groups, lambda row: range(0 if needed(row) else row.wished)):
        yield place, False
    for _, place in _rounds(groups, lambda row: range(row.wished, _ENOUGH if needed(row) else 0)):
        yield place, False


def _rounds(groups: Groups, of: Callable[[Row], range]) -> Iterator[tuple[int, _Place]]:
    """The turns of all rows that have so many, turn by turn."""
    for turn in range(max((of(row).stop for group in groups for row in group), default=0)):
        for number, group in enumerate(groups):
            for place in range(len(group)) if turn % 2 == 0 else reversed(range(len(group))):
                if turn in of(group[place]):
                    yield turn, (number, place)
