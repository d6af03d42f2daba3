"""The way to one store: its port behind the request budget, and the threads that hash for it."""

import asyncio
import math
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import aclosing
from typing import TypeVar

from hotfolder.bandwidth import Bandwidth
from hotfolder.core.digest import RunningSha256
from hotfolder.core.errors import VerificationFailed
from hotfolder.core.ports import Body, ObjectStore, Scattered
from hotfolder.core.records import ObjectDraft, ObjectInfo, OpenUpload, PartReceipt, Receipt
from hotfolder.parts import joined, md5_of, sha256_of
from hotfolder.places import RequestPlaces
from hotfolder.threads import Threads

T = TypeVar("T")

SMALL = 64 * 1024  # bytes: a body that costs its way to the store and back, not its size


class Wire:
    """Calls of the store, at most as many at once as `requests` has places.

    Raises what `ObjectStore` raises. Small bodies have places of their own (`small`), as they take a
    connection and no memory to speak of. While the upload window is closed no body is begun to be sent;
    whatever else is asked is.
    """

    def __init__(
        self,
        store: ObjectStore,
        *,
        requests: RequestPlaces,
        threads: Threads,
        bandwidth: Bandwidth | None = None,
        small: RequestPlaces | None = None,
    ) -> None:
        self._store = store
        self._bandwidth = bandwidth or Bandwidth()
        self._free, self._small = requests, small or requests
        self._threads = threads
        self.nearest = math.inf
        """Seconds of the quickest short answer so far: the way to the store and back, at most."""
        self._is_warm = False  # whether anything was answered yet

    async def check(self) -> None:
        """Ask whether the store answers at all."""
        async with self._free:
            await self._store.check()

    async def put(
        self, draft: ObjectDraft, body: Body, *, sha256: bytes, unless_exists: bool = True
    ) -> Receipt:
        """Store a whole object. `unless_exists`: where none stands; `KeyTaken` otherwise."""
        places = self._small if len(body) <= SMALL else self._free
        async with self._bandwidth.place_for(len(body)), places:
            return await self._store.put(draft, body, sha256=sha256, unless_exists=unless_exists)

    async def head(self, key: str) -> ObjectInfo | None:
        async with self._free:
            return await self._timed(self._store.head(key))

    async def existing(self, key: str) -> ObjectInfo:
        """`head` of an object that was just made; raises `VerificationFailed` if it is not there."""
        info = await self.head(key)
        if info is None:
            raise VerificationFailed(f"the store confirmed {key} and then did not have it")
        return info

    async def read_back(self, key: str, *, most: int, part: int | None = None) -> tuple[bytes, int]:
        """SHA-256 and size of an object as it is read, in bounded memory; not far beyond `most` bytes.

        `part`: the SHA-256 is of those of its runs of so many bytes. Raises `VerificationFailed` where
        the object is not there.
        """
        hasher, size = RunningSha256(part), 0
        async with self._free:
            try:
                async with aclosing(self._store.get(key)) as chunks:
                    async for chunk in chunks:
                        size += len(chunk)
                        await self._threads.run(hasher.update, chunk)
                        if size > most:
                            break
            except FileNotFoundError as error:
                raise VerificationFailed(
                    f"the store confirmed {key} and then did not have it"
                ) from error
        return hasher.digest(), size

    async def read(self, key: str, take: Callable[[bytes], bool], *, start: int = 0) -> bool:
        """Hand an object's chunks from offset `start` to `take`, in a thread, as long as it says True.

        Returns whether `take` got all; False, too, for an absent object.
        """
        async with self._free, aclosing(self._store.get(key, start=start)) as chunks:
            try:
                async for chunk in chunks:
                    if not await self._threads.run(take, chunk):
                        return False
            except FileNotFoundError:
                return False
        return True

    async def create_multipart(self, draft: ObjectDraft) -> str:
        async with self._free:
            return await self._timed(self._store.create_multipart(draft))

    async def _timed(self, asking: Awaitable[T]) -> T:
        """What opens the first connection goes the way four times, and is no measure of it."""
        loop, is_warm = asyncio.get_running_loop(), self._is_warm
        begun = loop.time()
        answer = await asking
        self._is_warm = True
        if is_warm:
            self.nearest = min(self.nearest, loop.time() - begun)
        return answer

    async def upload_part(
        self, key: str, upload_id: str, number: int, body: Scattered, *, sha256: bytes
    ) -> PartReceipt:
        async with self._bandwidth.place_for(len(body)), self._free:
            return await self._store.upload_part(key, upload_id, number, body, sha256=sha256)

    async def list_parts(self, key: str, upload_id: str) -> list[PartReceipt]:
        async with self._free:
            return await self._store.list_parts(key, upload_id)

    async def uploads_of(self, key: str) -> list[OpenUpload]:
        """The open uploads of exactly this key."""
        return [upload async for upload in self.list_uploads(key) if upload.key == key]

    async def list_uploads(self, prefix: str) -> AsyncIterator[OpenUpload]:
        async with self._free:
            async for upload in self._store.list_uploads(prefix):
                yield upload

    async def complete(
        self, key: str, upload_id: str, parts: Sequence[PartReceipt], *, unless_exists: bool = True
    ) -> Receipt:
        """Make the object of its parts; `unless_exists` as in `put`."""
        async with self._free:
            return await self._store.complete(key, upload_id, parts, unless_exists=unless_exists)

    async def abort(self, key: str, upload_id: str) -> None:
        async with self._free:
            await self._store.abort(key, upload_id)

    async def joined(self, body: Scattered) -> tuple[Body, bytes]:
        """A body in one piece, and its SHA-256."""
        return await self._threads.run(joined, body)

    async def sha256(self, body: Body | Scattered) -> bytes:
        return await self._threads.run(sha256_of, body)

    async def md5(self, body: Body | Scattered) -> bytes:
        return await self._threads.run(md5_of, body)
