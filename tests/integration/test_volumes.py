"""Inboxes on real mounts: one that is empty, and one whose volume is gone."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from hotfolder.adapters.state.mounts import SqliteMounts
from hotfolder.volumes import Volumes
from tests.support.small_disk import small_disk

__all__ = ["small_disk"]


@pytest.fixture
def mounts(tmp_path: Path) -> Iterator[SqliteMounts]:
    with SqliteMounts(tmp_path / "state.db") as made:
        yield made


def umount(place: Path) -> None:
    subprocess.run(["umount", str(place)], check=True)


def mount(place: Path) -> None:
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "small", str(place)], check=True)


def test_an_empty_inbox_is_there(tmp_path: Path, mounts: SqliteMounts) -> None:
    status = tmp_path.stat()
    assert Volumes(mounts).find(str(tmp_path)) == (status.st_dev, status.st_ino)
    assert Volumes(mounts).find(str(tmp_path / "gone")) is None


def test_the_empty_folder_below_a_volume_that_is_gone_is_no_inbox(
    small_disk: Path, mounts: SqliteMounts
) -> None:
    assert Volumes(mounts).find(str(small_disk)) is not None
    umount(small_disk)
    try:
        assert Volumes(mounts).find(str(small_disk)) is None, "also for the next run"
    finally:
        mount(small_disk)
    assert Volumes(mounts).find(str(small_disk)) is not None


def test_nor_is_a_folder_of_that_name_which_stands_below_it(
    small_disk: Path, mounts: SqliteMounts
) -> None:
    inbox = small_disk / "inbox"
    inbox.mkdir()
    assert Volumes(mounts).find(str(inbox)) is not None
    umount(small_disk)
    inbox.mkdir()
    try:
        assert Volumes(mounts).find(str(inbox)) is None
    finally:
        mount(small_disk)


def test_whoever_puts_a_file_there_says_that_it_is_a_plain_folder_now(
    small_disk: Path, mounts: SqliteMounts
) -> None:
    Volumes(mounts).find(str(small_disk))
    umount(small_disk)
    try:
        (small_disk / "file").touch()
        assert Volumes(mounts).find(str(small_disk)) is not None
        (small_disk / "file").unlink()
        assert Volumes(mounts).find(str(small_disk)) is not None
        assert not mounts.were(str(small_disk))
    finally:
        mount(small_disk)


def test_a_folder_that_opens_and_cannot_be_read_is_not_there(
    tmp_path: Path, mounts: SqliteMounts, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Sick:
        def __enter__(self) -> "Iterator[object]":
            raise OSError(5, "Input/output error")

        def __exit__(self, *_: object) -> None: ...

    monkeypatch.setattr(os, "scandir", lambda _: Sick())
    assert Volumes(mounts).find(str(tmp_path)) is None
