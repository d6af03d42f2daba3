"""The journal on disk: operations decided but not yet recorded, in SQLite (`state.db`)."""

import json
import os
import sqlite3
from collections.abc import Iterable, Sequence
from dataclasses import fields
from operator import attrgetter
from typing import Any

from hotfolder import fastline
from hotfolder.adapters.state.database import DELETING_IS_SAFE, Table
from hotfolder.adapters.state.rows import delete, insert
from hotfolder.core.errors import LocalError
from hotfolder.core.records import Disposition, Fingerprint, JournalRow, Marker

_COMMIT = """
INSERT INTO operations (operation_id, folder, relpath, fingerprint, disposition, target, entry, root)
"""
_AS_IT_IS_NOW = """
ON CONFLICT (operation_id) DO UPDATE SET
    folder = excluded.folder, relpath = excluded.relpath, fingerprint = excluded.fingerprint,
    disposition = excluded.disposition, target = excluded.target, entry = excluded.entry,
    root = excluded.root
"""

_ROWS = """
SELECT operation_id, folder, operations.relpath, operations.fingerprint, disposition, target, entry,
    root, copies.fingerprint, markers.relpath, markers.fingerprint
FROM operations LEFT JOIN copies USING (operation_id) LEFT JOIN markers USING (operation_id)
ORDER BY sequence
"""

_COPY = "INSERT OR REPLACE INTO copies (operation_id, fingerprint) VALUES (?, ?)"

_MARKER = "INSERT OR REPLACE INTO markers (operation_id, relpath, fingerprint) VALUES (?, ?, ?)"

_NAMES = tuple(field.name for field in fields(Fingerprint))
_numbers_of = attrgetter(*_NAMES)


class SqliteJournal(Table):
    """`core.ports.Journal` in the SQLite file `path`. One owner at a time, as `StateDb`."""

    def commit(self, rows: Sequence[JournalRow], *, forget: Iterable[str] = ()) -> None:
        """Make `rows` durable and drop the operations `forget`: one transaction, one fsync, all or none.

        A row of a known operation id replaces the old one and keeps its place in the order. Unknown
        ids to forget are fine; an operation that is in both is kept. Without rows nothing is fsynced:
        a power cut brings forgotten rows back, and their ledger lines tell that they are done.
        """
        values = [_values(row) for row in rows]
        copies = [(row.operation_id, fingerprint_text(row.copy)) for row in rows if row.copy]
        markers = [
            (row.operation_id, os.fsencode(row.marker.relpath), fingerprint_text(row.marker.fingerprint))
            for row in rows
            if row.marker is not None
        ]
        kept = {row.operation_id for row in rows}
        forgotten = [operation_id for operation_id in forget if operation_id not in kept]
        if not values and not forgotten:
            return
        with self._db.transaction(durable=bool(values)) as connection:
            for table in ("operations", "copies", "markers"):
                delete(connection, table, "operation_id", forgotten)
            insert(connection, _COMMIT, values, _AS_IT_IS_NOW)
            connection.executemany(_COPY, copies)
            connection.executemany(_MARKER, markers)
            _keep(connection, [row for row in rows if row.disposition is Disposition.KEEP])

    def rows(self) -> list[JournalRow]:
        """What a former run decided and did not finish, oldest first."""
        with self._db.connection() as connection:
            found = connection.execute(_ROWS).fetchall()
        try:
            return [_row(*values) for values in found]
        except (KeyError, TypeError, ValueError) as error:
            raise LocalError(
                f"the journal {self._db.path} holds a row that cannot be read: {error}",
                hint=DELETING_IS_SAFE,
            ) from error


def _keep(connection: sqlite3.Connection, rows: Sequence[JournalRow]) -> None:
    """Remember the files that stay: with the row, so that no crash leaves one without the other."""
    values = [(row.folder, os.fsencode(row.relpath), fingerprint_text(row.fingerprint)) for row in rows]
    connection.executemany("INSERT OR REPLACE INTO kept VALUES (?, ?, ?)", values)


def _values(row: JournalRow) -> tuple[object, ...]:
    return (
        row.operation_id,
        row.folder,
        os.fsencode(row.relpath),
        fingerprint_text(row.fingerprint),
        row.disposition.value,
        os.fsencode(row.target),
        fastline.encode(row.entry).decode(),
        os.fsencode(row.root),
    )


def fingerprint_text(fingerprint: Fingerprint) -> str:
    """A fingerprint as it stands in a column: SQLite's own integers end at 63 bits."""
    return fastline.encode(dict(zip(_NAMES, _numbers_of(fingerprint), strict=True))).decode()


def fingerprint_from(text: str) -> Fingerprint:
    """What `fingerprint_text` wrote. Raises ValueError or TypeError for anything else."""
    return Fingerprint(**json.loads(text))


def _row(
    operation_id: str,
    folder: str,
    relpath: bytes,
    fingerprint: str,
    disposition: str,
    target: bytes,
    entry: str,
    root: bytes,
    copy: str | None,
    marker: bytes | None,
    marker_fingerprint: str,
) -> JournalRow:
    decoded: dict[str, Any] = json.loads(entry)
    return JournalRow(
        operation_id=operation_id,
        folder=folder,
        relpath=os.fsdecode(relpath),
        fingerprint=fingerprint_from(fingerprint),
        disposition=Disposition(disposition),
        target=os.fsdecode(target),
        entry=decoded,
        root=os.fsdecode(root),
        copy=None if copy is None else fingerprint_from(copy),
        marker=None
        if marker is None
        else Marker(os.fsdecode(marker), fingerprint_from(marker_fingerprint)),
    )
