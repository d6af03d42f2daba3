"""A journal that lives as long as the process: for tests of what stands above the port."""

from collections.abc import Iterable, Sequence

from hotfolder.core.records import JournalRow


class MemoryJournal:
    """`core.ports.Journal` without a disk; it passes the same contract suite as the real one."""

    def __init__(self) -> None:
        self._rows: dict[str, JournalRow] = {}

    def commit(self, rows: Sequence[JournalRow], *, forget: Iterable[str] = ()) -> None:
        kept = {row.operation_id for row in rows}
        for operation_id in forget:
            if operation_id not in kept:
                self._rows.pop(operation_id, None)
        for row in rows:
            self._rows[row.operation_id] = row

    def rows(self) -> list[JournalRow]:
        return list(self._rows.values())
