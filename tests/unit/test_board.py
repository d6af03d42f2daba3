"""What `status` says of a store in trouble, and which failures it still tells of."""

from dataclasses import asdict, replace
from typing import Any

import pytest

from hotfolder.cli import board, watching
from hotfolder.core.watching import PolledParts
from tests.support import samples

CONFIGURED = "write http:// in place of https:// in endpoint_url of [destination]"


def told(state: str, hint: str) -> str:
    destination = {
        "state": state,
        "since": 1.0,
        "last_error": "no",
        "hint": hint,
        "next_try": 2.0,
    }
    return facts(destination=destination)[-1][1]


def facts(**changed: Any) -> list[tuple[str, str]]:
    """Of a beat with these fields."""
    beat: dict[str, Any] = {
        "pid": 1,
        "host": "nas",
        "phase": "destination-unreachable",
        "started_at": 1.0,
        "last_update": 1.0,
        "last_scan": None,
        "totals": {"uploaded": 0, "skipped": 0, "failed": 0, "bytes_uploaded": 0},
        "waiting": {"count": 0, "bytes": 0, "oldest": None, "since": None, "why": None},
        "put_off": {"count": 0, "first": []},
        "destination": {"state": "ok", "since": 1.0, "last_error": None},
        "paused": None,
        "stuck": [],
        "hold": None,
        **changed,
    }
    view = board.View(beat, stale=False, silence=0.0, process=None, failures=[], inboxes=[])
    return [(word, text.plain) for word, text in board.facts(view)]


@pytest.mark.parametrize(
    ("state", "hint", "end"),
    [
        ("unreachable", "check the network", "and goes on by itself"),
        ("throttled", "lower `requests` in [transfer]", "and goes on by itself"),
        ("denied", "set the clock", "and goes on once this is mended"),
        (
            "unreachable",
            CONFIGURED,
            "and goes on once this is mended; `hotfolder reload` takes a changed configuration",
        ),
    ],
)
def test_that_it_goes_on_by_itself_is_said_only_where_it_does(state: str, hint: str, end: str) -> None:
    assert told(state, hint) == f"asks again now, {end}"


def test_how_an_inbox_is_watched_is_said_where_it_is_out_of_the_ordinary() -> None:
    report = samples.watching()
    said = dict(facts(watching={"media": asdict(report)}))
    assert said["polled"] == "media: nas, every 10s (cifs: no event tells what others write there)"
    assert said["watching"] == f"media: {report.trouble}"
    ordinary = replace(report, polled=PolledParts(), trouble=None)
    assert not {"polled", "watching"} & dict(facts(watching={"media": asdict(ordinary)})).keys()


def line(status: str, target: str, result: str) -> dict[str, str]:
    return {"status": status, "target_path": target, "result_path": result}


def test_what_failed_where_it_stands_and_was_delivered_there_since_has_not_failed() -> None:
    newest_first = [
        line("success", "/in/a", "s3://b/a"),
        line("failed", "/in/b", "/in/b"),
        line("failed", "/in/a", "/in/a"),
        line("failed", "/in/a", "/failed/a"),
    ]
    assert list(watching.failed(newest_first)) == [newest_first[1], newest_first[3]]
