"""What `status` says of a store in trouble, and which failures it still tells of."""

from typing import Any

import pytest

from hotfolder.cli import board, watching

CONFIGURED = "write http:// in place of https:// in endpoint_url of [destination]"


def told(state: str, hint: str) -> str:
    destination = {
        "state": state,
        "since": 1.0,
        "last_error": "no",
        "hint": hint,
        "next_try": 2.0,
    }
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
        "destination": destination,
        "paused": None,
        "stuck": [],
        "hold": None,
    }
    view = board.View(beat, stale=False, silence=0.0, process=None, failures=[], inboxes=[])
    return board.facts(view)[-1][1].plain


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
