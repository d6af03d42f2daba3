"""The short form of the local half of the matrix, and starts on a machine that fails."""

import subprocess
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from hotfolder.seaweed import SeaweedFS
from tests.support.box import HOTFOLDER, Box
from tests.support.local_faults import Fault, NotHere, failing_calls, read_only, shut
from tests.torture.local_faults import SCENARIOS
from tests.torture.scenario import Scenario, play
from tests.torture.stage import Stage

_QUICK = {"no space for state", "EIO of fsync, of the ledger", "inbox unmounted"}


@pytest.mark.parametrize(
    "scenario",
    [replace(each, kills=1, lasts=1.0) for each in SCENARIOS if each.name in _QUICK],
    ids=lambda scenario: scenario.name,
)
def test_every_fault_of_the_machine_has_a_good_end(
    scenario: Scenario, tmp_path: Path, seaweed: SeaweedFS
) -> None:
    try:
        row = play(scenario, Stage(tmp_path, seaweed), seed=1)
    except NotHere as missing:
        pytest.skip(str(missing))
    assert row.violations() == {}
    assert row.delivered + row.skipped == row.dropped > 5


@contextmanager
def here(fault: AbstractContextManager[Fault]) -> Iterator[Fault]:
    """Enter a fault; skip where this machine does not let us make it."""
    try:
        with fault as made:
            yield made
    except NotHere as missing:
        pytest.skip(str(missing))


def delivered(box: Box) -> list[str]:
    return sorted(line["target_name"] for line in box.ledger())


def test_a_start_on_a_state_folder_that_turned_read_only_is_held_and_goes_on(box: Box) -> None:
    with here(read_only(box, place="state")) as fault:
        box.start()
        (box.inbox / "before").write_bytes(b"delivered before")
        box.wait_recorded(1)
        assert box.stop() == 0
        fault.begin()
        (box.inbox / "during").write_bytes(b"waits")
        process = box.spawn(*HOTFOLDER, "run", "--config", str(box.config))
        box.processes.append(process)
        box.wait(lambda: "start.held" in box.log())
        fault.end()
        box.wait(lambda: delivered(box) == ["before", "during"])
        assert box.log().count("start.held") == 1
        assert box.stop() == 0


def test_a_start_on_a_disk_that_fails_says_so_in_the_heartbeat_and_goes_on(box: Box) -> None:
    with here(failing_calls(box, calls="fsync,fdatasync", error="EIO")) as fault:
        box.start()
        (box.inbox / "before").write_bytes(b"delivered before")
        box.wait_recorded(1)
        assert box.stop() == 0
        fault.begin()
        box.start(wait=False)
        box.wait(lambda: "Input/output error" in str(box.status().get("hold")))
        assert box.phase() == "starting"
        fault.end()
        box.wait(lambda: box.phase() == "idle" and box.status()["hold"] is None)
        assert box.stop() == 0


def test_a_completed_that_cannot_be_read_holds_a_start_without_state_db(box: Box) -> None:
    with here(shut(box, place="completed")) as fault:
        box.start()
        (box.inbox / "before").write_bytes(b"delivered before")
        box.wait_recorded(1)
        assert box.stop() == 0
        for left in box.state.glob("state.db*"):
            left.unlink()
        fault.begin()
        box.start(wait=False)
        (box.inbox / "during").write_bytes(b"waits")
        box.wait(lambda: "Permission denied" in str(box.status().get("hold")))
        fault.end()
        box.wait(lambda: delivered(box) == ["before", "during"])
        assert box.log().count("folder.held") == 1
        assert box.stop() == 0


def test_an_inbox_whose_disk_cannot_list_it_is_missing_and_not_empty(box: Box) -> None:
    with here(failing_calls(box, calls="getdents64", error="EIO", places=("inbox",))) as fault:
        box.start()
        fault.begin()
        (box.inbox / "during").write_bytes(b"waits")
        box.wait(lambda: box.phase() == "inbox-missing")
        fault.end()
        box.wait_recorded(1)
        assert box.stop() == 0


def test_a_state_folder_that_this_user_may_not_write_is_a_configuration_error(box: Box) -> None:
    with here(shut(box, place="state")) as fault:
        fault.begin()
        command = [*box.wrapper, *_run(box)]
        ended = subprocess.run(command, capture_output=True, text=True, timeout=150, check=False)
        assert (ended.returncode, "Permission denied" in ended.stderr) == (78, True), ended.stderr


def _run(box: Box) -> list[str]:
    return [*HOTFOLDER, "run", "--config", str(box.config)]
