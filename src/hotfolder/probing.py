"""Asking a store what it really does, with two tiny objects that are removed again."""

from hotfolder.core.errors import DestinationError, DestinationTrouble, HotfolderError, KeyTaken
from hotfolder.core.ports import ObjectStore
from hotfolder.core.records import ObjectDraft, Receipt
from hotfolder.core.store_checkup import FORGED, PROBE, PROBE_SHA256, Answers

FOLDER = ".hotfolder-check"


async def ask(store: ObjectStore, *, prefix: str, token: str) -> Answers:
    """List, store, look up, store again, and send a wrong checksum, below a hidden prefix.

    `token` makes the keys nobody else's. Raises nothing of the store's: every error is an answer.
    """
    try:
        await store.check()
    except HotfolderError as error:
        return Answers(listed=error)
    key = "/".join(filter(None, (prefix, FOLDER, token)))
    probes = _Probes(store)
    try:
        stored = await probes.put(key, PROBE)
        if isinstance(stored, KeyTaken):
            # A repeated request met the object of the first, whose answer was lost.
            return Answers(stored=DestinationError(DestinationTrouble.UNREACHABLE, str(stored)))
        if isinstance(stored, HotfolderError):
            return Answers(stored=stored)
        try:
            seen = await store.head(key)
        except HotfolderError as error:
            return Answers(stored=stored, seen=error, left=await probes.clear())
        repeated = await probes.put(key, PROBE)
        forged = await probes.put(f"{key}-wrong", FORGED)
        return Answers(None, stored, seen, repeated, forged, await probes.clear())
    finally:
        await probes.clear()  # also when it is interrupted


class _Probes:
    """Puts probe objects and remembers which may be there."""

    def __init__(self, store: ObjectStore) -> None:
        self._store = store
        self._keys: dict[str, None] = {}

    async def put(self, key: str, body: bytes) -> Receipt | HotfolderError:
        """PUT `body` as if it were `PROBE`: what differs from it has a wrong checksum."""
        known = key in self._keys
        self._keys[key] = None
        try:
            return await self._store.put(ObjectDraft(key), body, sha256=PROBE_SHA256, unless_exists=True)
        except HotfolderError as error:
            lost = isinstance(error, DestinationError) and error.trouble in {
                DestinationTrouble.UNREACHABLE,
                DestinationTrouble.THROTTLED,
            }
            if not (known or lost or isinstance(error, KeyTaken)):
                self._keys.pop(key)  # refused: it is not there
            return error

    async def clear(self) -> dict[str, HotfolderError]:
        """Remove what may be there; what refuses, with the reason."""
        left = {}
        while self._keys:
            key, _ = self._keys.popitem()
            try:
                await self._store.delete(key)
            except HotfolderError as error:
                left[key] = error
        return left
