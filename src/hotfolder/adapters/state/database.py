"""The SQLite file `state.db`: opened at first use, in WAL mode, and never believed after an error."""

import contextlib
import os
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from functools import cache
from itertools import chain
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

from hotfolder import durable
from hotfolder.core.errors import DiskFull, LocalError

T = TypeVar("T")

SCHEMA_VERSION = 4

#: One statement a table; a file of an older version gets those that it lacks.
_TABLES = (
    """
    CREATE TABLE IF NOT EXISTS operations (
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
    """,
    """
    CREATE TABLE IF NOT EXISTS uploads (
        operation_id TEXT PRIMARY KEY,
        folder       TEXT NOT NULL,
        root         BLOB NOT NULL,
        relpath      BLOB NOT NULL,
        fingerprint  TEXT NOT NULL,
        made_at      REAL NOT NULL,
        begun_at     REAL NOT NULL,
        bucket       TEXT NOT NULL,
        key          TEXT NOT NULL,
        recipe       TEXT NOT NULL,
        upload_id    TEXT NOT NULL
    ) STRICT, WITHOUT ROWID
    """,
    """
    CREATE TABLE IF NOT EXISTS parts (
        operation_id    TEXT NOT NULL,
        number          INTEGER NOT NULL,
        size            INTEGER NOT NULL,
        sha256          BLOB NOT NULL,
        md5             BLOB,
        etag            TEXT NOT NULL,
        checksum_sha256 TEXT,
        etag_is_digest  INTEGER NOT NULL,
        PRIMARY KEY (operation_id, number)
    ) STRICT, WITHOUT ROWID
    """,
    """
    CREATE TABLE IF NOT EXISTS kept (
        folder      TEXT NOT NULL,
        relpath     BLOB NOT NULL,
        fingerprint TEXT NOT NULL,
        PRIMARY KEY (folder, relpath)
    ) STRICT, WITHOUT ROWID
    """,
    """
    CREATE TABLE IF NOT EXISTS chores (
        name TEXT PRIMARY KEY,
        done INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID
    """,
    """
    CREATE TABLE IF NOT EXISTS copies (
        operation_id TEXT PRIMARY KEY,
        fingerprint  TEXT NOT NULL
    ) STRICT, WITHOUT ROWID
    """,
    """
    CREATE TABLE IF NOT EXISTS ledger_lines (
        sequence           INTEGER PRIMARY KEY,
        operation_id       TEXT NOT NULL UNIQUE,
        completed_at       ANY,
        operation_type     ANY,
        status             ANY,
        folder             ANY,
        "group"            ANY,
        target_path        ANY,
        target_name        ANY,
        result_path        ANY,
        s3_bucket          ANY,
        s3_object_key      ANY,
        completed_dir_path ANY,
        checksum_original  ANY,
        original_size      ANY,
        file               INTEGER NOT NULL,
        "offset"           INTEGER NOT NULL
    ) STRICT
    """,
    "CREATE INDEX IF NOT EXISTS ledger_lines_of_key ON ledger_lines (s3_object_key)",
    """
    CREATE TABLE IF NOT EXISTS ledger_mark (
        only     INTEGER PRIMARY KEY CHECK (only = 1),
        file     INTEGER NOT NULL,
        "offset" INTEGER NOT NULL,
        digest   TEXT NOT NULL,
        lines    INTEGER NOT NULL
    ) STRICT
    """,
    """
    CREATE TABLE IF NOT EXISTS staged (
        operation_id    TEXT PRIMARY KEY,
        folder          TEXT NOT NULL,
        root            BLOB NOT NULL,
        relpath         BLOB NOT NULL,
        fingerprint     TEXT NOT NULL,
        made_at         REAL NOT NULL,
        recipe          TEXT NOT NULL,
        original_size   INTEGER NOT NULL,
        original_sha256 BLOB NOT NULL,
        packed_size     INTEGER NOT NULL,
        packed_sha256   BLOB NOT NULL
    ) STRICT, WITHOUT ROWID
    """,
    """
    CREATE TABLE IF NOT EXISTS called_off (
        folder      TEXT NOT NULL,
        relpath     BLOB NOT NULL,
        fingerprint TEXT NOT NULL,
        why         TEXT NOT NULL,
        PRIMARY KEY (folder, relpath)
    ) STRICT, WITHOUT ROWID
    """,
    """
    CREATE TABLE IF NOT EXISTS mount_points (
        root BLOB PRIMARY KEY
    ) STRICT, WITHOUT ROWID
    """,
    """
    CREATE TABLE IF NOT EXISTS standing (
        inbox   BLOB NOT NULL,
        relpath BLOB NOT NULL,
        PRIMARY KEY (inbox, relpath)
    ) STRICT, WITHOUT ROWID
    """,
    """
    CREATE TABLE IF NOT EXISTS emptied (
        inbox   BLOB NOT NULL,
        relpath BLOB NOT NULL,
        PRIMARY KEY (inbox, relpath)
    ) STRICT, WITHOUT ROWID
    """,
    """
    CREATE TABLE IF NOT EXISTS markers (
        operation_id TEXT PRIMARY KEY,
        relpath      BLOB NOT NULL,
        fingerprint  TEXT NOT NULL
    ) STRICT, WITHOUT ROWID
    """,
    """
    CREATE TABLE IF NOT EXISTS profiles (
        key     TEXT PRIMARY KEY,
        seen_at REAL NOT NULL,
        profile TEXT NOT NULL
    ) STRICT, WITHOUT ROWID
    """,
)

DELETING_IS_SAFE = (
    "stop hotfolder and delete it (with its -wal and -shm): that loses no file and no upload"
)

_MAKING = threading.Lock()

_HINTS = {
    sqlite3.SQLITE_FULL: "free space on this file system",
    sqlite3.SQLITE_IOERR: "look into the kernel log and check the disk",
    sqlite3.SQLITE_READONLY: "give the user that runs hotfolder permission to write the state folder",
    sqlite3.SQLITE_PERM: "give the user that runs hotfolder permission to write the state folder",
    sqlite3.SQLITE_CANTOPEN: "check that the state folder exists and may be written",
    sqlite3.SQLITE_BUSY: "another program holds it open for writing: close it",
    sqlite3.SQLITE_LOCKED: "another program holds it open for writing: close it",
    sqlite3.SQLITE_CORRUPT: DELETING_IS_SAFE,
    sqlite3.SQLITE_NOTADB: DELETING_IS_SAFE,
}


#: Rows in one statement: few lengths, so that SQLite's prepared statements are found again.
_AT_ONCE = (64, 8, 1)


def insert(
    connection: sqlite3.Connection,
    into: str,
    rows: Sequence[tuple[object, ...]],
    otherwise: str = "",
) -> None:
    """`into` VALUES `rows` `otherwise`: all of them, in their order.

    `executemany` takes a step for each row, and lets go of the interpreter for each: a batch of the
    recorder waits for it a hundred times, and so does everybody who then waits for the batch.
    """
    for some in _runs(rows):
        marks = _marks(len(some), len(some[0]))
        connection.execute(f"{into} VALUES {marks} {otherwise}", [*chain.from_iterable(some)])


def delete(connection: sqlite3.Connection, table: str, column: str, values: Sequence[str]) -> None:
    """Delete the rows of `table` whose `column` is one of `values`, in few steps as `insert`."""
    for some in _runs(values):
        marks = _marks(1, len(some))
        connection.execute(f"DELETE FROM {table} WHERE {column} IN {marks}", some)  # noqa: S608 - names of ours


@cache
def _marks(rows: int, columns: int) -> str:
    """The places of so many values: (?, ?), (?, ?)."""
    return ", ".join([f"({', '.join('?' * columns)})"] * rows)


def _runs(rows: Sequence[T]) -> Iterator[Sequence[T]]:
    begin = 0
    for count in _AT_ONCE:
        while len(rows) - begin >= count:
            yield rows[begin : begin + count]
            begin += count


class StateDb:
    """The open file `path`, which stands on a local file system.

    One owner at a time: it may be made in one thread and used in another, never in two at once; what
    works side by side has one each. After any error the file is closed and opened anew at the next
    use, because after a failed fsync nothing that the old descriptor says is to be believed. Errors
    are `LocalError`.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        self._connection: sqlite3.Connection | None = None
        self._is_durable = True  # as the connection stands now

    def close(self) -> None:
        """Fold the write-ahead log into the file and close it; a later call opens it anew."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    @contextlib.contextmanager
    def transaction(self, *, durable: bool) -> Iterator[sqlite3.Connection]:
        """All or nothing; fsynced before it returns if `durable`, else with the next one that is."""
        with self.connection() as connection:
            if durable != self._is_durable:
                connection.execute(f"PRAGMA synchronous = {'FULL' if durable else 'NORMAL'}")
                self._is_durable = durable
            connection.execute("BEGIN IMMEDIATE")
            yield connection
            connection.execute("COMMIT")

    @contextlib.contextmanager
    def connection(self) -> Iterator[sqlite3.Connection]:
        """The open connection; any failure closes it, which rolls back what was not committed."""
        try:
            if self._connection is None:
                self._connection, self._is_durable = self._open(), True
            yield self._connection
        except sqlite3.Error as error:
            self._abandon()
            raise self._local_error(error) from error
        except BaseException:
            self._abandon()
            raise

    def _open(self) -> sqlite3.Connection:
        self._make()
        # Rows that a killed run did not live to fsync look as good as durable ones: an original may move
        # on the strength of a row only once it is. (Closing the log drops no lock; see `_make`.)
        durable.sync_file(f"{self.path}-wal")
        connection = sqlite3.connect(self.path, isolation_level=None, check_same_thread=False)
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

    def _make(self) -> None:
        """Make the file where it is missing: SQLite gives its -wal and -shm the mode of the main file.

        One that is there is never opened by us. Closing any descriptor of it drops the locks that other
        connections of this process hold; another process could then take itself for the last one, remove
        the log below them, and all that they write from then on would be lost.
        """
        with _MAKING:  # or the one who makes it would close it when another has just locked it
            try:
                flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
                os.close(os.open(self.path, flags, 0o640))
            except FileExistsError:
                return  # as at every start but the first
            except OSError as error:
                raise durable.local_error("open the state file", self.path, error) from error

    def _version(self, connection: sqlite3.Connection) -> int:
        """The version of the file's tables; 0 for a new file."""
        version: int = connection.execute("PRAGMA user_version").fetchone()[0]
        if not 0 <= version <= SCHEMA_VERSION:
            raise LocalError(
                f"the state file {self.path} has version {version}; known here is {SCHEMA_VERSION}",
                hint=f"run the newer hotfolder again, or {DELETING_IS_SAFE}",
            )
        return version

    def _prepare(self, connection: sqlite3.Connection) -> None:
        """Make the tables, or bring them up to date; another process may be about to do the same."""
        connection.execute("BEGIN IMMEDIATE")
        if self._version(connection) == 1:  # knew no files from outside an inbox
            connection.execute("ALTER TABLE operations ADD COLUMN root BLOB NOT NULL DEFAULT x''")
        for table in _TABLES:
            connection.execute(table)
        connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
        connection.execute("COMMIT")
        durable.sync_directory(self.path.parent)

    def _abandon(self) -> None:
        # The first error is the one to tell; closing a sick database may raise a second.
        with contextlib.suppress(sqlite3.Error):
            self.close()

    def _local_error(self, error: sqlite3.Error) -> LocalError:
        # The low byte is the primary code; the rest says which way it happened.
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF
        kind = DiskFull if code == sqlite3.SQLITE_FULL else LocalError
        return kind(f"the state file {self.path} failed: {error}", hint=_HINTS.get(code, ""))


class Table:
    """One kind of rows in the SQLite file `path`, with a connection of its own. Close it at the end."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._db = StateDb(path)

    def close(self) -> None:
        """Close the file; a later call opens it anew."""
        self._db.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
