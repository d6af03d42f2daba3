"""Which file systems are refused for the state folder."""

from pathlib import Path

import pytest

from hotfolder.adapters.mounts import MountTable, network_filesystem, require_local
from hotfolder.core.errors import ConfigError
from hotfolder.core.watching import Mount

MOUNTINFO = """\
22 1 254:1 / / rw,relatime shared:1 - ext4 /dev/vda rw
30 22 0:40 / /mnt/nas rw master:2 shared:9 - nfs4 nas:/volume1 rw
31 30 254:2 / /mnt/nas/local rw - xfs /dev/vdb rw
32 22 0:41 / /mnt/with\\040space rw - cifs //nas/share rw
33 22 0:42 / /mnt/sshfs rw - fuse.sshfs host: rw
34 22 0:43 / /mnt/ntfs rw - fuseblk /dev/sda1 rw
35 22 254:3 / /mnt/over rw - ext4 /dev/vdc rw
36 35 0:44 / /mnt/over rw - 9p share rw
"""


@pytest.fixture
def mountinfo(tmp_path: Path) -> Path:
    file = tmp_path / "mountinfo"
    file.write_text(MOUNTINFO)
    return file


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/var/lib/hotfolder", None),
        ("/mnt/nas", "nfs4"),
        ("/mnt/nas/state/not/yet/made", "nfs4"),
        ("/mnt/nasty", None),
        ("/mnt/nas/local/state", None),
        ("/mnt/with space/state", "cifs"),
        ("/mnt/sshfs/x", "fuse.sshfs"),
        ("/mnt/ntfs/x", None),
        ("/mnt/over/x", "9p"),
    ],
)
def test_the_nearest_mount_decides(mountinfo: Path, path: str, kind: str | None) -> None:
    assert network_filesystem(path, mountinfo=mountinfo) == kind


def test_what_a_folder_stands_on_and_what_is_mounted_in_it(mountinfo: Path) -> None:
    table = MountTable(mountinfo)
    assert table.within("/mnt/nas/local/inbox") == (Mount("", "xfs", 31),)
    assert table.within("/mnt/nas") == (Mount("", "nfs4", 30), Mount("local", "xfs", 31))
    assert table.within("/mnt") == (
        Mount("", "ext4", 22),
        Mount("nas", "nfs4", 30),
        Mount("nas/local", "xfs", 31),
        Mount("ntfs", "fuseblk", 34),
        Mount("over", "9p", 36),
        Mount("sshfs", "fuse.sshfs", 33),
        Mount("with space", "cifs", 32),
    )


def test_without_mountinfo_nothing_is_mounted_for_all_we_know(tmp_path: Path) -> None:
    assert MountTable(tmp_path / "absent").within("/mnt") == ()


def test_without_mountinfo_nothing_is_known(tmp_path: Path) -> None:
    assert network_filesystem("/mnt/nas", mountinfo=tmp_path / "absent") is None


def test_a_local_folder_is_accepted(tmp_path: Path, mountinfo: Path) -> None:
    require_local(tmp_path, mountinfo=mountinfo)


def test_a_network_folder_is_a_configuration_error(mountinfo: Path) -> None:
    with pytest.raises(ConfigError, match=r"/mnt/nas/state .*nfs4") as caught:
        require_local("/mnt/nas/state", mountinfo=mountinfo)
    assert "state_dir" in caught.value.hint
