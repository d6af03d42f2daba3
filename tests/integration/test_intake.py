"""Many files at once between inbox and journey: none stands in the way of the others."""

import asyncio
import itertools
import time
from collections.abc import Callable
from pathlib import Path
from typing import cast

import pytest

from hotfolder.activity import Activity
from hotfolder.adapters.filters import ignore_filter
from hotfolder.adapters.scan import walk
from hotfolder.core.errors import DestinationError, DestinationTrouble
from hotfolder.core.grouping import Grouping
from hotfolder.core.holding import Pace
from hotfolder.core.records import Job
from hotfolder.core.retry import Deferred, Hold, Policy, decide
from hotfolder.courier import Courier, Ended, NotNow
from hotfolder.finding import Search
from hotfolder.gate import Gate
from hotfolder.intake import FolderPlan, Intake
from hotfolder.threads import Threads
from tests.support.refusing_store import RefusingStore
from tests.support.samples import operation_id

MOST_FLIGHTS = 8


class PolicyOnKeys:
    """A courier to a store that denies every key that begins with "deny"."""

    def __init__(self) -> None:
        self.delivered: list[str] = []
        self.given_up: set[str] = set()

    async def carry(
        self,
        job: Job,
        *,
        denial_is_its_own: bool = False,
        on_decided: Callable[[str], None] = lambda _: None,
        **_: object,
    ) -> Ended | NotNow:
        await asyncio.sleep(0)
        if not job.relpath.startswith("deny"):
            self.delivered.append(job.relpath)
            on_decided("recording")
            return Ended({"status": "success"})
        error = DestinationError(DestinationTrouble.DENIED, "AccessDenied", may_be_one_keys=True)
        decision = decide(
            error,
            job.attempt,
            now=time.monotonic(),
            policy=Policy(file_attempts=2, first_delay=0.01),
            jitter=0.0,
            denial_is_its_own=denial_is_its_own,
        )
        if isinstance(decision, Hold | Deferred):
            return NotNow(error, decision)
        self.given_up.add(job.relpath)
        return Ended({"status": "failed"})


@pytest.mark.parametrize("denied", [MOST_FLIGHTS, 40])
async def test_files_that_a_policy_denies_do_not_starve_the_others(tmp_path: Path, denied: int) -> None:
    for number in range(denied):
        (tmp_path / f"deny{number}").write_bytes(b"data")
    (tmp_path / "good").write_bytes(b"data")
    activity = Activity(version="0", pid=1, host="nas", clock=time.time)
    gate = Gate(
        RefusingStore(),
        activity,
        name="bucket",
        paces=dict.fromkeys(DestinationTrouble, Pace(0.01, 0.05)),
        clock=time.monotonic,
        wall=time.time,
        jitter=lambda: 0.0,
    )
    threads, courier = Threads("test-intake", 1), PolicyOnKeys()
    numbers = itertools.count(1)
    search = Search(
        inbox=str(tmp_path),
        settle=0.0,
        rescan=None,
        ignored=ignore_filter([]),
        refusal=Grouping("box").refusal,
        walk=walk,
        clock=time.monotonic,
        wall=time.time,
    )
    intake = Intake(
        FolderPlan(
            name="box",
            search=search,
            new_operation_id=lambda: operation_id(next(numbers)),
            batch=operation_id(0),
            grouping=Grouping("box"),
        ),
        courier=cast(Courier, courier),
        gate=gate,
        threads=threads,
        wake=lambda: None,
    )
    dropped = {"good"}
    async with asyncio.timeout(30):
        while len(courier.given_up) < denied or dropped != set(courier.delivered):
            await intake.turn(MOST_FLIGHTS)
            if gate.due():
                await gate.probe()
            await asyncio.sleep(0.001)
            if dropped == set(courier.delivered) and len(courier.given_up) < denied:  # life goes on
                name = f"good{len(dropped)}"
                (tmp_path / name).write_bytes(b"data")
                dropped.add(name)
                intake.hint(name, is_directory=False)
    assert len(courier.delivered) == len(dropped), "none twice"
    threads.close()
