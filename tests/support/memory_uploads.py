"""Upload notes in memory."""

from dataclasses import replace

from hotfolder.core.records import SentPart, UploadNote


class MemoryUploads:
    """`core.ports.UploadNotes` over dictionaries."""

    def __init__(self) -> None:
        self._notes: dict[str, UploadNote] = {}
        self._parts: dict[str, dict[int, SentPart]] = {}

    def all(self) -> list[UploadNote]:
        return sorted(self._notes.values(), key=lambda note: note.begun_at)

    def begin(self, note: UploadNote) -> None:
        self._notes[note.operation_id] = note
        self._parts[note.operation_id] = {}

    def name(self, operation_id: str, upload_id: str) -> None:
        if operation_id in self._notes:
            note = self._notes[operation_id]
            self._notes[operation_id] = replace(note, upload_id=upload_id)

    def add(self, operation_id: str, part: SentPart) -> None:
        kept = replace(part, receipt=replace(part.receipt, attempts=0))
        self._parts.setdefault(operation_id, {})[part.ours.number] = kept

    def parts(self, operation_id: str) -> dict[int, SentPart]:
        return dict(self._parts.get(operation_id, {}))

    def forget(self, operation_id: str) -> None:
        self._notes.pop(operation_id, None)
        self._parts.pop(operation_id, None)
