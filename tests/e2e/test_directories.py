"""`directories = "archive"` with the real process and a real store: a dropped directory is one thing."""

import hashlib
import os
import random
import subprocess
from pathlib import Path

from tests.support.box import Box
from tests.support.trees import facts_of

_LARGE = 14_000_000  # three parts


def make(root: Path) -> Path:
    """A directory of files, of a nested one, of an empty one, a link and a second name of a file."""
    (root / "raw" / "day 1").mkdir(parents=True)
    (root / "empty").mkdir()
    (root / "a.mp4").write_bytes(random.Random(1).randbytes(3000))
    (root / "raw" / "day 1" / "Größe\udcff.bin").write_bytes(b"b" * 700)
    (root / "raw" / "large.bin").write_bytes(random.Random(2).randbytes(_LARGE))
    os.link(root / "a.mp4", root / "raw" / "again.mp4")
    (root / "latest").symlink_to("raw/day 1")
    (root / ".DS_Store").write_bytes(b"goes along")
    os.chmod(root / "a.mp4", 0o640)
    os.utime(root / "a.mp4", ns=(1_500_000_000_123_456_789,) * 2)
    os.utime(root / "raw", ns=(1_400_000_000_000_000_001,) * 2)
    return root


def test_a_dropped_directory_is_one_object_and_moves_as_one(box: Box) -> None:
    box.configure('directories = "archive"\nsettle = "300ms"', '[transfer]\npart_size = "5MiB"')
    box.start()
    built = make(box.root / "shoot")
    then = facts_of(built)
    built.rename(box.inbox / "shoot")
    (box.inbox / "loose.txt").write_bytes(b"a file at the top is a file")
    (box.inbox / "nothing in it yet").mkdir()
    (box.inbox / "odd").mkdir()
    os.mkfifo(box.inbox / "odd" / "pipe")

    box.wait(lambda: len(box.ledger()) == 2)
    lines = {line["target_name"]: line for line in box.ledger()}
    assert set(lines) == {"shoot", "loose.txt"}
    line = lines["shoot"]
    assert line["status"] == "success"
    assert line["is_directory"] is True
    assert line["group"] == "shoot"
    assert line["mime_type"] is None
    assert line["original_size"] == 3000 + 3000 + 700 + _LARGE + len(b"goes along")
    assert line["parts"] == 3
    assert line["s3_object_key"] == "shoot.tar.gz"
    assert line["completed_dir_path"] == str(box.completed / "shoot")
    assert lines["loose.txt"]["is_directory"] is False
    assert facts_of(box.completed / "shoot") == then

    packed = box.root / "shoot.tar.gz"
    box.s3().download_file(box.bucket, "shoot.tar.gz", str(packed))
    restored = box.root / "restored"
    restored.mkdir()
    subprocess.run(["tar", "xzpf", packed, "-C", restored], check=True)
    assert facts_of(restored / "shoot") == then
    unpacked = subprocess.run(["gzip", "-dc", packed], capture_output=True, check=True).stdout
    assert line["checksum_original"] == f"sha256:{hashlib.sha256(unpacked).hexdigest()}"
    assert line["metadata"]["archive_size"] == len(unpacked)

    box.wait(lambda: box.status()["left"]["count"] == 1)
    assert "pipe is a device, pipe or socket" in str(box.status()["left"])
    assert sorted(path.name for path in box.inbox.iterdir()) == ["nothing in it yet", "odd"]
    assert "no file is in it yet" in box.command("show", "nothing in it yet").stdout
    part = box.command("show", "odd/pipe")
    assert (part.returncode, "odd, which is delivered as one" in part.stderr) == (1, True)

    # The same once more: what the store has is not sent again.
    (restored / "shoot").rename(box.inbox / "shoot")
    box.wait(lambda: len(box.ledger()) == 3)
    again = box.ledger()[-1]
    assert (again["status"], again["s3_object_key"]) == ("skipped", "shoot.tar.gz")
    assert box.stop() == 0
