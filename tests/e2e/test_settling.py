"""Whole files only, whatever makes them whole: one daemon, one folder for each way."""

import os
import subprocess
from pathlib import Path

from tests.support.box import Box

FOLDERS = """
[folders.closed]
inbox = "closed"
completed = "completed-closed"
failed = "failed-closed"
key = "{folder}/{relpath}{ext}"
settle = "1h"
ready = "closed"

[folders.marked]
inbox = "marked"
completed = "completed-marked"
failed = "failed-marked"
key = "{folder}/{relpath}{ext}"
settle = "1h"
ready = "marker"
include = ["*.mp4"]
"""


def told(box: Box, name: str) -> str:
    shown = box.command("show", name)
    assert shown.returncode == 0, shown.stderr
    return shown.stdout


def test_each_file_is_taken_once_it_is_whole_and_what_waits_says_why(box: Box, tmp_path: Path) -> None:
    closed, marked = tmp_path / "closed", tmp_path / "marked"
    for place in (closed, marked):
        place.mkdir()
    box.configure('settle = "1s"\nkey = "{folder}/{relpath}{ext}"', FOLDERS)
    box.start()

    # A writer that pauses for longer than `settle` with the file open.
    with (box.inbox / "paused.bin").open("wb", buffering=0) as paused:
        paused.write(b"first half, ")
        box.wait(lambda: box.status()["waiting"]["why"] == "a program has it open for writing")
        assert "a program has it open for writing" in told(box, "paused.bin")

        # Meanwhile others are whole at their close, an hour before their quiet time is over.
        subprocess.run(["cp", "/etc/os-release", closed / "copied"], check=True)
        with (closed / "renamed.tmp").open("wb") as file:
            file.write(b"renamed")
        (closed / "renamed.tmp").rename(closed / "renamed")
        (marked / "clip.mp4").write_bytes(b"clip")
        box.wait_recorded(2)
        assert "waiting for clip.mp4.done" in told(box, "clip.mp4")
        (marked / "clip.mp4.done").write_bytes(b"sum")
        (marked / "alone.mp4.done").write_bytes(b"sum")
        names = {line["target_name"] for line in box.wait_recorded(3)}
        assert names == {"copied", "renamed", "clip.mp4"}

        box.wait(lambda: box.status()["left"]["count"] == 1)
        (left,) = box.status()["left"]["first"]
        assert left["why"] == "the marker of alone.mp4, which is not there"
        paused.write(b"second half")

    # One that closes and reopens before its quiet time is over.
    with (box.inbox / "reopened.bin").open("wb") as file:
        file.write(b"one ")
    with (box.inbox / "reopened.bin").open("ab") as file:
        file.write(b"two")
    box.wait_recorded(5)
    box.stop()

    assert (box.completed / "paused.bin").read_bytes() == b"first half, second half"
    restored = box.restore("box/paused.bin.tar.gz", tmp_path / "restored")
    assert restored.read_bytes() == b"first half, second half"
    assert box.restore("box/reopened.bin.tar.gz", tmp_path / "reopened").read_bytes() == b"one two"
    assert sorted(os.listdir(tmp_path / "completed-marked")) == ["clip.mp4", "clip.mp4.done"]
    assert os.listdir(marked) == ["alone.mp4.done"]
    assert len(box.ledger()) == len(box.keys()) == 5, "each once"
    assert "delivery.resettles" not in box.log(), "what is open takes up no flight"
