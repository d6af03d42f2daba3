"""A ledger that lives as long as the process: for tests of what stands above the port."""

import hashlib
import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from itertools import islice, takewhile
from typing import Any

from hotfolder import fastline
from hotfolder.core.ledger_marks import Mark, PlacedLine, Stretch


class MemoryLedger:
    """`core.ports.ReadLedger` without a disk; it passes the same contract suite as the real one."""

    def __init__(self) -> None:
        self._lines: list[bytes] = []

    def append(self, entries: Sequence[Mapping[str, Any]]) -> None:
        for entry in entries:
            if not entry or "prev" in entry:
                raise ValueError("a ledger entry has fields, and its `prev` is the ledger's to add")
        previous = hashlib.sha256(self._lines[-1]).hexdigest() if self._lines else "0" * 64
        known = {line["operation_id"] for line in self.newest_first() if "operation_id" in line}
        lines = []
        for entry in entries:
            line = fastline.encode({**entry, "prev": previous})
            if entry.get("operation_id") in known:
                continue
            known |= {entry["operation_id"]} if "operation_id" in entry else set()
            previous = hashlib.sha256(line).hexdigest()
            lines.append(line)
        self._lines += lines

    def repair(self) -> None:
        """Nothing is ever torn here."""

    def newest_first(self) -> Iterator[dict[str, Any]]:
        for line in reversed(self._lines):
            entry: dict[str, Any] = json.loads(line)
            yield entry

    def recorded(
        self, wanted: Collection[str], *, since: str, behind: Mark | None = None
    ) -> frozenset[str]:
        lines = islice(self.newest_first(), len(self._lines) - (behind.lines if behind else 0))
        younger = takewhile(lambda line: line["completed_at"] >= since, lines)
        return frozenset(wanted) & {line["operation_id"] for line in younger}

    def fits(self, mark: Mark) -> bool:
        there = self._lines[mark.lines - 1 : mark.lines]
        return [hashlib.sha256(line).hexdigest() for line in there] == [mark.digest]

    def read_on(self, mark: Mark | None, most: int) -> Iterator[Stretch]:
        first, offset = (mark.lines, mark.offset) if mark else (0, 0)
        while some := self._lines[first : first + most]:
            placed = []
            for line in some:
                placed.append(PlacedLine(1, offset, json.loads(line)))
                offset += len(line) + 1
            first += len(some)
            yield Stretch(placed, Mark(1, offset, hashlib.sha256(some[-1]).hexdigest(), first))
