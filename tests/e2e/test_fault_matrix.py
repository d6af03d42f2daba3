"""The short form of the matrix of `make torture`: a few faults, each with kill -9 in between."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from hotfolder.seaweed import SeaweedFS
from tests.support.box import Box
from tests.torture.scenario import Fault, Scenario, configure, play
from tests.torture.stage import Stage


class _Nothing:
    def begin(self) -> None: ...

    def end(self) -> None: ...


@contextmanager
def _calm(box: Box) -> Iterator[Fault]:
    configure(box)
    yield _Nothing()


@pytest.mark.parametrize("scenario", [Scenario("nothing", "store", _calm, lasts=1.0)])
def test_every_fault_has_a_good_end(scenario: Scenario, tmp_path: Path, seaweed: SeaweedFS) -> None:
    row = play(scenario, Stage(tmp_path, seaweed), seed=1)
    assert row.violations() == {}
    assert (row.dropped, row.delivered + row.skipped) == (row.dropped, row.dropped)
