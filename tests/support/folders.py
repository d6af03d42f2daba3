"""One watched folder on a real disk: an inbox with its outputs, and rows that end its files."""

from collections.abc import Callable
from pathlib import Path

from hotfolder.adapters.finishing import Finisher, Places
from hotfolder.core.records import Disposition, Fingerprint, JournalRow
from tests.support.samples import job_at, row


class Folders:
    """`inbox`, `completed` and `failed` below one root."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.inbox, self.completed, self.failed = (
            root / name for name in ("inbox", "completed", "failed")
        )
        for place in (self.inbox, self.completed, self.failed):
            place.mkdir(exist_ok=True)
        self.places = Places(str(self.inbox), str(self.completed), str(self.failed))

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
        return Finisher({"media": self.places})

    def files(self) -> dict[str, bytes]:
        """Everything that is a regular file, relative to the root, with its content."""
        return {
            path.relative_to(self.root).as_posix(): path.read_bytes()
            for path in sorted(self.root.rglob("*"))
            if path.is_file() and not path.is_symlink()
        }


class MeddledFinisher(Finisher):
    """A finisher with somebody else at work between its check and its rename."""

    def __init__(self, folders: Folders, meddle: Callable[[], object]) -> None:
        super().__init__({"media": folders.places})
        self._meddle = meddle
        self.meddled = False

    def _check_source(self, row: JournalRow, seen: Fingerprint) -> None:  # type: ignore[override]
        super()._check_source(row, seen)
        if not self.meddled:
            self.meddled = True
            self._meddle()
