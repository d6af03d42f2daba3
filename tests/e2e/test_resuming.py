"""Large files whose daemon is killed or stopped half-way: the real process and a real store."""

import hashlib
import random
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.box import Box, uploads_in
from tests.support.dam import Dam

MB = 1_000_000
PARTS, THERE = 12, 5  # of 5 MiB, for 60 MB that do not compress; those that the store takes at first


@pytest.fixture
def dam(box: Box) -> Iterator[Dam]:
    """Between the daemon and its store."""
    with Dam(box.endpoint_url) as made:
        box.configure(extra='[transfer]\npart_size = "5MiB"', endpoint_url=made.url)
        yield made


def drop_large(box: Box) -> str:
    """A file that does not compress; its SHA-256."""
    content = random.Random(3).randbytes(60 * MB)
    (box.inbox / "large.bin").write_bytes(content)
    return hashlib.sha256(content).hexdigest()


def parts_there(box: Box) -> int:
    uploads = uploads_in(box.s3(), box.bucket)
    if not uploads:
        return 0
    (upload,) = uploads
    listed = box.s3().list_parts(Bucket=box.bucket, Key=upload["Key"], UploadId=upload["UploadId"])
    return len({part["PartNumber"] for part in listed.get("Parts", [])})


def half_way(box: Box, dam: Dam) -> str:
    """A daemon whose large file is on its way, with so many parts there and the others held back.

    Returns the file's SHA-256.
    """
    box.start()
    dam.hold(f"PUT /{box.bucket}/large.bin".encode(), after=THERE)
    digest = drop_large(box)
    box.wait(lambda: parts_there(box) == THERE and dam.holding)
    return digest


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
def test_an_upload_goes_on_where_it_was_cut(box: Box, dam: Dam, tmp_path: Path, how: str) -> None:
    digest = half_way(box, dam)
    if how == "kill":
        box.kill()
    else:
        box.processes[-1].terminate()
        box.wait(lambda: "daemon.stopping" in box.log())
        box.stop()
    dam.drop()
    assert len(box.open_uploads()) == 1
    box.start(wait=False)
    line = delivered(box, digest, tmp_path)
    resumed = re.findall(r"upload\.resumed.*?\bparts[=\": ]+(\d+)", box.log())
    assert resumed == [str(THERE)]
    metadata = line["metadata"]
    assert isinstance(metadata, dict)
    # What was sent this time, and the completion; a part that is repeated counts twice.
    assert PARTS - THERE + 1 <= metadata["requests"] <= PARTS - THERE + 4


def test_a_file_that_changed_after_the_kill_leaves_no_upload_behind(box: Box, dam: Dam) -> None:
    half_way(box, dam)
    box.kill()
    dam.drop()
    (box.inbox / "large.bin").write_bytes(b"short now")
    box.start(wait=False)
    (line,) = box.wait_recorded(1)
    assert line["original_size"] == len(b"short now")
    box.wait(lambda: box.open_uploads() == [])


def test_without_its_state_the_file_is_sent_anew_and_no_upload_is_left(
    box: Box, dam: Dam, tmp_path: Path
) -> None:
    digest = half_way(box, dam)
    box.kill()
    dam.drop()
    for file in box.state.glob("state.db*"):
        file.unlink()
    box.start(wait=False)
    delivered(box, digest, tmp_path)
    assert box.open_uploads() == []
