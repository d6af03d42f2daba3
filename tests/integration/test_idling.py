"""Files that could start and do not, for no reason that is known, are told as what is stuck."""

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path
from typing import cast

import pytest
from structlog.testing import capture_logs

from hotfolder.activity import Activity
from hotfolder.alarm import Alarm
from hotfolder.core.errors import DestinationError, DestinationTrouble, LocalError
from hotfolder.core.records import Fingerprint
from hotfolder.idling import Idling
from hotfolder.inboxes import Inboxes, Watched
from hotfolder.threads import Threads
from hotfolder.watching import Watching
from tests.integration.test_intake import MOST_FLIGHTS, PolicyOnKeys, World


@pytest.fixture
def threads() -> Iterator[Threads]:
    made = Threads("test-idling", 1)
    yield made
    made.close()


class Idle:
    """A folder whose places to the store are all taken by nobody, with one file that waits."""

    def __init__(self, inbox: Path, threads: Threads) -> None:
        self.now = 1000.0
        self.world = World(inbox, PolicyOnKeys(), threads)
        self.activity = Activity(version="0", pid=1, host="nas", clock=time.time)
        folder = Watched(self.world.intake, cast(Watching, None), prepare=lambda: None, identity=(1, 1))
        inboxes = cast(Inboxes, self)
        self.folders = [folder]
        self.alarm = Alarm(
            Idling(inboxes, self.activity, lambda: self.now).steps,
            self.activity,
            clock=lambda: self.now,
        )

    def present(self) -> list[Watched]:
        return self.folders

    async def stand_still(self) -> None:
        for _ in range(1000):
            self.world.gate.enter(lambda: None)
        self.world.drop("good")
        async with asyncio.timeout(150):
            while not len(self.world.intake._backlog):
                await self.world.turn()

    def look_for(self, seconds: float) -> list[str]:
        """What the alarm tells of that time: about what, and what to do."""
        with capture_logs() as logs:
            for _ in range(int(seconds / 2)):
                self.now += 2.0
                self.alarm.look()
        return [
            f"{entry['about']}; {entry['hint']}" for entry in logs if entry["event"] == "daemon.stuck"
        ]


async def test_places_that_nobody_gave_back_are_told_once(tmp_path: Path, threads: Threads) -> None:
    idle = Idle(tmp_path, threads)
    await idle.stand_still()
    assert idle.look_for(110) == [], "others may be just about to start"
    (told,) = idle.look_for(600)
    assert told.startswith(f"{tmp_path}: 1 files wait for their turn and 0 for a look")
    assert "1000 of" in told
    assert "restart hotfolder" in told
    assert "disk" not in told, "nothing outside is to blame"
    assert [stuck.at for stuck in idle.activity.stuck] == ["intake"]


async def test_a_file_at_which_nobody_looks_any_more_is_told(tmp_path: Path, threads: Threads) -> None:
    idle = Idle(tmp_path, threads)
    tracker = idle.world.intake.finder.tracker
    tracker.observe("lost", Fingerprint(1, 1, 1, 1, 1), 0.0)
    assert tracker.pop_due(1.0, 10) == ["lost"]
    (told,) = idle.look_for(200)
    assert "1 for a look" in told


async def test_what_is_known_to_stand_in_the_way_is_no_standstill(
    tmp_path: Path, threads: Threads
) -> None:
    idle = Idle(tmp_path, threads)
    await idle.stand_still()
    world = idle.world
    world.refusal = LocalError("the disk is full")
    assert idle.look_for(600) == []
    world.refusal = None
    world.gate.hold(DestinationError(DestinationTrouble.UNREACHABLE, "no answer"))
    assert idle.look_for(600) == []
    world.gate.held = None
    world.paused = True
    await world.intake.turn(MOST_FLIGHTS)
    assert idle.look_for(600) == []
    world.paused = False
    await world.intake.turn(MOST_FLIGHTS)
    idle.folders = []  # the inbox is not there
    assert idle.look_for(600) == []
