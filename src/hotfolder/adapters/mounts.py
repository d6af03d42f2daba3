"""What kind of file system a path stands on: SQLite, flock and inotify want a local one."""

import os
import re
import select
import threading
import weakref

from hotfolder.core.errors import ConfigError
from hotfolder.core.watching import Mount

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
    kind = next((mount.kind for mount in MountTable(mountinfo).within(path) if not mount.relpath), "")
    return kind if kind in _NETWORK_TYPES or kind.startswith("fuse.") else None


class MountTable:
    """The mounts of this process, read anew only when the kernel says that they changed. Blocking."""

    def __init__(self, mountinfo: str | os.PathLike[str] = "/proc/self/mountinfo") -> None:
        self._lock = threading.Lock()
        self._mounts: list[tuple[int, str, str]] = []  # number, mount point, type; a later one is on top
        self._poll = select.poll()
        self._descriptor = -1
        try:
            self._descriptor = os.open(mountinfo, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return  # a kernel that does not tell; all is taken for local
        weakref.finalize(self, os.close, self._descriptor)
        self._poll.register(self._descriptor, select.POLLPRI)
        self._read()

    def within(self, folder: str | os.PathLike[str]) -> tuple[Mount, ...]:
        """The file system that `folder` stands on (with an empty path), and those mounted below it."""
        place = os.path.realpath(folder)
        with self._lock:
            if self._poll.poll(0):
                self._read()
            mounts = list(self._mounts)
        on_top: dict[str, Mount] = {}
        depth = -1
        for number, point, kind in mounts:
            if _contains(point, place):
                if len(point) >= depth:
                    depth = len(point)
                    on_top[""] = Mount("", kind, number)
            elif _contains(place, point):
                relpath = point[len(place.rstrip("/")) + 1 :]
                on_top[relpath] = Mount(relpath, kind, number)
        return tuple(on_top[relpath] for relpath in sorted(on_top))

    def _read(self) -> None:
        with open(self._descriptor, "rb", buffering=0, closefd=False) as file:
            file.seek(0)
            lines = file.read().decode(errors="surrogateescape").split("\n")
        self._mounts = [(int(line.split(" ", 1)[0]), *_mount(line)) for line in lines if line]


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
