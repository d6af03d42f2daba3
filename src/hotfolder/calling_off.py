"""The files of one folder that somebody asked not to deliver, until they change or are asked for."""

from collections.abc import Iterable
from dataclasses import replace

from hotfolder.beneath import device_of
from hotfolder.core.errors import LocalError
from hotfolder.core.ports import CallOffNotes
from hotfolder.core.records import CalledOff, Fingerprint
from hotfolder.threads import Threads
from hotfolder.trees import look_again


class CallOffs:
    """In memory for the event loop, on disk for the next run. `notes` None: for this run alone.

    `known`: what a former run noted, of this folder. Errors of the disk are `LocalError`.
    """

    def __init__(
        self, threads: Threads, notes: CallOffNotes | None = None, known: Iterable[CalledOff] = ()
    ) -> None:
        self._threads, self._notes = threads, notes
        self._files = {called.relpath: called for called in known}
        self._ended: list[CalledOff] = []

    def __contains__(self, relpath: object) -> bool:
        return relpath in self._files

    def __len__(self) -> int:
        return len(self._files)

    def paths(self) -> list[str]:
        return list(self._files)

    def reasons(self) -> dict[str, str]:
        """Path below the inbox -> why it is left."""
        return {relpath: called.why for relpath, called in self._files.items()}

    def is_news(self, relpath: str, seen: Fingerprint | None) -> bool:
        """Whether a file that was called off is gone or another by now."""
        called = self._files.get(relpath)
        if called is None or seen is None:
            return called is not None
        # A device's number may be another after every mount.
        return replace(called.fingerprint, device=seen.device) != seen

    async def add(self, called: CalledOff) -> None:
        """Leave this file from now on; durable when it returns."""
        self._files[called.relpath] = called
        if self._notes is None:
            return
        try:
            await self._threads.run(self._notes.add, called)
        except BaseException:
            del self._files[called.relpath]
            raise

    def end(self, relpath: str) -> None:
        """Deliver it again. On disk with the next `settle`; a crash before only leaves it longer."""
        self._ended.append(self._files.pop(relpath))

    async def end_changed(self, inbox: str) -> list[str]:
        """Look at all of them, and end those that are gone or changed; returns their paths."""
        device = await self._threads.run(device_of, inbox)
        then = [(called.relpath, called.fingerprint) for called in self._files.values()]
        looks = await self._threads.run(look_again, inbox, then)
        changed = [
            relpath
            for relpath, seen in looks
            if not isinstance(seen, LocalError)
            and self.is_news(relpath, seen)
            # In an inbox that is not mounted all of them seem to be gone.
            and (seen is not None or self._files[relpath].fingerprint.device == device)
        ]
        for relpath in changed:
            self.end(relpath)
        return changed

    async def settle(self) -> None:
        """Take what ended from the disk, too."""
        if not self._ended:
            return
        ended, self._ended = self._ended, []
        for called in ended:
            if self._notes is not None and called.relpath not in self._files:
                await self._threads.run(self._notes.drop, called.folder, called.relpath)
