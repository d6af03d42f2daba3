"""What becomes of originals, with the real process and a real store: moved, deleted, left, waiting."""

import os
import random
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.box import Box, files_below
from tests.support.folders import other_file_system
from tests.support.small_disk import small_disk  # noqa: F401 - a fixture

#: A hotfolder that dies in the ledger: at the append with this number, before it is written.
DYING = """
import os, signal, sys
from hotfolder.adapters.ledger import FileLedger
from hotfolder.cli import main
real, left = FileLedger.append, [int(sys.argv.pop(1))]
def append(self, entries):
    left[0] -= 1
    if left[0] == 0:
        os.kill(os.getpid(), signal.SIGKILL)
    real(self, entries)
FileLedger.append = append
main()
"""


@pytest.fixture
def elsewhere(box: Box) -> Iterator[Path]:
    with other_file_system(box.root) as place:
        yield place


def drop(box: Box, *names: str, size: int = 1000) -> dict[str, bytes]:
    """Drop files of random bytes; returns what is in them."""
    dropped = {}
    for name in names:
        path = box.inbox / name
        path.parent.mkdir(parents=True, exist_ok=True)
        dropped[name] = random.Random(name).randbytes(size)
        path.write_bytes(dropped[name])
    return dropped


def below(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in files_below(root)}


def die_at_append(box: Box, number: int) -> None:
    """Run the daemon until it is killed before its ledger write with this number."""
    ended = subprocess.run(
        [sys.executable, "-c", DYING, str(number), "run", "--config", str(box.config)],
        capture_output=True,
        cwd=box.root,
        env=box.environment(),
        timeout=150,
        check=False,
    )
    assert ended.returncode == -signal.SIGKILL, ended.stderr[-3000:]


def lose_state(box: Box) -> None:
    for path in box.state.glob("state.db*"):
        path.unlink()


def recorded(box: Box) -> Counter[str]:
    """How many lines each file has."""
    return Counter(os.path.relpath(line["target_path"], box.inbox) for line in box.ledger())


# -- delete, leave -------------------------------------------------------------------------------


def test_delivered_originals_are_deleted_where_that_is_configured(box: Box, tmp_path: Path) -> None:
    box.configure('settle = "100ms"\non_complete = "delete"')
    dropped = drop(box, "a", "reels/b", "reels/c")
    assert box.command("once").returncode == 0
    assert below(box.inbox) == {}
    assert not box.completed.exists()
    lines = box.ledger()
    assert recorded(box) == Counter(list(dropped))
    for number, line in enumerate(lines):
        assert (line["status"], line["completed_dir_path"]) == ("success", None)
        assert line["result_path"] == f"s3://{box.bucket}/{line['s3_object_key']}"
        restored = box.restore(line["s3_object_key"], tmp_path / "restored" / str(number))
        assert restored.read_bytes() == dropped[os.path.relpath(line["target_path"], box.inbox)]


def test_killed_between_deletion_and_ledger_line_all_is_recorded_once(box: Box) -> None:
    box.configure('settle = "100ms"\non_complete = "delete"')
    dropped = drop(box, "a", "reels/b", "reels/c")
    die_at_append(box, 1)
    box.start()
    box.wait_recorded(3)
    box.stop()
    assert recorded(box) == Counter(list(dropped))
    assert below(box.inbox) == {}


def test_originals_that_stay_are_delivered_once_and_again_when_they_change(box: Box) -> None:
    box.configure('settle = "100ms"\non_complete = "leave"\nrescan = "1s"')
    dropped = drop(box, "a", "reels/b")
    box.start()
    box.wait_recorded(2)
    drop(box, "c")
    box.wait_recorded(3)
    box.stop()
    box.start()
    box.wait(lambda: box.status()["kept"] == 3)
    assert box.status()["waiting"]["count"] == 0
    assert "3 delivered, and stay in the inbox" in box.command("status").stdout
    box.stop()
    assert box.command("once").returncode == 0
    assert below(box.inbox).keys() == {"a", "reels/b", "c"}
    assert recorded(box) == Counter([*dropped, "c"])
    shown = box.command("show", "reels/b")
    assert shown.returncode == 0, shown.stderr
    assert "delivered; stays in the inbox as on_complete says" in shown.stdout
    (box.inbox / "a").write_bytes(b"a new version")
    assert box.command("once").returncode == 0
    assert recorded(box) == Counter(["a", "a", "reels/b", "c"])


@pytest.mark.parametrize("append", [1, 2])
def test_killed_anywhere_and_without_its_state_what_stays_is_recorded_once(
    box: Box, append: int
) -> None:
    box.configure('settle = "100ms"\non_complete = "leave"')
    dropped = drop(box, "a", "reels/b")
    if append == 2:
        assert box.command("once").returncode == 0
        dropped |= drop(box, "c")
    die_at_append(box, 1)
    assert box.command("once").returncode == 0
    lose_state(box)
    assert box.command("once").returncode == 0
    assert recorded(box) == Counter(list(dropped))
    assert below(box.inbox) == dropped
    lose_state(box)
    os.utime(box.inbox / "a")
    assert box.command("once").returncode == 0
    assert recorded(box) == Counter([*dropped, "a"]), "it was changed"


# -- another file system -------------------------------------------------------------------------


def across(box: Box, elsewhere: Path, more: str = "") -> None:
    box.configure(
        f'settle = "100ms"\ncompleted = "{elsewhere}/completed"\nfailed = "{elsewhere}/failed"\n{more}'
    )


def test_completed_may_be_on_another_file_system(box: Box, elsewhere: Path) -> None:
    across(box, elsewhere)
    dropped = drop(box, *(f"reels/{number}" for number in range(40))) | drop(box, "big", size=30_000_000)
    assert box.command("once").returncode == 0
    assert below(box.inbox) == {}
    assert below(elsewhere) == {f"completed/{name}": data for name, data in dropped.items()}
    assert recorded(box) == Counter(list(dropped))
    one = drop(box, "of a person")
    assert box.command("upload", "--move", "named", cwd=box.root).returncode != 0
    (box.root / "named").write_bytes(b"data")
    moved = box.command("upload", "--move", "named")
    assert moved.returncode == 0, moved.stderr
    assert (elsewhere / "completed/named").read_bytes() == b"data"
    assert not (box.root / "named").exists()
    assert below(box.inbox) == one
    checked = box.command("check").stdout
    assert "copied there" in checked


@pytest.mark.parametrize("append", [1, 2])
def test_killed_before_its_ledger_line_a_copied_file_is_recorded_once(
    box: Box, elsewhere: Path, append: int
) -> None:
    across(box, elsewhere)
    dropped = drop(box, *(f"reels/{number}" for number in range(10)))
    if append == 2:
        assert box.command("once").returncode == 0
        dropped |= drop(box, *(f"later/{number}" for number in range(10)))
    die_at_append(box, 1)
    assert box.command("once").returncode == 0
    assert below(box.inbox) == {}
    assert below(elsewhere) == {f"completed/{name}": data for name, data in dropped.items()}
    assert recorded(box) == Counter(list(dropped))


# -- proven, waiting to move ---------------------------------------------------------------------


def wait_for_move(box: Box) -> None:
    box.wait(
        lambda: (
            box.status().get("active", [])
            and all(flight["stage"] == "proven, waiting to move" for flight in box.status()["active"])
        )
    )


def test_a_target_that_is_full_is_waited_for_over_a_restart_without_another_upload(
    box: Box,
    small_disk: Path,  # noqa: F811
) -> None:
    across(box, small_disk, 'key = "{relpath}-{timestamp}{ext}"')
    (small_disk / "ballast").write_bytes(bytes(900_000))
    dropped = drop(box, "big", size=500_000)
    box.start(wait=False)
    wait_for_move(box)
    (key,) = box.keys()
    modified = box.s3().head_object(Bucket=box.bucket, Key=key)["LastModified"]
    assert box.phase() == "disk-full"
    box.kill()
    box.start(wait=False)
    box.wait(lambda: box.phase() == "disk-full" and box.status()["last_scan"] is not None)
    assert box.status()["waiting"]["count"] == 0, "no scan takes it for a new one"
    assert box.ledger() == []
    assert below(box.inbox) == dropped
    (small_disk / "ballast").unlink()
    box.wait_recorded(1)
    assert box.stop() == 0
    assert below(small_disk) == {"completed/big": dropped["big"]}
    assert below(box.inbox) == {}
    assert box.keys() == [key]
    assert box.s3().head_object(Bucket=box.bucket, Key=key)["LastModified"] == modified
    assert recorded(box) == Counter(["big"])


def test_a_target_that_is_read_only_or_not_mounted_is_waited_for(
    box: Box,
    small_disk: Path,  # noqa: F811
) -> None:
    across(box, small_disk)
    drop(box, "first")
    box.start()
    box.wait_recorded(1)
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    drop(box, "second")
    wait_for_move(box)
    assert (box.inbox / "second").exists()
    subprocess.run(["mount", "-o", "remount,rw", str(small_disk)], check=True)
    box.wait_recorded(2)
    subprocess.run(["umount", str(small_disk)], check=True)
    try:
        drop(box, "third")
        wait_for_move(box)
        assert (box.inbox / "third").exists()
    finally:
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "small", str(small_disk)], check=True)
    (small_disk / "completed").mkdir()
    box.wait_recorded(3)
    box.stop()
    assert recorded(box) == Counter(["first", "second", "third"])
    assert len(box.keys()) == 3


# -- a lost state.db -----------------------------------------------------------------------------


@pytest.mark.parametrize("layout", ["tree", "dated"])
def test_without_state_what_was_moved_but_not_recorded_gets_its_line(box: Box, layout: str) -> None:
    box.configure(f'settle = "100ms"\ncompleted_layout = "{layout}"')
    dropped = drop(box, "a", "reels/b")
    assert box.command("once").returncode == 0
    dropped |= drop(box, "c", "reels/d", "reels/e")
    die_at_append(box, 1)
    lost = [path for path in files_below(box.completed) if path.name in "cde"]
    assert lost
    lose_state(box)
    (box.completed / ".DS_Store").write_bytes(b"junk")
    box.start()
    box.wait_recorded(5)
    assert box.stop() == 0
    assert recorded(box) == Counter(list(dropped))
    for line in box.ledger():
        assert (
            Path(line["completed_dir_path"]).read_bytes()
            == dropped[os.path.relpath(line["target_path"], box.inbox)]
        )
    names = [os.path.basename(key) for key in sorted(box.keys())]
    assert sorted(names) == [f"{name}.tar.gz" for name in "abcde"]
    assert "recovery.unrecorded" in box.log()
    box.start()
    box.stop()
    assert len(box.ledger()) == 5
