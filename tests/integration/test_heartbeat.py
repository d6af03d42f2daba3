"""The heartbeat file as its readers meet it."""

import os
import stat
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from hotfolder.adapters.heartbeat import HeartbeatFile, read
from hotfolder.core.errors import LocalError


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "status.json"


def test_a_beat_is_one_line_that_anyone_may_read(path: Path) -> None:
    HeartbeatFile(path).write({"phase": "idle", "current_file": "/srv/inbox/Übung\n.mp4"})
    assert path.read_text() == '{"phase":"idle","current_file":"/srv/inbox/Übung\\n.mp4"}\n'
    assert stat.S_IMODE(path.stat().st_mode) == 0o644
    assert os.listdir(path.parent) == ["status.json"]


def test_a_beat_reads_back_equal(path: Path) -> None:
    state = {
        "started_at": 1730182741.12,
        "current_file": "/srv/\udcff",
        "groups": {"reels": {"uploaded": 1}},
    }
    HeartbeatFile(path).write(state)
    assert read(path) == state


def test_without_a_beat_there_is_nothing_to_read(path: Path) -> None:
    assert read(path) is None


@pytest.mark.parametrize("content", [b"", b"{", b"[]\n", b"\xff"])
def test_another_file_in_its_place_is_told(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    with pytest.raises(LocalError, match="holds no heartbeat") as caught:
        read(path)
    assert "status.file" in caught.value.hint


def test_a_folder_in_its_place_is_told(path: Path) -> None:
    path.mkdir()
    with pytest.raises(LocalError, match="Is a directory"):
        read(path)
    with pytest.raises(LocalError, match="Is a directory"):
        HeartbeatFile(path).write({})


WRITER = textwrap.dedent("""
    import sys
    from hotfolder.adapters.heartbeat import HeartbeatFile

    heartbeat = HeartbeatFile(sys.argv[1])
    for beat in range(400):
        heartbeat.write({"beat": beat, "filler": "x" * (beat % 7 * 3000)})
""")


def test_a_reader_never_meets_half_a_beat(path: Path) -> None:
    HeartbeatFile(path).write({"beat": -1})
    with subprocess.Popen([sys.executable, "-c", WRITER, str(path)]) as writer:
        last = -1
        while writer.poll() is None:
            state = read(path)
            assert state is not None
            assert state["beat"] >= last
            last = state["beat"]
    assert writer.returncode == 0
    assert read(path) == {"beat": 399, "filler": "x" * (399 % 7 * 3000)}
