"""The index of the ledger in `state.db`: what each line says in short, and where it stands."""

import sys
from collections.abc import Collection, Iterator
from itertools import islice
from typing import Any

from hotfolder.adapters.state.database import Table
from hotfolder.adapters.state.rows import insert
from hotfolder.core.conflict import EarlierObject, Family, earlier_object
from hotfolder.core.ledger_marks import Mark, PlacedLine, Stretch

FIELDS = (
    "completed_at",
    "operation_type",
    "status",
    "folder",
    "group",
    "target_path",
    "target_name",
    "result_path",
    "s3_bucket",
    "s3_object_key",
    "completed_dir_path",
    "checksum_original",
    "original_size",
)
_COLUMNS = ("operation_id", *FIELDS, "file", "offset")
_NAMES = ", ".join(f'"{name}"' for name in _COLUMNS)
# A line that came twice, by another hand, counts as its first.
_ADD = f"INSERT OR IGNORE INTO ledger_lines ({_NAMES})"
_MARK = 'INSERT OR REPLACE INTO ledger_mark (only, file, "offset", digest, lines) VALUES (1, ?, ?, ?, ?)'
_TOLD = ("s3_object_key", "checksum_original", "original_size", "status")
_DELIVERED = (
    f"SELECT {', '.join(_TOLD)} FROM ledger_lines "  # noqa: S608 - names of ours
    "WHERE (s3_object_key = ? OR (s3_object_key >= ? AND s3_object_key < ?)) AND s3_bucket = ? "
    "ORDER BY sequence DESC"
)
_AT_ONCE = 500  # parameters of one question


class SqliteLedgerIndex(Table):
    """`core.ports.LedgerIndex` in the SQLite file `path`. One owner at a time, as `StateDb`.

    A cache: it is written without fsync, and what it says holds only as far as its mark fits the ledger.
    """

    def mark(self) -> Mark | None:
        with self._db.connection() as connection:
            return _mark(connection)

    def add(self, stretch: Stretch, *, after: Mark | None) -> bool:
        """Add the lines read from `after` on. False if another owner read on or began anew meanwhile."""
        rows = list(_rows(stretch.lines))
        with self._db.transaction(durable=False) as connection:
            is_next = _mark(connection) == after
            if is_next:
                insert(connection, _ADD, rows)
                mark = stretch.mark
                connection.execute(_MARK, (mark.file, mark.offset, mark.digest, mark.lines))
        return is_next

    def recorded(self, wanted: Collection[str]) -> tuple[Mark | None, frozenset[str]]:
        """How far the ledger was read, and which of the operation ids have a line up to there."""
        found: set[str] = set()
        ids = iter(wanted)
        with self._db.connection() as connection:
            connection.execute("BEGIN")  # one moment for both: another owner may begin anew
            mark = _mark(connection)
            while some := list(islice(ids, _AT_ONCE)):
                asked = (
                    "SELECT operation_id FROM ledger_lines "  # noqa: S608 - only question marks
                    f"WHERE operation_id IN ({', '.join('?' * len(some))})"
                )
                found.update(operation_id for (operation_id,) in connection.execute(asked, some))
            connection.execute("COMMIT")
        return mark, frozenset(found)

    def delivered(self, bucket: str, family: Family) -> tuple[Mark | None, list[EarlierObject]]:
        """How far the ledger was read, and which objects of these keys it names, newest first."""
        behind = f"{family.start}{chr(sys.maxunicode)}"
        with self._db.connection() as connection:
            connection.execute("BEGIN")  # one moment for both, as above
            mark = _mark(connection)
            rows = connection.execute(_DELIVERED, (family.key, family.start, behind, bucket)).fetchall()
            connection.execute("COMMIT")
        known = (earlier_object(dict(zip(_TOLD, row, strict=True))) for row in rows)
        return mark, [line for line in known if line is not None and line.key in family]

    def clear(self) -> None:
        with self._db.transaction(durable=False) as connection:
            connection.execute("DELETE FROM ledger_lines")
            connection.execute("DELETE FROM ledger_mark")


def _mark(connection: Any) -> Mark | None:
    row = connection.execute('SELECT file, "offset", digest, lines FROM ledger_mark').fetchone()
    return None if row is None else Mark(*row)


def _rows(lines: Collection[PlacedLine]) -> Iterator[tuple[object, ...]]:
    for line in lines:
        entry = line.entry or {}
        operation_id = entry.get("operation_id")
        if isinstance(operation_id, str) and operation_id.isprintable():
            yield operation_id, *map(_value, map(entry.get, FIELDS)), line.file, line.offset


def _value(value: object) -> object:
    """As SQLite keeps it: text that is no UTF-8 as bytes, and nothing that no such field holds."""
    if value is None:
        return None
    if isinstance(value, str):
        if value.isascii():
            return value
        try:
            value.encode()
        except UnicodeEncodeError:  # undecodable bytes of a path
            return value.encode(errors="surrogatepass")
        return value
    is_number = isinstance(value, int) and abs(value) < 1 << 63
    return value if is_number else None
