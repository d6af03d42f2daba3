"""Delivered files that stay in their inboxes (`on_complete = "leave"`), in `state.db`."""

import os
from collections.abc import Iterator, Sequence
from itertools import islice

from hotfolder.adapters.state.database import Table
from hotfolder.adapters.state.journal import fingerprint_from, fingerprint_text
from hotfolder.core.records import Fingerprint

_MOST_ASKED = 500  # paths in one query


class SqliteKept(Table):
    """`core.ports.Kept` in the SQLite file `path`. One owner at a time, as `StateDb`."""

    def known(self, folder: str, seen: Sequence[tuple[str, Fingerprint]]) -> set[str]:
        known: set[str] = set()
        asked = iter(seen)
        with self._db.connection() as connection:
            while some := dict(islice(asked, _MOST_ASKED)):
                marks = ", ".join("?" * len(some))
                rows = connection.execute(
                    f"SELECT relpath, fingerprint FROM kept WHERE folder = ? AND relpath IN ({marks})",  # noqa: S608 - nothing but question marks
                    (folder, *map(os.fsencode, some)),
                )
                for raw, text in rows:
                    relpath = os.fsdecode(raw)
                    if _is_as_kept(some[relpath], fingerprint_from(text)):
                        known.add(relpath)
        return known

    def add(self, folder: str, seen: Sequence[tuple[str, Fingerprint]]) -> None:
        values = [(folder, os.fsencode(relpath), fingerprint_text(there)) for relpath, there in seen]
        with self._db.transaction(durable=True) as connection:
            connection.executemany("INSERT OR IGNORE INTO kept VALUES (?, ?, ?)", values)

    def page(self, folder: str, after: str, count: int) -> list[tuple[str, Fingerprint]]:
        return list(self._page(folder, after, count))

    def _page(self, folder: str, after: str, count: int) -> Iterator[tuple[str, Fingerprint]]:
        with self._db.connection() as connection:
            rows = connection.execute(
                "SELECT relpath, fingerprint FROM kept WHERE folder = ? AND relpath > ? "
                "ORDER BY relpath LIMIT ?",
                (folder, os.fsencode(after), count),
            ).fetchall()
        for relpath, text in rows:
            yield os.fsdecode(relpath), fingerprint_from(text)

    def drop(self, folder: str, relpaths: Sequence[str]) -> None:
        values = [(folder, os.fsencode(relpath)) for relpath in relpaths]
        with self._db.transaction(durable=False) as connection:
            connection.executemany("DELETE FROM kept WHERE folder = ? AND relpath = ?", values)

    def count(self, folder: str) -> int:
        with self._db.connection() as connection:
            asked = connection.execute("SELECT count(*) FROM kept WHERE folder = ?", (folder,))
            count: int = asked.fetchone()[0]
        return count


def _is_as_kept(there: Fingerprint, kept: Fingerprint) -> bool:
    """The same to the last nanosecond; only the device may have another number since a mount."""
    return kept.is_still(there) and kept.ctime_ns == there.ctime_ns
