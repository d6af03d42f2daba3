"""What a restart finishes: one step for every state that a crash can leave."""

from dataclasses import replace

import pytest

from hotfolder.core.records import Disposition, Fingerprint, JournalRow
from hotfolder.core.recovery import Forget, Found, MoveAndRecord, Record, RemoveAndRecord, plan, plan_row
from tests.support.samples import fingerprint, job, row

PROVEN = fingerprint()
TOUCHED = replace(PROVEN, ctime_ns=PROVEN.ctime_ns + 1)  # as after a rename to and fro
CHANGED = replace(PROVEN, size=PROVEN.size + 1)
REWRITTEN = replace(PROVEN, mtime_ns=PROVEN.mtime_ns + 1)
REPLACED = replace(PROVEN, inode=PROVEN.inode + 1)
SOURCES = [None, PROVEN, TOUCHED, CHANGED, REWRITTEN, REPLACED]
TARGET = "/srv/completed/reels/clip.mp4"


def decided(disposition: Disposition = Disposition.COMPLETED, number: int = 1) -> JournalRow:
    return row(job(seen=PROVEN, number=number), disposition=disposition)


@pytest.mark.parametrize("disposition", [Disposition.COMPLETED, Disposition.FAILED])
@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize("moved_to", [None, TARGET])
def test_what_was_to_move(
    disposition: Disposition, source: Fingerprint | None, moved_to: str | None
) -> None:
    ended = decided(disposition)
    step = plan_row(ended, Found(source, moved_to), recorded=False)
    if moved_to is not None and source in {PROVEN, TOUCHED}:
        assert step == RemoveAndRecord(ended, moved_to), "a copy or a hard link: the old name goes"
    elif moved_to is not None:
        assert step == Record(ended, moved_to), "whatever stands in the inbox is another file"
    elif source is None:
        assert step == Record(ended, None, lost=True)
    elif source in {PROVEN, TOUCHED}:
        assert step == MoveAndRecord(ended)
    else:
        assert isinstance(step, Forget), "a new version is delivered anew"


@pytest.mark.parametrize("disposition", [Disposition.KEEP, Disposition.LEAVE, Disposition.IN_PLACE])
@pytest.mark.parametrize("source", SOURCES)
def test_what_was_to_stay_is_recorded_whatever_became_of_it(
    disposition: Disposition, source: Fingerprint | None
) -> None:
    ended = decided(disposition)
    assert plan_row(ended, Found(source, None), recorded=False) == Record(ended, None)


@pytest.mark.parametrize("aside", [False, True])
@pytest.mark.parametrize("source", SOURCES)
def test_what_was_to_be_deleted(source: Fingerprint | None, aside: bool) -> None:
    ended = decided(Disposition.DELETE)
    step = plan_row(ended, Found(source, None, aside), recorded=False)
    if source == PROVEN or (source == TOUCHED and aside):
        assert step == RemoveAndRecord(ended, None)
    elif source == TOUCHED:
        assert isinstance(step, Forget), "not removed, and something about it changed: anew"
    else:
        assert step == Record(ended, None), "it was removed; who stands there came later"


@pytest.mark.parametrize("disposition", Disposition)
@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize("moved_to", [None, TARGET])
def test_the_ledger_has_the_last_word(
    disposition: Disposition, source: Fingerprint | None, moved_to: str | None
) -> None:
    ended = decided(disposition)
    step = plan_row(ended, Found(source, moved_to), recorded=True)
    assert isinstance(step, Forget)
    assert step.row == ended


def test_rows_are_finished_in_their_order_and_each_by_its_own_facts() -> None:
    rows = [decided(number=number) for number in range(1, 5)]
    found = [Found(PROVEN, None), Found(None, TARGET), Found(None, None), Found(CHANGED, None)]
    steps = plan(list(zip(rows, found, strict=True)), frozenset({rows[2].operation_id}))
    assert [type(step) for step in steps] == [MoveAndRecord, Record, Forget, Forget]
    assert [step.row for step in steps] == rows
