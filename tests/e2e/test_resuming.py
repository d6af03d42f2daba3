"""Large files whose daemon is killed or stopped half-way: the real process and a real store."""

import hashlib
import random
import re
import time
from pathlib import Path

import pytest

from tests.support.box import Box, uploads_in

MB = 1_000_000
PARTS = 29  # of 5 MiB, for 150 MB that do not compress
SMALL_PARTS = '[transfer]\npart_size = "5MiB"'


def drop_large(box: Box) -> str:
    """A file that takes a moment; its SHA-256."""
    content = random.Random(3).randbytes(150 * MB)
    (box.inbox / "large.bin").write_bytes(content)
    return hashlib.sha256(content).hexdigest()


def parts_there(box: Box) -> int:
    uploads = uploads_in(box.s3(), box.bucket)
    if not uploads:
        return 0
    (upload,) = uploads
    listed = box.s3().list_parts(Bucket=box.bucket, Key=upload["Key"], UploadId=upload["UploadId"])
    return len({part["PartNumber"] for part in listed.get("Parts", [])})


def settled_parts(box: Box) -> int:
    """What the store has, once it has digested the requests that were under way."""
    there = -1
    while there != (there := parts_there(box)):
        time.sleep(0.5)
    return there


def half_way(box: Box) -> None:
    box.wait(lambda: parts_there(box) >= 5 or box.ledger())
    assert not box.ledger(), "the machine is too fast for this test: make the file larger"


def delivered(box: Box, digest: str, tmp_path: Path) -> dict[str, object]:
    (line,) = box.wait_recorded(1)
    assert line["status"] == "success"
    assert line["verification"] in {"checksum", "etag"}
    assert line["parts"] == PARTS
    restored = box.restore(line["s3_object_key"], tmp_path / "restored")
    assert hashlib.sha256(restored.read_bytes()).hexdigest() == digest
    assert hashlib.sha256((box.completed / "large.bin").read_bytes()).hexdigest() == digest
    assert not (box.inbox / "large.bin").exists()
    box.wait(lambda: box.open_uploads() == [])
    return line


@pytest.mark.parametrize("how", ["kill", "stop twice"])
def test_an_upload_goes_on_where_it_was_cut(box: Box, tmp_path: Path, how: str) -> None:
    box.configure(extra=SMALL_PARTS)
    box.start()
    digest = drop_large(box)
    half_way(box)
    if how == "kill":
        box.kill()
    else:
        box.processes[-1].terminate()
        box.wait(lambda: "daemon.stopping" in box.log())
        box.stop()
    assert len(box.open_uploads()) == 1
    there = settled_parts(box)
    box.start(wait=False)
    line = delivered(box, digest, tmp_path)
    resumed = re.findall(r"upload\.resumed.*?\bparts[=\": ]+(\d+)", box.log())
    assert resumed == [str(there)]
    metadata = line["metadata"]
    assert isinstance(metadata, dict)
    # What was sent this time, and the completion; a part that is repeated counts twice.
    assert PARTS - there + 1 <= metadata["requests"] <= PARTS - there + 4


def test_a_file_that_changed_after_the_kill_leaves_no_upload_behind(box: Box) -> None:
    box.configure(extra=SMALL_PARTS)
    box.start()
    drop_large(box)
    half_way(box)
    box.kill()
    (box.inbox / "large.bin").write_bytes(b"short now")
    box.start(wait=False)
    (line,) = box.wait_recorded(1)
    assert line["original_size"] == len(b"short now")
    box.wait(lambda: box.open_uploads() == [])


def test_without_its_state_the_file_is_sent_anew_and_no_upload_is_left(box: Box, tmp_path: Path) -> None:
    box.configure(extra=SMALL_PARTS)
    box.start()
    digest = drop_large(box)
    half_way(box)
    box.kill()
    for file in box.state.glob("state.db*"):
        file.unlink()
    box.start(wait=False)
    delivered(box, digest, tmp_path)
    assert box.open_uploads() == []
