"""What follows where the key of a file is taken. Pure.

Whether the same content stands there is proven elsewhere: by the store's checksum or ETag, or by
reading the object back. Here are the rules, and what makes an object worth that proof.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, StrEnum, auto

from hotfolder.core.errors import FileRejected
from hotfolder.core.records import ObjectInfo


class OnConflict(StrEnum):
    """What becomes of a file whose key is taken by other content (`on_conflict`)."""

    KEEP_BOTH = "keep-both"
    OVERWRITE = "overwrite"
    FAIL = "fail"


class Standing(Enum):
    """What was found under a key."""

    NOTHING = auto()
    SAME = auto()
    OTHER = auto()


class Way(Enum):
    """What follows. SEND: under its own key, if that is still free. FOUND: nothing is sent."""

    SEND = auto()
    FOUND = auto()
    BESIDE = auto()
    REPLACE = auto()
    REFUSE = auto()


_LONGEST_REST = 5.0  # seconds
_PAST_OTHERS = {
    OnConflict.KEEP_BOTH: Way.BESIDE,
    OnConflict.OVERWRITE: Way.REPLACE,
    OnConflict.FAIL: Way.REFUSE,
}


def way(standing: Standing, on_conflict: OnConflict) -> Way:
    """The same content is never sent again, whatever is configured."""
    match standing:
        case Standing.NOTHING:
            return Way.SEND
        case Standing.SAME:
            return Way.FOUND
        case Standing.OTHER:
            return _PAST_OTHERS[on_conflict]


def rest_before_look(took: float, *, travels: float) -> float:
    """Seconds to rest so that a look reaches the store `took` seconds after an object was made there.

    `travels`: seconds of the quickest look so far, `inf` where there was none. An answer that is just
    here left the store half of that ago, and the look arrives after the other half.
    """
    known = travels if travels < math.inf else 0.0
    return min(max(0.0, took - known), _LONGEST_REST)


def looks_first(on_conflict: OnConflict, condition: bool | None) -> bool:
    """Whether to ask what stands under a key before sending, instead of sending under a condition.

    `condition`: whether the store honours If-None-Match, None if nobody knows yet. Who overwrites
    looks first in any case: the ledger says what was replaced, and the same content stays.
    """
    return condition is not True or on_conflict is OnConflict.OVERWRITE


@dataclass(frozen=True, slots=True)
class Replaced:
    """What an object took the place of. A version id leads to it where the bucket keeps versions."""

    etag: str
    version_id: str | None = None

    @classmethod
    def of(cls, info: ObjectInfo) -> "Replaced":
        return cls(info.etag, info.version_id)

    def words(self) -> str:
        """As the new object's metadata says it; a lost answer must not lose it."""
        words = f"{self.etag} {self.version_id}" if self.version_id else self.etag
        return words if words.isascii() and words.isprintable() else "unknown"

    @classmethod
    def from_words(cls, words: str) -> "Replaced":
        etag, _, version_id = words.partition(" ")
        return cls(etag, version_id or None)


def replaced_by(info: ObjectInfo) -> Replaced | None:
    """What an object of ours took the place of, as it says itself."""
    words = info.metadata.get("hotfolder-replaced")
    return None if words is None else Replaced.from_words(words)


def is_told_otherwise(metadata: Mapping[str, str], sha256: bytes) -> bool:
    """Whether an object's own metadata says that it holds another original. It never proves the same."""
    told = metadata.get("hotfolder-sha256")
    return told is not None and told != sha256.hex()


@dataclass(frozen=True, slots=True)
class Family:
    """The keys that a file may have got: its own, and those beside it, one an operation."""

    key: str
    start: str
    ext: str

    @classmethod
    def of(cls, key: str, alternative: str, operation_id: str) -> "Family":
        start, found, ext = alternative.rpartition(f"~{operation_id}")
        return cls(key, f"{start}~" if found else alternative, ext)

    def __contains__(self, key: str) -> bool:
        return key == self.key or (key.startswith(self.start) and key.endswith(self.ext))


@dataclass(frozen=True, slots=True)
class EarlierObject:
    """An object that the ledger names as delivered. `checksum_original`: `sha256:` + hex.

    `original_size`: of what that is the checksum of; of a directory it is the archive, before packing.
    """

    key: str
    checksum_original: str
    original_size: int

    def is_of(self, sha256: bytes) -> bool:
        """Whether the ledger says that it holds this original."""
        return self.checksum_original == f"sha256:{sha256.hex()}"


def earlier_object(entry: Mapping[str, object]) -> EarlierObject | None:
    """What a ledger line says of an object; None where it says too little, or of no delivery."""
    key, checksum, size = (
        entry.get(name) for name in ("s3_object_key", "checksum_original", "original_size")
    )
    metadata = entry.get("metadata")
    if isinstance(metadata, Mapping) and "archive_size" in metadata:
        size = metadata["archive_size"]
    told = isinstance(key, str) and isinstance(checksum, str) and isinstance(size, int)
    if not told or entry.get("status") not in ("success", "skipped"):
        return None
    return EarlierObject(str(key), str(checksum), int(str(size)))


def refusal(path: str, taken: ObjectInfo) -> FileRejected:
    """Why a file is given up where nothing is to be stored beside, or in place of, another."""
    maker = taken.metadata.get("hotfolder-operation")
    by = f"put there by operation {maker}" if maker else "not put there by hotfolder"
    return FileRejected(
        f"{path}: its key {taken.key} is taken by other content "
        f"({taken.size} bytes, ETag {taken.etag}, {by}), which was left as it is",
        hint='rename the file and put it back, or set on_conflict = "keep-both" or "overwrite"',
    )
