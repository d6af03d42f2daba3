"""How each part of an inbox is watched, what goes wrong with that, and what is done then. Pure."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Literal

Wanted = Literal["auto", "inotify", "polling"]

#: Other machines, or the host, write to these behind this kernel's back: no event comes of it.
DEAF = frozenset(
    {
        *("nfs", "nfs4", "cifs", "smb3", "smbfs", "ncpfs", "afs", "coda", "davfs"),
        *("ceph", "glusterfs", "lustre", "beegfs", "gpfs", "gfs2", "ocfs2", "orangefs", "pvfs2"),
        *("9p", "virtiofs", "vboxsf", "vmhgfs", "prl_fs", "drvfs", "fuse"),
    }
)
#: Events come of what is written through the mount, and none of what is written to the layers below.
LAYERED = frozenset({"overlay", "aufs", "ecryptfs"})

SHORTEST_POLL = 10.0  # seconds between two walks of a part that is polled
_SHARE = 25  # and at least so many times as long as the walk itself takes: 4 % of a core at most

CANARY_EVERY = 60.0  # seconds between two proofs that events still arrive
#: Visits (one a second) with neither answer nor any event after which a watcher is taken for dead. Not
#: seconds: they pass while the process is stopped, too.
SILENCE = 30
RETRY = 60.0  # seconds until what could not be watched is tried again
_PATIENCE = 3  # restarts within `_WHILE` after which an inbox is polled instead
_WHILE = 600.0
_LONGEST_REST = 600.0  # seconds until a watcher that keeps dying is tried again


class Means(StrEnum):
    """How a part of an inbox is watched. BOTH: events, and walks for what they cannot tell."""

    INOTIFY = "inotify"
    POLLING = "polling"
    BOTH = "both"


@dataclass(frozen=True, slots=True)
class Mount:
    """A file system in an inbox: the one it stands on (`relpath` empty), or one mounted below it.

    `number` differs between any two mounts that ever were.
    """

    relpath: str
    kind: str
    number: int


@dataclass(frozen=True, slots=True)
class Polled:
    """A part of an inbox that is walked again and again, and why, as a clause."""

    relpath: str
    why: str


@dataclass(frozen=True, slots=True)
class Plan:
    """`deaf`: where inotify does not go. `polled`: no part stands inside another."""

    deaf: frozenset[str]
    polled: tuple[Polled, ...]
    mounts: tuple[Mount, ...] = ()

    @property
    def listens(self) -> bool:
        """Whether inotify is used at all."""
        return "" not in self.deaf


def way_of(kind: str, wanted: Wanted) -> Means:
    """How to watch what stands on a file system of the type `kind`, as mount(8) names it.

    fuseblk (ntfs-3g, exfat) is a disk of this machine: all writes go through its mount.
    """
    if wanted != "auto":
        return Means(wanted)
    if kind in DEAF or kind.startswith("fuse."):
        return Means.POLLING
    return Means.BOTH if kind in LAYERED else Means.INOTIFY


def is_within(relpath: str, place: str) -> bool:
    """Whether `relpath` is `place`, or below it; "" is the inbox itself."""
    return not place or relpath == place or relpath.startswith(f"{place}/")


def plan_of(mounts: Iterable[Mount], wanted: Wanted) -> Plan:
    """What to do with the file systems in an inbox."""
    known = tuple(mounts)
    here = [] if any(not mount.relpath for mount in known) else [Mount("", "", 0)]  # nothing tells
    deaf: set[str] = set()
    polled: list[Polled] = []
    for mount in sorted([*here, *known], key=lambda mount: mount.relpath):
        way = way_of(mount.kind, wanted)
        if way is Means.POLLING and not any(is_within(mount.relpath, place) for place in deaf):
            deaf.add(mount.relpath)
        if way is not Means.INOTIFY:
            polled.append(Polled(mount.relpath, _why(mount.kind, way, wanted)))
    return Plan(frozenset(deaf), apart(polled), known)


def changed(before: Sequence[Mount], now: Sequence[Mount]) -> list[str]:
    """Where a file system came, went, or was replaced by another; parents first."""
    return sorted({mount.relpath for mount in set(before) ^ set(now)})


def apart(parts: Iterable[Polled]) -> tuple[Polled, ...]:
    """`parts` without those that stand inside another."""
    kept: list[Polled] = []
    for part in sorted(parts, key=lambda part: part.relpath):
        if not any(is_within(part.relpath, other.relpath) for other in kept):
            kept.append(part)
    return tuple(kept)


def poll_period(walk: float | None) -> float:
    """Seconds between two walks of a part of which the last walk took `walk` seconds."""
    return max(SHORTEST_POLL, _SHARE * (walk or 0.0))


@dataclass(frozen=True, slots=True)
class Hearing:
    """What a watcher says of itself. The counters only ever grow; `unwatched` are paths.

    `directories` are watched, `to_come` are known and will be. `surveys`: how often the whole tree was
    gone through, after which only a walk tells what was missed. `answered`: the number of the last
    canary that sang. `events`: all that were read.
    """

    directories: int = 0
    to_come: int = 0
    surveys: int = 0
    answered: int = 0
    events: int = 0
    overflows: int = 0
    faults: int = 0
    fault: str | None = None
    dead: str | None = None
    unwatched: tuple[str, ...] = ()
    obstacle: str | None = None


@dataclass(frozen=True, slots=True)
class PolledPart:
    """`path` below the inbox, `every` so many seconds."""

    path: str
    why: str
    every: float


@dataclass(frozen=True, slots=True)
class PolledParts:
    count: int = 0
    first: list[PolledPart] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Report:
    """What the heartbeat says of the watching of one inbox; times since the epoch."""

    mode: str
    directories: int
    polled: PolledParts
    overflows: int
    lost: int
    restarts: int
    faults: int
    last_event: float | None
    last_canary: float | None
    trouble: str | None


class Kind(StrEnum):
    """What can be wrong with watching."""

    OVERFLOW = "overflow"
    LIMIT = "limit"
    UNSTARTED = "unstarted"
    DEAD = "dead"
    FAULT = "fault"


_RAISE = "see `hotfolder check`, which names the limit and how to raise it"
HINTS = {
    Kind.OVERFLOW: "raise fs.inotify.max_queued_events if it goes on; a rescan finds what was lost",
    Kind.LIMIT: f"{_RAISE}; until then that part is polled",
    Kind.UNSTARTED: f"{_RAISE}; until then the inbox is polled",
    Kind.DEAD: "nothing, if a volume or the folder was replaced: it is watched anew, and rescanned",
    Kind.FAULT: "please report it; a rescan finds what was lost",
}


def rest_before(restarts: Sequence[float], now: float) -> float:
    """Seconds until a watcher that died is started again; `restarts` are the moments of the former."""
    recent = sum(1 for moment in restarts if now - moment < _WHILE)
    return 0.0 if recent < _PATIENCE else min(_LONGEST_REST, RETRY * 2.0 ** (recent - _PATIENCE))


def _why(kind: str, way: Means, wanted: Wanted) -> str:
    if wanted == "polling":
        return 'watcher = "polling"'
    if way is Means.BOTH:
        return f"{kind}: no event tells what is written to its layers"
    return f"{kind}: no event tells what others write there"
