"""The ports: what the journey asks of the outside. Each has one contract suite under tests/contract."""

from hotfolder.core.ports.body import Body, Scattered
from hotfolder.core.ports.files import (
    Archive,
    Codec,
    Keeper,
    Making,
    Members,
    Mounts,
    Mover,
    Original,
    PackedSegment,
    Reading,
    SpoolFiles,
    Unpacker,
)
from hotfolder.core.ports.line import Limiter
from hotfolder.core.ports.record import (
    Ledger,
    LedgerIndex,
    ReadLedger,
)
from hotfolder.core.ports.state import (
    CallOffNotes,
    Chores,
    Journal,
    Kept,
    Profiles,
    StagedIndex,
    TidyingNotes,
    UploadNotes,
)
from hotfolder.core.ports.store import (
    ObjectStore,
    ProbedStore,
    PutEngine,
    SigningKeys,
)

__all__ = [
    "Archive",
    "Body",
    "CallOffNotes",
    "Chores",
    "Codec",
    "Journal",
    "Keeper",
    "Kept",
    "Ledger",
    "LedgerIndex",
    "Limiter",
    "Making",
    "Members",
    "Mounts",
    "Mover",
    "ObjectStore",
    "Original",
    "PackedSegment",
    "ProbedStore",
    "Profiles",
    "PutEngine",
    "ReadLedger",
    "Reading",
    "Scattered",
    "SigningKeys",
    "SpoolFiles",
    "StagedIndex",
    "TidyingNotes",
    "Unpacker",
    "UploadNotes",
]
