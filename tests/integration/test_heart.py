"""What systemd's status line says: how much, and why no more."""

from typing import Any, cast

import pytest

from hotfolder.activity import Activity, Paused
from hotfolder.alarm import Alarm
from hotfolder.bandwidth import Bandwidth
from hotfolder.core.errors import DiskFull, LocalError
from hotfolder.heart import Heart
from hotfolder.inboxes import Inboxes
from hotfolder.recorder import Recorder


class Told:
    """A service manager's ear, an inbox list without inboxes, and a recorder in trouble or not."""

    folders: tuple[()] = ()

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.beats: list[dict[str, Any]] = []
        self.trouble: LocalError | None = None
        self.why_put_off: LocalError | None = None
        self.missing: list[str] = []

    def gone(self) -> list[str]:
        return self.missing

    def status(self, text: str) -> None:
        self.lines.append(text)

    def watchdog(self) -> None: ...
    def ready(self) -> None: ...
    def reloading(self) -> None: ...
    def stopping(self) -> None: ...


class Beating:
    def __init__(self) -> None:
        self.told = Told()
        self.activity = Activity(version="0", pid=1, host="nas", clock=lambda: 5000.0)
        self.now = 0.0
        self.heart = Heart(
            cast(Inboxes, self.told),
            gates=[],
            recorder=cast(Recorder, self.told),
            activity=self.activity,
            write=self.told.beats.append,
            notifier=self.told,
            clock=lambda: self.now,
            interval=1.0,
            bandwidth=Bandwidth(),
            alarm=Alarm(list, self.activity, clock=lambda: self.now),
        )

    def line(self) -> str:
        self.now += 2.0
        self.heart.beat()
        return self.told.lines[-1]


@pytest.fixture
def beating() -> Beating:
    return Beating()


COUNTS = "0 uploaded, 0 skipped, 0 failed, 0 in flight, 0 waiting"


def test_where_nothing_is_wrong_it_counts(beating: Beating) -> None:
    beating.activity.set_destination("bucket", "ok")
    assert beating.line() == f"idle: {COUNTS}"


def test_it_says_what_is_wrong_with_each_store_and_what_to_do(beating: Beating) -> None:
    beating.activity.set_destination("one", "denied", error="AccessDenied", hint="check the policy")
    beating.activity.set_destination("two", "ok")
    assert beating.line() == f"idle: {COUNTS}. one denied: AccessDenied; check the policy"


def test_it_says_why_this_machine_holds(beating: Beating) -> None:
    beating.told.trouble = DiskFull("cannot write /state: No space left", hint="free space")
    assert beating.line() == f"disk-full: {COUNTS}. cannot write /state: No space left; free space"
    assert beating.told.beats[-1]["hold"] == "cannot write /state: No space left; free space"
    beating.told.missing = ["/srv/inbox is not there; mount it"]
    assert beating.line().startswith(f"inbox-missing: {COUNTS}. /srv/inbox is not there")


def test_it_says_why_what_a_former_run_proved_is_not_finished(beating: Beating) -> None:
    beating.told.why_put_off = LocalError("cannot look at /done/a: Permission denied", hint="let it")
    assert beating.line() == f"idle: {COUNTS}. cannot look at /done/a: Permission denied; let it"
    assert beating.told.beats[-1]["hold"] == "cannot look at /done/a: Permission denied; let it"


def test_it_says_who_paused(beating: Beating) -> None:
    beating.activity.paused = Paused(1.0, "alice")
    assert beating.line() == f"paused: {COUNTS}. paused by alice"
