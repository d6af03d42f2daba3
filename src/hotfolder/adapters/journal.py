"""The journal on disk: operations decided but not yet recorded, in SQLite (`state.db`)."""

import contextlib
import json
import os
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import fields
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from hotfolder import durable
from hotfolder.core import jsonline
from hotfolder.core.errors import LocalError
from hotfolder.core.records import Disposition, Fingerprint, JournalRow

SCHEMA_VERSION = 2

_SCHEMA = """
CREATE TABLE operations (
    sequence     INTEGER PRIMARY KEY,
    operation_id TEXT NOT NULL UNIQUE,
    folder       TEXT NOT NULL,
    relpath      BLOB NOT NULL,
    fingerprint  TEXT NOT NULL,
    disposition  TEXT NOT NULL,
    target       BLOB NOT NULL,
    entry        TEXT NOT NULL,
    root         BLOB NOT NULL DEFAULT x''
) STRICT
"""

_COMMIT = """
INSERT INTO operations (operation_id, folder, relpath, fingerprint, disposition, target, entry, root)
VALUES (?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (operation_id) DO UPDATE SET
    folder = excluded.folder, relpath = excluded.relpath, fingerprint = excluded.fingerprint,
    disposition = excluded.disposition, target = excluded.target, entry = excluded.entry,
    root = excluded.root
"""

_ROWS = """
SELECT operation_id, folder, relpath, fingerprint, disposition, target, entry, root
FROM operations ORDER BY sequence
"""

_FINGERPRINT = fields(Fingerprint)

_DELETING_IS_SAFE = (
    "stop hotfolder and delete it (with its -wal and -shm): that loses no file and no upload"
)

_HINTS = {
    sqlite3.SQLITE_FULL: "free space on this file system; the daemon goes on by itself",
    sqlite3.SQLITE_IOERR: "look into the kernel log and check the disk",
    sqlite3.SQLITE_READONLY: "give the user that runs hotfolder permission to write the state folder",
    sqlite3.SQLITE_PERM: "give the user that runs hotfolder permission to write the state folder",
    sqlite3.SQLITE_CANTOPEN: "check that the state folder exists and may be written",
    sqlite3.SQLITE_BUSY: "another program holds it open for writing: close it",
    sqlite3.SQLITE_LOCKED: "another program holds it open for writing: close it",
    sqlite3.SQLITE_CORRUPT: _DELETING_IS_SAFE,
    sqlite3.SQLITE_NOTADB: _DELETING_IS_SAFE,
}


class SqliteJournal:
    """`core.ports.Journal` in the SQLite file `path`, which stands on a local file system.

    One owner at a time: it may be made in one thread and used in another, never in two at once. Opens
    at first use; after any error the file is closed and opened anew by the next call, because after a
    failed fsync nothing that the old descriptor says is to be believed. Errors are `LocalError`.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._path = Path(path)
        self._connection: sqlite3.Connection | None = None

    def commit(self, rows: Sequence[JournalRow], *, forget: Iterable[str] = ()) -> None:
        """Make `rows` durable and drop the operations `forget`: one transaction, one fsync, all or none.

        A row of a known operation id replaces the old one and keeps its place in the order. Unknown
        ids to forget are fine; an operation that is in both is kept. Without rows nothing is fsynced:
        a power cut brings forgotten rows back, and their ledger lines tell that they are done.
        """
        values = [_values(row) for row in rows]
        kept = {row.operation_id for row in rows}
        forgotten = [(operation_id,) for operation_id in forget if operation_id not in kept]
        if not values and not forgotten:
            return
        with self._guarded() as connection:
            connection.execute(f"PRAGMA synchronous = {'FULL' if values else 'NORMAL'}")
            connection.execute("BEGIN IMMEDIATE")
            connection.executemany("DELETE FROM operations WHERE operation_id = ?", forgotten)
            connection.executemany(_COMMIT, values)
            connection.execute("COMMIT")

    def rows(self) -> list[JournalRow]:
        """What a former run decided and did not finish, oldest first."""
        with self._guarded() as connection:
            found = connection.execute(_ROWS).fetchall()
        try:
            return [_row(*values) for values in found]
        except (KeyError, TypeError, ValueError) as error:
            raise LocalError(
                f"the journal {self._path} holds a row that cannot be read: {error}",
                hint=_DELETING_IS_SAFE,
            ) from error

    def close(self) -> None:
        """Fold the write-ahead log into the file and close it; a later call opens it anew."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @contextlib.contextmanager
    def _guarded(self) -> Iterator[sqlite3.Connection]:
        """The open connection; any failure closes it, which rolls back what was not committed."""
        try:
            if self._connection is None:
                self._connection = self._open()
            yield self._connection
        except sqlite3.Error as error:
            self._abandon()
            raise self._local_error(error) from error
        except BaseException:
            self._abandon()
            raise

    def _open(self) -> sqlite3.Connection:
        # SQLite gives its -wal and -shm the mode of the main file: it is made first, by us.
        try:
            os.close(os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640))
        except OSError as error:
            raise durable.local_error("open the journal", self._path, error) from error
        connection = sqlite3.connect(self._path, isolation_level=None, check_same_thread=False)
        try:
            # The version first: even the change to WAL would write into a file that is not ours.
            version = self._version(connection)
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = FULL")
            if version < SCHEMA_VERSION:
                self._prepare(connection)
        except BaseException:
            connection.close()
            raise
        return connection

    def _version(self, connection: sqlite3.Connection) -> int:
        """The version of the file's tables; 0 for a new file."""
        version: int = connection.execute("PRAGMA user_version").fetchone()[0]
        if version not in (0, 1, SCHEMA_VERSION):
            raise LocalError(
                f"the journal {self._path} has version {version}; this hotfolder knows {SCHEMA_VERSION}",
                hint=f"run the newer hotfolder again, or {_DELETING_IS_SAFE}",
            )
        return version

    def _prepare(self, connection: sqlite3.Connection) -> None:
        """Make the tables, or bring them up to date; another process may be about to do the same."""
        connection.execute("BEGIN IMMEDIATE")
        version = self._version(connection)
        if version == 0:
            connection.execute(_SCHEMA)
        elif version == 1:  # knew no files from outside an inbox
            connection.execute("ALTER TABLE operations ADD COLUMN root BLOB NOT NULL DEFAULT x''")
        connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
        connection.execute("COMMIT")
        durable.sync_directory(self._path.parent)

    def _abandon(self) -> None:
        # The first error is the one to tell; closing a sick database may raise a second.
        with contextlib.suppress(sqlite3.Error):
            self.close()

    def _local_error(self, error: sqlite3.Error) -> LocalError:
        # The low byte is the primary code; the rest says which way it happened.
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF
        return LocalError(f"the journal {self._path} failed: {error}", hint=_HINTS.get(code, ""))


def _values(row: JournalRow) -> tuple[object, ...]:
    return (
        row.operation_id,
        row.folder,
        os.fsencode(row.relpath),
        jsonline.encode(_fields(row.fingerprint)).decode(),
        row.disposition.value,
        os.fsencode(row.target),
        jsonline.encode(row.entry).decode(),
        os.fsencode(row.root),
    )


def _fields(fingerprint: Fingerprint) -> dict[str, int]:
    return {field.name: getattr(fingerprint, field.name) for field in _FINGERPRINT}


def _row(
    operation_id: str,
    folder: str,
    relpath: bytes,
    fingerprint: str,
    disposition: str,
    target: bytes,
    entry: str,
    root: bytes,
) -> JournalRow:
    decoded: dict[str, Any] = json.loads(entry)
    return JournalRow(
        operation_id=operation_id,
        folder=folder,
        relpath=os.fsdecode(relpath),
        fingerprint=Fingerprint(**json.loads(fingerprint)),
        disposition=Disposition(disposition),
        target=os.fsdecode(target),
        entry=decoded,
        root=os.fsdecode(root),
    )
