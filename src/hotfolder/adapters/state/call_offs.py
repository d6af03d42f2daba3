"""Files that somebody asked not to deliver, in `state.db`."""

import os

from hotfolder.adapters.state.database import Table
from hotfolder.adapters.state.journal import fingerprint_from, fingerprint_text
from hotfolder.core.records import CalledOff

_ADD = "INSERT OR REPLACE INTO called_off (folder, relpath, fingerprint, why) VALUES (?, ?, ?, ?)"
_ALL = "SELECT folder, relpath, fingerprint, why FROM called_off ORDER BY folder, relpath"
_DROP = "DELETE FROM called_off WHERE folder = ? AND relpath = ?"


class SqliteCallOffs(Table):
    """`core.ports.CallOffNotes` in the SQLite file `path`. One owner at a time, as `StateDb`."""

    def all(self) -> list[CalledOff]:
        with self._db.connection() as connection:
            return [
                CalledOff(folder, os.fsdecode(relpath), fingerprint_from(fingerprint), why)
                for folder, relpath, fingerprint, why in connection.execute(_ALL)
            ]

    def add(self, called: CalledOff) -> None:
        fingerprint = fingerprint_text(called.fingerprint)
        values = (called.folder, os.fsencode(called.relpath), fingerprint, _as_text(called.why))
        with self._db.transaction(durable=True) as connection:
            connection.execute(_ADD, values)

    def drop(self, folder: str, relpath: str) -> None:
        with self._db.transaction(durable=False) as connection:
            connection.execute(_DROP, (folder, os.fsencode(relpath)))


def _as_text(why: str) -> str:
    """Bytes of a name that are no text cannot stand in a column; as they are shown, they can."""
    return why.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
