"""Servers that cannot outlive who started them, and of which one at a time has a folder.

The kernel sees to both, however either ends: it kills the server with its parent, and drops with the
server the lock that it inherited.
"""

import contextlib
import fcntl
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from hotfolder import durable
from hotfolder.core.errors import LocalError

# Runs before the server in the child: asks the kernel for its end when the parent dies, then becomes it.
# `preexec_fn` could do it in fewer lines and may deadlock in a process that has threads. SIGKILL, as a
# server that hangs, or takes its time over SIGTERM, would meet its successor on the same files.
_LEASH = """
import ctypes, os, signal, sys
libc = ctypes.CDLL(None, use_errno=True)
if libc.prctl(1, signal.SIGKILL, 0, 0, 0):
    sys.exit(f"prctl(PR_SET_PDEATHSIG): {os.strerror(ctypes.get_errno())}")
if os.getppid() != int(sys.argv[1]):
    sys.exit("the parent died before the server began")
os.execv(sys.argv[2], sys.argv[2:])
"""


def leashed(*command: str) -> list[str]:
    """The command (an absolute path first), killed by the kernel with the thread that starts it."""
    return [sys.executable, "-I", "-S", "-c", _LEASH, str(os.getpid()), *command]


@contextlib.contextmanager
def claimed(path: Path, *, patience: float) -> Iterator[int]:
    """A descriptor that holds the lock `path`: pass it to a server, which then holds it for its life.

    Write the server's process id into it. A former server that is just dying is waited for, for
    `patience` seconds. Raises LocalError.
    """
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise durable.local_error("open the lock", path, error) from error
    try:
        deadline = time.monotonic() + patience
        while not _is_taken(descriptor, path):
            if time.monotonic() >= deadline:
                raise _held_by_another(descriptor, path)
            time.sleep(0.05)
        os.ftruncate(descriptor, 0)
        yield descriptor
    finally:
        os.close(descriptor)


def _is_taken(descriptor: int, path: Path) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        raise durable.local_error("take the lock", path, error) from error
    return True


def _held_by_another(descriptor: int, path: Path) -> LocalError:
    pid = os.pread(descriptor, 32, 0).decode(errors="replace").strip()
    return LocalError(
        f"process {pid or 'unknown'} already runs the store in {path.parent}",
        hint="stop the hotfolder or test that started it"
        + (f"; if there is none any more: kill -9 {pid}" if pid.isdecimal() else ""),
    )
