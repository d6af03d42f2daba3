"""Multipart uploads that were begun, in `state.db`."""

import os
import sqlite3

from hotfolder.adapters.state.database import Table
from hotfolder.adapters.state.journal import fingerprint_from, fingerprint_text
from hotfolder.core.records import PartDigest, PartReceipt, SentPart, UploadNote

_BEGIN = """
INSERT OR REPLACE INTO uploads
    (operation_id, folder, root, relpath, fingerprint, made_at, begun_at, bucket, key, recipe, upload_id)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
"""
_ALL = """
SELECT
    operation_id, folder, root, relpath, fingerprint, made_at, begun_at, bucket, key, recipe, upload_id
FROM uploads ORDER BY begun_at
"""
_ADD = """
INSERT OR REPLACE INTO parts
    (operation_id, number, size, sha256, md5, etag, checksum_sha256, etag_is_digest)
VALUES (?, ?, ?, ?, ?, ?, ?, ?)
"""
_PARTS = """
SELECT number, size, sha256, md5, etag, checksum_sha256, etag_is_digest
FROM parts WHERE operation_id = ?
"""


class SqliteUploads(Table):
    """`core.ports.UploadNotes` in the SQLite file `path`. One owner at a time, as `StateDb`."""

    def all(self) -> list[UploadNote]:
        with self._db.connection() as connection:
            return [_note(*values) for values in connection.execute(_ALL)]

    def begin(self, note: UploadNote) -> None:
        with self._db.transaction(durable=True) as connection:
            _forget(connection, note.operation_id)
            connection.execute(
                _BEGIN,
                (
                    note.operation_id,
                    note.folder,
                    os.fsencode(note.root),
                    os.fsencode(note.relpath),
                    fingerprint_text(note.fingerprint),
                    note.made_at,
                    note.begun_at,
                    note.bucket,
                    note.key,
                    note.recipe,
                    note.upload_id,
                ),
            )

    def name(self, operation_id: str, upload_id: str) -> None:
        with self._db.transaction(durable=False) as connection:
            values = (upload_id, operation_id)
            connection.execute("UPDATE uploads SET upload_id = ? WHERE operation_id = ?", values)

    def add(self, operation_id: str, part: SentPart) -> None:
        ours, receipt = part.ours, part.receipt
        with self._db.transaction(durable=False) as connection:
            connection.execute(
                _ADD,
                (
                    operation_id,
                    ours.number,
                    ours.size,
                    ours.sha256,
                    ours.md5,
                    receipt.etag,
                    receipt.checksum_sha256,
                    receipt.etag_is_digest,
                ),
            )

    def parts(self, operation_id: str) -> dict[int, SentPart]:
        with self._db.connection() as connection:
            found = connection.execute(_PARTS, (operation_id,))
            return {part.ours.number: part for part in (_part(*values) for values in found)}

    def forget(self, operation_id: str) -> None:
        with self._db.transaction(durable=False) as connection:
            _forget(connection, operation_id)


def _forget(connection: sqlite3.Connection, operation_id: str) -> None:
    connection.execute("DELETE FROM parts WHERE operation_id = ?", (operation_id,))
    connection.execute("DELETE FROM uploads WHERE operation_id = ?", (operation_id,))


def _note(
    operation_id: str,
    folder: str,
    root: bytes,
    relpath: bytes,
    fingerprint: str,
    made_at: float,
    begun_at: float,
    bucket: str,
    key: str,
    recipe: str,
    upload_id: str,
) -> UploadNote:
    return UploadNote(
        operation_id=operation_id,
        folder=folder,
        root=os.fsdecode(root),
        relpath=os.fsdecode(relpath),
        fingerprint=fingerprint_from(fingerprint),
        made_at=made_at,
        begun_at=begun_at,
        bucket=bucket,
        key=key,
        recipe=recipe,
        upload_id=upload_id,
    )


def _part(
    number: int,
    size: int,
    sha256: bytes,
    md5: bytes | None,
    etag: str,
    checksum_sha256: str | None,
    etag_is_digest: int,
) -> SentPart:
    return SentPart(
        PartDigest(number, size, sha256, md5),
        PartReceipt(
            number, size, etag, checksum_sha256, attempts=0, etag_is_digest=bool(etag_is_digest)
        ),
    )
