"""Packed files that stand in the spool, in `state.db`."""

import os
from collections.abc import Iterable

from hotfolder.adapters.state.database import Table
from hotfolder.adapters.state.journal import fingerprint_from, fingerprint_text
from hotfolder.core.records import Digests, Staged

_NOTE = """
INSERT OR REPLACE INTO staged (
    operation_id, folder, root, relpath, fingerprint, made_at, recipe,
    original_size, original_sha256, packed_size, packed_sha256
)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
"""
_ALL = """
SELECT
    operation_id, folder, root, relpath, fingerprint, made_at, recipe,
    original_size, original_sha256, packed_size, packed_sha256
FROM staged ORDER BY operation_id
"""


class SqliteStaged(Table):
    """`core.ports.StagedIndex` in the SQLite file `path`. One owner at a time, as `StateDb`."""

    def all(self) -> list[Staged]:
        with self._db.connection() as connection:
            return [_staged(*values) for values in connection.execute(_ALL)]

    def note(self, staged: Staged) -> None:
        with self._db.transaction(durable=True) as connection:
            connection.execute(
                _NOTE,
                (
                    staged.operation_id,
                    staged.folder,
                    os.fsencode(staged.root),
                    os.fsencode(staged.relpath),
                    fingerprint_text(staged.fingerprint),
                    staged.made_at,
                    staged.recipe,
                    staged.digests.original_size,
                    staged.digests.original_sha256,
                    staged.digests.packed_size,
                    staged.digests.packed_sha256,
                ),
            )

    def forget(self, operation_ids: Iterable[str]) -> None:
        gone = [(operation_id,) for operation_id in operation_ids]
        if gone:
            with self._db.transaction(durable=False) as connection:
                connection.executemany("DELETE FROM staged WHERE operation_id = ?", gone)


def _staged(
    operation_id: str,
    folder: str,
    root: bytes,
    relpath: bytes,
    fingerprint: str,
    made_at: float,
    recipe: str,
    original_size: int,
    original_sha256: bytes,
    packed_size: int,
    packed_sha256: bytes,
) -> Staged:
    return Staged(
        operation_id=operation_id,
        folder=folder,
        root=os.fsdecode(root),
        relpath=os.fsdecode(relpath),
        fingerprint=fingerprint_from(fingerprint),
        made_at=made_at,
        recipe=recipe,
        digests=Digests(original_size, original_sha256, packed_size, packed_sha256),
    )
