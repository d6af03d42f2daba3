"""Ledger entries: every field, in its order, and what is filled in after the move."""

import hashlib
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from hotfolder.core.digest import digests_of_parts
from hotfolder.core.entries import (
    StoredObject,
    compression_ratio,
    finished,
    hashing_of_packed,
    seconds_of,
    timestamp,
    upload_entry,
)
from hotfolder.core.records import Digests, Fingerprint, Job, Status, Verification

EVERY_OPERATION = [
    *["schema", "operation_id", "operation_type", "batch", "target_path", "target_name", "started_at"],
    *["completed_at", "duration_seconds", "status", "result_path", "error_message", "user", "host"],
    *["command_args", "metadata"],
]
EVERY_UPLOAD = [
    *["folder", "group", "is_directory", "mime_type", "modified_at_ns", "compression_type"],
    *["original_size", "compressed_size", "compression_ratio", "s3_bucket", "s3_object_key"],
    *["s3_storage_class", "s3_version_id", "checksum_original", "checksum_compressed"],
    *["checksum_s3_etag", "verification", "parts", "attempts", "completed_dir_path"],
    *["compressed_file_path"],
]

JOB = Job(
    operation_id="0199c1d2-0000-7000-8000-000000000000",
    batch="run-1",
    folder="media",
    root="/srv/inbox",
    relpath="reels/clip.mp4",
    group="reels",
    fingerprint=Fingerprint(
        device=1, inode=2, size=1000, mtime_ns=1_730_000_000_000_000_001, ctime_ns=4
    ),
    made_at=1_730_182_741.0,
)
DIGESTS = Digests(
    original_size=1000, original_sha256=b"\x01" * 32, packed_size=300, packed_sha256=b"\x02" * 32
)


def failed() -> dict[str, Any]:
    return upload_entry(
        JOB,
        status=Status.FAILED,
        started_at=1_730_182_741.5,
        user=None,
        host="nas",
        mime_type=None,
        format="gz",
        error_message="unreadable",
        attempts=5,
    )


def uploaded(digests: Digests = DIGESTS) -> dict[str, Any]:
    return upload_entry(
        JOB,
        status=Status.SUCCESS,
        started_at=1_730_182_741.5,
        user="anna",
        host="nas",
        mime_type="video/mp4",
        format="tar.gz",
        digests=digests,
        stored=StoredObject(
            bucket="media", key="nas1/clip.tar.gz", etag="abc-2", version_id="v1", parts=2
        ),
        verification=Verification.CHECKSUM,
        command_args=("--move", "clip.mp4"),
        metadata={"requests": 4},
    )


def test_the_checksum_of_a_multipart_object_names_the_size_of_its_parts() -> None:
    entry = uploaded(replace(DIGESTS, part_size=8_388_608))
    assert entry["checksum_compressed"] == "sha256-parts-8388608:" + "02" * 32


@pytest.mark.parametrize("part", [None, 4, 5])
def test_a_packed_file_is_known_by_its_checksum(part: int | None) -> None:
    packed = b"nine byte"
    digests = replace(DIGESTS, packed_sha256=hashlib.sha256(packed).digest())
    if part is not None:
        sha256s = [hashlib.sha256(packed[at : at + part]).digest() for at in range(0, 9, part)]
        digests = digests_of_parts(replace(DIGESTS, packed_sha256=None), sha256s, part)
    hashing, digest = hashing_of_packed(uploaded(digests)["checksum_compressed"])
    hashing.update(packed)
    assert hashing.digest().hex() == digest
    hashing.update(b"s")
    assert hashing.digest().hex() != digest


@pytest.mark.parametrize("entry", [failed(), uploaded()])
def test_every_field_is_there_in_the_fixed_order(entry: dict[str, Any]) -> None:
    assert list(entry) == EVERY_OPERATION + EVERY_UPLOAD


def test_an_upload_says_what_went_where() -> None:
    entry = uploaded()
    assert entry["schema"] == 1
    assert entry["operation_type"] == "upload"
    assert (entry["target_path"], entry["target_name"]) == ("/srv/inbox/reels/clip.mp4", "clip.mp4")
    assert entry["started_at"] == "2024-10-29T06:19:01.500000Z"
    assert entry["metadata"] == {"format": "tar.gz", "requests": 4}
    assert entry["compression_type"] == "gzip"
    assert entry["compression_ratio"] == 3.3333
    assert entry["checksum_original"] == "sha256:" + "01" * 32
    assert entry["checksum_compressed"] == "sha256:" + "02" * 32
    assert entry["verification"] == "checksum"
    assert entry["modified_at_ns"] == 1_730_000_000_000_000_001
    assert entry["command_args"] == ["--move", "clip.mp4"]


def test_what_is_not_known_is_none_and_the_size_comes_from_the_fingerprint() -> None:
    entry = failed()
    assert entry["original_size"] == 1000
    unknown = ("compressed_size", "compression_ratio", "s3_bucket", "checksum_original", "parts", "user")
    assert [entry[key] for key in unknown] == [None] * len(unknown)


@pytest.mark.parametrize(
    ("format_", "kind"),
    [("tar.gz", "gzip"), ("gz", "gzip"), ("tar.zst", "zstd"), ("zst", "zstd"), ("none", "none")],
)
def test_the_format_names_its_compression(format_: str, kind: str) -> None:
    entry = upload_entry(
        JOB, status=Status.FAILED, started_at=0, user=None, host="nas", mime_type=None, format=format_
    )
    assert (entry["compression_type"], entry["metadata"]) == (kind, {"format": format_})


@pytest.mark.parametrize(
    ("original", "compressed", "ratio"),
    [(100, 50, 2.0), (0, 23, 0.0), (100, 0, None), (None, 50, None), (100, None, None)],
)
def test_the_ratio(original: int | None, compressed: int | None, ratio: float | None) -> None:
    assert compression_ratio(original, compressed) == ratio


def test_finished_fills_in_what_the_move_made_known() -> None:
    before = uploaded()
    after = finished(
        before,
        completed_at=1_730_182_743.75,
        result_path="s3://media/nas1/clip.tar.gz",
        completed_dir_path="/srv/completed/reels/clip.mp4",
    )
    changed = {key: after[key] for key in after if after[key] != before[key]}
    assert changed == {
        "completed_at": "2024-10-29T06:19:03.750000Z",
        "duration_seconds": 2.25,
        "result_path": "s3://media/nas1/clip.tar.gz",
        "completed_dir_path": "/srv/completed/reels/clip.mp4",
    }
    assert list(after) == list(before)
    assert before["completed_at"] is None


def test_finished_may_change_the_status_and_its_reason() -> None:
    after = finished(
        uploaded(),
        completed_at=1_730_182_743.0,
        result_path=None,
        completed_dir_path=None,
        status=Status.CANCELLED,
        error_message="cancelled by anna",
    )
    assert (after["status"], after["error_message"]) == ("cancelled", "cancelled by anna")


def test_a_clock_set_back_gives_no_negative_duration() -> None:
    after = finished(uploaded(), completed_at=1_730_000_000.0, result_path=None, completed_dir_path=None)
    assert after["duration_seconds"] == 0


def test_timestamps_are_rfc_3339_in_utc_with_microseconds() -> None:
    assert timestamp(0) == "1970-01-01T00:00:00.000000Z"
    assert timestamp(1_730_182_741.12) == "2024-10-29T06:19:01.120000Z"


@given(st.floats(-4e9, 4e9))
@example(0.9999999)
@example(-0.0000001)
@example(-1.5)
def test_timestamps_are_those_of_the_standard_library(seconds: float) -> None:
    words = datetime.fromtimestamp(seconds, UTC).isoformat(timespec="microseconds")
    assert timestamp(seconds) == words.removesuffix("+00:00") + "Z"


@given(st.floats(0, 4e9))
def test_timestamps_read_back_and_sort(seconds: float) -> None:
    assert abs(seconds_of(timestamp(seconds)) - seconds) < 1e-6
    assert timestamp(seconds) < timestamp(seconds + 1e-3)
