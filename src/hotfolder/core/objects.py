"""What an object is called before it is sent, and what is known of it once it is proven."""

from collections.abc import Mapping
from dataclasses import dataclass

from hotfolder.core.records import (
    Digests,
    ObjectDraft,
    ObjectInfo,
    Receipt,
    Verification,
    Verify,
)


@dataclass(frozen=True, slots=True)
class Label:
    """What is known of an object before its bytes: both keys it may get, and its metadata."""

    key: str
    alternative: str
    operation_id: str
    content_type: str
    metadata: dict[str, str]
    storage_class: str | None = None
    tags: Mapping[str, str] | None = None

    def draft(self, key: str, sha256: bytes | None) -> ObjectDraft:
        """The object under `key`, with the original's SHA-256 where it is known already."""
        known = {"hotfolder-sha256": sha256.hex()} if sha256 is not None else {}
        return ObjectDraft(key, self.metadata | known, self.content_type, self.storage_class, self.tags)

    def names(self, info: ObjectInfo) -> bool:
        """Whether an object was made by this very operation (an answer of the store was lost)."""
        return info.metadata.get("hotfolder-operation") == self.operation_id


@dataclass(frozen=True, slots=True)
class Sent:
    """A proven object. `skipped`: the store had it already and nothing was kept of ours."""

    key: str
    receipt: Receipt
    verification: Verification
    digests: Digests
    parts: int
    skipped: bool = False


@dataclass(frozen=True, slots=True)
class Terms:
    """How one file is to be sent. `hash_first`: its key needs the original's SHA-256.

    `cold`: its storage class can be written and not be read, so that nothing is proven by reading.
    """

    hash_first: bool = False
    verify: Verify = Verify.AUTO
    cold: bool = False


@dataclass(frozen=True, slots=True)
class Proof:
    """What shows that the store holds an object of ours; `info` if it was looked up for that."""

    verification: Verification
    info: ObjectInfo | None = None
