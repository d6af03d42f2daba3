"""The order of runs in a bounded time: a round of every row, then more while there is time. Pure."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from tests.bench.speed.results import Row


@dataclass(slots=True)
class Budget:
    """`seconds` from now on; `clock` in seconds. A row's next round should take as long as its last."""

    seconds: float
    clock: Callable[[], float]
    begun: float = field(init=False)

    def __post_init__(self) -> None:
        self.begun = self.clock()

    @property
    def spent(self) -> float:
        return self.clock() - self.begun

    def turns(self, groups: Sequence[Sequence[Row]]) -> Iterator[tuple[int, int]]:
        """Group and place of the row to run next; the caller runs it before it asks for the next.

        The contestants of a group alternate, from one end and then from the other. A row with an
        error has no more turns.
        """
        last: dict[tuple[int, int], float] = {}
        for turn in range(max((row.wished for group in groups for row in group), default=0)):
            for number, group in enumerate(groups):
                places = range(len(group)) if turn % 2 == 0 else reversed(range(len(group)))
                for place in places:
                    row, key = group[place], (number, place)
                    if row.wished <= turn or row.error is not None:
                        continue
                    if turn and self.spent + last[key] > self.seconds:
                        continue
                    begun = self.clock()
                    yield key
                    last[key] = self.clock() - begun
