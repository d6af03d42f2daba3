"""Files that can never be delivered among many that can: the good ones go as if they were alone."""

import os
import shutil
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from hotfolder.seaweed import SeaweedFS
from tests.support.box import HOTFOLDER, Box
from tests.support.fault_proxy import MAKING, FaultProxy, Rule, refuse
from tests.support.small_disk import small_disk

__all__ = ["small_disk"]

GOOD = 200
PATIENCE = "[transfer]\nattempts = 2\nread_timeout = '5s'\n"


@pytest.fixture
def proxy(seaweed: SeaweedFS) -> Iterator[FaultProxy]:
    with FaultProxy(seaweed.endpoint_url) as made:
        yield made


def through(box: Box, proxy: FaultProxy, attempts: int = 3) -> None:
    box.endpoint_url = proxy.url
    box.configure(f'settle = "200ms"\nfile_attempts = {attempts}', PATIENCE)


def drop(box: Box, name: str, number: int) -> None:
    for each in range(number):
        (box.inbox / f"{name}-{each:03d}").write_bytes(f"{name} {each}".encode() * 50)


POISON = {
    "denied": ("AccessDenied", Rule(refuse(403, "AccessDenied"), MAKING, key="denied-")),
    "refused": ("InvalidArgument", Rule(refuse(400, "InvalidArgument"), MAKING, key="refused-")),
    "breaking": ("InternalError", Rule(refuse(500, "InternalError"), MAKING, key="breaking-")),
}


def test_poison_files_end_in_failed_and_hold_nobody(box: Box, proxy: FaultProxy) -> None:
    through(box, proxy)
    proxy.obey([rule for _, rule in POISON.values()])
    for name in POISON:
        drop(box, name, 2)
    drop(box, "good", GOOD)
    box.start(wait=False)
    box.wait(lambda: box.status()["totals"]["uploaded"] >= GOOD)
    later = 0
    while box.status()["totals"]["failed"] < 2 * len(POISON):  # life goes on
        drop(box, f"later{later}", 1)
        later += 1
        box.wait(lambda: box.status()["totals"]["uploaded"] >= GOOD + later)  # noqa: B023
    lines = box.wait_recorded(GOOD + later + 2 * len(POISON))
    statuses = Counter(line["status"] for line in lines)
    assert statuses == {"success": GOOD + later, "failed": 2 * len(POISON)}
    failed = {line["target_name"]: line for line in lines if line["status"] == "failed"}
    for name, (why, _) in POISON.items():
        for each in range(2):
            line = failed[f"{name}-{each:03d}"]
            assert why in line["error_message"]
            assert line["error_message"].startswith("gave up after 3 attempts")
            assert (box.failed / line["target_name"]).exists()
    box.wait(lambda: box.status()["destination"]["state"] == "ok")
    assert box.stop() == 0


def test_a_store_that_lists_and_takes_nothing_is_one_outage(box: Box, proxy: FaultProxy) -> None:
    through(box, proxy)
    proxy.obey([Rule(refuse(403, "AccessDenied"), MAKING)])
    drop(box, "good", 50)
    box.start(wait=False)
    box.wait(lambda: proxy.struck.get(0, 0) >= 8)  # several times it was tried with a file or two
    assert box.ledger() == []
    proxy.obey([])
    lines = box.wait_recorded(50)
    assert {(line["status"], line["attempts"]) for line in lines} == {("success", 1)}
    assert box.stop() == 0
    assert box.log().count("destination.held") == 1
    assert box.log().count("destination.back") == 1


def start_bound_by_permissions(box: Box) -> None:
    """The daemon as root that modes bind as they bind anybody."""
    bound = ["setpriv", "--bounding-set=-dac_override,-dac_read_search"]
    if shutil.which("setpriv") is None:
        pytest.skip("needs setpriv to take rights from root")
    command = [*bound, *HOTFOLDER, "run", "--config", str(box.config)]
    box.processes.append(box.spawn(*command))


@pytest.mark.parametrize("across", [False, True], ids=["failed beside", "failed on another disk"])
def test_an_unreadable_file_is_given_up_once_and_the_others_go(
    box: Box,
    small_disk: Path,
    across: bool,
) -> None:
    failed = f'failed = "{small_disk}/failed"' if across else ""
    box.configure(f'settle = "200ms"\nfile_attempts = 2\nrescan = "2s"\n{failed}')
    drop(box, "good", 20)
    shut = box.inbox / "shut"
    shut.write_bytes(b"secret")
    shut.chmod(0)
    start_bound_by_permissions(box)
    lines = box.wait_recorded(21)
    assert Counter(line["status"] for line in lines) == {"success": 20, "failed": 1}
    (line,) = [line for line in lines if line["status"] == "failed"]
    assert "may not be read" in line["error_message"] or "Permission denied" in line["error_message"]
    if not across:
        assert os.listdir(box.failed) == ["shut"]
        assert box.stop() == 0
        return
    assert shut.exists(), "it can neither be renamed nor copied"
    box.wait(lambda: box.status()["left"]["count"] == 1)
    assert "it stays in the inbox" in box.status()["left"]["first"][0]["why"]
    assert box.stop() == 0
    start_bound_by_permissions(box)
    box.wait(lambda: box.phase() == "idle" and box.status()["left"]["count"] == 1)
    assert len(box.ledger()) == 21, "not once more after a restart"
    shut.chmod(0o600)
    (*_, last) = box.wait_recorded(22)
    assert (last["target_name"], last["status"]) == ("shut", "success")
    assert box.stop() == 0
