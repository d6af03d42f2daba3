"""One watched folder on a real disk: an inbox with its outputs, and rows that end its files."""

import contextlib
import ctypes
import errno
import os
import secrets
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from hotfolder.adapters.finishing import Finisher, Roots, renaming
from hotfolder.core.records import Disposition, Fingerprint, JournalRow
from tests.support.samples import job_at, row

OTHER_DISK = Path("/dev/shm")  # noqa: S108 - the one second file system that Linux always has


@contextlib.contextmanager
def other_file_system(root: Path) -> Iterator[Path]:
    """A new folder on another file system than `root`; skips the test where there is none."""
    place = OTHER_DISK / f"hotfolder-test-{secrets.token_hex(8)}"
    try:
        place.mkdir()
    except OSError as error:
        pytest.skip(f"needs a second file system: {error}")
    try:
        if place.stat().st_dev == root.stat().st_dev:
            pytest.skip("needs a second file system: it is the same one")
        yield place
    finally:
        shutil.rmtree(place)


def make_steps(place: Path, count: int, name: str = "s") -> None:
    """So many directories in each other, with a file in each, however long their path becomes."""
    here = os.open(place, os.O_RDONLY)
    for number in range(count + 1):
        os.close(os.open("file", os.O_CREAT | os.O_WRONLY, 0o644, dir_fd=here))
        if number < count:
            os.mkdir(name, dir_fd=here)
            below = os.open(name, os.O_RDONLY, dir_fd=here)
            os.close(here)
            here = below
    os.close(here)


class _Old:
    def renameat2(self, *_: object) -> int:
        ctypes.set_errno(errno.EINVAL)
        return -1


@contextlib.contextmanager
def old_file_system() -> Iterator[None]:
    """As the kernel answers where a file system knows no RENAME_NOREPLACE."""
    real = renaming._libc
    renaming._libc = _Old()  # type: ignore[assignment]
    try:
        yield
    finally:
        renaming._libc = real


class Folders:
    """`inbox`, `completed` and `failed` below one root; or the last two below `outputs`."""

    def __init__(self, root: Path, outputs: Path | None = None) -> None:
        self.root = root
        self.inbox = root / "inbox"
        self.completed, self.failed = ((outputs or root) / name for name in ("completed", "failed"))
        for place in (self.inbox, self.completed, self.failed):
            place.mkdir(exist_ok=True)
        self.roots = Roots(str(self.inbox), str(self.completed), str(self.failed))

    def drop(self, relpath: str, data: bytes = b"data") -> Path:
        path = self.inbox / relpath
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        return path

    def proven(
        self, relpath: str, *, number: int = 1, disposition: Disposition = Disposition.COMPLETED
    ) -> JournalRow:
        """The decided end of the file that stands at `relpath` now."""
        return row(job_at(self.inbox, relpath, number=number), disposition=disposition)

    def block(self, name: str) -> Callable[[], None]:
        """Let nothing move into completed/`name`, until the returned function is called."""
        in_the_way = [self.completed / name, self.completed / f"{name}~folder"]
        for path in in_the_way:
            path.write_bytes(b"a file where a folder should be")

        def unblock() -> None:
            for path in in_the_way:
                path.unlink()

        return unblock

    def finisher(self) -> Finisher:
        return Finisher({"media": self.roots})

    def files(self) -> dict[str, bytes]:
        """Everything that is a regular file, relative to the root, with its content."""
        roots = {self.root, self.completed.parent}
        return {
            path.relative_to(root).as_posix(): path.read_bytes()
            for root in roots
            for path in sorted(root.rglob("*"))
            if path.is_file() and not path.is_symlink()
        }


class MeddledFinisher(Finisher):
    """A finisher with somebody else at work between its check and its rename."""

    def __init__(self, folders: Folders, meddle: Callable[[], object]) -> None:
        super().__init__({"media": folders.roots})
        self._meddle = meddle
        self.meddled = False

    def _check_source(self, row: JournalRow, seen: Fingerprint) -> None:  # type: ignore[override]
        super()._check_source(row, seen)
        if not self.meddled:
            self.meddled = True
            self._meddle()
