"""The way to one store: its port behind the request budget, and the threads that hash for it."""

import asyncio
import hashlib
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import aclosing
from functools import partial

from hotfolder.bandwidth import Bandwidth
from hotfolder.core.errors import DestinationError, VerificationFailed
from hotfolder.core.ports import Body, ObjectStore
from hotfolder.core.records import ObjectDraft, ObjectInfo, OpenUpload, PartReceipt, Receipt
from hotfolder.core.window import Window
from hotfolder.parts import md5_of, sha256_of
from hotfolder.threads import Threads

SMALL = 64 * 1024  # bytes: a body that costs its way to the store and back, not its size


class Wire:
    """At most `requests` calls of the store are under way at once. Raises what `ObjectStore` raises.

    Small bodies have a `window` of their own, as they take a connection and no memory to speak of: so
    many beside those calls as the store lets pass without trouble.

    While the upload window is closed no body is begun to be sent; whatever else is asked is.
    """

    def __init__(
        self,
        store: ObjectStore,
        *,
        requests: int,
        threads: Threads,
        bandwidth: Bandwidth | None = None,
        window: Window | None = None,
    ) -> None:
        self._store = store
        self._bandwidth = bandwidth or Bandwidth()
        self._free = asyncio.Semaphore(requests)
        self._small = None if window is None else SmallRequests(window)
        self._threads = threads

    async def check(self) -> None:
        """Ask whether the store answers at all."""
        async with self._free:
            await self._store.check()

    async def put(
        self, draft: ObjectDraft, body: Body, *, sha256: bytes, unless_exists: bool = True
    ) -> Receipt:
        """Store a whole object. `unless_exists`: where none stands; `KeyTaken` otherwise."""
        await self._bandwidth.opened()
        put = partial(self._store.put, draft, body, sha256=sha256, unless_exists=unless_exists)
        if self._small is not None and len(body) <= SMALL:
            return await self._small.run(put)
        async with self._free:
            return await put()

    async def head(self, key: str) -> ObjectInfo | None:
        async with self._free:
            return await self._store.head(key)

    async def existing(self, key: str) -> ObjectInfo:
        """`head` of an object that was just made; raises `VerificationFailed` if it is not there."""
        info = await self.head(key)
        if info is None:
            raise VerificationFailed(f"the store confirmed {key} and then did not have it")
        return info

    async def read_back(self, key: str, *, most: int) -> tuple[bytes, int]:
        """SHA-256 and size of an object as it is read, in bounded memory; not far beyond `most` bytes.

        Raises `VerificationFailed` where it is not there.
        """
        hasher, size = hashlib.sha256(), 0
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
            return await self._store.create_multipart(draft)

    async def upload_part(
        self, key: str, upload_id: str, number: int, body: Body, *, sha256: bytes
    ) -> PartReceipt:
        await self._bandwidth.opened()
        async with self._free:
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

    async def sha256(self, body: Body) -> bytes:
        return await self._threads.run(sha256_of, body)

    async def md5(self, body: Body) -> bytes:
        return await self._threads.run(md5_of, body)


class SmallRequests:
    """As many at once as the window has room for, first come first served."""

    def __init__(self, window: Window) -> None:
        self._window = window
        self._under_way = 0
        self._waiting: deque[asyncio.Future[None]] = deque()

    async def run(self, put: Callable[[], Awaitable[Receipt]]) -> Receipt:
        """What `put` returns or raises, called once there is room for it."""
        await self._enter()
        number = self._window.begin()
        try:
            receipt = await put()
            if receipt.attempts > 1:
                self._window.trouble(number)
            else:
                self._window.success(self._under_way)
            return receipt
        except DestinationError:
            self._window.trouble(number)
            raise
        finally:
            self._under_way -= 1
            self._admit()

    async def _enter(self) -> None:
        if not self._waiting and self._under_way < self._window.limit:
            self._under_way += 1
            return
        admitted = asyncio.get_running_loop().create_future()
        self._waiting.append(admitted)
        try:
            await admitted
        except asyncio.CancelledError:
            if not admitted.cancelled():  # it was let in at the same moment
                self._under_way -= 1
                self._admit()
            raise

    def _admit(self) -> None:
        while self._waiting and self._under_way < self._window.limit:
            admitted = self._waiting.popleft()
            if not admitted.done():
                self._under_way += 1
                admitted.set_result(None)
