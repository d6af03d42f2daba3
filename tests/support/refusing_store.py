"""A store that can only be asked whether it answers, and answers as it was told."""

from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Sequence

from hotfolder.core.ports import Body, Scattered
from hotfolder.core.records import ObjectDraft, ObjectInfo, OpenUpload, PartReceipt, Receipt


class RefusingStore:
    """`core.ports.ObjectStore` for what only ever probes: `check` gives `answers` in turn."""

    def __init__(self, answers: Iterable[Exception | None] = ()) -> None:
        self._answers = deque(answers)

    async def check(self) -> None:
        answer = self._answers.popleft() if self._answers else None
        if answer is not None:
            raise answer

    async def put(
        self, draft: ObjectDraft, body: Body, *, sha256: bytes, unless_exists: bool
    ) -> Receipt:
        raise NotImplementedError

    async def head(self, key: str) -> ObjectInfo | None:
        raise NotImplementedError

    async def create_multipart(self, draft: ObjectDraft) -> str:
        raise NotImplementedError

    async def upload_part(
        self, key: str, upload_id: str, number: int, body: Body | Scattered, *, sha256: bytes
    ) -> PartReceipt:
        raise NotImplementedError

    async def list_parts(self, key: str, upload_id: str) -> list[PartReceipt]:
        raise NotImplementedError

    async def complete(
        self, key: str, upload_id: str, parts: Sequence[PartReceipt], *, unless_exists: bool
    ) -> Receipt:
        raise NotImplementedError

    def list_uploads(self, prefix: str) -> AsyncIterator[OpenUpload]:
        raise NotImplementedError

    async def abort(self, key: str, upload_id: str) -> None:
        raise NotImplementedError

    def get(self, key: str, *, start: int = 0) -> AsyncGenerator[bytes]:
        raise NotImplementedError

    async def delete(self, key: str) -> None:
        raise NotImplementedError

    def list(self, prefix: str) -> AsyncIterator[ObjectInfo]:
        raise NotImplementedError
