"""The short form of the matrix of `make torture`: a few faults, each with kill -9 in between."""

from dataclasses import replace
from pathlib import Path

import pytest

from hotfolder.seaweed import SeaweedFS
from tests.torture import store_faults
from tests.torture.scenario import play
from tests.torture.stage import Stage

_SHORT = {(each.name, each.kind): each for each in store_faults.scenarios()}


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("answer lost, object kept", "store"),
        ("all of it, at random", "store, https"),
        ("connections refused", "store, https"),
        ("reset in the body, for one key", "store"),
    ],
)
def test_every_fault_has_a_good_end(name: str, kind: str, tmp_path: Path, seaweed: SeaweedFS) -> None:
    scenario = replace(_SHORT[name, kind], lasts=1.5, kills=1)
    row = play(scenario, Stage(tmp_path, seaweed), seed=1)
    assert row.violations() == {}
    assert row.delivered + row.skipped + row.failed == row.dropped
    assert (row.failed > 0) == (scenario.failed is not None)
