"""Durable writes on a real disk, and what is left behind where they fail."""

import errno
import hashlib
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from hotfolder import durable
from hotfolder.core.errors import LocalError
from tests.support.small_disk import small_disk

__all__ = ["small_disk"]

PRINT_SHA256 = "import sys, hashlib; print(hashlib.sha256(sys.stdin.buffer.read()).hexdigest())"


def test_a_file_is_made_with_exactly_the_mode_asked_for(tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        durable.replace_file(tmp_path / "new", b"text", mode=0o644)
    finally:
        os.umask(before)
    assert (tmp_path / "new").read_bytes() == b"text"
    assert stat.S_IMODE((tmp_path / "new").stat().st_mode) == 0o644


def test_folders_are_made_as_deep_as_asked_for_and_may_be_there(tmp_path: Path) -> None:
    for _ in range(2):
        durable.make_directory(tmp_path / "a" / "b" / "c", mode=0o700)
    assert stat.S_IMODE((tmp_path / "a/b/c").stat().st_mode) == 0o700


def test_a_file_in_the_way_of_a_folder_is_told(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"")
    with pytest.raises(OSError, match="Not a directory"):
        durable.make_directory(tmp_path / "a")
    with pytest.raises(OSError, match="Not a directory"):
        durable.make_directory(tmp_path / "a" / "b")


def test_an_absent_file_needs_no_sync(tmp_path: Path) -> None:
    durable.sync_file(tmp_path / "nothing")
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("sync", [True, False])
def test_a_file_is_replaced_and_nothing_else_is_left(tmp_path: Path, sync: bool) -> None:
    path = tmp_path / "status.json"
    for data in (b"one", b"", b"x" * 1_000_000):
        durable.replace_file(path, data, sync=sync)
        assert path.read_bytes() == data
    assert os.listdir(tmp_path) == ["status.json"]


def test_who_has_the_old_file_open_keeps_reading_it(tmp_path: Path) -> None:
    path = tmp_path / "status.json"
    durable.replace_file(path, b"old")
    with open(path, "rb") as reader:
        durable.replace_file(path, b"new")
        assert reader.read() == b"old"


def test_a_relative_name_stands_in_the_current_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    durable.replace_file("here", b"text")
    assert (tmp_path / "here").read_bytes() == b"text"


def test_an_undecodable_name_is_kept(tmp_path: Path) -> None:
    durable.replace_file(tmp_path / "odd\udcff", b"text")
    assert os.listdir(os.fsencode(tmp_path)) == [b"odd\xff"]


def test_a_missing_folder_is_told_with_the_path_and_what_to_do(tmp_path: Path) -> None:
    path = tmp_path / "gone" / "status.json"
    with pytest.raises(LocalError, match="No such file") as caught:
        durable.replace_file(path, b"")
    assert str(path) in str(caught.value)
    assert "mounted" in caught.value.hint


def test_where_the_rename_fails_no_temporary_file_stays(tmp_path: Path) -> None:
    (tmp_path / "taken").mkdir()
    with pytest.raises(LocalError, match="Is a directory"):
        durable.replace_file(tmp_path / "taken", b"text")
    assert os.listdir(tmp_path) == ["taken"]


def test_on_a_full_disk_the_old_file_stays_alone(small_disk: Path) -> None:
    path = small_disk / "status.json"
    durable.replace_file(path, b"old")
    with pytest.raises(LocalError, match="No space left") as caught:
        durable.replace_file(path, bytes(10_000_000))
    assert "free space" in caught.value.hint
    assert path.read_bytes() == b"old"
    assert os.listdir(small_disk) == ["status.json"]


def test_append_writes_behind_what_is_there(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(b"one")
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND)
    try:
        durable.append(descriptor, memoryview(b"two"))
    finally:
        os.close(descriptor)
    assert path.read_bytes() == b"onetwo"


def test_a_failed_append_names_the_path_and_keeps_its_cause(tmp_path: Path) -> None:
    (tmp_path / "log").touch()
    descriptor = os.open(tmp_path / "log", os.O_RDONLY)
    try:
        with pytest.raises(LocalError, match=r"cannot append to .*/log") as caught:
            durable.append(descriptor, b"text", path=tmp_path / "log")
    finally:
        os.close(descriptor)
    assert isinstance(caught.value.__cause__, OSError)
    assert caught.value.__cause__.errno == errno.EBADF


def test_all_bytes_are_written_though_single_writes_are_short() -> None:
    """A pipe takes 64 KiB at a time: without the loop the rest would be missing."""
    data = os.urandom(3_000_000)
    with subprocess.Popen(
        [sys.executable, "-c", PRINT_SHA256],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as reader:
        assert reader.stdin is not None
        assert reader.stdout is not None
        durable.write_all(reader.stdin.fileno(), data)
        reader.stdin.close()
        assert reader.stdout.read().decode().strip() == hashlib.sha256(data).hexdigest()


def test_a_folder_is_synced_by_path_and_by_descriptor(tmp_path: Path) -> None:
    durable.sync_directory(tmp_path)
    descriptor = os.open(tmp_path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        durable.sync_directory(descriptor)
    finally:
        os.close(descriptor)


def test_a_missing_folder_cannot_be_synced(tmp_path: Path) -> None:
    with pytest.raises(LocalError, match="cannot sync the folder"):
        durable.sync_directory(tmp_path / "gone")
