"""Made-up values for tests: one of each, with what a test cares about replaced."""

import os
from collections.abc import Mapping
from typing import Any

from hotfolder.beneath import directory_at, fingerprint_of
from hotfolder.core.entries import StoredObject, upload_entry
from hotfolder.core.operation_id import uuid7
from hotfolder.core.records import (
    Digests,
    Disposition,
    Fingerprint,
    Job,
    JournalRow,
    Status,
    Verification,
)
from hotfolder.core.watching import PolledPart, PolledParts, Report
from hotfolder.trees import see

MOMENT = 1_761_700_000.0  # seconds since the epoch; 2025-10-29


def operation_id(number: int, *, moment: float = MOMENT) -> str:
    """The id of the operation with this number, begun at `moment`."""
    return uuid7(int(moment * 1000), number.to_bytes(10, "big"))


def fingerprint(
    *,
    device: int = 66,
    inode: int = 1000,
    size: int = 4096,
    mtime_ns: int = 1_700_000_000_000_000_000,
    ctime_ns: int = 1_700_000_000_500_000_000,
) -> Fingerprint:
    return Fingerprint(device, inode, size, mtime_ns, ctime_ns)


def fingerprint_at(path: str | os.PathLike[str]) -> Fingerprint:
    """What stands at `path` right now: a file, or a whole tree."""
    if os.path.isdir(path):
        above, name = os.path.split(os.fspath(path))
        with directory_at(above, "") as directory:
            seen = see(directory, name)
        assert seen is not None
        return seen
    return fingerprint_of(os.stat(path, follow_symlinks=False))


def job(
    relpath: str = "reels/clip.mp4",
    *,
    root: str = "/srv/inbox",
    number: int = 1,
    seen: Fingerprint | None = None,
    folder: str = "media",
    group: str = "reels",
    made_at: float = MOMENT,
    attempt: int = 1,
) -> Job:
    return Job(
        operation_id=operation_id(number),
        batch=operation_id(0),
        folder=folder,
        root=root,
        relpath=relpath,
        group=group,
        fingerprint=seen or fingerprint(),
        made_at=made_at,
        attempt=attempt,
    )


def job_at(root: str | os.PathLike[str], relpath: str, *, number: int = 1) -> Job:
    """The job of the real file `root`/`relpath` as it is now."""
    there = fingerprint_at(os.path.join(root, relpath))
    return job(relpath, root=os.fspath(root), number=number, seen=there)


def entry(job: Job, *, status: Status = Status.SUCCESS) -> dict[str, Any]:
    """The ledger line to be of `job`, as `delivery` words it."""
    delivered = status is not Status.FAILED
    return upload_entry(
        job,
        status=status,
        started_at=MOMENT,
        user="ada",
        host="nas",
        mime_type="video/mp4",
        format="tar.gz",
        digests=Digests(job.fingerprint.size, b"o" * 32, 1024, b"p" * 32) if delivered else None,
        stored=StoredObject(bucket="media", key=f"nas/{job.relpath}.tar.gz") if delivered else None,
        verification=Verification.CHECKSUM if delivered else None,
        error_message=None if delivered else "the store refused it",
    )


def row(
    job: Job,
    *,
    disposition: Disposition = Disposition.COMPLETED,
    status: Status | None = None,
    line: Mapping[str, Any] | None = None,
) -> JournalRow:
    """The decided end of `job`."""
    failed = disposition is Disposition.FAILED
    status = status or (Status.FAILED if failed else Status.SUCCESS)
    return JournalRow(
        operation_id=job.operation_id,
        folder=job.folder,
        relpath=job.relpath,
        fingerprint=job.fingerprint,
        disposition=disposition,
        target=job.relpath,
        entry=entry(job, status=status) if line is None else line,
    )


def watching() -> Report:
    """Of an inbox with a network share in it."""
    polled = PolledParts(1, [PolledPart("nas", "cifs: no event tells what others write there", 10.0)])
    return Report(
        mode="both",
        directories=3,
        polled=polled,
        overflows=1,
        lost=0,
        restarts=0,
        faults=0,
        last_event=MOMENT,
        last_canary=MOMENT,
        trouble="the kernel's queue of events ran over: some are lost",
    )
