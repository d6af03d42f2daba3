"""Delivered files that stay in the inbox (`on_complete = "leave"`): known on disk, not in memory."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import islice
from typing import Any

import structlog

from hotfolder.beneath import device_of, digest_of, look_at_all
from hotfolder.core.ports import Kept, Ledger
from hotfolder.core.records import Fingerprint
from hotfolder.threads import Threads
from hotfolder.trees import look_again

log = structlog.get_logger()

_BATCH = 1_000
_LOOKED_AT = 20_000  # kept files that one walk looks for; the next goes on from there


class Staying:
    """The kept files of one folder. `threads`: the one thread that owns `kept`."""

    def __init__(self, kept: Kept, threads: Threads, *, folder: str, inbox: str) -> None:
        self._kept, self._threads = kept, threads
        self._folder, self._inbox = folder, inbox
        self._looked_up_to = ""
        self.count = 0  # of kept files, when the inbox was last walked through

    async def delivered(self, seen: Sequence[tuple[str, Fingerprint]]) -> set[str]:
        """Which of (path, what stands there) were delivered as they are. Raises `LocalError`."""
        return await self._threads.run(self._kept.known, self._folder, seen)

    async def tidy(self) -> None:
        """Forget files that are gone: of some thousands, the next time of the following ones."""
        for _ in range(0, _LOOKED_AT, _BATCH):
            if not await self._threads.run(self._tidy_some):
                break
        self.count = await self._threads.run(self._kept.count, self._folder)

    def _tidy_some(self) -> bool:
        """Whether there may be more."""
        rows = self._kept.page(self._folder, self._looked_up_to, _BATCH)
        kept = dict(rows)
        # An inbox that was unmounted meanwhile looks like one whose files are gone: only what was
        # seen on the device that is there now is missed.
        device = device_of(self._inbox)
        mine = [(relpath, there) for relpath, there in rows if there.device == device]
        gone = [path for path, there in look_again(self._inbox, mine) if there is None]
        if gone and device_of(self._inbox) == device:
            self._kept.drop(self._folder, gone)
            log.debug("kept.forgotten", folder=self._folder, files=len(gone))
        self._looked_up_to = rows[-1][0] if len(kept) == _BATCH else ""
        return bool(self._looked_up_to)

    async def rebuild(self, ledger: Ledger) -> None:
        """Know again, from the ledger, what was delivered and stands as it was. Raises `LocalError`."""
        lines = ledger.newest_first()
        found = 0
        while some := await self._threads.run(lambda: list(islice(lines, _BATCH))):
            found += await self._threads.run(self._keep_delivered, some)
        if found:
            log.info("kept.rebuilt", folder=self._folder, files=found)

    def _keep_delivered(self, lines: Iterable[Mapping[str, Any]]) -> int:
        delivered: dict[str, dict[tuple[int, int], set[str]]] = {}
        for line in lines:
            path = line.get("target_path")
            if line.get("status") in {"success", "skipped"} and _is_below(self._inbox, path):
                relpath = str(path)[len(self._inbox) + 1 :]
                version = (int(line.get("original_size") or 0), int(line.get("modified_at_ns") or 0))
                digests = delivered.setdefault(relpath, {}).setdefault(version, set())
                digests.add(str(line.get("checksum_original")))
        stays = []
        for relpath, there in look_at_all(self._inbox, delivered):
            if isinstance(there, Fingerprint):
                # Size and time pick the candidate; only the bytes tell that it is the one.
                digests = delivered[relpath].get((there.size, there.mtime_ns), set())
                if digests and digest_of(self._inbox, relpath) in digests:
                    stays.append((relpath, there))
        if stays:
            self._kept.add(self._folder, stays)
        return len(stays)


def _is_below(root: str, path: object) -> bool:
    return isinstance(path, str) and path.startswith(f"{root}/")
