"""What a restart finishes: every state a crash can leave, and nothing done twice."""

import itertools
from dataclasses import dataclass, field, replace

import pytest

from hotfolder.core.records import Disposition, Fingerprint, JournalRow
from hotfolder.core.recovery import Forget, Found, MoveAndRecord, Record, Step, plan, plan_row
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


@pytest.mark.parametrize("disposition", Disposition)
@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize("moved_to", [None, TARGET])
@pytest.mark.parametrize("recorded", [False, True])
def test_every_state_has_its_one_step(
    disposition: Disposition, source: Fingerprint | None, moved_to: str | None, recorded: bool
) -> None:
    ended = decided(disposition)
    step = plan_row(ended, Found(source, moved_to), recorded=recorded)
    assert step.row == ended
    if recorded:
        assert isinstance(step, Forget), "the ledger has the last word"
    elif moved_to is not None:
        assert step == Record(ended, moved_to), "whatever stands in the inbox is another file"
    elif source is None:
        assert step == Record(ended, None, lost=disposition is not Disposition.LEAVE)
    elif source not in {PROVEN, TOUCHED}:
        assert isinstance(step, Forget), "a new version is delivered anew"
    elif disposition is Disposition.LEAVE:
        assert step == Record(ended, None)
    else:
        assert step == MoveAndRecord(ended)


def test_rows_are_finished_in_their_order_and_each_by_its_own_facts() -> None:
    rows = [decided(number=number) for number in range(1, 5)]
    found = [Found(PROVEN, None), Found(None, TARGET), Found(None, None), Found(CHANGED, None)]
    steps = plan(list(zip(rows, found, strict=True)), frozenset({rows[2].operation_id}))
    assert [type(step) for step in steps] == [MoveAndRecord, Record, Forget, Forget]
    assert [step.row for step in steps] == rows


# -- a model of the disk, killed between any two steps -------------------------------------------


@dataclass
class Disk:
    """What outlives a crash. `moves` and `lines` count what must happen once."""

    inbox: Fingerprint | None = PROVEN
    target: Fingerprint | None = None
    journal: list[JournalRow] = field(default_factory=list)
    ledger: list[str] = field(default_factory=list)
    moves: int = 0

    def write_journal(self, ended: JournalRow) -> None:
        self.journal.append(ended)

    def move(self) -> None:
        assert self.inbox is not None
        moved = replace(self.inbox, ctime_ns=self.inbox.ctime_ns + 1)
        self.inbox, self.target = None, moved
        self.moves += 1

    def write_ledger(self, ended: JournalRow) -> None:
        self.ledger.append(ended.operation_id)

    def forget(self) -> None:
        self.journal.clear()


class Killed(BaseException):
    pass


@dataclass
class Fuse:
    """Lets `steps` steps happen and kills at the next."""

    steps: int

    def burn(self) -> None:
        if self.steps == 0:
            raise Killed
        self.steps -= 1


def deliver(disk: Disk, ended: JournalRow, fuse: Fuse) -> None:
    fuse.burn()
    disk.write_journal(ended)
    fuse.burn()
    disk.move()
    fuse.burn()
    disk.write_ledger(ended)
    fuse.burn()
    disk.forget()
    fuse.burn()


def restart(disk: Disk, fuse: Fuse) -> list[Step]:
    """As `Recorder.recover` acts: the steps, then the ledger, then the journal."""

    def found(ended: JournalRow) -> Found:
        there = disk.target is not None and ended.fingerprint.survived_move(disk.target)
        return Found(disk.inbox, TARGET if there else None)

    steps = plan([(ended, found(ended)) for ended in disk.journal], frozenset(disk.ledger))
    lines = []
    for step in steps:
        fuse.burn()
        if isinstance(step, MoveAndRecord):
            disk.move()
        if not isinstance(step, Forget):
            lines.append(step.row)
    fuse.burn()
    for ended in lines:
        disk.write_ledger(ended)
    fuse.burn()
    disk.forget()
    return steps


@pytest.mark.parametrize(("killed_at", "killed_again_at"), list(itertools.product(range(6), range(5))))
def test_killed_between_any_two_steps_and_again_in_the_recovery_all_happens_once(
    killed_at: int, killed_again_at: int
) -> None:
    disk, ended = Disk(), decided()
    try:
        deliver(disk, ended, Fuse(killed_at))
    except Killed:
        try:
            restart(disk, Fuse(killed_again_at))
        except Killed:
            restart(disk, Fuse(100))
    began = killed_at >= 1
    if began:
        assert (disk.inbox, disk.moves) == (None, 1)
        assert disk.ledger == [ended.operation_id]
    else:
        assert (disk.inbox, disk.moves, disk.ledger) == (PROVEN, 0, []), "never proven: delivered anew"
    assert disk.journal == []


@pytest.mark.parametrize("killed_at", range(1, 5))
def test_a_second_restart_finds_nothing_to_do(killed_at: int) -> None:
    disk, ended = Disk(), decided()
    with pytest.raises(Killed):
        deliver(disk, ended, Fuse(killed_at))
    restart(disk, Fuse(100))
    assert restart(disk, Fuse(100)) == []


@pytest.mark.parametrize("killed_at", [1, 2, 3, 4])
def test_a_new_file_that_took_the_name_meanwhile_is_never_moved_nor_recorded(killed_at: int) -> None:
    disk, ended = Disk(), decided()
    with pytest.raises(Killed):
        deliver(disk, ended, Fuse(killed_at))
    disk.inbox = REPLACED
    moves = disk.moves
    restart(disk, Fuse(100))
    assert disk.inbox == REPLACED
    assert disk.moves == moves
    assert disk.ledger == ([ended.operation_id] if moves else [])
