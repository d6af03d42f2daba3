"""Watching, in a real daemon whose next scan is an hour away: what arrives, arrives by what it heard."""

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.support.box import Box

_FOLDER = 'settle = "0s"\nrescan = "1h"\n'


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def watching(box: Box) -> dict[str, Any]:
    told: dict[str, Any] = box.status()["watching"]["box"]
    return told


def polled(box: Box) -> dict[str, str]:
    return {part["path"]: part["why"] for part in watching(box)["polled"]["first"]}


def delivered(box: Box) -> set[str]:
    inbox = f"{box.inbox}/"
    return {line["target_path"].removeprefix(inbox) for line in box.ledger()}


@contextmanager
def mounted(*command: str, place: Path) -> Iterator[None]:
    done = subprocess.run([*command, str(place)], capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"this machine does not let us mount: {done.stderr.strip()}")
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", str(place)], check=False, capture_output=True)


def test_an_inbox_of_several_file_systems_that_is_replaced_under_the_daemon(
    box: Box, stack: ExitStack
) -> None:
    if shutil.which("bindfs") is None:
        pytest.skip("bindfs is not installed")
    behind, share, ram = box.root / "behind", box.inbox / "share", box.inbox / "ram"
    for folder in (behind, share, ram):
        folder.mkdir()
    share_mount = stack.enter_context(ExitStack())
    share_mount.enter_context(mounted("bindfs", str(behind), place=share))
    box.configure(_FOLDER)
    box.start()
    box.wait(lambda: watching(box)["last_canary"])
    assert watching(box)["mode"] in {"inotify", "both"}
    (why,) = (why for path, why in polled(box).items() if path in {"share", ""})
    assert "no event" in why

    # Written behind the share's back: no event comes of it.
    (behind / "deep").mkdir()
    (behind / "deep/unheard").write_bytes(b"unheard")
    (box.inbox / "heard").write_bytes(b"heard")
    box.wait(lambda: "heard" in delivered(box))

    # A local file system that comes is listened to, and so is what was below it once it is gone.
    with mounted("mount", "-t", "tmpfs", "ram", place=ram):
        (ram / "new").mkdir()
        (ram / "new/on_ram").write_bytes(b"ram")
        box.wait(lambda: "ram/new/on_ram" in delivered(box))
        (ram / "new/later").write_bytes(b"later")
        box.wait(lambda: "ram/new/later" in delivered(box))
    (ram / "below").write_bytes(b"below")
    box.wait(lambda: "ram/below" in delivered(box))

    box.wait(lambda: "share/deep/unheard" in delivered(box))  # polled meanwhile
    share_mount.close()
    box.wait(lambda: "share" not in polled(box))
    (share / "local").write_bytes(b"local")
    box.wait(lambda: "share/local" in delivered(box))

    # Removed and made anew: often the same inode number, never the same directory.
    shutil.rmtree(box.inbox)
    box.inbox.mkdir()
    (box.inbox / "early").write_bytes(b"early")
    box.wait(lambda: "early" in delivered(box))
    box.wait(lambda: watching(box)["trouble"] is None)
    (box.inbox / "again").mkdir()
    (box.inbox / "again/late").write_bytes(b"late")
    box.wait(lambda: "again/late" in delivered(box))
    assert box.log().count("watcher.polling") <= 2, "told when it began, once each"
