"""One attempt at one file: whatever fails, somebody hears how it ended."""

import asyncio
import gc
import random
import weakref
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from hotfolder.activity import Activity
from hotfolder.bandwidth import Bandwidth
from hotfolder.core.allowance import Owner
from hotfolder.core.errors import DestinationError, DestinationTrouble, LocalError, SourceChanged
from hotfolder.core.order import lane_of
from hotfolder.core.records import Job
from hotfolder.core.retry import Deferred, Policy, Resettle
from hotfolder.core.segments import MIB
from hotfolder.courier import Courier, Ended, NotNow
from hotfolder.delivery import Rules, Tools
from tests.support.memory_store import MemoryStore
from tests.support.works import Works

_NO_RULES: dict[str, Rules] = {}
FAULTS = [LocalError("the disk is full"), RuntimeError("a defect")]


@pytest.fixture
async def works(tmp_path: Path) -> AsyncIterator[Works]:
    made = Works(tmp_path, MemoryStore())
    yield made
    await made.close()


class Watched(bytearray):
    """Bytes of which one can tell that nobody has them any more."""


class Line:
    """A courier with what it tells."""

    def __init__(self, tools: Tools) -> None:
        self.activity = Activity(version="0", pid=1, host="nas", clock=lambda: 0.0)
        self.courier = Courier(
            tools, self.activity, policy=Policy(), clock=lambda: 0.0, jitter=lambda: 0.0
        )


def untidy(works: Works, error: Exception, monkeypatch: pytest.MonkeyPatch) -> Line:
    """A courier that cannot clear up after a flight."""
    tools = works.tools()

    async def leave(_: Job, *, over: bool) -> None:
        raise error

    monkeypatch.setattr(tools.packer, "leave", leave)
    return Line(tools)


@pytest.mark.parametrize("size", [100, 12 * MIB])
async def test_what_a_file_sends_is_of_its_folder_and_of_its_size(
    works: Works, size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    line, owners = Bandwidth(), list[Owner]()
    for request in ("put", "upload_part"):
        monkeypatch.setattr(works.store, request, noting(getattr(works.store, request), line, owners))
    tools = works.tools("none", part_size=5 * MIB)
    job = works.drop(random.Random(size).randbytes(size))
    ending = await Line(tools).courier.carry(job)
    assert isinstance(ending, Ended)
    assert owners == [Owner(job.folder, lane_of(size))] * (1 if size == 100 else 3)
    assert line.sender() == Owner()


def noting(request: Any, line: Bandwidth, owners: list[Owner]) -> Any:
    """A request of the store that notes for whom it is made."""

    async def noted(*args: Any, **named: Any) -> Any:
        owners.append(line.sender())
        return await request(*args, **named)

    return noted


@pytest.mark.parametrize("error", FAULTS, ids=str)
async def test_a_delivered_file_is_delivered_whatever_fails_behind_it(
    works: Works, error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    line = untidy(works, error, monkeypatch)
    with capture_logs() as logs:
        ending = await line.courier.carry(works.drop(b"data"))
    assert isinstance(ending, Ended)
    assert ending.entry["status"] == "success"
    assert (line.activity.totals.uploaded, line.activity.flights) == (1, {})
    (told,) = [entry for entry in logs if entry["event"] == "delivery.not_cleared"]
    assert (told["log_level"], told["reason"]) == ("error", str(error))


@pytest.mark.parametrize("error", FAULTS, ids=str)
async def test_a_file_that_changed_settles_again_whatever_fails_behind_it(
    works: Works, error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    line = untidy(works, error, monkeypatch)
    job = works.drop(b"data")
    (works.folders.inbox / job.relpath).write_bytes(b"longer")
    ending = await line.courier.carry(job)
    assert isinstance(ending, NotNow)
    assert isinstance(ending.error, SourceChanged)
    assert isinstance(ending.decision, Resettle)
    assert line.activity.flights == {}


async def test_a_defect_is_the_files_own_trouble_and_told_with_its_trace(
    works: Works, monkeypatch: pytest.MonkeyPatch
) -> None:
    tools = works.tools()
    line = Line(replace(tools, rules=_NO_RULES.__getitem__))
    with capture_logs() as logs:
        ending = await line.courier.carry(works.drop(b"data"))
    assert isinstance(ending, NotNow)
    assert isinstance(ending.decision, Deferred)
    assert ending.decision.reason == "KeyError: 'reels'"
    (told,) = [entry for entry in logs if entry["event"] == "delivery.deferred"]
    assert told["exc_info"] is ending.error


async def test_an_upload_whose_note_stays_is_told_and_its_file_delivered(
    works: Works, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_: str) -> None:
        raise LocalError("the disk is full")

    monkeypatch.setattr(works.notes, "forget", refuse)
    line = Line(works.tools(part_size=5 * MIB))
    with capture_logs() as logs:
        ending = await line.courier.carry(works.drop(random.Random(7).randbytes(6 * MIB)))
    assert isinstance(ending, Ended)
    assert works.store.uploads == {}
    assert [entry["event"] for entry in logs] == ["delivery.completed", "upload.left_open"]


@pytest.mark.parametrize("size", [4, 23 * MIB], ids=["small", "parts"])
async def test_what_failed_does_not_stay_in_memory(
    works: Works, size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    held: list[weakref.ref[Watched]] = []

    async def refuse(*_: object, **__: object) -> None:
        body = Watched(b"data")
        held.append(weakref.ref(body))
        raise DestinationError(DestinationTrouble.UNREACHABLE, "no answer")

    monkeypatch.setattr(works.store, "put", refuse)
    monkeypatch.setattr(works.store, "upload_part", refuse)
    line, job = Line(works.tools()), works.drop(random.Random(7).randbytes(size))
    gc.disable()
    try:
        ending = await line.courier.carry(job)
        assert held
        async with asyncio.timeout(30):
            while any(ref() for ref in held):  # noqa: ASYNC110 - a thread lets go after its answer
                await asyncio.sleep(0.001)
    finally:
        gc.enable()
    assert isinstance(ending, NotNow)
    assert isinstance(ending.error, DestinationError)
