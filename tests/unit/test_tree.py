"""The digest of a tree, and what a tar member of one of its entries is."""

import io
import tarfile
from dataclasses import replace
from typing import Any

import pytest

from hotfolder.adapters.archive import TreeTar
from hotfolder.core.tree import EntryKind, TreeDigest, TreeEntry

TOP = TreeEntry("", EntryKind.DIRECTORY, 0o755, 1, 4096, 10, 20)
FILE = TreeEntry("raw/clip.mp4", EntryKind.FILE, 0o644, 2, 100, 11, 21)
LINK = TreeEntry("latest", EntryKind.LINK, 0o777, 3, 3, 12, 22, "raw")


def digest(*entries: TreeEntry) -> str:
    digest = TreeDigest()
    for entry in entries:
        digest.add(entry)
    return digest.hexdigest()


def test_every_fact_of_an_entry_counts() -> None:
    same = digest(TOP, FILE, LINK)
    assert same == digest(TOP, FILE, LINK)
    changes: list[dict[str, Any]] = [
        {name: 7} for name in ("mode", "inode", "size", "mtime_ns", "ctime_ns")
    ]
    for change in [*changes, {"relpath": "raw/other"}, {"kind": EntryKind.LINK}, {"target": "x"}]:
        assert digest(TOP, replace(FILE, **change), LINK) != same
    assert digest(TOP, LINK, FILE) != same
    assert digest(TOP, FILE) != same


def test_what_a_rename_touches_does_not_count_and_neither_does_a_directorys_size() -> None:
    assert digest(replace(TOP, ctime_ns=99, size=8192), FILE) == digest(TOP, FILE)
    assert digest(replace(TOP, mtime_ns=99), FILE) != digest(TOP, FILE)


def test_names_and_targets_cannot_be_taken_for_each_other() -> None:
    one, other = replace(LINK, relpath="a", target="bc"), replace(LINK, relpath="ab", target="c")
    assert digest(one) != digest(other)


def test_its_sums_are_of_files() -> None:
    made = TreeDigest()
    for entry in (TOP, FILE, LINK):
        made.add(entry)
    assert (made.bytes, made.files) == (100, 2)


@pytest.mark.parametrize("entry", [TOP, FILE, LINK, replace(FILE, relpath="é" * 200, mtime_ns=-5)])
def test_a_member_says_all_and_nothing_of_this_machine(entry: TreeEntry) -> None:
    raw = TreeTar().head("reels", entry)
    assert len(raw) % 512 == 0
    with tarfile.open(fileobj=io.BytesIO(raw + bytes(1024))) as archive:
        member = archive.next()
        assert member is not None
    assert member.name == (f"reels/{entry.relpath}" if entry.relpath else "reels")
    assert member.mode == entry.mode
    assert (member.uid, member.gid, member.uname, member.gname) == (0, 0, "", "")
    assert (member.isdir(), member.isreg(), member.issym()) == (
        entry.kind is EntryKind.DIRECTORY,
        entry.kind is EntryKind.FILE,
        entry.kind is EntryKind.LINK,
    )
    assert member.linkname == entry.target
    assert member.size == (entry.size if entry.kind is EntryKind.FILE else 0)
