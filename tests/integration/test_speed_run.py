"""The benchmark's runner, with hotfolder alone and few files; the others are not installed in tests."""

import json
import sys
from pathlib import Path

import pytest

from tests.bench.speed import runner, whole_job
from tests.bench.speed.budget import Budget
from tests.bench.speed.contest import BY_THOUSANDS, DAEMON, check_arrived
from tests.bench.speed.measure import RunFailed, run
from tests.bench.speed.names import NEAR
from tests.bench.speed.peers import AWS_MV, TAR_GZIP_AWS, Peer, Target, Tools
from tests.bench.speed.plan import Group
from tests.bench.speed.results import from_json, to_json
from tests.bench.speed.stores import Usage
from tests.bench.speed.works import Made, small

_ENVIRONMENT = {"PATH": "/usr/bin:/bin"}


def nobody(tools: Tools, source: Path, target: Target) -> tuple[tuple[str, ...], ...]:
    """A peer that does nothing, and says so."""
    return (("sh", "-c", "echo nothing to do; exit 3"),)


def test_a_daemon_has_figures_and_a_peer_that_fails_has_none(tmp_path: Path) -> None:
    group = Group(small("few", 20), NEAR, {Peer("nobody", nobody): 2, DAEMON: 1})
    tools = Tools(tmp_path, tmp_path, {})
    said: list[str] = []
    told = runner.measure([group], Budget(1, lambda: 0.0), tools, tmp_path, 1, said.append)
    failed, ours = told.rows
    assert failed.rounds == []
    assert "nothing to do" in str(failed.error)
    (figures,) = ours.rounds
    assert (ours.files, ours.size, ours.requests) == (20, 20 * 4096, 20)
    assert figures.wall > 0
    assert figures.cpu > 0
    assert figures.peak > 20 << 20
    assert from_json(json.loads(json.dumps(to_json(told)))) == told
    assert list(tmp_path.iterdir()) == []


def test_what_a_file_costs_a_daemon_at_work_counts_until_it_rests(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(whole_job, "_FIRST", small("first", 10))
    group = Group(small("tiny", 20), NEAR, {BY_THOUSANDS: 1})
    tools = Tools(tmp_path, tmp_path, {})
    told = runner.measure([group], Budget(1, lambda: 0.0), tools, tmp_path, 1, lambda _: None)
    (row,) = told.rows
    assert row.error is None
    (figures,) = row.rounds
    assert (row.files, figures.requests) == (20, 20)  # without those that it had delivered before
    assert figures.wall > 0
    assert figures.cpu > 0


def test_a_pipeline_is_measured_whole_and_its_failure_shown(tmp_path: Path) -> None:
    busy = (sys.executable, "-c", "print('x' * 100_000_000)")
    cost = run((busy, ("cat",), ("wc", "-c")), _ENVIRONMENT, tmp_path / "log")
    assert (tmp_path / "log").read_text().strip() == "100000001"
    assert cost.cpu > 0
    with pytest.raises(RunFailed, match="ended with 4:\nwrong way"):
        run((("sh", "-c", "echo wrong way >&2; exit 4"), ("cat",)), _ENVIRONMENT, tmp_path / "log")


@pytest.mark.parametrize(
    ("peer", "usage", "why"),
    [
        (AWS_MV, Usage(0, 8192, 1, {}), "1 objects, not 2"),
        (AWS_MV, Usage(0, 4096, 2, {}), "4096 bytes arrived of 8192"),
        (TAR_GZIP_AWS, Usage(0, 2000, 2, {}), "2 objects, not 1"),
    ],
)
def test_what_did_not_arrive_whole_is_a_failure(peer: Peer, usage: Usage, why: str) -> None:
    work = Made(Path("/nowhere"), files=2, size=8192)
    with pytest.raises(RunFailed, match=why):
        check_arrived(peer, work, usage)
    check_arrived(AWS_MV, work, Usage(0, 8192, 2, {}))
