"""A real daemon whose state folder is on a disk that fills up."""

import os
import re
from pathlib import Path

from tests.support.box import Box
from tests.support.small_disk import small_disk

__all__ = ["small_disk"]


def fill(disk: Path) -> Path:
    filler = disk / "filler"
    with filler.open("wb") as file:
        while os.statvfs(disk).f_bavail:
            file.write(bytes(4096))
            file.flush()
    return filler


def test_a_disk_that_is_full_at_the_start_is_waited_for(box: Box, small_disk: Path) -> None:
    box.state.symlink_to(small_disk)
    box.heartbeat = box.root / "status.json"
    box.configure(extra=f'file = "{box.heartbeat}"')
    box.start()
    (box.inbox / "first").write_bytes(b"delivered before")
    box.wait(lambda: len(box.ledger()) == 1)
    box.kill()  # with rows that are to be finished, and no room to do it
    filler = fill(small_disk)
    box.start(wait=False)
    (box.inbox / "second").write_bytes(b"waits for room")
    box.wait(lambda: box.phase() == "disk-full")
    assert box.log().count("start.held") == 1, box.log()
    filler.unlink()
    box.wait(lambda: len(box.ledger()) == 2)
    assert sorted(os.listdir(box.completed)) == ["first", "second"]
    assert box.stop() == 0


def test_a_full_disk_holds_the_daemon_which_says_so_and_goes_on_by_itself(
    box: Box, small_disk: Path
) -> None:
    box.state.symlink_to(small_disk)
    box.heartbeat = box.root / "status.json"
    box.configure(extra=f'file = "{box.heartbeat}"')
    box.start()
    (box.inbox / "before").write_bytes(b"delivered before")
    box.wait(lambda: len(box.ledger()) == 1)
    filler = fill(small_disk)
    for number in range(5):
        (box.inbox / f"{number}").write_bytes(b"waits for room")
    box.wait(
        lambda: box.phase() == "disk-full" and re.search("full|No space", str(box.status()["hold"]))
    )
    assert len(box.ledger()) == 1, "nothing is believed"
    assert box.status()["totals"]["uploaded"] == 1
    filler.unlink()
    box.wait(lambda: len(box.ledger()) == 6)
    box.wait(lambda: box.phase() == "idle" and box.status()["hold"] is None)
    assert sorted(line["target_name"] for line in box.ledger()) == [*"01234", "before"]
    assert sorted(os.listdir(box.completed)) == [*"01234", "before"]
    assert os.listdir(box.inbox) == []
    assert box.stop() == 0
