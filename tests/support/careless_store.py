"""A store in memory that may ignore If-None-Match, as several stores do, and writes down its calls."""

from collections.abc import AsyncGenerator, Callable, Sequence

from hotfolder.core.ports import Body
from hotfolder.core.records import ObjectDraft, ObjectInfo, PartReceipt, Receipt
from tests.support.memory_store import MemoryStore


class WatchedStore(MemoryStore):
    """`calls` are the names of what was asked, in order. `before` runs once before the call of its name.

    `honours`: whether a condition means anything to it.
    """

    def __init__(self, *, honours: bool = True) -> None:
        super().__init__()
        self.honours = honours
        self.calls: list[str] = []
        self.conditions: list[bool] = []
        self.before: dict[str, Callable[[], None]] = {}

    async def put(
        self, draft: ObjectDraft, body: Body, *, sha256: bytes, unless_exists: bool
    ) -> Receipt:
        self._call("put", unless_exists)
        condition = unless_exists and self.honours
        return await super().put(draft, body, sha256=sha256, unless_exists=condition)

    async def complete(
        self, key: str, upload_id: str, parts: Sequence[PartReceipt], *, unless_exists: bool
    ) -> Receipt:
        self._call("complete", unless_exists)
        condition = unless_exists and self.honours
        return await super().complete(key, upload_id, parts, unless_exists=condition)

    async def head(self, key: str) -> ObjectInfo | None:
        self._call("head")
        return await super().head(key)

    async def get(self, key: str, *, start: int = 0) -> AsyncGenerator[bytes]:
        self._call("get")
        async for chunk in super().get(key, start=start):
            yield chunk

    def _call(self, name: str, *conditions: bool) -> None:
        self.calls.append(name)
        self.conditions += conditions
        meanwhile = self.before.pop(name, None)
        if meanwhile is not None:
            meanwhile()
