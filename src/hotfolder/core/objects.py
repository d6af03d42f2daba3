"""What an object is called before it is sent, and what is known of it once it is proven."""

from collections.abc import Mapping

from hotfolder.core.conflict import Family, OnConflict, Replaced
from hotfolder.core.records import (
    Digests,
    Job,
    ObjectDraft,
    ObjectInfo,
    Receipt,
    Verification,
    Verify,
)
from hotfolder.core.routing import Route
from hotfolder.core.values import value


@value(frozen=True, slots=True)
class Label:
    """What is known of an object before its bytes: both keys it may get, and its metadata."""

    key: str
    route: Route
    job: Job
    content_type: str
    metadata: dict[str, str]
    storage_class: str | None = None
    tags: Mapping[str, str] | None = None

    @property
    def alternative(self) -> str:
        """The key beside, where its own is taken. Raises `FileRejected` where it would be too long."""
        return self.route.alternative(self.key, self.job)

    def draft(self, key: str, sha256: bytes | None, replaced: Replaced | None = None) -> ObjectDraft:
        """The object under `key`, with the original's SHA-256 where it is known already.

        `replaced`: what it takes the place of.
        """
        known = {"hotfolder-sha256": sha256.hex()} if sha256 is not None else {}
        if replaced is not None:
            known["hotfolder-replaced"] = replaced.words()
        return ObjectDraft(key, self.metadata | known, self.content_type, self.storage_class, self.tags)

    def names(self, info: ObjectInfo) -> bool:
        """Whether an object was made by this very operation (an answer of the store was lost)."""
        return info.metadata.get("hotfolder-operation") == self.job.operation_id

    @property
    def family(self) -> Family:
        """The keys that this file's content may stand under already."""
        return Family.of(self.key, self.alternative, self.job.operation_id)


@value(frozen=True, slots=True)
class Sent:
    """A proven object. `skipped`: the store had it already and nothing was kept of ours.

    `replaced`: what stood under its key before. `format`: of the object, where another may have made it.
    """

    key: str
    receipt: Receipt
    verification: Verification
    digests: Digests
    parts: int
    skipped: bool = False
    replaced: Replaced | None = None
    format: str | None = None


@value(frozen=True, slots=True)
class Terms:
    """How one file is to be sent. `hash_first`: its key needs the original's SHA-256.

    `cold`: its storage class can be written and not be read, so that nothing is proven by reading.
    `on_conflict`: what becomes of it where its key is taken by other content.
    """

    hash_first: bool = False
    verify: Verify = Verify.AUTO
    cold: bool = False
    on_conflict: OnConflict = OnConflict.KEEP_BOTH


@value(frozen=True, slots=True)
class Proof:
    """What shows that the store holds an object of ours; `info` if it was looked up for that."""

    verification: Verification
    info: ObjectInfo | None = None
