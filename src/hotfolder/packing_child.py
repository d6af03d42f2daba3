"""The process that packs small files for the daemon: its composition root.

What cannot be packed, for whatever reason, is answered with nothing: it is tried again in the daemon,
which finds out why and says so.
"""

import signal
from collections.abc import Callable

from hotfolder import __version__
from hotfolder.adapters import source
from hotfolder.adapters.child_process.child import serve
from hotfolder.core.ports import Original
from hotfolder.core.records import Job
from hotfolder.packed_file import PackedFile, packed_file
from hotfolder.packing_words import Wanted, answer, read_question

GREETING = f"hotfolder {__version__} packs".encode()


def main() -> None:
    signal.signal(signal.SIGIO, signal.SIG_IGN)  # a lease that another program's open breaks
    serve(GREETING, answered)


def answered(message: bytes) -> bytes:
    """The answer to one question."""
    with source.open_originals() as opener:
        return answer([_packed(opener, file) for file in read_question(message)])


def _packed(opener: Callable[[Job], Original], file: Wanted) -> PackedFile | None:
    try:
        original = opener(file.job)
        try:
            return packed_file(file.job, file.form, file.mtime_ns, original)
        finally:
            original.close()
    except Exception:  # noqa: BLE001 - whatever it is, the daemon meets it again and says so
        return None
