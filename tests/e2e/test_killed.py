"""kill -9 at named steps of a real process: nothing lost, nothing twice, nothing moved unproven."""

import hashlib
import os
import secrets
import shutil
from pathlib import Path

import pytest

from hotfolder.core import jsonline
from tests.support.box import Box
from tests.support.steps import BY_NAME, SPOOL_STEPS, STEPS, Step, found
from tests.support.victim import DidNotDieError, Victim, storm

#: What every run tries; `make torture` kills at all of them, several times.
SHORT = ("part noted", "journaled", "renamed", "ledger torn", "row forgotten")


@pytest.mark.parametrize("step", [*STEPS, *SPOOL_STEPS], ids=lambda step: step.name)
def test_every_step_names_a_function_of_the_product(step: Step) -> None:
    assert callable(found(step)[2])
    assert BY_NAME[step.name] is step


@pytest.mark.parametrize("name", SHORT)
def test_killed_at_a_step(box: Box, name: str) -> None:
    assert Victim(box, seed=1).round(BY_NAME[name]).violations() == {}


def test_killed_at_the_restart_after_a_kill(box: Box) -> None:
    victim = Victim(box, seed=2)
    victim.drop("small")
    assert victim.kill_at(BY_NAME["journaled"]).violations() == {}
    for name in ("restart: acted", "restart: ledger torn"):
        assert victim.kill_at(BY_NAME[name]).violations() == {}
    assert victim.settle_down().violations() == {}


def test_killed_at_random_moments_under_load(box: Box) -> None:
    seed = secrets.randbits(32)
    ended = storm(box, seed=seed, is_over=lambda kills: kills >= 3, most_large=2)
    assert ended.verdict.violations() == {}, f"seed {seed}"
    assert ended.verdict.files > 10


def test_a_process_that_does_not_come_to_the_step_is_told(box: Box) -> None:
    victim = Victim(box, seed=3)  # with nothing in its inbox
    with pytest.raises(DidNotDieError, match="row forgotten"):
        victim.kill_at(BY_NAME["row forgotten"])


def test_the_verdict_sees_every_kind_of_loss(box: Box) -> None:
    victim = Victim(box, seed=4)
    victim.drop("small")
    assert victim.settle_down().violations() == {}
    ledger = box.state / "ledger.jsonl"
    first, second, third = box.ledger()
    completed = [Path(line["completed_dir_path"]) for line in (first, second, third)]

    def kinds() -> set[str]:
        return set(victim.inspector.final(victim.dropped).violations())

    copied = shutil.copy(completed[0], box.inbox / "copy")
    assert kinds() == {"in_two_places"}
    os.rename(copied, box.inbox / "left.tmp")
    assert kinds() == {"leftovers"}
    os.unlink(box.inbox / "left.tmp")

    content = completed[0].read_bytes()
    completed[0].unlink()
    assert kinds() == {"lost"}
    completed[0].write_bytes(b"half")
    assert kinds() == {"lost", "broken", "moved_unproven"}
    completed[0].write_bytes(content)
    assert kinds() == set()

    box.s3().delete_object(Bucket=box.bucket, Key=second["s3_object_key"])
    assert kinds() == {"moved_unproven"}
    assert set(victim.inspector.wreck().violations()) == {"moved_unproven"}
    upload = box.s3().create_multipart_upload(Bucket=box.bucket, Key="open")
    assert kinds() == {"moved_unproven", "open_uploads"}
    box.s3().abort_multipart_upload(Bucket=box.bucket, Key="open", UploadId=upload["UploadId"])

    lines = ledger.read_bytes()
    kept = lines.splitlines(keepends=True)[:2]
    ledger.write_bytes(b"".join(kept))
    assert kinds() == {"moved_unproven", "unrecorded"}
    again = {**first, "prev": hashlib.sha256(kept[-1].rstrip(b"\n")).hexdigest()}
    ledger.write_bytes(b"".join(kept) + jsonline.encode(again) + b"\n")
    assert kinds() == {"moved_unproven", "unrecorded", "recorded_twice"}
    ledger.write_bytes(lines.replace(b"success", b"skipped", 1))
    assert "broken" in kinds()
