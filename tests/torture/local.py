"""The local half of the matrix: what a machine does to its daemons."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial

from tests.support import local_faults as local
from tests.support.box import Box
from tests.torture.scenario import Fault, Scenario, configure

_SPOOLED = 'spool = "disk"'


def _prepared(
    fault: Callable[[Box], AbstractContextManager[Fault]], folder: str = ""
) -> Callable[[Box], AbstractContextManager[Fault]]:
    @contextmanager
    def prepare(box: Box) -> Iterator[Fault]:
        configure(box, folder)
        with fault(box) as made:
            yield made

    return prepare


def _local(
    name: str, fault: Callable[[Box], AbstractContextManager[Fault]], *, folder: str = "", **how: object
) -> Scenario:
    return Scenario(name, "local", _prepared(fault, folder), **how)  # type: ignore[arg-type]


_DISK = "fsync,fdatasync"
_NAMES = "renameat2,renameat,rename,mkdirat,linkat,unlinkat"

SCENARIOS = (
    _local("no space for state", partial(local.full_disk, place="state", size="4m")),
    _local("no space in completed", partial(local.full_disk, place="completed", size="200m")),
    _local("no space for the spool", partial(local.full_disk, place="state/spool"), folder=_SPOOLED),
    _local("no inode for state", partial(local.no_inodes, place="state"), folder=_SPOOLED),
    _local("no inode in completed", partial(local.no_inodes, place="completed")),
    _local("completed read-only, another volume", partial(local.read_only, place="completed")),
    _local(
        "completed read-only, the same volume",
        partial(local.failing_calls, calls=_NAMES, error="EROFS", places=("completed", "completed/sub")),
    ),
    _local("inbox read-only", partial(local.read_only, place="inbox"), drops=0),
    _local(
        "state read-only",
        partial(
            local.failing_calls,
            calls="openat,write,pwrite64,fsync,fdatasync,ftruncate",
            error="EROFS",
            places=("state/state.db", "state/state.db-wal", "state/ledger.jsonl"),
        ),
    ),
    _local("EIO of every fsync", partial(local.failing_calls, calls=_DISK, error="EIO")),
    _local(
        "EIO of fsync, of state.db",
        partial(
            local.failing_calls,
            calls=_DISK,
            error="EIO",
            places=("state/state.db", "state/state.db-wal"),
        ),
    ),
    _local(
        "EIO of fsync, of the ledger",
        partial(local.failing_calls, calls=_DISK, error="EIO", places=("state/ledger.jsonl",)),
    ),
    _local(
        "EIO of fsync, of completed",
        partial(
            local.failing_calls, calls=_DISK, error="EIO", places=("completed", "completed/sub")
        ),
    ),
    _local(
        "EIO of some fsyncs, then fine, then again",
        partial(local.failing_calls, calls=_DISK, error="EIO", when="3+5"),
    ),
    _local(
        "EIO of read, of one file",
        partial(
            local.failing_calls,
            calls="pread64",
            error="EIO",
            places=("inbox/poison-small.bin", "inbox/poison-large.bin"),
        ),
        poisoned="poison",
        failed="Input/output error",
    ),
    _local(
        "EIO of read, of one file, failed on another volume",
        partial(
            local.failing_calls,
            calls="pread64,read",
            error="EIO",
            places=("inbox/poison-small.bin", "inbox/poison-large.bin"),
        ),
        poisoned="poison",
        failed="Input/output error",
    ),
    _local(
        "EIO of read, of the inbox",
        partial(local.failing_calls, calls="getdents64,pread64", error="EIO", places=("inbox",)),
    ),
    _local("no right to enter the inbox", partial(local.shut, place="inbox")),
    _local("no right to write in completed", partial(local.shut, place="completed")),
    _local(
        "the ledger may not be written",
        partial(local.failing_calls, calls="openat", error="EPERM", places=("state/ledger.jsonl",)),
    ),
    _local("inbox unmounted", partial(local.unmounted, other_device=False), drops=0),
    _local("inbox unmounted, back as another device", partial(local.unmounted, other_device=True), drops=0),
    _local("clock an hour ahead", partial(local.clock_set, by=3600)),
    _local("clock an hour behind", partial(local.clock_set, by=-3600)),
    _local(
        "clock an hour ahead, signatures too",
        partial(local.clock_set, by=3600, signatures=True),
    ),
    _local(
        "clock an hour behind, signatures too",
        partial(local.clock_set, by=-3600, signatures=True),
    ),
    _local("no descriptor left", local.few_descriptors),
    _local("state.db locked by another program", local.locked_state),
)
