"""A set of names on disk: as many as there are, in a bounded memory."""

import os
import sqlite3
from collections.abc import Iterable
from types import TracebackType
from typing import Self

from hotfolder.core.errors import LocalError


class NameSet:
    """Names in a nameless temporary file of SQLite's, gone with the process. One owner at a time."""

    def __init__(self) -> None:
        self._connection = sqlite3.connect("", isolation_level=None, check_same_thread=False)
        self._do("CREATE TABLE names (name BLOB PRIMARY KEY) WITHOUT ROWID", ())

    def add(self, names: Iterable[str]) -> None:
        self._many("INSERT OR IGNORE INTO names VALUES (?)", names)

    def discard(self, names: Iterable[str]) -> None:
        self._many("DELETE FROM names WHERE name = ?", names)

    def first(self, count: int) -> list[str]:
        """The first `count` names in their order."""
        rows = self._do("SELECT name FROM names ORDER BY name LIMIT ?", (count,))
        return [os.fsdecode(name) for (name,) in rows]

    def _many(self, statement: str, names: Iterable[str]) -> None:
        try:
            self._connection.execute("BEGIN")
            self._connection.executemany(statement, ((os.fsencode(name),) for name in names))
            self._connection.execute("COMMIT")
        except sqlite3.Error as error:
            raise _refused(error) from error

    def _do(self, statement: str, values: tuple[object, ...]) -> list[tuple[bytes]]:
        try:
            return self._connection.execute(statement, values).fetchall()
        except sqlite3.Error as error:
            raise _refused(error) from error

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._connection.close()


def _refused(error: sqlite3.Error) -> LocalError:
    return LocalError(f"a temporary file failed: {error}", hint="free space where TMPDIR leads")
