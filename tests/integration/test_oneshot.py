"""`upload`: each named file to its end, and what ends the whole."""

import itertools
from collections.abc import AsyncIterator
from pathlib import Path
from typing import cast

import pytest

from hotfolder.core.errors import DestinationError, DestinationTrouble, HotfolderError, LocalError
from hotfolder.core.grouping import Grouping
from hotfolder.core.records import Job
from hotfolder.core.retry import Hold
from hotfolder.core.size_limits import SizeLimits
from hotfolder.courier import Courier, Ended, NotNow
from hotfolder.oneshot import OneShot
from hotfolder.threads import Threads
from tests.support.samples import operation_id
from tests.support.unprivileged import Bound

DENIED = DestinationError(DestinationTrouble.DENIED, "AccessDenied", may_be_one_keys=True)
NO_BUCKET = DestinationError(DestinationTrouble.NO_BUCKET, "there is no bucket")


class Refusals:
    """A courier that meets `error` with every file whose name begins with "bad"."""

    def __init__(self, error: HotfolderError) -> None:
        self.error = error
        self.delivered: list[str] = []

    async def carry(self, job: Job) -> Ended | NotNow:
        if job.relpath.startswith("bad"):
            return NotNow(self.error, Hold(str(self.error)))
        self.delivered.append(job.relpath)
        return Ended({"status": "success"})


@pytest.fixture
async def threads() -> AsyncIterator[Threads]:
    made = Threads("test-oneshot", 1)
    yield made
    made.close()


class Uploading:
    """One `upload` of files that are made here, one after another."""

    def __init__(self, root: Path, threads: Threads, error: HotfolderError) -> None:
        self.root, self.courier = root, Refusals(error)
        numbers = itertools.count(1)
        self.oneshot = OneShot(
            cast(Courier, self.courier),
            grouping=Grouping("box"),
            batch=operation_id(0),
            new_operation_id=lambda: operation_id(next(numbers)),
            remembered=lambda *_: None,
            threads=threads,
            most_flights=1,
            size_refusal=SizeLimits(0, 1000).refusal,
            wall=lambda: 0.0,
        )

    async def deliver(self, *names: str) -> HotfolderError | None:
        for name in names:
            (self.root / name).write_bytes(b"data")
        return await self.oneshot.deliver((str(self.root), name) for name in names)

    def left(self) -> list[str]:
        return [Path(path).name for path in self.oneshot.left]


async def test_a_key_that_a_policy_denies_keeps_no_other_file_back(
    tmp_path: Path, threads: Threads
) -> None:
    uploading = Uploading(tmp_path, threads, DENIED)
    assert await uploading.deliver("a", "bad1", "b", "bad2", "c") is None
    assert uploading.courier.delivered == ["a", "b", "c"]
    assert uploading.left() == ["bad1", "bad2"]


async def test_a_store_that_denies_everything_is_not_asked_for_every_file(
    tmp_path: Path, threads: Threads
) -> None:
    uploading = Uploading(tmp_path, threads, DENIED)
    names = [f"bad{number}" for number in range(10)]
    assert await uploading.deliver(*names) is DENIED
    assert uploading.left() == ["bad0"]


async def test_a_store_that_denies_everything_from_some_moment_on_is_noticed(
    tmp_path: Path, threads: Threads
) -> None:
    uploading = Uploading(tmp_path, threads, DENIED)
    names = [f"bad{number}" for number in range(10)]
    assert await uploading.deliver("a", *names) is DENIED
    assert uploading.left() == ["bad0", "bad1", "bad2", "bad3"]


@pytest.mark.parametrize("error", [NO_BUCKET, LocalError("the disk is full")], ids=str)
async def test_trouble_of_all_ends_it(tmp_path: Path, threads: Threads, error: HotfolderError) -> None:
    uploading = Uploading(tmp_path, threads, error)
    assert await uploading.deliver("a", "bad", "b") is error
    assert uploading.courier.delivered == ["a"]
    assert uploading.left() == ["bad"]


async def test_what_is_outside_the_size_limits_or_cannot_be_looked_at_is_left(tmp_path: Path) -> None:
    (tmp_path / "large").write_bytes(bytes(1001))
    (tmp_path / "shut").mkdir()
    (tmp_path / "shut/a").write_bytes(b"data")
    (tmp_path / "shut").chmod(0o644)
    uploading = Uploading(tmp_path, threads := Bound(), NO_BUCKET)
    try:
        names = ["large", "shut/a", "none", "b"]
        (tmp_path / "b").write_bytes(b"data")
        assert await uploading.oneshot.deliver((str(tmp_path), name) for name in names) is None
    finally:
        threads.close()
    assert uploading.courier.delivered == ["b"]
    whys = {path.removeprefix(f"{tmp_path}/"): why for path, why in uploading.oneshot.left.items()}
    assert whys["large"].startswith("its size, 1,001 bytes, is above max_size (1,000 bytes)")
    assert "Permission denied" in whys["shut/a"]
    assert whys["none"].startswith("there is no such file")
