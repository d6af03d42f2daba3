"""The notes of files that are not to be delivered, in memory."""

from hotfolder.core.records import CalledOff


class MemoryCallOffs:
    """`core.ports.CallOffNotes` that forgets with the process."""

    def __init__(self) -> None:
        self._notes: dict[tuple[str, str], CalledOff] = {}

    def all(self) -> list[CalledOff]:
        return [self._notes[place] for place in sorted(self._notes)]

    def add(self, called: CalledOff) -> None:
        self._notes[called.folder, called.relpath] = called

    def drop(self, folder: str, relpath: str) -> None:
        self._notes.pop((folder, relpath), None)
