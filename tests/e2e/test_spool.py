"""`spool = "disk"` with the real process and a store that goes away: packed once, whatever is killed."""

import hashlib
import os
import random
import secrets
import sqlite3
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from hotfolder.seaweed import SeaweedFS
from tests.support.box import Box, files_below
from tests.support.steps import BY_NAME
from tests.support.victim import Victim

SPOOLED = 'settle = "200ms"\nspool = "disk"\nkey = "{timestamp}/{relpath}{ext}"\n'
PATIENCE = "[transfer]\nattempts = 1"
LARGE = b"a line that packs well\n" * 8_000_000  # 184 MB, far more than what is packed


@pytest.fixture
def own_store(tmp_path: Path) -> Iterator[SeaweedFS]:
    """A store that may be stopped."""
    path = tmp_path / "store"
    path.mkdir()
    with SeaweedFS(path, access_key="KEY" + secrets.token_hex(6), secret_key="s" * 24) as store:
        yield store


@pytest.fixture
def spooled(tmp_path: Path, own_store: SeaweedFS) -> Iterator[Box]:
    root = tmp_path / "box"
    root.mkdir()
    made = Box(
        root,
        endpoint_url=own_store.endpoint_url,
        access_key=own_store.access_key,
        secret_key=own_store.secret_key,
        bucket="box",
    )
    made.s3().create_bucket(Bucket=made.bucket)
    yield made
    made.close()


def staged(box: Box) -> list[Path]:
    """Whole files in the spool."""
    return [path for path in (box.state / "spool").glob("*") if not path.name.startswith(".")]


def nothing_is_left(box: Box) -> None:
    """Of a daemon that came to its end."""
    assert list(files_below(box.inbox)) == []
    assert os.listdir(box.state / "spool") == []
    with sqlite3.connect(box.state / "state.db") as state:
        assert state.execute("SELECT * FROM staged").fetchall() == []


def stored(box: Box, line: dict[str, Any]) -> bytes:
    reply = box.s3().get_object(Bucket=box.bucket, Key=line["s3_object_key"])
    content: bytes = reply["Body"].read()
    return content


def read_so_far(pid: int) -> int:
    """How many bytes a process has read, from whatever."""
    lines = Path(f"/proc/{pid}/io").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("rchar"))


def test_what_was_packed_before_a_kill_is_sent_after_it(
    spooled: Box, own_store: SeaweedFS, tmp_path: Path
) -> None:
    box = spooled
    box.configure(f"{SPOOLED}keep_compressed = true", PATIENCE)
    box.start()
    box.wait(lambda: box.phase() == "idle" and box.status()["destination"]["state"] == "ok")
    own_store.stop()  # once it is known to be there: nothing is packed for a store that is held
    path = box.inbox / "reels" / "large.txt"
    path.parent.mkdir()
    path.write_bytes(LARGE)
    box.wait(lambda: staged(box) and box.phase() == "destination-unreachable")
    (packed,) = staged(box)
    content, inode = packed.read_bytes(), packed.stat().st_ino
    box.kill()
    (made_at,) = sqlite3.connect(box.state / "state.db").execute("SELECT made_at FROM staged").fetchone()

    process = box.start(wait=False)
    box.wait(lambda: box.phase() == "destination-unreachable")
    assert [(path.name, path.stat().st_ino) for path in staged(box)] == [(packed.name, inode)]
    own_store.start()
    (line,) = box.wait_recorded(1)
    assert read_so_far(process.pid) < len(LARGE), "the original was read again"
    assert line["operation_id"] == packed.name
    assert line["status"] == "success"
    moment = datetime.fromtimestamp(made_at, UTC)
    assert line["s3_object_key"].startswith(f"{moment:%Y%m%d}")
    assert line["checksum_original"] == f"sha256:{hashlib.sha256(LARGE).hexdigest()}"
    assert line["checksum_compressed"] == f"sha256:{hashlib.sha256(content).hexdigest()}"

    restored = box.restore(line["s3_object_key"], tmp_path / "restored")
    assert restored.read_bytes() == LARGE
    kept = box.completed / "reels" / "large.txt.tar.gz"
    assert line["compressed_file_path"] == str(kept)
    assert kept.read_bytes() == content
    assert (box.completed / "reels" / "large.txt").read_bytes() == LARGE
    assert box.stop() == 0
    nothing_is_left(box)


@pytest.mark.parametrize(
    "name", ["spool: written", "spool: named", "spool: noted", "spool: before it is cleared"]
)
def test_killed_at_a_step_of_the_spool(box: Box, name: str) -> None:
    victim = Victim(box, seed=11, folder=SPOOLED)
    victim.drop("small")
    assert victim.kill_at(BY_NAME[name]).violations() == {}
    assert victim.settle_down().violations() == {}
    nothing_is_left(box)


@pytest.mark.parametrize("name", ["spool: before it is kept", "spool: kept"])
def test_killed_around_the_keeping_of_a_file(box: Box, name: str) -> None:
    victim = Victim(box, seed=12, folder=f"{SPOOLED}keep_compressed = true")
    victim.drop("small")
    victim.kill_at(BY_NAME[name])
    box.start()
    ledger = box.wait_recorded(len(victim.dropped))
    assert box.stop() == 0
    for line in ledger:
        assert Path(line["compressed_file_path"]).read_bytes() == stored(box, line)
    assert len(list(files_below(box.completed))) == 2 * len(victim.dropped)
    nothing_is_left(box)


def test_killed_again_and_again_every_file_ends_once_and_is_kept_once(box: Box) -> None:
    box.configure(f"{SPOOLED}keep_compressed = true", '[transfer]\npart_size = "5MiB"')
    dice = random.Random(5)
    content: dict[str, bytes] = {}
    for number in range(40):
        content[f"reels/{number}.bin"] = dice.randbytes(dice.choice([10, 3000, 200_000, 7_000_000]))
    for relpath, data in content.items():
        path = box.inbox / relpath
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(data)
    for _ in range(7):
        box.start(wait=False)
        time.sleep(dice.uniform(0.3, 0.9))  # any moment will do
        box.kill()
    box.start(wait=False)
    ledger = box.wait_recorded(len(content))
    assert box.stop() == 0
    assert sorted(line["target_path"] for line in ledger) == sorted(
        str(box.inbox / relpath) for relpath in content
    )
    for line in ledger:
        assert line["status"] == "success"
        data = content[os.path.relpath(line["target_path"], box.inbox)]
        assert Path(line["completed_dir_path"]).read_bytes() == data
        kept = Path(line["compressed_file_path"]).read_bytes()
        assert kept == stored(box, line)
    assert len(list(files_below(box.completed))) == 2 * len(content)
    assert len(box.keys()) == len(content)
    nothing_is_left(box)
