"""What the heartbeat tells of files in flight and of files that are put off."""

from dataclasses import replace

import pytest

from hotfolder.activity import Activity, Waiting
from hotfolder.core.records import Fingerprint, Job
from hotfolder.group_totals import OTHERS, Groups

JOB = Job("id-1", "run", "media", "/srv/inbox", "a.mov", "media", Fingerprint(1, 2, 1000, 3, 4), 5.0)


class Clock:
    now = 5000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def activity(clock: Clock) -> Activity:
    return Activity(version="0", pid=1, host="nas", clock=clock)


def test_a_file_that_is_read_whole_has_nothing_left(activity: Activity) -> None:
    flight = activity.begin(JOB)
    flight.read(400)
    beat = activity.snapshot(Waiting(), {}, {})
    (active,) = beat["active"]
    assert active["bytes"] == 400
    assert active["bytes_per_second"] > 0
    assert beat["bytes_per_second"] > 0
    flight.read(600)
    beat = activity.snapshot(Waiting(), {}, {})
    assert beat["active"][0]["eta_seconds"] == 0.0
    assert beat["eta_seconds"] is None, "when the store answers is not known"


def test_what_is_put_off_is_told_soonest_first_until_it_is_tried_again(
    activity: Activity, clock: Clock
) -> None:
    for name, seconds in (("late", 60.0), ("soon", 5.0), ("next", 30.0)):
        activity.put_off(replace(JOB, relpath=name), "refused", 3, seconds)
    told = activity.snapshot(Waiting(), {}, {})["put_off"]
    assert told["count"] == 3
    assert told["first"][0] == {
        "path": "/srv/inbox/soon",
        "why": "refused",
        "attempt": 3,
        "until": 5005.0,
    }
    activity.begin(replace(JOB, relpath="next"))
    clock.now += 10
    told = activity.snapshot(Waiting(), {}, {})["put_off"]
    assert [put["path"] for put in told["first"]] == ["/srv/inbox/late"]


def test_a_flood_of_files_that_are_put_off_is_bounded(activity: Activity, clock: Clock) -> None:
    for number in range(1500):
        activity.put_off(replace(JOB, relpath=str(number)), "refused", 2, 10.0)
    told = activity.snapshot(Waiting(), {}, {})["put_off"]
    assert (told["count"], len(told["first"])) == (1000, 20)
    clock.now += 20
    activity.put_off(JOB, "refused", 2, 10.0)
    assert activity.snapshot(Waiting(), {}, {})["put_off"]["count"] == 1


def test_an_outage_is_told_with_its_hint_apart(activity: Activity) -> None:
    activity.set_destination("bucket", "denied", error="no", hint="ask the owner", next_try=5001.0)
    assert activity.snapshot(Waiting(), {}, {})["destination"] == {
        "state": "denied",
        "since": 5000.0,
        "last_error": "no",
        "hint": "ask the owner",
        "next_try": 5001.0,
    }
    activity.set_destination("bucket", "ok")
    assert activity.snapshot(Waiting(), {}, {})["destination"]["hint"] is None


def test_planned_files_are_those_that_ended_that_fly_and_that_wait(activity: Activity) -> None:
    one, two = JOB, replace(JOB, operation_id=JOB.operation_id[:-1] + "f")
    activity.begin(one)
    activity.begin(two)
    activity.end(one, "success")
    told = activity.snapshot(Waiting(), {JOB.group: 3, "logs": 1}, {})["groups"]
    assert (told[JOB.group]["planned_files"], told[JOB.group]["uploaded"]) == (5, 1)
    assert told[JOB.group]["completed_at"] is None
    assert told["logs"]["planned_files"] == 1
    activity.end(two, None)  # put off: it waits
    activity.begin(two)
    activity.end(two, "failed")
    told = activity.snapshot(Waiting(), {}, {})["groups"]
    assert told[JOB.group]["planned_files"] == told[JOB.group]["uploaded"] + told[JOB.group]["failed"]
    assert told[JOB.group]["completed_at"] is not None


def test_the_destination_that_is_in_trouble_is_told_first(activity: Activity) -> None:
    activity.set_destination("a", "ok")
    activity.set_destination("b", "denied", error="no")
    beat = activity.snapshot(Waiting(), {}, {})
    assert beat["destination"]["state"] == "denied"
    assert {name: state["state"] for name, state in beat["destinations"].items()} == {
        "a": "ok",
        "b": "denied",
    }


def test_what_a_probe_moves_before_the_first_file_does_not_slow_the_rate_of_all(
    activity: Activity, monkeypatch: pytest.MonkeyPatch
) -> None:
    began = activity.last_progress
    monkeypatch.setattr("hotfolder.activity.time.monotonic", lambda: began + 100.0)
    activity.progressed()
    flight = activity.begin(JOB)
    monkeypatch.setattr("hotfolder.activity.time.monotonic", lambda: began + 101.0)
    flight.read(3)
    assert activity.bytes_per_second() == 3.0


def test_of_groups_without_end_the_first_that_ended_are_summed_up(clock: Clock) -> None:
    groups = Groups(clock, most=3)
    groups.begin("flies")
    for number in range(5):
        clock.now += 1
        groups.begin(f"day{number}")
        totals = groups.land(f"day{number}")
        totals.uploaded, totals.bytes_uploaded, totals.completed_at = 1, 10, clock.now
    told = groups.told({"day4": 1, "waits": 2, OTHERS: 3})
    assert set(told) == {"flies", "day3", "day4", OTHERS}
    assert told[OTHERS] == {
        "started_at": 5001.0,
        "uploaded": 3,
        "skipped": 0,
        "failed": 0,
        "bytes_uploaded": 30,
        "completed_at": None,
        "planned_files": 8,
    }
    assert told["day4"]["planned_files"] == 2
    assert told["flies"]["planned_files"] == 1
    assert groups.told({})[OTHERS]["completed_at"] == 5003.0
    assert Groups(clock, most=1).told({"a": 1, "b": 2}).keys() == {"a", OTHERS}
