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
    """Why nothing can be mounted here."""
    if not shutil.which("bindfs"):
        return "bindfs is not installed"
    if not os.access("/dev/fuse", os.R_OK | os.W_OK):
        return "/dev/fuse may not be opened"
    if os.geteuid() != 0 and not shutil.which("fusermount"):
        return "fusermount is not installed"
    return None


@contextmanager
def mounted(below: Path, above: Path) -> Iterator[None]:
    """Show `below` at `above`, too. Whoever still uses it at the end does not keep it mounted."""
    server = subprocess.Popen(
        ["bindfs", "-f", str(below), str(above)], stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        deadline = time.monotonic() + _START
        while not above.is_mount():
            assert server.poll() is None, f"bindfs ended with {server.returncode}"
            assert time.monotonic() < deadline, f"{above} is not mounted"
            time.sleep(0.02)
        yield
    finally:
        unmount = ["umount", "--lazy"] if os.geteuid() == 0 else ["fusermount", "-u", "-z"]
        subprocess.run([*unmount, str(above)], check=False, capture_output=True)
        server.wait(20)
