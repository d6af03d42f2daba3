"""Notes of folders that live as long as the process."""

from collections.abc import Iterable, Sequence


class MemoryTidying:
    """`core.ports.TidyingNotes` without a disk; it passes the same contract suite as the real one."""

    def __init__(self) -> None:
        self._standing: set[tuple[str, str]] = set()
        self._emptied: dict[tuple[str, str], None] = {}

    def add_standing(self, inbox: str, folders: Iterable[str]) -> None:
        self._standing.update((inbox, relpath) for relpath in folders)

    def standing(self, inbox: str, folders: Sequence[str]) -> set[str]:
        return {relpath for relpath in folders if (inbox, relpath) in self._standing}

    def emptied(self, inbox: str) -> list[str]:
        return [relpath for owner, relpath in self._emptied if owner == inbox]

    def note_emptied(self, inbox: str, folders: Iterable[str], *, over: Iterable[str] = ()) -> None:
        for relpath in over:
            self._emptied.pop((inbox, relpath), None)
        self._emptied.update({(inbox, relpath): None for relpath in folders})
