"""A dropped directory as one thing: its entries in a fixed order, and one digest over all of them."""

import hashlib
import os
from dataclasses import dataclass
from enum import StrEnum


class EntryKind(StrEnum):
    """What a tree may hold: whatever else stands in it, it cannot be archived whole."""

    DIRECTORY = "d"
    FILE = "f"
    LINK = "l"


@dataclass(frozen=True, slots=True)
class TreeEntry:
    """One entry. `relpath` is below the tree, "" for its top directory.

    Sizes in bytes, times in nanoseconds since the epoch; `mode` is the permission bits. `target` is
    where a symbolic link points, which is never followed.
    """

    relpath: str
    kind: EntryKind
    mode: int
    inode: int
    size: int
    mtime_ns: int
    ctime_ns: int
    target: str = ""


class TreeDigest:
    """SHA-256 over entries, fed in the order of the walk: the same digest, the same tree.

    As of `Fingerprint`: equal digests may still differ in content, unequal ones do. The ctime of the
    top directory is left out, as a rename may touch it.
    """

    def __init__(self) -> None:
        self._hashing = hashlib.sha256()
        self.bytes = 0  # of all regular files
        self.files = 0  # and links

    def add(self, entry: TreeEntry) -> None:
        is_directory = entry.kind is EntryKind.DIRECTORY
        size = 0 if is_directory else entry.size  # of a directory it is the file system's affair
        ctime_ns = entry.ctime_ns if entry.relpath else 0
        facts = f"{entry.kind} {entry.mode:o} {entry.inode} {size} {entry.mtime_ns} {ctime_ns} "
        names = os.fsencode(entry.relpath) + b"\0" + os.fsencode(entry.target) + b"\0"
        self._hashing.update(facts.encode() + names)
        self.bytes += entry.size if entry.kind is EntryKind.FILE else 0
        self.files += not is_directory

    def hexdigest(self) -> str:
        return self._hashing.hexdigest()
