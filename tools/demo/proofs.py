"""Every promise checked from outside: bucket, archives, completed/, ledger.

Nothing here asks hotfolder: objects come through plain boto3 and are unpacked by the system's tar;
only the ledger's chain is checked by hotfolder's own `verify_chain`.
"""

import hashlib
import os
import shutil
import stat
import subprocess
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import Any
from urllib.parse import unquote_to_bytes

from hotfolder.adapters.ledger import verify_chain
from hotfolder.cli.output import shown
from hotfolder.core.errors import HotfolderError
from tools.demo import DemoFailed
from tools.demo.inputs import Dropped, Written
from tools.demo.process import SandboxProcess
from tools.demo.progress import Meter

_THREADS = 4

Line = dict[str, Any]


def check_ledger(sandbox: SandboxProcess, dropped: Mapping[str, Dropped]) -> dict[str, Line]:
    """Exactly one success line a file, true to it, in an unbroken chain; returns them by relpath."""
    try:
        chained = verify_chain(sandbox.ledger).lines
    except HotfolderError as error:
        raise DemoFailed(f"the ledger's chain is broken: {error}") from error
    lines: dict[str, Line] = {}
    for line in sandbox.lines():
        relpath = os.path.relpath(line["target_path"], sandbox.inbox)
        if relpath in lines:
            raise DemoFailed(f"the ledger has two lines for {shown(relpath)}")
        if line["status"] != "success":
            why = f": {line['error_message']}" if line["error_message"] else ""
            raise DemoFailed(f"the ledger says {line['status']} for {shown(relpath)}{shown(why)}")
        lines[relpath] = line
    _same_names("the ledger", lines, dropped)
    if chained != len(lines):
        raise DemoFailed(f"the ledger's chain has {chained:,} lines, not {len(lines):,}")
    for relpath, line in lines.items():
        if line["checksum_original"] != f"sha256:{dropped[relpath].content.sha256}":
            raise DemoFailed(f"the ledger has another SHA-256 for {shown(relpath)}")
    return lines


def check_folders(sandbox: SandboxProcess, dropped: Mapping[str, Dropped]) -> None:
    """Every original stands in completed/ as it was dropped, and no file anywhere else."""
    for folder in (sandbox.inbox, sandbox.failed):
        for relpath in files_below(folder):
            raise DemoFailed(f"{shown(relpath)} is in {folder.name}/ and should not be")
    _same_names("completed/", set(files_below(sandbox.completed)), dropped)
    for relpath, file in dropped.items():
        compare(sandbox.completed / relpath, file.content, f"completed/{relpath}")


def check_objects(
    sandbox: SandboxProcess,
    dropped: Mapping[str, Dropped],
    lines: Mapping[str, Line],
    work: Path,
    meter: Meter,
) -> int:
    """Fetch, restore and compare every object in the bucket; returns how many. `work` is scratch."""
    client, bucket = sandbox.bucket()
    pages = client.get_paginator("list_objects_v2").paginate(Bucket=bucket)
    sizes = {item["Key"]: item["Size"] for page in pages for item in page.get("Contents", [])}
    owners = {line["s3_object_key"]: relpath for relpath, line in lines.items()}
    _same_names("the bucket", sizes, owners)
    pool = ThreadPoolExecutor(_THREADS)
    try:
        tasks = [
            pool.submit(_check_object, client, bucket, key, dropped[owners[key]], work / str(number))
            for number, key in enumerate(sorted(sizes, key=lambda key: -sizes[key]))  # largest first
        ]
        for done, task in enumerate(as_completed(tasks), start=1):
            task.result()
            meter.show(done / len(tasks), f"{done:,} of {len(tasks):,} objects fetched and restored")
    finally:
        pool.shutdown(cancel_futures=True)
    return len(tasks)


def _check_object(client: Any, bucket: str, key: str, file: Dropped, place: Path) -> None:
    place.mkdir(parents=True)
    archive = place.with_suffix(".tar.gz")
    answer = client.get_object(Bucket=bucket, Key=key)
    with archive.open("wb") as copy:
        shutil.copyfileobj(answer["Body"], copy, 1 << 20)
    named = unquote_to_bytes(answer["Metadata"]["hotfolder-name"])
    if named != os.fsencode(file.relpath):
        raise DemoFailed(f"the metadata of {key} name {shown(os.fsdecode(named))}")
    # p: the mode as it was, whatever this user's umask.
    tar = ["tar", "-xzpf", str(archive), "-C", str(place)]
    unpacked = subprocess.run(tar, capture_output=True, text=True, errors="replace", check=False)
    if unpacked.returncode != 0:
        raise DemoFailed(f"tar cannot unpack {key}: {unpacked.stderr.strip()}")
    archive.unlink()
    names = os.listdir(place)
    if names != [file.name]:
        raise DemoFailed(f"{key} unpacks to {shown(', '.join(names))}, not to {shown(file.name)}")
    compare(place / file.name, file.content, f"what {key} unpacks to")
    shutil.rmtree(place)


def compare(path: Path, expected: Written, called: str) -> None:
    """Raises `DemoFailed` where a file is not byte for byte, and to the nanosecond, what was dropped."""
    seen = path.lstat()
    if not stat.S_ISREG(seen.st_mode):
        raise DemoFailed(f"{shown(called)} is no regular file")
    with path.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    found = Written(seen.st_size, sha256, seen.st_mtime_ns, stat.S_IMODE(seen.st_mode))
    for what in Written.__slots__:
        here, there = getattr(found, what), getattr(expected, what)
        if here != there:
            raise DemoFailed(
                f"{shown(called)} has another {what} than the file dropped: {here}, not {there}"
            )


def files_below(folder: Path) -> Iterator[str]:
    """Everything below that is no folder, relative to it."""
    for parent, _, names in os.walk(folder):
        yield from (os.path.relpath(os.path.join(parent, name), folder) for name in names)


def _same_names(where: str, found: Iterable[str], expected: Iterable[str]) -> None:
    here, there = set(found), set(expected)
    for name in sorted(there - here):
        raise DemoFailed(f"{where} has no {shown(name)} ({len(here):,} of {len(there):,})")
    for name in sorted(here - there):
        raise DemoFailed(f"{where} has {shown(name)}, which nobody dropped")
