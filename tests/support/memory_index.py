"""An index of the ledger that lives as long as the process."""

from collections.abc import Collection
from typing import Any

from hotfolder.core.conflict import EarlierObject, Family, earlier_object
from hotfolder.core.ledger_marks import Mark, Stretch


class MemoryIndex:
    """`core.ports.LedgerIndex` without a disk; it passes the same contract suite as the real one."""

    def __init__(self) -> None:
        self._mark: Mark | None = None
        self._ids: set[str] = set()
        self._entries: list[dict[str, Any]] = []

    def mark(self) -> Mark | None:
        return self._mark

    def add(self, stretch: Stretch, *, after: Mark | None) -> bool:
        if after != self._mark:
            return False
        self._entries += [line.entry for line in stretch.lines if line.entry]
        self._ids |= {line.entry["operation_id"] for line in stretch.lines if line.entry}
        self._mark = stretch.mark
        return True

    def recorded(self, wanted: Collection[str]) -> tuple[Mark | None, frozenset[str]]:
        return self._mark, frozenset(self._ids & set(wanted))

    def delivered(self, bucket: str, family: Family) -> tuple[Mark | None, list[EarlierObject]]:
        lines = (earlier_object(entry) for entry in self._entries if entry.get("s3_bucket") == bucket)
        return self._mark, [line for line in lines if line is not None and line.key in family][::-1]

    def clear(self) -> None:
        self._mark, self._ids, self._entries = None, set(), []

    def close(self) -> None:
        pass
