"""Kept files and chores that live as long as the process."""

import os
from collections.abc import Sequence

from hotfolder.core.records import Fingerprint


class MemoryKept:
    """`core.ports.Kept` without a disk; it passes the same contract suite as the real one."""

    def __init__(self) -> None:
        self._kept: dict[tuple[str, str], Fingerprint] = {}

    def known(self, folder: str, seen: Sequence[tuple[str, Fingerprint]]) -> set[str]:
        known = set()
        for relpath, there in seen:
            kept = self._kept.get((folder, relpath))
            if kept is not None and kept.is_still(there) and kept.ctime_ns == there.ctime_ns:
                known.add(relpath)
        return known

    def add(self, folder: str, seen: Sequence[tuple[str, Fingerprint]]) -> None:
        for relpath, there in seen:
            self._kept.setdefault((folder, relpath), there)

    def page(self, folder: str, after: str, count: int) -> list[tuple[str, Fingerprint]]:
        mine = [(relpath, there) for (owner, relpath), there in self._kept.items() if owner == folder]
        behind = [item for item in mine if os.fsencode(item[0]) > os.fsencode(after)]
        return sorted(behind, key=lambda item: os.fsencode(item[0]))[:count]

    def drop(self, folder: str, relpaths: Sequence[str]) -> None:
        for relpath in relpaths:
            self._kept.pop((folder, relpath), None)

    def count(self, folder: str) -> int:
        return sum(owner == folder for owner, _ in self._kept)


class MemoryChores:
    """`core.ports.Chores` without a disk; it passes the same contract suite as the real one."""

    def __init__(self) -> None:
        self._done: dict[str, bool] = {}

    def begin(self, names: Sequence[str]) -> None:
        if not self._done:
            self._done = {**dict.fromkeys(names, False), "begun": True}

    def state(self, name: str) -> bool | None:
        return self._done.get(name)

    def finish(self, name: str) -> None:
        self._done[name] = True
