"""How many requests a store takes at once. Pure: the clock is an argument.

As many as there may be, until the store asks for fewer (SlowDown): then, as TCP does it, half of those
that were under way, and one more for each round of answers that it gives. To begin with few and find out
how many it takes gains nothing over that (docs/performance.md). An outage that
follows changes nothing of it (`core.holding.SlowStart` counts files, to risk few of them). The retries
of what it refused come on top, so that fewer at once is what lets them through, where all at once would
only be refused again.
"""

import math
from dataclasses import dataclass, replace

_ROUND = 1.0  # seconds in which refusals belong together: they were all on their way by then


@dataclass(frozen=True, slots=True)
class Breadth:
    """`most` requests at once, or less: `allowed`. `narrowed_at` in seconds of a monotonic clock."""

    most: int
    allowed: float
    narrowed_at: float = -math.inf

    def throttled(self, under_way: int, now: float) -> "Breadth":
        """The store refused one of all that are `under_way`, as there are too many."""
        if now - self.narrowed_at < _ROUND:
            return self
        half = min(self.allowed, float(under_way)) / 2
        return replace(self, allowed=max(1.0, half), narrowed_at=now)

    def taken(self, under_way: int) -> "Breadth":
        """It took one of `under_way`; what is not used up is no reason for more."""
        if self.allowed >= self.most or under_way < int(self.allowed):
            return self
        return replace(self, allowed=min(float(self.most), self.allowed + 1.0 / self.allowed))
