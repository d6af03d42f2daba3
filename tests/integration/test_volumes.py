"""An inbox whose volume goes away is missing, not empty."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from hotfolder.adapters.volumes import Volumes


class Mounts:
    """`core.ports.Mounts` in memory."""

    def __init__(self) -> None:
        self.roots: set[str] = set()

    def were(self, root: str) -> bool:
        return root in self.roots

    def remember(self, root: str) -> None:
        self.roots.add(root)


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
