"""Builders of ledger entries: one operation, one dict with every field in a fixed order.

A field that does not apply is None, never absent. `prev` is added last, by the ledger itself.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from hotfolder.core.digest import RunningSha256
from hotfolder.core.records import Digests, Disposition, Job, JournalRow, Status, Verification

SCHEMA = 1

_COMPRESSION_TYPES = {"tar.gz": "gzip", "gz": "gzip", "tar.zst": "zstd", "zst": "zstd", "none": "none"}
_IN_PARTS = "sha256-parts-"


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredObject:
    """The object an upload made or found: the facts of the store that the ledger keeps.

    `parts` counts the parts of a multipart upload, 1 for a single PUT; None where it is not known.
    """

    bucket: str
    key: str
    storage_class: str = "STANDARD"
    etag: str | None = None
    version_id: str | None = None
    parts: int | None = None


def timestamp(seconds: float) -> str:
    """Seconds since the epoch as RFC 3339 in UTC with microseconds: 2025-10-29T06:19:01.120000Z."""
    fraction, whole = math.modf(seconds)
    micros = round(fraction * 1_000_000)
    if not 0 <= micros < 1_000_000:  # before the epoch, or rounded up
        whole, micros = whole + micros // 1_000_000, micros % 1_000_000
    return f"{_second(int(whole))}.{micros:06d}Z"


@lru_cache(maxsize=16)
def _second(seconds: int) -> str:
    """Thousands of files end in one second, and most of a timestamp's work is to word it."""
    return datetime.fromtimestamp(seconds, UTC).isoformat()[:-6]


def seconds_of(text: str) -> float:
    """The inverse of `timestamp`, in seconds since the epoch. Raises `ValueError`."""
    return datetime.fromisoformat(text).timestamp()


def compression_ratio(original: int | None, compressed: int | None) -> float | None:
    """Original divided by compressed (bytes), to four places; None if one is unknown or 0 divides."""
    if original is None or not compressed:
        return None
    return round(original / compressed, 4)


def upload_entry(
    job: Job,
    *,
    status: Status,
    started_at: float,
    user: str | None,
    host: str,
    mime_type: str | None,
    format: str,  # noqa: A002 - the word of the configuration and of the ledger
    digests: Digests | None = None,
    original_sha256: bytes | None = None,
    stored: StoredObject | None = None,
    verification: Verification | None = None,
    attempts: int = 1,
    error_message: str | None = None,
    compressed_file_path: str | None = None,
    command_args: Sequence[str] | None = None,
    metadata: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """The entry of one upload as far as it is known before the original moves; see `finished`.

    `started_at` in seconds since the epoch; `format` as configured (tar.gz, gz, tar.zst, zst, none);
    `attempts` counts tries of this file. `digests` None: nothing was packed (`original_sha256` may
    still be known); `stored` None: no object is known. Raises `KeyError` for an unknown format. Of a
    directory the original's digests are of its archive, and `original_size` is that of its files.
    """
    is_file = not job.fingerprint.tree
    original_size = digests.original_size if digests and is_file else job.fingerprint.size
    original = digests.original_sha256 if digests else original_sha256
    packed_size = digests.packed_size if digests else None
    return {
        "schema": SCHEMA,
        "operation_id": job.operation_id,
        "operation_type": "upload",
        "batch": job.batch,
        "target_path": job.origin or job.path,
        "target_name": job.name,
        "started_at": timestamp(started_at),
        "completed_at": None,
        "duration_seconds": None,
        "status": status.value,
        "result_path": None,
        "error_message": error_message,
        "user": user,
        "host": host,
        "command_args": None if command_args is None else list(command_args),
        "metadata": {
            "format": format,
            **({} if is_file or digests is None else {"archive_size": digests.original_size}),
            **(metadata or {}),
        },
        "folder": job.folder,
        "group": job.group,
        "is_directory": not is_file,
        "mime_type": mime_type,
        "modified_at_ns": job.fingerprint.mtime_ns,
        "compression_type": _COMPRESSION_TYPES[format],
        "original_size": original_size,
        "compressed_size": packed_size,
        "compression_ratio": compression_ratio(original_size, packed_size),
        "s3_bucket": stored.bucket if stored else None,
        "s3_object_key": stored.key if stored else None,
        "s3_storage_class": stored.storage_class if stored else None,
        "s3_version_id": stored.version_id if stored else None,
        "checksum_original": _checksum(original),
        "checksum_compressed": _checksum_of_packed(digests),
        "checksum_s3_etag": stored.etag if stored else None,
        "verification": verification.value if verification else None,
        "parts": stored.parts if stored else None,
        "attempts": attempts,
        "completed_dir_path": None,
        "compressed_file_path": compressed_file_path,
    }


def finished(
    entry: Mapping[str, Any],
    *,
    completed_at: float,
    result_path: str | None,
    completed_dir_path: str | None,
    status: Status | None = None,
    error_message: str | None = None,
) -> dict[str, Any]:
    """`entry` with what is known only after the move; `status` and `error_message` where they changed.

    `completed_at` in seconds since the epoch. The duration counts from `started_at`, restarts between
    included, and is 0 where the clock was set back meanwhile. The order of fields stays.
    """
    done = dict(entry)
    done["completed_at"] = timestamp(completed_at)
    done["duration_seconds"] = max(0.0, round(completed_at - seconds_of(entry["started_at"]), 6))
    done["result_path"] = result_path
    done["completed_dir_path"] = completed_dir_path
    if status is not None:
        done["status"] = status.value
    if error_message is not None:
        done["error_message"] = error_message
    return done


def recorded(
    row: JournalRow, moved_to: str | None, now: float, *, kept_at: str | None = None
) -> dict[str, Any]:
    """The ledger line of an operation whose original now is at `moved_to` (None: left, or gone).

    `kept_at`: where its packed file is now, if one is kept.
    """
    entry = row.entry
    failed = row.disposition is Disposition.FAILED
    key = entry["s3_object_key"]
    stored = f"s3://{entry['s3_bucket']}/{key}" if key and not failed else None
    done = finished(
        entry,
        completed_at=now,
        result_path=moved_to if failed else stored,
        completed_dir_path=None if failed else moved_to,
    )
    done["compressed_file_path"] = kept_at
    return done


def _checksum(sha256: bytes | None) -> str | None:
    return None if sha256 is None else f"sha256:{sha256.hex()}"


def _checksum_of_packed(digests: Digests | None) -> str | None:
    """Of a multipart object it is S3's own: every part is hashed once, and not the whole again."""
    if digests is None or digests.packed_sha256 is None or digests.part_size is None:
        return _checksum(digests.packed_sha256 if digests else None)
    return f"{_IN_PARTS}{digests.part_size}:{digests.packed_sha256.hex()}"


def hashing_of_packed(checksum: str) -> tuple[RunningSha256, str]:
    """What to feed a packed file to, and the hexadecimal digest it then has if `checksum` is its."""
    kind, _, digest = checksum.partition(":")
    part = int(kind.removeprefix(_IN_PARTS)) if kind.startswith(_IN_PARTS) else None
    return RunningSha256(part), digest
