"""The SQLite file `state.db`: opened at first use, in WAL mode, and never believed after an error."""

import contextlib
import os
import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

from hotfolder import durable
from hotfolder.adapters.state.schema import SCHEMA_VERSION, TABLES
from hotfolder.core.errors import DiskFull, LocalError

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
        for table in TABLES:
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
