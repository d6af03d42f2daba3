"""Which folders of an inbox were there first, and which hotfolder has emptied, in `state.db`."""

import os
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice

from hotfolder.adapters.state.database import Table

_MOST_ASKED = 500  # paths in one query


class SqliteTidying(Table):
    """`core.ports.TidyingNotes` in the SQLite file `path`. One owner at a time, as `StateDb`."""

    def add_standing(self, inbox: str, folders: Iterable[str]) -> None:
        raw = os.fsencode(inbox)
        with self._db.transaction(durable=True) as connection:
            values = [(raw, os.fsencode(relpath)) for relpath in folders]
            connection.executemany("INSERT OR IGNORE INTO standing VALUES (?, ?)", values)

    def standing(self, inbox: str, folders: Sequence[str]) -> set[str]:
        return set(self._standing(inbox, folders))

    def _standing(self, inbox: str, folders: Sequence[str]) -> Iterator[str]:
        asked = iter(folders)
        with self._db.connection() as connection:
            while some := list(islice(asked, _MOST_ASKED)):
                marks = ", ".join("?" * len(some))
                rows = connection.execute(
                    f"SELECT relpath FROM standing WHERE inbox = ? AND relpath IN ({marks})",  # noqa: S608 - nothing but question marks
                    (os.fsencode(inbox), *map(os.fsencode, some)),
                )
                yield from (os.fsdecode(raw) for (raw,) in rows)

    def emptied(self, inbox: str) -> list[str]:
        with self._db.connection() as connection:
            asked = (os.fsencode(inbox),)
            rows = connection.execute("SELECT relpath FROM emptied WHERE inbox = ?", asked).fetchall()
        return [os.fsdecode(raw) for (raw,) in rows]

    def note_emptied(self, inbox: str, folders: Iterable[str], *, over: Iterable[str] = ()) -> None:
        raw = os.fsencode(inbox)
        with self._db.transaction(durable=False) as connection:
            gone = [(raw, os.fsencode(relpath)) for relpath in over]
            connection.executemany("DELETE FROM emptied WHERE inbox = ? AND relpath = ?", gone)
            new = [(raw, os.fsencode(relpath)) for relpath in folders]
            connection.executemany("INSERT OR IGNORE INTO emptied VALUES (?, ?)", new)
