"""The way to one store, as it is measured."""

import asyncio
import math
from collections.abc import AsyncIterator

import pytest

from hotfolder.core.records import ObjectDraft, ObjectInfo
from hotfolder.places import RequestPlaces
from hotfolder.threads import Threads
from hotfolder.wire import Wire
from tests.support.memory_store import MemoryStore


class Distant(MemoryStore):
    """Each answer takes as long as `seconds` says, on a clock of its own."""

    now, seconds = 0.0, 0.0

    async def head(self, key: str) -> ObjectInfo | None:
        self.now += self.seconds
        return await super().head(key)

    async def create_multipart(self, draft: ObjectDraft) -> str:
        self.now += self.seconds
        return await super().create_multipart(draft)


@pytest.fixture
async def store(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Distant]:
    made = Distant()
    with monkeypatch.context() as patched:
        patched.setattr(asyncio.get_running_loop(), "time", lambda: made.now)
        yield made


async def test_what_opens_the_connection_is_no_measure_of_the_way(store: Distant) -> None:
    wire = Wire(store, requests=RequestPlaces(4), threads=Threads("none", 1))
    store.seconds = 0.01  # for whatever reason: it might as well be longer than the way
    await wire.head("k")
    assert wire.nearest == math.inf
    for store.seconds, nearest in ((0.25, 0.25), (0.5, 0.25), (0.125, 0.125)):
        await wire.head("k")
        assert wire.nearest == nearest
    store.seconds = 0.0625
    await wire.create_multipart(ObjectDraft("k"))
    assert wire.nearest == 0.0625
