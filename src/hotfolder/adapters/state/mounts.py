"""Which folders were mount points, from run to run."""

import os
import threading

from hotfolder.adapters.state.database import Table


class SqliteMounts(Table):
    """`core.ports.Mounts` in the SQLite file `path`."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        super().__init__(path)
        self._one_at_a_time = threading.Lock()  # copies are made beside the moves
        self._known: set[str] | None = None

    def were(self, root: str) -> bool:
        with self._one_at_a_time:
            if self._known is None:
                with self._db.connection() as connection:
                    rows = connection.execute("SELECT root FROM mount_points").fetchall()
                self._known = {os.fsdecode(row[0]) for row in rows}
            return root in self._known

    def remember(self, root: str) -> None:
        with self._one_at_a_time:
            with self._db.transaction(durable=True) as connection:
                connection.execute("INSERT OR IGNORE INTO mount_points VALUES (?)", (os.fsencode(root),))
            self._known = (self._known or set()) | {root}

    def forget(self, root: str) -> None:
        with self._one_at_a_time:
            with self._db.transaction(durable=False) as connection:
                connection.execute("DELETE FROM mount_points WHERE root = ?", (os.fsencode(root),))
            self._known = (self._known or set()) - {root}
