"""Files in completed/ without a ledger line: which ones are proven, and which are nobody's business."""

import os
from collections.abc import AsyncIterator, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest
from structlog.testing import capture_logs

from hotfolder import trees, unrecorded
from hotfolder.adapters.filters import ignore_filter
from hotfolder.adapters.scan import walk, walk_top
from hotfolder.adapters.state.names import NameSet
from hotfolder.beneath import Look, look_for_writers
from hotfolder.config import load
from hotfolder.core.entries import timestamp
from hotfolder.core.errors import DestinationError, DestinationTrouble, LocalError, SourceChanged
from hotfolder.core.grouping import Grouping
from hotfolder.core.naming import Layout
from hotfolder.core.records import Job
from hotfolder.core.retry import Hold, Resettle
from hotfolder.courier import Courier, Ended, NotNow
from hotfolder.gate import Gate
from hotfolder.rebuilding import never_an_original
from hotfolder.threads import Threads
from hotfolder.unrecorded import Outputs, Unrecorded
from tests.support.memory_ledger import MemoryLedger
from tests.support.samples import operation_id

DAY = 86_400.0


class Carried:
    """A courier that tells what it was given. `endings` come first, then all end well."""

    def __init__(self) -> None:
        self.jobs: list[Job] = []
        self.endings: list[NotNow] = []

    async def carry(self, job: Job) -> Ended | NotNow:
        self.jobs.append(job)
        return self.endings.pop() if self.endings else Ended({"status": "skipped"})


class OpenGate:
    """A gate that opens again as soon as somebody looks twice."""

    def __init__(self) -> None:
        self.outages: list[DestinationError] = []

    def hold(self, error: DestinationError) -> None:
        self.outages.append(error)

    @property
    def held(self) -> DestinationError | None:
        return self.outages.pop() if self.outages else None


class World:
    """One folder after its state.db was lost."""

    def __init__(self, root: Path) -> None:
        self.inbox, self.completed = root / "inbox", root / "completed"
        self.inbox.mkdir()
        self.completed.mkdir()
        self.ledger, self.courier, self.gate = MemoryLedger(), Carried(), OpenGate()
        self.threads = Threads("test", 1)

    def put(self, relpath: str, root: Path | None = None) -> Path:
        path = (root or self.completed) / relpath
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"data")
        return path

    def record(self, path: Path, *, later: float = 0.0) -> None:
        """A line of the file, written `later` seconds than it was moved."""
        moment = timestamp(path.stat().st_ctime + later)
        self.ledger.append([{"completed_dir_path": str(path), "completed_at": moment}])

    def search(self, layout: Layout = "tree", *, before: float = float("inf")) -> Unrecorded:
        outputs = Outputs(
            str(self.inbox),
            str(self.completed),
            layout,
            Grouping("media"),
            ignore_filter(["*.bak"]),
            lambda: iter(walk(str(self.completed), "", ignore_filter(()))),
        )
        return Unrecorded(
            outputs,
            ledger=self.ledger,
            names=NameSet,
            courier=cast(Courier, self.courier),
            gate=cast(Gate, self.gate),
            threads=self.threads,
            new_operation_id=lambda: operation_id(1),
            batch=operation_id(0),
            before=before,
        )


@pytest.fixture
async def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[World]:
    monkeypatch.setattr(unrecorded, "_REST", 0.0)
    made = World(tmp_path)
    yield made
    made.threads.close()


async def test_only_what_no_line_names_is_found(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unrecorded, "_BATCH", 2)
    for number in range(7):
        world.record(world.put(f"reels/{number}"))
    world.ledger.append([{"note": "by another hand"}])
    for name in ("reels/lost", "\udcff", ".DS_Store", "thing.bak", ".hotfolder-copy-x", "@eaDir/x"):
        world.put(name)
    (world.completed / "link").symlink_to(world.put("reels/lost"))
    assert await world.search().find() == ["reels/lost", "\udcff"]


async def test_what_was_moved_long_before_the_last_line_or_after_the_start_is_not_looked_at(
    world: World,
) -> None:
    path = world.put("lost")
    world.record(world.put("recorded"), later=DAY - 60)
    assert await world.search().find() == ["lost"]
    assert await world.search(before=path.stat().st_ctime_ns / 1e9).find() == []
    world.record(world.put("later"), later=DAY + 60)
    assert await world.search().find() == [], "an archive that somebody put there is not uploaded"


async def test_without_any_record_nothing_is_anybodys_business(world: World) -> None:
    world.put("archive/old")
    assert await world.search().settle()
    assert world.courier.jobs == []


async def test_of_a_folder_that_several_share_nobody_can_tell_whose_a_file_is(world: World) -> None:
    world.record(world.put("recorded"))
    world.put("lost")
    search = world.search()
    search._outputs = replace(search._outputs, owners=("a", "b"))
    with capture_logs() as logs:
        assert await search.settle()
    assert [entry["event"] for entry in logs] == ["recovery.unrecorded_left"]
    assert world.courier.jobs == []


async def test_one_that_cannot_be_looked_at_leaves_the_others_to_be_proven_once(world: World) -> None:
    world.record(world.put("recorded"))
    for name in ("bad", "x", "y"):
        world.put(name)

    def look_or_fail(root: str, paths: Iterable[tuple[str, bool]]) -> list[Look]:
        asked = list(paths)
        if asked == [("bad", False)]:
            return [Look("bad", LocalError("Input/output error"))]
        return look_for_writers(root, asked)

    search = world.search()
    search._outputs = replace(search._outputs, look=look_or_fail)
    assert not await search.settle(), "the next start tries again"
    assert sorted(job.relpath for job in world.courier.jobs) == ["x", "y"]


async def test_a_directory_that_moved_as_one_is_proven_as_one(world: World) -> None:
    world.record(world.put("recorded/1"))
    world.record(world.completed / "recorded")
    world.put("reels/day 1/1")
    world.put("reels/2")
    world.put("loose")
    search = world.search()
    search._outputs = replace(
        search._outputs,
        walk=lambda: iter(walk_top(str(world.completed), "", ignore_filter(()))),
        look=trees.look_for_writers,
    )
    assert await search.settle()
    jobs = {job.relpath: job for job in world.courier.jobs}
    assert set(jobs) == {"reels", "loose"}
    assert jobs["reels"].group == "reels"
    assert jobs["reels"].fingerprint.tree
    assert not jobs["loose"].fingerprint.tree


async def test_more_than_can_have_been_on_their_way_are_left_alone(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unrecorded, "_MOST", 3)
    world.record(world.put("recorded"))
    for number in range(4):
        world.put(f"by hand/{number}")
    with capture_logs() as logs:
        assert await world.search().settle()
    assert [entry["event"] for entry in logs] == ["recovery.unrecorded_left"]
    assert world.courier.jobs == []


async def test_a_copy_whose_original_is_still_there_is_not_recorded_beside_it(world: World) -> None:
    world.record(world.put("recorded"))
    copy, original = world.put("clip"), world.put("clip", world.inbox)
    moment = copy.stat().st_mtime_ns
    os.utime(original, ns=(moment, moment))
    assert await world.search().find() == []
    os.utime(original, ns=(moment, moment + 1))
    assert await world.search().find() == ["clip"]


@pytest.mark.parametrize(
    ("layout", "stands", "root", "relpath", "origin"),
    [
        ("tree", "reels/clip", "completed", "reels/clip", "inbox/reels/clip"),
        ("flat", "clip", "completed", "clip", None),
        ("dated", "2025/10/29/reels/clip", "completed/2025/10/29", "reels/clip", "inbox/reels/clip"),
        ("dated", "reels/clip", "completed", "reels/clip", "inbox/reels/clip"),
    ],
)
async def test_each_is_proven_where_it_stands_under_the_name_it_was_dropped_with(
    world: World, layout: Any, stands: str, root: str, relpath: str, origin: str | None
) -> None:
    world.record(world.put("recorded"))
    path = world.put(stands)
    assert await world.search(layout).settle()
    (job,) = world.courier.jobs
    above = world.inbox.parent
    assert (job.root, job.relpath) == (str(above / root), relpath)
    assert job.path == str(path)
    assert job.origin == (str(above / origin) if origin else "")
    assert path.read_bytes() == b"data"


async def test_an_outage_is_waited_for_and_a_busy_file_is_given_up_for_this_run(world: World) -> None:
    world.record(world.put("recorded"))
    world.put("lost")
    outage = DestinationError(DestinationTrouble.UNREACHABLE, "no answer")
    busy = NotNow(SourceChanged("busy"), Resettle("busy"))
    world.courier.endings = [*[busy] * 2, *[NotNow(outage, Hold("no answer"))] * 5]
    assert await world.search().settle()
    assert [job.attempt for job in world.courier.jobs] == [1] * 6 + [2, 3]
    world.courier.endings = [busy] * 3
    assert not await world.search().settle(), "the next start tries again"


@pytest.mark.parametrize(
    ("ready", "left_alone"), [("marker", {"clip.mp4.done", "x.bak"}), ("quiet", {"x.bak"})]
)
def test_markers_in_completed_are_no_originals(tmp_path: Path, ready: str, left_alone: set[str]) -> None:
    (tmp_path / "hotfolder.toml").write_text(
        '[destination]\nbucket = "media"\n[folders.one]\ninbox = "one"\nignore = ["*.bak"]\n'
        f'ready = "{ready}"\n'
    )
    never = never_an_original(load(tmp_path / "hotfolder.toml").folders["one"])
    assert {name for name in ("clip.mp4", "clip.mp4.done", "x.bak") if never(name)} == left_alone
