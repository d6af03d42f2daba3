"""The product's own restart on what a power cut left: the promises are checked before and after it.

The real journal, ledger, finisher and recorder work on a folder that was made from a `Wreck`. Only the
identity of files is translated: a file that is made anew has another inode and ctime than the one in the
journal's fingerprint, on the disk after a power cut it has the same.
"""

import asyncio
import hashlib
import json
import os
import shutil
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

import structlog
from structlog.testing import capture_logs

from hotfolder import durable
from hotfolder.adapters.finishing import Finisher, Roots
from hotfolder.adapters.ledger import FileLedger, verify_chain
from hotfolder.adapters.state.journal import SqliteJournal
from hotfolder.beneath import fingerprint_of
from hotfolder.core.errors import HotfolderError
from hotfolder.core.records import Fingerprint, JournalRow
from hotfolder.recorder import Recorder
from hotfolder.threads import Threads
from tests.support.disk_model import Operation, Sync, Tree, Wreck, visible
from tests.support.recording import Recording, read, strace

LEDGER, DATABASE = "state/ledger.jsonl", "state/state.db"
_PLACES = ("inbox", "completed", "failed")


class FoundAgainJournal(SqliteJournal):
    """The real journal; `known` gives the fingerprint that an inode's file has now."""

    def __init__(self, path: Path, known: Mapping[int, Fingerprint]) -> None:
        super().__init__(path)
        self._known = known
        self._then: dict[Fingerprint, Fingerprint] = {}

    def rows(self) -> list[JournalRow]:
        return [self._as_now(row) for row in super().rows()]

    def commit(self, rows: Sequence[JournalRow], *, forget: Iterable[str] = ()) -> None:
        then = [
            replace(row, fingerprint=self._then.get(row.fingerprint, row.fingerprint)) for row in rows
        ]
        super().commit(then, forget=forget)

    def _as_now(self, row: JournalRow) -> JournalRow:
        now = self._known.get(row.fingerprint.inode)
        if now is None or (now.size, now.mtime_ns) != (row.fingerprint.size, row.fingerprint.mtime_ns):
            return row
        self._then[now] = row.fingerprint
        return replace(row, fingerprint=now)


@dataclass(frozen=True, slots=True)
class Violation:
    """A promise that does not hold for what a power cut after so many operations left."""

    operations: int
    variant: str
    what: str


class Bench:
    """Checks wrecks below `place`.

    `originals`: every file of the folders at the start, by inode, with its mtime. `strangers`: the paths
    of those that were in completed/ or failed/ already.
    """

    def __init__(
        self, place: Path, originals: Mapping[int, int], *, strangers: Set[str], folder: str
    ) -> None:
        self._place = place
        self._originals = originals
        self._strangers = strangers
        self._folder = folder
        self._seen: set[bytes] = set()
        self._threads = Threads("crash", 1)
        self._loop = asyncio.new_event_loop()
        self.states = 0
        self.violations: list[Violation] = []

    def __enter__(self) -> Self:
        self._place.mkdir(exist_ok=True)
        return self

    def __exit__(self, *_: object) -> None:
        self._threads.close()
        self._loop.close()

    def check(self, wreck: Wreck) -> None:
        """Check a wreck, unless one just like it was checked before."""
        digest = _digest(wreck)
        if digest in self._seen:
            return
        self._seen.add(digest)
        self.states += 1
        root = self._place / "wreck"
        shutil.rmtree(root, ignore_errors=True)
        materialise(wreck.tree, root, self._originals)
        with capture_logs():  # thousands of restarts have nothing to tell
            found = list(self._examine(wreck, root))
        for what in found:
            self.violations.append(Violation(wreck.operations, wreck.variant, what))

    def _examine(self, wreck: Wreck, root: Path) -> Iterator[str]:
        yield from self._places(wreck.tree, "before the restart")
        believed = _ids(wreck.durable)
        try:
            with found_again(root) as journal:
                yield from self._before(wreck, journal.rows())
                self._recover(root, journal)
                yield from self._after(root, journal, believed)
                before = _ledger_bytes(root)
                if self._recover(root, journal) or _ledger_bytes(root) != before:
                    yield "a second restart found something left to do"
        except (HotfolderError, OSError) as error:
            yield f"the restart failed: {error!r}"

    def _recover(self, root: Path, journal: SqliteJournal) -> int:
        return self._loop.run_until_complete(recover(root, self._folder, journal, self._threads))

    def _places(self, tree: Tree, when: str) -> Iterator[str]:
        """Every original is in exactly one place."""
        there = Counter(inode for _, inode in tree.paths())
        for inode in self._originals:
            if there[inode] != 1:
                yield f"{when}: the original {inode} is in {there[inode]} places"

    def _before(self, wreck: Wreck, rows: list[JournalRow]) -> Iterator[str]:
        """Nothing moved that no row and no line tells of, or before the store had it; no line is early.

        Files are told by their names, of which each is there once.
        """
        tree, stored = wreck.tree, wreck.stored
        lines = _lines(_content(tree, LEDGER))
        promised = {
            str(entry["operation_id"]): entry for entry in (*(row.entry for row in rows), *lines)
        }
        by_source = {os.path.basename(str(e["target_path"])): e for e in promised.values()}
        there = {path for path, _ in tree.paths()}
        for path in there:
            top, _, below = path.partition("/")
            if top not in {"completed", "failed"} or path.endswith("/") or path in self._strangers:
                continue
            entry = by_source.get(_unclashed(os.path.basename(below)))
            if entry is None:
                yield f"{path} moved, and neither journal nor ledger knows of it"
            elif top == "completed" and entry["s3_object_key"] not in stored:
                yield f"{path} moved before the store had it"
        for line in lines:
            if _ended_at(line) not in there:
                yield f"the line of {line['target_path']} is there before its move"

    def _after(self, root: Path, journal: SqliteJournal, believed: set[str]) -> Iterator[str]:
        """What the restart must have made of it."""
        inodes = Counter(_original_inode(path) for path in _files(root))
        for inode in self._originals:
            if inodes[inode] != 1:
                yield f"the original {inode} is in {inodes[inode]} places"
        verify_chain(root / LEDGER)
        lines = _lines(_ledger_bytes(root))
        ids = Counter(str(line["operation_id"]) for line in lines)
        yield from (f"{each} was recorded {count} times" for each, count in ids.items() if count > 1)
        yield from (f"the line of {each} was believed and is gone" for each in believed - set(ids))
        lines_of = Counter(_ended_at(line) for line in lines)
        ended = {path.relative_to(root).as_posix() for path in _files(root) if _is_ended(path, root)}
        ended -= self._strangers
        yield from (f"{path} has {lines_of[path]} lines" for path in ended if lines_of[path] != 1)
        yield from (f"{path} has a line and is not there" for path in set(lines_of) - ended if path)
        yield from (f"the row of {row.relpath} is still there" for row in journal.rows())


def _unclashed(name: str) -> str:
    """A name without the mark that tells it from another file of that name."""
    head, tilde, tail = name.partition("~")
    return head + tail[12:] if tilde else name


def _ended_at(line: Mapping[str, Any]) -> str:
    """Where a line says that its original is, relative to the box; "" if nowhere."""
    path = str(line["completed_dir_path"] or (line["result_path"] if line["status"] == "failed" else ""))
    for top in ("/completed/", "/failed/"):
        if top in path:
            return top.strip("/") + "/" + path.partition(top)[2]
    return ""


def _ids(tree: Tree) -> set[str]:
    return {str(line["operation_id"]) for line in _lines(_content(tree, LEDGER))}


def _content(tree: Tree, relpath: str) -> bytes:
    return next((tree.files.get(inode, b"") for path, inode in tree.paths() if path == relpath), b"")


def _ledger_bytes(root: Path) -> bytes:
    try:
        return (root / LEDGER).read_bytes()
    except FileNotFoundError:
        return b""


def _lines(content: bytes) -> list[dict[str, Any]]:
    """The whole lines that can be read."""
    lines = []
    for line in content.split(b"\n")[:-1]:
        try:
            lines.append(json.loads(line))
        except ValueError:
            continue
    return lines


def _digest(wreck: Wreck) -> bytes:
    """Equal for wrecks that are to be judged alike."""
    hashing = hashlib.sha256(repr((sorted(wreck.stored), sorted(_ids(wreck.durable)))).encode())
    for path, inode in wreck.tree.paths():
        content = b"" if path.startswith(_PLACES) else wreck.tree.files.get(inode, b"")
        hashing.update(repr((path, inode, len(content))).encode())
        hashing.update(content)
    return hashing.digest()


def materialise(tree: Tree, root: Path, originals: Mapping[int, int]) -> None:
    """Make the tree on the disk.

    An original's content begins with its inode here, and is else as long as it was.
    """
    root.mkdir()
    for path, inode in tree.paths():
        place = root / path
        if path.endswith("/"):
            place.mkdir()
        elif inode in originals:
            with place.open("wb") as file:
                file.write(b"%d\n" % inode)
                file.truncate(len(tree.files[inode]))
            os.utime(place, ns=(originals[inode], originals[inode]))
        else:
            place.write_bytes(tree.files.get(inode, b""))


def _files(root: Path) -> list[Path]:
    return [path for name in _PLACES for path in (root / name).rglob("*") if path.is_file()]


def _is_ended(path: Path, root: Path) -> bool:
    return not path.is_relative_to(root / "inbox")


def _original_inode(path: Path) -> int:
    with path.open("rb") as file:
        return int(file.readline(30).split(b"\n")[0] or b"0")


@contextmanager
def found_again(root: Path) -> Iterator[FoundAgainJournal]:
    """The journal of a folder that `materialise` made, and the folders that every start makes."""
    for name in ("state", *_PLACES):
        durable.make_directory(root / name)
    known = {_original_inode(path): fingerprint_of(path.stat()) for path in _files(root)}
    journal = FoundAgainJournal(root / DATABASE, known)
    try:
        yield journal
    finally:
        journal.close()


async def recover(root: Path, folder: str, journal: SqliteJournal, threads: Threads) -> int:
    """The product's own restart; returns how many rows there were."""
    recorder = Recorder(
        journal=journal,
        ledger=FileLedger(root / LEDGER),
        mover=Finisher({folder: Roots(*(str(root / name) for name in _PLACES))}),
        threads=threads,
        clock=time.time,  # of the same age as the ids: an old line ends the search for them
    )
    return await recorder.recover()


def restarts(
    recording: Recording, kills: Iterable[int], place: Path, originals: Mapping[int, int], *, folder: str
) -> Iterator[tuple[int, tuple[Operation, ...]]]:
    """kill -9 after so many operations, then a restart, recorded.

    A killed process loses nothing from the page cache, so that its successor sees what is not durable
    yet, and must not build on it. Yields the number of operations before the kill, and those with what
    the restart did behind them.
    """
    trees = {killed: visible(recording.start, recording.operations[:killed]) for killed in kills}
    roots, output = place / "restarts", place / "restarts.strace"
    roots.mkdir()
    for killed, tree in trees.items():
        materialise(tree, roots / f"{killed:06}", originals)
    command = [*strace(output), sys.executable, "-m", "tests.support.crash", str(roots), folder]
    subprocess.run(command, check=True, cwd=Path(__file__).parents[2])
    for killed, tree in trees.items():
        followed = read(output, roots / f"{killed:06}", ("state", *_PLACES), tree)
        shifted = (
            Sync(each.inode, each.begun + killed) if isinstance(each, Sync) else each
            for each in followed
        )
        yield killed, (*recording.operations[:killed], *shifted)


def main() -> None:
    """Restart in each folder below the one that is named, one after the other: to be recorded."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(50))
    threads = Threads("crash", 1)
    for root in sorted(Path(sys.argv[1]).iterdir()):
        with found_again(root) as journal:
            asyncio.run(recover(root, sys.argv[2], journal, threads))
    threads.close()


if __name__ == "__main__":
    main()
