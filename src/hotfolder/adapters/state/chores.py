"""What is to be done once for a new `state.db`, and whether it was."""

from collections.abc import Sequence

from hotfolder.adapters.state.database import Table

_BEGUN = "begun"


class SqliteChores(Table):
    """`core.ports.Chores` in the SQLite file `path`. One owner at a time, as `StateDb`."""

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
