"""A full file of the ledger gets its number; later, and by nobody who appends, it is packed.

The order survives a crash between any two steps: a file is fsynced before it gets its number, packed
under a name of its own, read back and compared, fsynced, renamed; only then does the plain one go.
"""

import gzip
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import structlog
from isal import isal_zlib

from hotfolder import durable
from hotfolder.adapters.ledger.files import Files
from hotfolder.adapters.ledger.reading import UNPACKING

_CHUNK = 1 << 20
_LEVEL = 2  # of ISA-L: 64 MiB in an eighth of a second, to a fifth; zlib takes a second for a sixth
_GZIP = 31  # in the place of a window size

log = structlog.get_logger()


def rotate(files: Files, descriptor: int) -> None:
    """Give the current file, open and locked, the next number. Raises OSError or `LocalError`.

    The next append makes a new one, whose first line names the last one of this.
    """
    # Others may have written to it and been killed before their fsync: no later one would come.
    os.fsync(descriptor)
    numbers = files.numbers()
    place = files.plain(numbers[-1] + 1 if numbers else 1)
    # Nothing can be clobbered: whoever makes such a name holds the lock that we hold.
    os.rename(files.path, place)
    durable.sync_directory(files.path.parent)
    log.info("ledger.rotated", path=str(place))


def pack(files: Files, number: int, is_wanted: Callable[[], bool]) -> bool:
    """Replace a plain rotated file by its .gz, or finish what a crash left of that.

    One caller at a time. Stops early, and leaves the plain one, once `is_wanted` says no; returns
    whether the plain one is gone. Raises OSError or `LocalError`.
    """
    plain, packed = files.plain(number), files.packed(number)
    if not (packed.exists() and _are_equal(plain, packed)):
        if not _write(plain, packed, is_wanted):
            return False
        if not _are_equal(plain, packed):
            raise OSError(None, "what was packed does not come back equal", str(packed))
    _sync(packed)
    durable.sync_directory(packed.parent)
    os.unlink(plain)
    durable.sync_directory(packed.parent)
    log.info("ledger.packed", path=str(packed))
    return True


def _write(plain: Path, packed: Path, is_wanted: Callable[[], bool]) -> bool:
    temporary = packed.with_name(f".{packed.name}.tmp")  # one name: a crash leaves one file at most
    try:
        with open(plain, "rb") as source, open(temporary, "wb") as target:
            os.fchmod(target.fileno(), os.fstat(source.fileno()).st_mode & 0o7777)
            packing = isal_zlib.compressobj(_LEVEL, isal_zlib.DEFLATED, _GZIP)
            while (piece := source.read(_CHUNK)) and is_wanted():
                target.write(packing.compress(piece))
            target.write(packing.flush())
            target.flush()
            os.fsync(target.fileno())
        if not is_wanted():
            os.unlink(temporary)
            return False
        os.rename(temporary, packed)
    except OSError:
        with suppress(OSError):  # the error under way says more
            os.unlink(temporary)
        raise
    return True


def _are_equal(plain: Path, packed: Path) -> bool:
    try:
        with open(plain, "rb") as one, gzip.open(packed, "rb") as other:
            while piece := one.read(_CHUNK):
                if other.read(len(piece)) != piece:
                    return False
            return not other.read(1)
    except (gzip.BadGzipFile, *UNPACKING):
        return False


def _sync(path: Path) -> None:
    """A crash may have come after the rename; the rename alone does not say that the bytes are down."""
    with open(path, "rb") as file:
        os.fsync(file.fileno())
