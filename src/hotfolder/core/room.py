"""Whether a disk has room: for a packed file in the spool, for anything new at all. Pure."""

from dataclasses import dataclass
from enum import Enum, auto

#: Bytes that the spool leaves to the ledger, the journal and everybody else on its file system.
RESERVE = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Disk:
    """A file system: bytes that this user may still write, and bytes in all."""

    free: int
    size: int


class Room(Enum):
    """GRANTED: it fits beside all that was granted before. WAIT: not now, but others will make room.

    NONE: not now, and nobody that is on its way would make room. NEVER: the disk is too small.
    """

    GRANTED = auto()
    WAIT = auto()
    NONE = auto()
    NEVER = auto()


def room_for(size: int, disk: Disk, *, promised: int, others: bool, reserve: int = RESERVE) -> Room:
    """Whether `size` bytes fit.

    `promised`: bytes that were granted and are not yet taken from `disk.free`. `others`: some file in
    flight holds bytes of the spool, and gives them back when it has landed.
    """
    if size + reserve > disk.size:
        return Room.NEVER
    if size + promised + reserve <= disk.free:
        return Room.GRANTED
    return Room.WAIT if others else Room.NONE


_ENOUGH = 256 * 1024 * 1024  # bytes: the reserve that nobody set
_MOST_SHARE = 50  # it is at most this part of a disk: the fiftieth
_RELIEF = 1.25  # times the reserve has to be free again: else one deleted file starts one more


def shortage(disk: Disk, reserve: int | None, *, was_short: bool) -> int | None:
    """The bytes that have to be free before anything new starts, or None where they are.

    `reserve` None: what is sensible for a disk of this size.
    """
    kept = min(_ENOUGH, disk.size // _MOST_SHARE) if reserve is None else reserve
    needed = int(kept * _RELIEF) if was_short else kept
    return needed if disk.free < needed else None
