"""Credentials that expire in mid-upload: the real process, a real store, and a desk that says so."""

import hashlib
import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.box import Box
from tests.support.key_desk import KeyDesk
from tests.support.s3_stores import SecureSeaweedFS, write_credentials

MB = 1_000_000
PARTS = 8  # of 5 MiB, for 40 MB that do not compress
SETTINGS = '[transfer]\npart_size = "5MiB"'


@pytest.fixture
def desk(seaweed: SecureSeaweedFS) -> Iterator[KeyDesk]:
    with KeyDesk(seaweed.s3_port) as made:
        yield made


def state(box: Box) -> str:
    return str(box.status().get("destination", {}).get("state"))


def test_an_upload_goes_on_with_new_keys_where_the_old_ones_expired(
    box: Box, desk: KeyDesk, seaweed: SecureSeaweedFS, tmp_path: Path
) -> None:
    desk.limit = 4
    box.configure(extra=SETTINGS, endpoint_url=desk.endpoint_url)
    box.start()
    content = random.Random(5).randbytes(40 * MB)
    (box.inbox / "large.bin").write_bytes(content)
    box.wait(lambda: state(box) == "expired")
    for number in range(5):
        (box.inbox / f"small{number}.txt").write_text(f"{number}")
    # A rotation that is not atomic: what stands there for a while is no key pair.
    keys = box.root / "credentials"
    keys.write_text(f"[default]\naws_access_key_id = {seaweed.next_keys[0]}\n")
    box.wait(lambda: state(box) == "denied")
    assert "renew the credentials" in box.log()
    taken = list(desk.parts)
    write_credentials(keys, *seaweed.next_keys)

    lines = box.wait_recorded(6)
    assert box.stop() == 0
    assert {line["status"] for line in lines} == {"success"}
    (large,) = (line for line in lines if line["target_name"] == "large.bin")
    assert large["parts"] == PARTS
    assert desk.created == 1
    assert len(taken) == 4
    assert sorted(desk.parts) == list(range(1, PARTS + 1))  # none was sent twice
    restored = box.restore(large["s3_object_key"], tmp_path / "restored")
    assert restored.read_bytes() == content
    # A probe of the store may have been cut by the expiry; what it left is taken away later.
    left = box.s3().list_multipart_uploads(Bucket=box.bucket).get("Uploads", [])
    assert not [upload for upload in left if "large" in upload["Key"]]
    log = box.log()
    assert log.count("destination.held") <= 2
    assert "delivery.deferred" not in log  # no attempt was used up


def test_a_rotated_file_costs_no_hold(box: Box, desk: KeyDesk, seaweed: SecureSeaweedFS) -> None:
    box.configure(endpoint_url=desk.endpoint_url)
    box.start()
    (box.inbox / "before.txt").write_text("before")
    box.wait_recorded(1)
    write_credentials(box.root / "credentials", *seaweed.next_keys)
    desk.expired.add(seaweed.access_key)
    for number in range(20):
        (box.inbox / f"after{number}.txt").write_text(hashlib.sha256(bytes([number])).hexdigest())
    lines = box.wait_recorded(21)
    assert box.stop() == 0
    assert {line["status"] for line in lines} == {"success"}
    assert "destination.held" not in box.log()
