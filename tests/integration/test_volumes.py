"""An inbox whose volume goes away is missing, not empty."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from hotfolder.adapters.volumes import Volumes, is_mount
from hotfolder.core.errors import LocalError


class Mounts:
    """`core.ports.Mounts` in memory."""

    def __init__(self) -> None:
        self.roots: set[str] = set()

    def were(self, root: str) -> bool:
        return root in self.roots

    def remember(self, root: str) -> None:
        self.roots.add(root)

    def forget(self, root: str) -> None:
        self.roots.discard(root)


def run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        pytest.skip(f"needs the right to mount: {done.stderr.strip()}")


def mount(point: Path) -> None:
    run("mount", "-t", "tmpfs", "-o", "size=1m", "volume", str(point))


@pytest.fixture
def point(tmp_path: Path) -> Iterator[Path]:
    """A mount point, with a volume on it."""
    made = tmp_path / "volume"
    made.mkdir()
    mount(made)
    yield made
    subprocess.run(["umount", "-q", str(made)], check=False)


def unmount(point: Path) -> None:
    run("umount", str(point))


def test_what_is_a_mount_is_told_as_the_library_does(point: Path) -> None:
    places = [Path("/"), Path("/proc"), point, point.parent, point / "absent"]
    assert [is_mount(str(place)) for place in places] == [os.path.ismount(place) for place in places]
    assert is_mount(str(point))


def test_a_mount_point_without_its_volume_is_no_inbox(point: Path) -> None:
    volumes = Volumes(Mounts())
    seen = volumes.find(str(point))
    assert seen is not None
    unmount(point)
    assert volumes.find(str(point)) is None
    (point / "dropped by somebody meanwhile").touch()
    assert volumes.find(str(point)) is None, "in this run it is known to be elsewhere"
    mount(point)
    back = volumes.find(str(point))
    assert back is not None
    unmount(point)
    assert volumes.find(str(point)) is None


def test_a_link_that_is_set_to_a_plain_folder_is_followed(point: Path, tmp_path: Path) -> None:
    volumes, link, plain = Volumes(Mounts()), tmp_path / "link", tmp_path / "plain"
    plain.mkdir()
    link.symlink_to(point)
    assert volumes.find(str(link)) is not None
    link.unlink()
    link.symlink_to(plain)
    assert volumes.find(str(link)) is not None
    link.unlink()
    link.symlink_to(point)
    unmount(point)
    assert volumes.find(str(link)) is None, "that is its mount point alone"


def test_a_folder_of_the_same_name_below_the_mount_is_none_either(point: Path) -> None:
    inbox = point / "inbox"
    unmount(point)
    inbox.mkdir()  # left by somebody who did not look
    mount(point)
    inbox.mkdir()
    volumes = Volumes(Mounts())
    assert volumes.find(str(inbox)) is not None
    unmount(point)
    assert volumes.find(str(inbox)) is None
    assert Volumes(Mounts()).find(str(inbox)) is not None, "nobody can know after a restart"


def test_a_run_that_starts_without_the_volume_waits_for_it(point: Path) -> None:
    mounts = Mounts()
    assert Volumes(mounts).find(str(point)) is not None
    unmount(point)
    assert Volumes(mounts).find(str(point)) is None
    (point / "file").touch()
    assert Volumes(mounts).find(str(point)) is not None, "a plain folder now, in which somebody works"


def test_a_volume_that_is_mounted_late_is_taken(point: Path) -> None:
    unmount(point)
    volumes = Volumes(Mounts())
    plain = volumes.find(str(point))
    assert plain is not None
    mount(point)
    late = volumes.find(str(point))
    assert late is not None
    assert late != plain


def test_a_folder_that_is_remade_is_another(tmp_path: Path) -> None:
    inbox, volumes = tmp_path / "inbox", Volumes(Mounts())
    assert volumes.find(str(inbox)) is None
    inbox.mkdir()
    first = volumes.find(str(inbox))
    assert first is not None
    inbox.rename(tmp_path / "old")
    inbox.mkdir()
    assert volumes.find(str(inbox)) not in {None, first}


def test_in_another_run_who_puts_a_file_there_says_that_it_is_a_plain_folder_now(point: Path) -> None:
    mounts = Mounts()
    assert Volumes(mounts).find(str(point)) is not None
    unmount(point)
    (point / "file").touch()
    assert Volumes(mounts).find(str(point)) is not None
    (point / "file").unlink()
    assert Volumes(mounts).find(str(point)) is not None, "emptied by a delivery, it is still there"
    mount(point)


def test_a_folder_that_opens_and_cannot_be_read_is_not_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Sick:
        def __enter__(self) -> "Iterator[object]":
            raise OSError(5, "Input/output error")

        def __exit__(self, *_: object) -> None: ...

    monkeypatch.setattr(os, "scandir", lambda _: Sick())
    assert Volumes(Mounts()).find(str(tmp_path)) is None


def test_where_it_cannot_be_asked_what_was_mounted_a_folder_counts_as_it_looks(
    tmp_path: Path,
) -> None:
    class Failing(Mounts):
        def were(self, root: str) -> bool:
            raise LocalError(f"cannot read what is known of {root}")

    volumes = Volumes(Failing())
    with capture_logs() as logs:
        assert volumes.find(str(tmp_path)) is not None
        assert volumes.find(str(tmp_path)) is not None
    assert [line["event"] for line in logs] == ["inbox.unsure"]
