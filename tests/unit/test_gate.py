"""The way to the store: held once for an outage, opened by the probe and the file that get through."""

import asyncio
import math

import pytest
from structlog.testing import capture_logs

from hotfolder.activity import Activity
from hotfolder.core.errors import DestinationError, DestinationTrouble, LocalError
from hotfolder.core.holding import FIRST_FILES, Cadence
from hotfolder.gate import Gate
from tests.support.refusing_store import RefusingStore

MOST = 64
CADENCES = dict.fromkeys(DestinationTrouble, Cadence(1.0, 8.0, share=0.5))


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def trouble(
    kind: DestinationTrouble = DestinationTrouble.UNREACHABLE, message: str = "no answer"
) -> DestinationError:
    return DestinationError(kind, message, hint="is the network up?")


class Way:
    """A gate with all that it stands between."""

    def __init__(self, *answers: Exception | None) -> None:
        self.clock = Clock()
        self.store = RefusingStore(answers)
        self.activity = Activity(version="0", pid=1, host="nas", clock=lambda: 5000.0)
        self.gate = Gate(
            self.store,
            self.activity,
            name="bucket",
            paces=CADENCES,
            most=MOST,
            clock=self.clock,
            wall=lambda: 5000.0,
            jitter=lambda: 1.0,
        )

    def deliver(self) -> None:
        """A file starts now and is taken."""
        self.clock.now += 0.001
        passage = self.gate.enter(lambda: None)
        passage.decided("recording")
        self.gate.took(passage.began)

    def shown(self) -> str:
        return self.activity.destination.state

    def next_try(self) -> float | None:
        return self.activity.destination.next_try

    def error(self) -> str | None:
        return self.activity.destination.last_error

    def starts(self) -> int:
        """How many more files may start."""
        passages = []
        while self.gate.has_room():
            passages.append(self.gate.enter(lambda: None))
        for passage in passages:
            passage.leave()
        return len(passages)


def test_a_gate_is_open_at_first() -> None:
    way = Way()
    assert way.gate.held is None
    assert not way.gate.due()


async def test_an_outage_is_logged_once_whatever_number_of_files_ran_into_it() -> None:
    way = Way(trouble(), trouble(), None)
    with capture_logs() as logs:
        for _ in range(500):
            way.gate.hold(trouble())
        for _ in range(3):
            way.clock.now = way.gate.next_probe
            await way.gate.probe()
    events = [(line["event"], line["log_level"]) for line in logs]
    assert events == [("destination.held", "warning"), ("destination.back", "info")]
    assert logs[0]["trouble"] == "unreachable"
    assert logs[0]["hint"] == "is the network up?"


async def test_probes_come_at_growing_intervals_up_to_the_limit() -> None:
    way = Way(*[trouble()] * 9)
    way.gate.hold(trouble())
    waits = []
    for _ in range(9):
        waits.append(round(way.gate.next_probe - way.clock.now, 2))
        assert not way.gate.due()
        way.clock.now = way.gate.next_probe
        assert way.gate.due()
        await way.gate.probe()
    assert waits == [1.0, 1.0, 1.0, 1.5, 2.25, 3.38, 5.06, 7.59, 8.0]


async def test_the_wait_counts_from_the_begin_of_the_probe_that_failed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    way = Way()

    async def fail_late() -> None:
        way.clock.now += 0.9
        raise trouble()

    monkeypatch.setattr(way.store, "check", fail_late)
    way.gate.hold(trouble())
    way.clock.now = begun = way.gate.next_probe
    await way.gate.probe()
    assert way.gate.next_probe == begun + 1.0


async def test_more_files_in_trouble_do_not_put_the_next_probe_off() -> None:
    way = Way()
    way.gate.hold(trouble())
    moment = way.gate.next_probe
    way.clock.now += 0.9
    way.gate.hold(trouble())
    assert way.gate.next_probe == moment


async def test_the_probe_that_gets_through_opens_the_gate() -> None:
    way = Way(None)
    way.gate.hold(trouble(DestinationTrouble.DENIED))
    assert way.shown() == "denied"
    assert way.next_try() == 5001.0
    await way.gate.probe()
    assert way.gate.is_open()
    assert not way.gate.due()
    assert way.shown() == "trying", "no probe runs into this: a file must tell"
    assert way.error() == "no answer"
    assert way.next_try() is None
    way.deliver()
    assert way.shown() == "ok"
    assert not way.error()


async def test_a_first_probe_that_fails_holds_the_gate_as_a_file_would() -> None:
    way = Way(trouble(DestinationTrouble.NO_BUCKET, "there is no bucket"))
    with capture_logs() as logs:
        await way.gate.probe()
    assert [line["event"] for line in logs] == ["destination.held"]
    assert way.gate.held is not None
    assert way.gate.held.trouble is DestinationTrouble.NO_BUCKET
    assert way.activity.destination.state == "no-bucket"


async def test_a_trouble_that_changes_its_kind_is_told_once_and_stays_one_outage() -> None:
    expired = trouble(DestinationTrouble.EXPIRED, "the token expired")
    way = Way(*[trouble(), expired] * 5, None)
    with capture_logs() as logs:
        way.gate.hold(trouble())
        for _ in range(10):
            await way.gate.probe()
        assert way.activity.destination.state == "expired"
        assert way.activity.destination.last_error == "the token expired"
        assert way.activity.destination.hint == "is the network up?"
        way.clock.now += 90.0
        await way.gate.probe()
    events = [line["event"] for line in logs]
    assert events == ["destination.held", "destination.changed", "destination.back"]
    assert logs[1]["trouble"] == "expired"
    assert logs[2]["lasted"] == 90.0


async def test_a_gate_that_was_never_held_says_nothing_when_the_store_answers() -> None:
    way = Way(None)
    with capture_logs() as logs:
        await way.gate.probe()
    assert logs == []
    assert way.activity.destination.state == "ok"


async def test_an_error_that_is_no_trouble_of_the_store_is_not_swallowed() -> None:
    way = Way(LocalError("too many open files"))
    with pytest.raises(LocalError):
        await way.gate.probe()


async def test_a_store_that_answers_and_takes_nothing_is_asked_less_and_less_often() -> None:
    # A policy may allow to list and deny to put: every probe gets through, and no file does.
    way = Way(*[None] * 12)
    waits = []
    with capture_logs() as logs:
        for _ in range(12):
            assert way.gate.has_room()
            passage = way.gate.enter(lambda: None)
            way.gate.refuse(trouble(DestinationTrouble.DENIED))
            passage.leave()
            waits.append(round(way.gate.next_probe - way.clock.now, 2))
            way.clock.now = way.gate.next_probe
            await way.gate.probe()
            assert way.gate.held is None
        assert [line["event"] for line in logs] == ["destination.held"], "it never was back"
        way.deliver()
    assert waits == [1.0, 1.0, 1.0, 1.5, 2.25, 3.38, 5.06, 7.59, 8.0, 8.0, 8.0, 8.0]
    assert [line["event"] for line in logs] == ["destination.held", "destination.back"]
    way.gate.hold(trouble())
    assert way.gate.next_probe - way.clock.now == 1.0, "the next outage begins anew"


async def test_an_end_that_was_told_too_soon_is_told_once_more_and_not_again_and_again() -> None:
    # The network was gone, and when it is back the policy has changed: lists get through, files do not.
    way = Way(trouble(), *[None] * 6)
    with capture_logs() as logs:
        way.gate.hold(trouble())
        await way.gate.probe()
        await way.gate.probe()
        for _ in range(5):
            way.gate.hold(trouble(DestinationTrouble.DENIED))
            await way.gate.probe()
        way.deliver()
    assert [(line["event"], line.get("trouble")) for line in logs] == [
        ("destination.held", "unreachable"),
        ("destination.back", None),
        ("destination.held", "denied"),
        ("destination.back", None),
    ]


async def test_trouble_long_after_the_store_was_back_is_another_outage() -> None:
    way = Way(trouble(), None)
    with capture_logs() as logs:
        way.gate.hold(trouble())
        await way.gate.probe()
        await way.gate.probe()
        way.clock.now += 3600.0
        way.gate.hold(trouble())
    assert [line["event"] for line in logs] == [
        "destination.held",
        "destination.back",
        "destination.held",
    ]
    assert way.gate.next_probe - way.clock.now == 1.0


async def test_what_the_store_asks_for_is_waited_for() -> None:
    way = Way()
    error = DestinationError(DestinationTrouble.THROTTLED, "SlowDown", retry_after=40.0)
    way.gate.hold(error)
    assert 40.0 <= way.gate.next_probe - way.clock.now <= 44.0


async def test_a_probe_that_hangs_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    way = Way()
    way.gate.hold(trouble())
    monkeypatch.setattr(way.store, "check", asyncio.Event().wait)
    monkeypatch.setattr("hotfolder.gate._PATIENCE", 0.01)
    await way.gate.probe()
    assert way.gate.held is not None
    assert "no answer within 0.01 s" in str(way.gate.held)


def test_few_files_start_at_first_and_all_once_the_store_takes_them() -> None:
    way = Way()
    assert way.starts() == FIRST_FILES
    for expected in (8, 16, 32, 64, 64):
        way.deliver()
        assert way.starts() == expected


def test_a_file_that_is_decided_makes_room_while_it_is_recorded() -> None:
    way, woken = Way(), []
    passages = [way.gate.enter(lambda: woken.append(1)) for _ in range(FIRST_FILES)]
    assert not way.gate.has_room()
    passages[0].decided("giving up")
    assert way.gate.has_room()
    passages[1].decided("recording")
    passages[1].leave()
    assert len(woken) == 2
    assert way.starts() == 2 * FIRST_FILES - 2


async def test_after_a_hold_one_file_is_risked_and_one_more_each_second() -> None:
    way = Way(None)
    for _ in range(6):
        way.deliver()
    way.gate.hold(trouble())
    assert not way.gate.has_room()
    way.clock.now += 300.0
    await way.gate.probe()
    assert way.starts() == 1
    way.clock.now += 2.0
    assert way.starts() == 3, "a large or stubborn file does not keep all others back"
    way.deliver()
    assert way.starts() == 4


def test_single_refusals_among_files_that_are_taken_hold_nobody() -> None:
    way = Way()
    odd = DestinationError(DestinationTrouble.DENIED, "AccessDenied", may_be_one_keys=True)
    way.gate.took(way.clock.now)
    for _ in range(3):
        way.gate.refuse(odd)
        assert way.gate.held is None
    way.gate.took(way.clock.now)
    for _ in range(3):
        way.gate.refuse(odd)
    assert way.gate.held is None
    way.gate.refuse(odd)
    assert way.gate.held is odd, "nothing was taken between four of them"


@pytest.mark.parametrize("kind", DestinationTrouble)
def test_trouble_of_the_whole_store_holds_at_once(kind: DestinationTrouble) -> None:
    way = Way()
    way.gate.took(way.clock.now)
    way.gate.refuse(trouble(kind))
    assert way.gate.held is not None
    assert way.activity.destination.state == kind.value


def test_a_store_that_hangs_is_shown_where_files_are_on_their_way() -> None:
    way = Way()
    way.deliver()
    way.gate.tell_silence(500.0, after=120.0)
    assert way.shown() == "unknown", "nothing is asked of it"
    passage = way.gate.enter(lambda: None)
    way.gate.tell_silence(119.0, after=120.0)
    assert way.shown() == "unknown"
    way.gate.tell_silence(120.0, after=120.0)
    assert way.shown() == "silent"
    passage.decided("recording")
    way.gate.tell_silence(0.0, after=120.0)
    assert way.shown() == "ok"


async def test_while_a_probe_is_under_way_nothing_is_due() -> None:
    # Else the daemon's loop would spin as long as a probe hangs.
    way = Way(None)
    assert way.gate.next_turn() == math.inf
    way.gate.hold(trouble())
    assert way.gate.next_turn() == way.gate.next_probe
    way.gate.probing = asyncio.create_task(way.gate.probe())
    assert way.gate.next_turn() == math.inf
    await way.gate.probing
    way.gate.hold(trouble())
    assert way.gate.next_turn() == way.gate.next_probe
