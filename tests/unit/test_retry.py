"""What follows an error: who waits, for how long, and whose fault it was."""

import pytest

from hotfolder.core.blame import Blame
from hotfolder.core.errors import (
    DestinationError,
    DestinationTrouble,
    FileRejected,
    HotfolderError,
    KeyTaken,
    LocalError,
    ObjectRefused,
    SourceChanged,
    UploadLost,
    VerificationFailed,
)
from hotfolder.core.retry import (
    Decision,
    Deferred,
    Hold,
    Policy,
    Quarantined,
    Resettle,
    backoff,
    decide,
)

POLICY = Policy(file_attempts=3, first_delay=2.0, longest_delay=60.0)
NOW = 1000.0
DENIED = DestinationError(DestinationTrouble.DENIED, "AccessDenied", may_be_one_keys=True)


def decided(
    error: BaseException, attempt: int = 1, *, jitter: float = 1.0, whose: Blame = Blame.STORE
) -> Decision:
    return decide(error, attempt, now=NOW, policy=POLICY, jitter=jitter, whose=whose)


@pytest.mark.parametrize("trouble", DestinationTrouble)
@pytest.mark.parametrize("attempt", [1, 3, 100])
def test_trouble_with_the_store_holds_the_destination_and_costs_no_attempt(
    trouble: DestinationTrouble, attempt: int
) -> None:
    error = DestinationError(trouble, "no answer", hint="wait")
    assert decided(error, attempt) == Hold("no answer; wait")


@pytest.mark.parametrize("attempt", [1, 3, 100])
def test_trouble_with_the_disk_holds_the_folder_and_costs_no_attempt(attempt: int) -> None:
    assert decided(LocalError("disk full"), attempt) == Hold("disk full")


@pytest.mark.parametrize("attempt", [1, 3, 100])
def test_a_changed_original_settles_again_and_costs_no_attempt(attempt: int) -> None:
    assert decided(SourceChanged("it grew"), attempt) == Resettle("it grew")


def test_what_can_never_be_delivered_is_quarantined_at_once() -> None:
    error = FileRejected("the key is too long", hint="shorten it")
    assert decided(error) == Quarantined("the key is too long; shorten it")


@pytest.mark.parametrize(
    "error",
    [
        VerificationFailed("other bytes"),
        ObjectRefused("no"),
        KeyTaken("taken"),
        UploadLost("gone"),
        HotfolderError("else"),
        RuntimeError("a defect"),
        OSError(5, "Input/output error"),
    ],
)
def test_a_fault_of_the_file_is_tried_again_and_given_up_in_the_end(error: Exception) -> None:
    first, second, third = (decided(error, attempt) for attempt in (1, 2, 3))
    assert isinstance(first, Deferred)
    assert isinstance(second, Deferred)
    assert (first.until, first.attempt) == (NOW + 2.0, 2)
    assert (second.until, second.attempt) == (NOW + 4.0, 3)
    assert isinstance(third, Quarantined)
    assert third.reason.startswith("gave up after 3 attempts: ")


def test_a_defect_of_ours_is_named_with_its_type() -> None:
    found = decided(KeyError("relpath"))
    assert isinstance(found, Deferred)
    assert found.reason == "KeyError: 'relpath'"


def test_a_single_attempt_means_no_second_one() -> None:
    policy = Policy(file_attempts=1)
    found = decide(ObjectRefused("no"), 1, now=NOW, policy=policy, jitter=0.0)
    assert isinstance(found, Quarantined)


@pytest.mark.parametrize("whose", [Blame.STORE, Blame.UNSURE])
def test_a_refusal_costs_no_attempt_unless_it_is_the_files_own(whose: Blame) -> None:
    assert decided(DENIED, 3, whose=whose) == Hold("AccessDenied")


def test_a_refusal_that_is_the_files_own_is_tried_again_and_given_up_in_the_end() -> None:
    assert isinstance(decided(DENIED, whose=Blame.FILE), Deferred)
    given_up = decided(DENIED, 3, whose=Blame.FILE)
    assert isinstance(given_up, Quarantined)
    assert given_up.reason.startswith(
        "gave up after 3 attempts: AccessDenied; the store took other files"
    )


@pytest.mark.parametrize("tries", [1, 2, 33, 34, 1_000_000])
@pytest.mark.parametrize("jitter", [0.0, 0.5, 1.0])
def test_a_wait_lies_between_half_and_all_of_the_doubled_delay(tries: int, jitter: float) -> None:
    wait = backoff(tries, first=2.0, longest=3600.0, jitter=jitter)
    full = min(3600.0, 2.0 * 2.0 ** min(tries - 1, 100))
    assert wait == full * (0.5 + jitter / 2)


def test_the_same_dice_give_the_same_decision() -> None:
    error = ObjectRefused("no")
    assert decided(error, jitter=0.25) == decided(error, jitter=0.25)
