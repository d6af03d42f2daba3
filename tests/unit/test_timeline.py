"""Which lines are meant, what they tell, and why a file waits."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hotfolder.core import jsonline
from hotfolder.core.entries import seconds_of
from hotfolder.core.records import Verification
from hotfolder.core.timeline import (
    PROOFS,
    InInbox,
    Selection,
    events,
    is_named,
    made_at,
    traces_of,
    why_waiting,
)

ID = "0192d6a5-4f20-7abc-8def-0123456789ab"


def line(**more: Any) -> dict[str, Any]:
    return {
        "operation_id": ID,
        "operation_type": "upload",
        "target_path": "/srv/inbox/reels/day 1/clip.mp4",
        "target_name": "clip.mp4",
        "started_at": "2026-11-01T10:00:00.000000Z",
        "completed_at": "2026-11-01T10:00:05.000000Z",
        "status": "success",
        "result_path": "s3://archive/nas1/reels/clip.mp4.tar.gz",
        "folder": "media",
        "group": "reels",
        "s3_object_key": "nas1/reels/clip.mp4.tar.gz",
        "completed_dir_path": "/srv/completed/reels/day 1/clip.mp4",
        "modified_at_ns": 1_700_000_000_000_000_000,
        "attempts": 1,
        **more,
    }


@pytest.mark.parametrize(
    "wanted",
    [
        "clip.mp4",
        "day 1/clip.mp4",
        "reels/day 1/clip.mp4",
        "/srv/inbox/reels/day 1/clip.mp4",
        ID,
        ID[:8],
        ID[:13].upper(),
        "nas1/reels/clip.mp4.tar.gz",
        "s3://archive/nas1/reels/clip.mp4.tar.gz",
        "/srv/completed/reels/day 1/clip.mp4",
    ],
)
def test_a_file_has_many_names(wanted: str) -> None:
    assert is_named(line(), wanted)
    assert any(trace in jsonline.encode(line()) for trace in traces_of(wanted))


@pytest.mark.parametrize("wanted", ["", "clip", "lip.mp4", "1/clip.mp4", ID[:7], "archive", "nas1"])
def test_a_part_of_a_name_is_no_name(wanted: str) -> None:
    assert not is_named(line(), wanted)


@given(st.text(min_size=1).filter(lambda name: "/" not in name) | st.just("invalid \udcff\udcfe"))
def test_no_line_that_is_meant_is_left_out_unread(name: str) -> None:
    entry = line(target_path=f"/srv/inbox/{name}", target_name=name)
    assert is_named(entry, name)
    assert any(trace in jsonline.encode(entry) for trace in traces_of(name))


@pytest.mark.parametrize(
    ("wanted", "taken"),
    [
        (Selection(), True),
        (Selection(statuses=frozenset({"failed", "success"})), True),
        (Selection(statuses=frozenset({"failed"})), False),
        (Selection(types=frozenset({"download"})), False),
        (Selection(groups=frozenset({"reels"}), folders=frozenset({"media"})), True),
        (Selection(groups=frozenset({"reels"}), folders=frozenset({"other"})), False),
        (Selection(since=seconds_of("2026-11-01T10:00:05Z")), True),
        (Selection(since=seconds_of("2026-11-01T10:00:06Z")), False),
        (Selection(until=seconds_of("2026-11-01T10:00:05Z")), False),
        (Selection(until=seconds_of("2026-11-01T10:00:06Z")), True),
    ],
)
def test_filters(wanted: Selection, taken: bool) -> None:
    assert wanted.takes(line()) is taken
    if taken and wanted.traces():
        assert any(trace in jsonline.encode(line()) for trace in wanted.traces())


def test_lines_of_other_operations_have_no_group_and_no_folder() -> None:
    bare = {"operation_type": "verify", "status": "success", "completed_at": "2026-11-01T10:00:05Z"}
    assert Selection(types=frozenset({"verify"})).takes(bare)
    assert not Selection(groups=frozenset({"reels"})).takes(bare)


def test_the_timeline_is_told_from_the_line_and_its_id() -> None:
    told = [what for _, what in events(line(attempts=3))]
    assert told == ["last changed", "found whole", "opened, attempt 3", "delivered, proven and recorded"]
    assert [what for _, what in events(line(status="failed", attempts=5))][-1] == (
        "given up after 5 attempts"
    )
    assert made_at(ID) == 1730178010.912
    assert made_at("imported-7") is None
    assert made_at("6ba7b810-9dad-11d1-80b4-00c04fd430c8") is None


FILE = InInbox("/srv/inbox/a", 10, changed_at=1000.0, left=None, settle=5.0, rescan=300.0)


def beat(**more: Any) -> dict[str, Any]:
    return {
        "phase": "uploading",
        "active": [],
        "left": {"first": []},
        "put_off": {"first": []},
        "hold": None,
        "paused": None,
        "destination": {"state": "ok", "last_error": None, "hint": None, "next_try": None},
        "waiting": {"count": 0, "oldest": None, "why": None},
        "last_scan": 900.0,
        **more,
    }


@pytest.mark.parametrize(
    ("state", "now", "why", "until"),
    [
        (beat(left={"first": [{"path": FILE.path, "why": "too odd"}]}), 2000.0, "too odd", None),
        (
            beat(
                put_off={"first": [{"path": FILE.path, "why": "refused", "attempt": 3, "until": 2060.0}]}
            ),
            2000.0,
            "attempt 3 follows: refused",
            2060.0,
        ),
        (beat(hold="the disk is full"), 2000.0, "the disk is full", None),
        (
            beat(bandwidth={"limit": 0, "until": None}),
            2000.0,
            "transfer.bandwidth lets nothing be uploaded at any time",
            None,
        ),
        (
            beat(
                destination={
                    "state": "denied",
                    "last_error": "no",
                    "hint": "ask for rights",
                    "next_try": 2030.0,
                }
            ),
            2000.0,
            "its store is not ready (denied): no; ask for rights",
            2030.0,
        ),
        (beat(), 1002.0, "settling: it may still grow", 1005.0),
        (beat(waiting={"count": 3, "oldest": FILE.path, "why": "in line"}), 2000.0, "in line", None),
        (
            beat(waiting={"count": 3, "oldest": "/srv/inbox/b", "why": "in line"}),
            2000.0,
            "settling or queued: 3 files wait for their turn",
            None,
        ),
        (beat(), 2000.0, "just taken up, or not seen yet: then the next scan finds it", 1200.0),
        (
            beat(last_scan=None),
            2000.0,
            "just taken up, or not seen yet: then the next scan finds it",
            None,
        ),
    ],
)
def test_why_a_file_waits(state: dict[str, Any], now: float, why: str, until: float | None) -> None:
    waits = why_waiting(FILE, state, now, living=True)
    assert waits is not None
    assert (waits.why, waits.until) == (why, until)


def test_a_file_on_its_way_does_not_wait() -> None:
    assert why_waiting(FILE, beat(active=[{"path": FILE.path}]), 2000.0, living=True) is None


@pytest.mark.parametrize("state", [None, beat(active=[{"path": FILE.path}])])
def test_without_a_daemon_everything_waits_for_one(state: dict[str, Any] | None) -> None:
    waits = why_waiting(FILE, state, 2000.0, living=False)
    assert waits is not None
    assert waits.why == "no daemon is running; start it with `hotfolder run`"


@pytest.mark.parametrize(
    ("at", "why"),
    [
        ("io", "the daemon hangs in X: look at that disk, mount or store"),
        ("intake", "the daemon stands still (X): restart it"),
        ("delivery", "the daemon stands still (X): restart it"),
    ],
)
def test_what_the_daemon_was_stuck_in_is_told_with_what_to_do(at: str, why: str) -> None:
    waits = why_waiting(FILE, beat(stuck=[{"about": "X", "at": at}]), 2000.0, living=False)
    assert waits is not None
    assert waits.why == why


def test_what_is_left_alone_is_said_to_be_so_whatever_the_daemon_does() -> None:
    for living in (True, False):
        waits = why_waiting(
            replace(FILE, left="'*.tmp' of `ignore` matches it"), beat(), 2000.0, living=living
        )
        assert waits is not None
        assert waits.for_good
        assert "`ignore`" in waits.why


def test_every_proof_is_put_into_words() -> None:
    assert PROOFS.keys() == {proof.value for proof in Verification}
