"""Whose fault a refusal is, by what became of other files."""

import pytest

from hotfolder.core.answers import Subject, judge_fault
from hotfolder.core.blame import MOST_UNSURE, Blame, Evidence, blame
from hotfolder.core.errors import DestinationError, DestinationTrouble
from hotfolder.core.refusals import Fault

NOTHING = Evidence()
#: All that could speak against the file.
EVERYTHING = Evidence(took_others_since=True, taken_ago=0.0, unsure=0)


def denied() -> DestinationError:
    return DestinationError(DestinationTrouble.DENIED, "AccessDenied", may_be_one_keys=True)


def stalled(seconds: float, *, cut: bool = False) -> DestinationError:
    error = DestinationError(DestinationTrouble.UNREACHABLE, "no answer", may_be_one_keys=cut)
    error.failing_for = seconds
    return error


@pytest.mark.parametrize("trouble", DestinationTrouble)
def test_trouble_of_the_whole_store_is_no_files_fault_whatever_became_of_others(
    trouble: DestinationTrouble,
) -> None:
    assert blame(DestinationError(trouble, "full, or the clock is wrong"), EVERYTHING) is Blame.STORE


def test_a_denial_is_the_files_own_once_the_store_took_others_since() -> None:
    assert blame(denied(), Evidence(took_others_since=True)) is Blame.FILE


@pytest.mark.parametrize("unsure", range(MOST_UNSURE))
def test_single_denials_among_files_that_are_taken_hold_nobody(unsure: int) -> None:
    assert blame(denied(), Evidence(unsure=unsure)) is Blame.UNSURE


@pytest.mark.parametrize("unsure", [MOST_UNSURE, MOST_UNSURE + 1])
def test_denials_with_nothing_taken_between_them_are_the_stores(unsure: int) -> None:
    assert blame(denied(), Evidence(unsure=unsure)) is Blame.STORE


def test_of_a_store_that_took_nothing_yet_a_denial_is_an_outage() -> None:
    assert blame(denied(), NOTHING) is Blame.STORE


@pytest.mark.parametrize("cut", [True, False])
def test_a_stall_is_the_files_own_where_the_store_took_others_meanwhile(*, cut: bool) -> None:
    assert blame(stalled(600.0, cut=cut), Evidence(taken_ago=599.0)) is Blame.FILE
    assert blame(stalled(600.0, cut=cut), Evidence(taken_ago=600.0)) is Blame.STORE


def test_a_cut_comes_at_once_and_is_judged_as_a_denial_too() -> None:
    assert blame(stalled(0.1, cut=True), Evidence(took_others_since=True)) is Blame.FILE
    assert blame(stalled(0.1), Evidence(took_others_since=True)) is Blame.STORE
    assert blame(stalled(0.1, cut=True), Evidence(unsure=0)) is Blame.UNSURE
    assert blame(stalled(0.1), Evidence(unsure=0)) is Blame.STORE


@pytest.mark.parametrize("fault", Fault)
def test_of_requests_without_an_answer_a_cut_alone_may_be_a_matter_of_one_content(fault: Fault) -> None:
    error = judge_fault(Subject("PutObject", "media", "virus.exe"), fault, "reset by peer").error
    assert isinstance(error, DestinationError)
    whose = blame(error, EVERYTHING)
    assert whose is (Blame.FILE if fault is Fault.CUT else Blame.STORE)
