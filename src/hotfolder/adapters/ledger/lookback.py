"""The operation ids of the newest lines, so that none is written twice."""

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from hotfolder.adapters.ledger.reading import GENESIS, ids_of

_LINES = 1_000  # more than a batch has
_LINES_IN_DOUBT = 100_000  # others may write as many between a failed append and the next


@dataclass(frozen=True, slots=True)
class Learnt:
    """What the newest lines say. `ids` came since the last look, oldest first, `new` bytes in all.

    `anew`: the lines that were known are not in sight, so that what is known of them ends.
    """

    digest: str
    new: int
    ids: list[str]
    anew: bool


class LookBack:
    """What stands at the end of a ledger. Kept from append to append; one owner."""

    def __init__(self) -> None:
        self._known = ""  # digest of the last line when `_ids` was right
        self._ids: dict[str, None] = {}  # oldest first
        self.in_doubt = False
        """The last append failed: what it wrote may stand there or not."""

    def __contains__(self, operation_id: Any) -> bool:
        return operation_id in self._ids

    @property
    def most(self) -> int:
        """Lines to look back over."""
        return _LINES_IN_DOUBT if self.in_doubt else _LINES

    def look(self, lines: Iterator[bytes]) -> Learnt:
        """Read the newest lines, last first, as far as is needed; remembers nothing yet.

        In doubt that is back to the line behind which the failed append wrote, else at most 1,000.
        """
        digest, new, ids, anew = "", 0, list[str](), True
        for count, line in enumerate(lines):
            of_line = hashlib.sha256(line).hexdigest()
            digest = digest or of_line
            anew = of_line != self._known
            if not anew or count >= self.most:
                break
            new += len(line) + 1
            ids += ids_of(line)
        return Learnt(digest or GENESIS, new, ids[::-1], anew)

    def learn(self, learnt: Learnt) -> None:
        """Remember it: the lines are durable."""
        if learnt.anew:
            self._ids = {}
        self.wrote(learnt.ids, learnt.digest)

    def wrote(self, ids: Iterable[str], digest: str) -> None:
        """These ids have lines now, the last of which has this digest."""
        before = len(self._ids)
        self._ids |= dict.fromkeys(ids)
        for _ in range(min(before, len(self._ids) - _LINES)):
            del self._ids[next(iter(self._ids))]
        self._known = digest
