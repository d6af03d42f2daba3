"""What this process has open of a place. To count all of it tells nothing: others' comes and goes."""

import os
from pathlib import Path


def open_below(root: Path) -> list[str]:
    """The path, relative to `root`, of every descriptor of ours that is of something there."""
    links = []
    for number in os.listdir("/proc/self/fd"):
        try:
            links.append(os.readlink(f"/proc/self/fd/{number}"))
        except FileNotFoundError:
            continue  # the one that listed them, or another thread's
    return sorted(os.path.relpath(link, root) for link in links if f"{link}/".startswith(f"{root}/"))
