"""The way to the store: held once for an outage, opened by the probe that gets through."""

import pytest
from structlog.testing import capture_logs

from hotfolder.activity import Activity
from hotfolder.core.errors import DestinationError, DestinationTrouble, LocalError
from hotfolder.core.retry import Policy
from hotfolder.gate import Gate
from tests.support.refusing_store import RefusingStore

POLICY = Policy(first_hold=1.0, longest_hold=8.0)


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
            policy=POLICY,
            clock=self.clock,
            wall=lambda: 5000.0,
            jitter=lambda: 1.0,
        )


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


async def test_probes_come_at_doubling_intervals_up_to_the_limit() -> None:
    way = Way(*[trouble()] * 6)
    way.gate.hold(trouble())
    waits = []
    for _ in range(6):
        waits.append(way.gate.next_probe - way.clock.now)
        assert not way.gate.due()
        way.clock.now = way.gate.next_probe
        assert way.gate.due()
        await way.gate.probe()
    assert waits == [1.0, 2.0, 4.0, 8.0, 8.0, 8.0]


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
    assert way.activity.destination.state == "denied"
    assert way.activity.destination.next_try == 5001.0
    await way.gate.probe()
    assert way.gate.held is None
    assert not way.gate.due()
    assert way.activity.destination.state == "ok"
    assert way.activity.destination.last_error is None
    assert way.activity.destination.next_try is None


async def test_the_next_outage_begins_with_short_waits_again() -> None:
    way = Way(trouble(), trouble(), None)
    way.gate.hold(trouble())
    for _ in range(3):
        await way.gate.probe()
    way.gate.took(way.clock.now + 1)
    way.gate.hold(trouble())
    assert way.gate.next_probe - way.clock.now == 1.0


async def test_a_first_probe_that_fails_holds_the_gate_as_a_file_would() -> None:
    way = Way(trouble(DestinationTrouble.NO_BUCKET, "there is no bucket"))
    with capture_logs() as logs:
        await way.gate.probe()
    assert [line["event"] for line in logs] == ["destination.held"]
    assert way.gate.held is not None
    assert way.gate.held.trouble is DestinationTrouble.NO_BUCKET
    assert way.activity.destination.state == "no-bucket"


async def test_a_trouble_that_changes_its_kind_shows_and_stays_one_outage() -> None:
    way = Way(trouble(DestinationTrouble.EXPIRED, "the token expired"))
    with capture_logs() as logs:
        way.gate.hold(trouble())
        await way.gate.probe()
    assert [line["event"] for line in logs] == ["destination.held"]
    assert way.activity.destination.state == "expired"
    assert way.activity.destination.last_error == "the token expired"
    assert way.activity.destination.hint == "is the network up?"


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
    way = Way(None, None, None, None)
    waits = []
    for delivered in (0, 0, 0, 1):
        if delivered:
            way.gate.took(way.clock.now + 0.5)
        way.gate.hold(trouble(DestinationTrouble.DENIED))
        waits.append(way.gate.next_probe - way.clock.now)
        way.clock.now = way.gate.next_probe
        await way.gate.probe()
        assert way.gate.held is None
    assert waits == [1.0, 2.0, 4.0, 1.0]
