"""What a directory holds, by plain means."""

import hashlib
import os
import stat
from pathlib import Path

#: Relative path -> (permissions, mtime in nanoseconds, SHA-256 or target or nothing).
Facts = dict[str, tuple[int, int, str]]


def facts_of(root: Path) -> Facts:
    """All of it, the top directory under "."."""
    facts = {}
    for path in [root, *root.rglob("*")]:
        status = path.lstat()
        content = ""
        if stat.S_ISLNK(status.st_mode):
            content = f"-> {os.readlink(path)}"
        elif stat.S_ISREG(status.st_mode):
            content = hashlib.sha256(path.read_bytes()).hexdigest()
        name = str(path.relative_to(root))
        facts[name] = (stat.S_IMODE(status.st_mode), status.st_mtime_ns, content)
    return facts
