"""The local half of the matrix: what a machine does to its daemons."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial

from tests.support import local_faults as local
from tests.support.box import Box
from tests.torture.scenario import Fault, Scenario, configure

_Prepared = AbstractContextManager[Fault]
_SPOOLED = 'spool = "disk"'


def _prepared(fault: Callable[[Box], _Prepared], folder: str = "") -> Callable[[Box], _Prepared]:
    @contextmanager
    def prepare(box: Box) -> Iterator[Fault]:
        configure(box, folder)
        with fault(box) as made:
            yield made

    return prepare


def _local(name: str, fault: Callable[[Box], _Prepared], *, folder: str = "", **how: object) -> Scenario:
    # What the store keeps of checksums is the other half's: here a PUT's ETag is as good.
    how.setdefault("proofs", frozenset({"checksum", "etag"}))
    return Scenario(name, "local", _prepared(fault, folder), **how)  # type: ignore[arg-type]


def _calls(calls: str, error: str, *places: str, when: str = "") -> Callable[[Box], _Prepared]:
    return partial(local.failing_calls, calls=calls, error=error, places=places, when=when)


_FSYNC = "fsync,fdatasync"
_NAMING = "renameat2,renameat,rename,mkdirat,linkat,unlinkat"
_STATE = ("state/state.db", "state/state.db-wal", "state/ledger.jsonl")
_COMPLETED = ("completed", "completed/sub")
_POISON = ("inbox/poison-small.bin", "inbox/poison-large.bin")


SCENARIOS = (
    _local("no space for state", partial(local.full_disk, place="state", size="4m"), says="disk-full"),
    _local(
        "no space in completed",
        partial(local.full_disk, place="completed", size="200m"),
        says="disk-full",
    ),
    _local(
        "no space for the spool",
        partial(local.full_disk, place="state/spool", size="1g"),
        folder=_SPOOLED,
    ),
    _local("no inode for state", partial(local.no_inodes, place="state"), folder=_SPOOLED),
    _local("no inode in completed", partial(local.no_inodes, place="completed"), says="disk-full"),
    _local(
        "completed read-only, another volume",
        partial(local.read_only, place="completed"),
        says="Read-only file system",
    ),
    _local(
        "completed read-only, the same volume",
        _calls(_NAMING, "EROFS", *_COMPLETED),
        says="Read-only file system",
    ),
    _local(
        "inbox read-only",
        partial(local.read_only, place="inbox"),
        eve=True,
        drops=0,
        says="Read-only file system",
    ),
    _local(
        "state read-only",
        _calls("openat,write,pwrite64,fsync,fdatasync,ftruncate", "EROFS", *_STATE),
        says="Read-only|readonly|disk I/O error",
    ),
    _local("EIO of every fsync", _calls(_FSYNC, "EIO"), says="Input/output error|disk I/O error"),
    _local(
        "EIO of fsync, of state.db",
        _calls(_FSYNC, "EIO", "state/state.db", "state/state.db-wal"),
        says="Input/output error|disk I/O error",
    ),
    _local(
        "EIO of fsync, of the ledger",
        _calls(_FSYNC, "EIO", "state/ledger.jsonl"),
        says="Input/output error",
    ),
    _local("EIO of fsync, of completed", _calls(_FSYNC, "EIO", *_COMPLETED), says="Input/output error"),
    _local("EIO of every fifth fsync", _calls(_FSYNC, "EIO", when="3+5")),
    _local(
        "EIO of read, of one file",
        _calls("pread64,preadv,preadv2", "EIO", *_POISON),
        poisoned="poison",
        failed="Input/output error",
    ),
    _local(
        "EIO of read, of the inbox", _calls("getdents64", "EIO", "inbox"), says="inbox-missing", eve=True
    ),
    _local("no right to enter the inbox", partial(local.shut, place="inbox"), says="inbox-missing"),
    _local(
        "no right to write in completed",
        partial(local.shut, place="completed"),
        says="Permission denied",
    ),
    _local(
        "the ledger may not be written",
        _calls("openat", "EPERM", "state/ledger.jsonl"),
        says="Operation not permitted",
    ),
    _local(
        "inbox unmounted",
        partial(local.unmounted, other_device=False),
        eve=True,
        drops=0,
        says="inbox-missing",
    ),
    _local(
        "inbox unmounted, back as another device",
        partial(local.unmounted, other_device=True),
        eve=True,
        drops=0,
        says="inbox-missing",
    ),
    _local("clock an hour ahead", partial(local.clock_set, by=3600)),
    _local("clock an hour behind", partial(local.clock_set, by=-3600)),
    _local(
        "clock an hour ahead, signatures too",
        partial(local.clock_set, by=3600, signatures=True),
        says="destination-unreachable",
    ),
    _local(
        "clock an hour behind, signatures too",
        partial(local.clock_set, by=-3600, signatures=True),
        says="destination-unreachable",
    ),
    _local("no descriptor left", local.few_descriptors, eve=True),
    _local("state.db locked by another program", local.locked_state, says="locked", lasts=12.0),
)
