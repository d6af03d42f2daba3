"""What kind of file system a path stands on: SQLite, flock and inotify want a local one."""

import os
import re
from pathlib import Path

from hotfolder.core.errors import ConfigError

_NETWORK_TYPES = frozenset(
    {"nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "ceph", "glusterfs", "afs", "fuse"}
)
_OCTAL = re.compile(r"\\([0-7]{3})")


def network_filesystem(
    path: str | os.PathLike[str], *, mountinfo: str | os.PathLike[str] = "/proc/self/mountinfo"
) -> str | None:
    """The type of the network (or FUSE) file system under `path`, or None for a local one.

    `path` need not exist yet: its nearest mount point decides. None, too, where the kernel offers no
    `mountinfo`.
    """
    kind = filesystem(path, mountinfo=mountinfo)
    return kind if kind in _NETWORK_TYPES or kind.startswith("fuse.") else None


def filesystem(
    path: str | os.PathLike[str], *, mountinfo: str | os.PathLike[str] = "/proc/self/mountinfo"
) -> str:
    """The type of the file system under `path`, as mount(8) names it; empty where nothing tells."""
    try:
        lines = Path(mountinfo).read_bytes().decode(errors="surrogateescape").split("\n")
    except FileNotFoundError:
        return ""
    place = os.path.realpath(path)
    depth, kind = -1, ""
    for line in filter(None, lines):
        point, mounted = _mount(line)
        # Not below: of two mounts on one point, the later one is on top.
        if len(point) >= depth and _contains(point, place):
            depth, kind = len(point), mounted
    return kind


def require_local(
    state_dir: str | os.PathLike[str], *, mountinfo: str | os.PathLike[str] = "/proc/self/mountinfo"
) -> None:
    """Raise `ConfigError` where the state folder stands on a network file system."""
    kind = network_filesystem(state_dir, mountinfo=mountinfo)
    if kind is not None:
        raise ConfigError(
            f"the state folder {os.fspath(state_dir)} is on a network file system ({kind})",
            hint="set `state_dir` to a folder on a local disk: locks and SQLite are not safe there",
        )


def _mount(line: str) -> tuple[str, str]:
    """Mount point and type of one line (proc_pid_mountinfo(5): optional fields end at " - ")."""
    mount, _, source = line.partition(" - ")
    point = _OCTAL.sub(lambda match: chr(int(match[1], 8)), mount.split(" ")[4])
    return point, source.split(" ")[0]


def _contains(point: str, place: str) -> bool:
    return place == point or place.startswith(point.rstrip("/") + "/")
