"""A bindfs mount: one folder seen at two places, and no event crosses from one to the other."""

import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_START = 20.0  # seconds


def missing() -> str | None:
    """What is not installed."""
    return None if shutil.which("bindfs") else "bindfs is not installed"


def forbidden(place: Path) -> str | None:
    """Why this user may mount nothing; tried below `place`."""
    below, above = place / "trial-below", place / "trial-above"
    below.mkdir()
    above.mkdir()
    try:
        with mounted(below, above):
            return None
    except AssertionError as error:
        return f"bindfs cannot mount here: {error}"
    finally:
        above.rmdir()
        below.rmdir()


@contextmanager
def mounted(below: Path, above: Path) -> Iterator[None]:
    """Show `below` at `above`, too. Whoever still uses it at the end does not keep it mounted."""
    server = subprocess.Popen(
        ["bindfs", "-f", str(below), str(above)], stdin=subprocess.DEVNULL, stderr=subprocess.PIPE
    )
    try:
        deadline = time.monotonic() + _START
        while not above.is_mount():
            assert server.poll() is None, _last_words(server)
            assert time.monotonic() < deadline, f"{above} is not mounted"
            time.sleep(0.02)
        yield
    finally:
        unmount = ["umount", "--lazy"] if os.geteuid() == 0 else ["fusermount", "-u", "-z"]
        subprocess.run([*unmount, str(above)], check=False, capture_output=True)
        # It does not end by itself while a copy of the mount is left in somebody else's namespace.
        server.terminate()
        server.wait(20)
        if server.stderr is not None:
            server.stderr.close()


def _last_words(server: "subprocess.Popen[bytes]") -> str:
    said = b"" if server.stderr is None else server.stderr.read()
    return said.decode(errors="replace").strip() or f"it ended with {server.returncode}"
