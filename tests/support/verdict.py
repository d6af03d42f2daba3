"""The verdict over a box that was killed: what became of every file, found out by plain means only.

boto3, tarfile, SHA-256, a walk through the folders, the ledger's lines and a copy of the journal: none
of the product's own code takes part but `verify_chain`.
"""

import hashlib
import json
import os
import shutil
import sqlite3
import tarfile
import tempfile
import zlib
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hotfolder.adapters.ledger import ChainBroken, verify_chain
from tests.support.box import Box, files_below, uploads_in

_CHUNK = 1 << 20
DELIVERED = ("success", "skipped")


@dataclass(slots=True)
class Verdict:
    """What is wrong, each with its file. Empty everywhere: nothing is."""

    files: int = 0
    lost: list[str] = field(default_factory=list)
    in_two_places: list[str] = field(default_factory=list)
    recorded_twice: list[str] = field(default_factory=list)
    unrecorded: list[str] = field(default_factory=list)
    moved_unproven: list[str] = field(default_factory=list)
    open_uploads: list[str] = field(default_factory=list)
    leftovers: list[str] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)  # the ledger's chain, or the journal

    def violations(self) -> dict[str, list[str]]:
        """What is wrong, by kind; empty if all is well."""
        kinds = (name for name in self.__slots__ if name != "files")
        return {name: found for name in kinds if (found := getattr(self, name))}

    def add(self, other: "Verdict") -> None:
        for name in self.__slots__:
            setattr(self, name, getattr(self, name) + getattr(other, name))


class Inspector:
    """Looks into one box. Objects that were compared once are not fetched again."""

    def __init__(self, box: Box) -> None:
        self._box = box
        self._s3 = box.s3()
        self._hashes: dict[tuple[int, int, int], str] = {}
        self._restored: dict[tuple[str, str], str | None] = {}
        self._proven: dict[str, str] = {}  # key -> SHA-256: nothing is ever overwritten

    def wreck(self, late: Collection[str] = ()) -> Verdict:
        """What must hold at any moment, whether the process lives or not: nothing unproven moved.

        `late` as in `final`.
        """
        verdict = Verdict()
        lines = self._lines(verdict)
        promised = {line["operation_id"]: line for line in (*self._rows(), *lines)}
        for key in {line["s3_object_key"] for line in promised.values()} - {None} - self._proven.keys():
            sha256 = self.restored_sha256(key)
            if sha256 is not None:
                self._proven[key] = sha256
        proven = {*self._proven.values(), *late}
        for path in files_below(self._box.completed):
            if path.name.startswith(".hotfolder-copy-"):
                continue  # a copy under way: its original is in the inbox
            if self.sha256(path) not in proven:
                verdict.moved_unproven.append(str(path))
        return verdict

    def final(self, dropped: Iterable[tuple[str, str]], late: Collection[str] = ()) -> Verdict:
        """What must hold once a daemon has come to rest.

        `dropped`: path and SHA-256 of each file that must be somewhere; contents may repeat. `late`:
        SHA-256 of those into which their user wrote once more after they were moved, through a
        descriptor opened before; nobody can keep him from it, and only their place is judged.
        """
        named = list(dropped)
        verdict = Verdict(files=len(named))
        lines = self._lines(verdict)
        self._judge_places(named, verdict)
        self._judge_records(lines, late, verdict)
        uploads = uploads_in(self._s3, self._box.bucket)
        verdict.open_uploads = [upload["Key"] for upload in uploads]
        verdict.broken += [f"the journal still has {row['target_path']}" for row in self._rows()]
        return verdict

    def _judge_places(self, named: list[tuple[str, str]], verdict: Verdict) -> None:
        wanted = Counter(sha256 for _, sha256 in named)
        names = {sha256: path for path, sha256 in named}
        there: Counter[str] = Counter()
        for root in (self._box.inbox, self._box.completed, self._box.failed):
            for path in files_below(root):
                if path.name.startswith(".") or path.suffix in {".tmp", ".part"}:
                    verdict.leftovers.append(str(path))
                    continue
                sha256 = self.sha256(path)
                there[sha256] += 1
                names.setdefault(sha256, str(path))
        verdict.lost = [names[sha256] for sha256 in (wanted - there).elements()]
        for sha256 in (there - wanted).elements():
            known = sha256 in wanted
            found = verdict.in_two_places if known else verdict.broken
            found.append(names[sha256] if known else f"nobody dropped what is at {names[sha256]}")

    def _judge_records(
        self, lines: list[dict[str, Any]], late: Collection[str], verdict: Verdict
    ) -> None:
        ids = Counter(line["operation_id"] for line in lines)
        verdict.recorded_twice = [f"operation {each}" for each, count in ids.items() if count > 1]
        uploads = Counter(
            (line["target_path"], line["checksum_original"])
            for line in lines
            if line["status"] == "success"
        )
        verdict.recorded_twice += [path for (path, _), count in uploads.items() if count > 1]
        delivered: dict[str, list[dict[str, Any]]] = {}
        for line in lines:
            if line["status"] in DELIVERED:
                delivered.setdefault(str(line["completed_dir_path"]), []).append(line)
        for path in files_below(self._box.completed):
            own = delivered.pop(str(path), [])
            if not own:
                verdict.unrecorded.append(str(path))
            elif len(own) > 1:
                verdict.recorded_twice.append(str(path))
            for line in own if self.sha256(path) not in late else ():
                self._judge_proof(path, line, verdict)
        verdict.lost += [f"{path} has a line and is not there" for path in delivered]
        failed = Counter(line["result_path"] for line in lines if line["status"] == "failed")
        for path in files_below(self._box.failed):
            if failed[str(path)] != 1:
                verdict.unrecorded.append(f"{path} has {failed[str(path)]} failed lines")

    def _judge_proof(self, path: Path, line: Mapping[str, Any], verdict: Verdict) -> None:
        said = str(line["checksum_original"]).removeprefix("sha256:")
        if not self.sha256(path) == said == self.restored_sha256(line["s3_object_key"]):
            verdict.moved_unproven.append(f"{path}: {line['s3_object_key']} holds other bytes or none")

    def sha256(self, path: Path) -> str:
        """Of a file; what has the same inode, size and ctime is read once."""
        status = path.stat()
        key = (status.st_ino, status.st_size, status.st_ctime_ns)
        if key not in self._hashes:
            with path.open("rb") as file:
                self._hashes[key] = hashlib.file_digest(file, "sha256").hexdigest()
        return self._hashes[key]

    def restored_sha256(self, key: str) -> str | None:
        """SHA-256 of the one file in the object's tar.gz; None if there is none."""
        try:
            reply = self._s3.get_object(Bucket=self._box.bucket, Key=key)
        except self._s3.exceptions.NoSuchKey:
            return None
        known = (key, str(reply["ETag"]))
        if known not in self._restored:
            self._restored[known] = sha256_in_tar(reply["Body"])
        reply["Body"].close()
        return self._restored[known]

    def _lines(self, verdict: Verdict) -> list[dict[str, Any]]:
        """The ledger's whole lines; a torn last one is no fault."""
        path = self._box.state / "ledger.jsonl"
        try:
            verify_chain(path)
            text = path.read_text(encoding="utf-8", errors="surrogateescape")
        except ChainBroken as error:
            verdict.broken.append(str(error))
            return []
        except FileNotFoundError:
            return []
        return [json.loads(line) for line in text.split("\n")[:-1]]

    def _rows(self) -> list[dict[str, Any]]:
        """The lines to be of the journal, from a copy: to open the database itself would repair it."""
        with tempfile.TemporaryDirectory() as place:
            for name in ("state.db", "state.db-wal"):
                if (self._box.state / name).exists():
                    shutil.copy(self._box.state / name, place)
            if not os.path.exists(f"{place}/state.db"):
                return []
            connection = sqlite3.connect(f"{place}/state.db")
            try:
                known = connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'operations'")
                if known.fetchone() is None:
                    return []
                return [
                    json.loads(entry) for (entry,) in connection.execute("SELECT entry FROM operations")
                ]
            finally:
                connection.close()


def sha256_in_tar(body: Any) -> str | None:
    """SHA-256 of the one file in a tar.gz that is read to its end; None if it is no such thing."""
    hashing = hashlib.sha256()
    try:
        with tarfile.open(fileobj=body, mode="r|gz") as archive:
            for member in archive:
                inside = archive.extractfile(member)
                if inside is None:
                    return None
                while piece := inside.read(_CHUNK):
                    hashing.update(piece)
    except (tarfile.TarError, EOFError, zlib.error):
        return None
    return hashing.hexdigest()
