"""An index of the ledger that lives as long as the process."""

from collections.abc import Collection

from hotfolder.core.ledger_marks import Mark, Stretch


class MemoryIndex:
    """`core.ports.LedgerIndex` without a disk; it passes the same contract suite as the real one."""

    def __init__(self) -> None:
        self._mark: Mark | None = None
        self._ids: set[str] = set()

    def mark(self) -> Mark | None:
        return self._mark

    def add(self, stretch: Stretch, *, after: Mark | None) -> bool:
        if after != self._mark:
            return False
        self._ids |= {line.entry["operation_id"] for line in stretch.lines if line.entry}
        self._mark = stretch.mark
        return True

    def recorded(self, wanted: Collection[str]) -> tuple[Mark | None, frozenset[str]]:
        return self._mark, frozenset(self._ids & set(wanted))

    def clear(self) -> None:
        self._mark, self._ids = None, set()

    def close(self) -> None:
        pass
