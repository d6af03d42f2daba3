"""What is kept of multipart uploads that were begun, on disk or in memory."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from hotfolder.adapters.state.uploads import SqliteUploads
from hotfolder.core.ports import UploadNotes
from hotfolder.core.records import Fingerprint, PartDigest, PartReceipt, SentPart, UploadNote
from tests.support.memory_uploads import MemoryUploads

NOTE = UploadNote(
    operation_id="a",
    folder="media",
    root="/srv/in\udcff",
    relpath="r\udc80/é\n🎬.mp4",
    fingerprint=Fingerprint(2049, 2**64 - 1, 10**15, -1, 1_730_182_741_123_456_789),
    made_at=1_730_182_741.123456,
    begun_at=1.0,
    bucket="archive",
    key="nas/é.tar.gz",
    recipe="tar.gz isal 1",
)


def part(number: int, *, md5: bytes | None = None) -> SentPart:
    return SentPart(
        PartDigest(number, 5, bytes([number]) * 32, md5),
        PartReceipt(
            number, 5, f"e{number}", "c" if md5 else None, attempts=0, etag_is_digest=md5 is None
        ),
    )


@pytest.fixture(params=["sqlite", "memory"])
def notes(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[UploadNotes]:
    if request.param == "memory":
        yield MemoryUploads()
        return
    with SqliteUploads(tmp_path / "state.db") as sqlite:
        yield sqlite


def test_what_was_begun_comes_back_equal_oldest_first(notes: UploadNotes) -> None:
    later = replace(NOTE, operation_id="0", begun_at=2.0, upload_id="known")
    notes.begin(later)
    notes.begin(NOTE)
    assert notes.all() == [NOTE, later]


def test_the_stores_answer_is_added(notes: UploadNotes) -> None:
    notes.begin(NOTE)
    notes.name("a", "upload-1")
    notes.name("unknown", "upload-2")
    assert notes.all() == [replace(NOTE, upload_id="upload-1")]


def test_parts_come_back_by_number_and_as_not_sent_again(notes: UploadNotes) -> None:
    notes.begin(NOTE)
    first, second = part(1, md5=b"m" * 16), part(2)
    notes.add("a", replace(second, receipt=replace(second.receipt, attempts=3)))
    notes.add("a", first)
    assert notes.parts("a") == {1: first, 2: second}
    assert notes.parts("b") == {}


def test_a_part_that_was_sent_again_replaces_the_old_one(notes: UploadNotes) -> None:
    notes.begin(NOTE)
    notes.add("a", part(1))
    again = SentPart(replace(part(1).ours, sha256=b"n" * 32), replace(part(1).receipt, etag="new"))
    notes.add("a", again)
    assert notes.parts("a") == {1: again}


def test_an_upload_that_is_begun_anew_has_no_parts(notes: UploadNotes) -> None:
    notes.begin(NOTE)
    notes.name("a", "upload-1")
    notes.add("a", part(1))
    notes.begin(NOTE)
    assert notes.all() == [NOTE]
    assert notes.parts("a") == {}


def test_a_forgotten_upload_is_gone_with_its_parts(notes: UploadNotes) -> None:
    notes.begin(NOTE)
    notes.add("a", part(1))
    notes.forget("a")
    notes.forget("a")
    assert notes.all() == []
    assert notes.parts("a") == {}


def test_notes_survive_the_process(tmp_path: Path) -> None:
    killed = SqliteUploads(tmp_path / "state.db")
    killed.begin(NOTE)
    killed.name("a", "upload-1")
    killed.add("a", part(1))
    with SqliteUploads(tmp_path / "state.db") as later:  # while the other was never closed
        assert later.all() == [replace(NOTE, upload_id="upload-1")]
        assert later.parts("a") == {1: part(1)}
    killed.close()
