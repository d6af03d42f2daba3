"""A real daemon whose state folder is on a disk that fills up."""

import os
from pathlib import Path

from tests.support.box import Box
from tests.support.small_disk import small_disk

__all__ = ["small_disk"]


def test_a_full_disk_holds_the_daemon_which_says_so_and_goes_on_by_itself(
    box: Box, small_disk: Path
) -> None:
    box.state.symlink_to(small_disk)
    box.heartbeat = box.root / "status.json"
    box.configure(extra=f'file = "{box.heartbeat}"')
    box.start()
    (box.inbox / "before").write_bytes(b"delivered before")
    box.wait(lambda: len(box.ledger()) == 1)
    filler = small_disk / "filler"
    with filler.open("wb") as file:
        file.truncate(0)
        while os.statvfs(small_disk).f_bavail:
            file.write(bytes(4096))
            file.flush()
    for number in range(5):
        (box.inbox / f"{number}").write_bytes(b"waits for room")
    box.wait(lambda: box.phase() == "disk-full")
    assert "full" in box.status()["hold"] or "No space" in box.status()["hold"]
    assert len(box.ledger()) == 1, "nothing is believed"
    assert box.status()["totals"]["uploaded"] == 1
    filler.unlink()
    box.wait(lambda: len(box.ledger()) == 6)
    box.wait(lambda: box.phase() == "idle" and box.status()["hold"] is None)
    assert sorted(line["target_name"] for line in box.ledger()) == [*"01234", "before"]
    assert sorted(os.listdir(box.completed)) == [*"01234", "before"]
    assert os.listdir(box.inbox) == []
    assert box.stop() == 0
