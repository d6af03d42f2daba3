"""What is to be done once for a new `state.db`, and whether it was."""

import os
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from hotfolder.adapters.state.database import StateDb

_BEGUN = "begun"


class SqliteChores:
    """`core.ports.Chores` in the SQLite file `path`. One owner at a time, as `StateDb`."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._db = StateDb(Path(path))

    def begin(self, names: Sequence[str]) -> None:
        if self.state(_BEGUN) is not None:
            return
        with self._db.transaction(durable=True) as connection:
            values = [(name, 0) for name in names]
            connection.executemany("INSERT OR IGNORE INTO chores VALUES (?, ?)", [*values, (_BEGUN, 1)])

    def state(self, name: str) -> bool | None:
        with self._db.connection() as connection:
            row = connection.execute("SELECT done FROM chores WHERE name = ?", (name,)).fetchone()
        return None if row is None else bool(row[0])

    def finish(self, name: str) -> None:
        with self._db.transaction(durable=True) as connection:
            connection.execute("INSERT OR REPLACE INTO chores VALUES (?, 1)", (name,))

    def close(self) -> None:
        """Close the file; a later call opens it anew."""
        self._db.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
