"""Killed between any two steps, in the recovery too, and meddled with in between: all ends well once."""

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace

import pytest

from hotfolder.core.records import Disposition, Fingerprint, JournalRow
from hotfolder.core.recovery import (
    Forget,
    Found,
    MoveAndRecord,
    RemoveAndRecord,
    plan,
)
from tests.support.samples import fingerprint, job, row

PROVEN = fingerprint()
OTHER_DEVICE = 99
TARGET = "/srv/completed/reels/clip.mp4"

#: What people do to an inbox while nobody looks: the file that stands there now, made of what stood.
MEDDLING: dict[str, Callable[[Fingerprint | None], Fingerprint | None]] = {
    "nothing": lambda there: there,
    "grown": lambda there: there and replace(there, size=there.size + 1),
    "rewritten": lambda there: there and replace(there, mtime_ns=there.mtime_ns + 1),
    "chmod": lambda there: there and replace(there, ctime_ns=there.ctime_ns + 1),
    "replaced": lambda _: replace(PROVEN, inode=PROVEN.inode + 1),
    "a new file with the old one's inode": lambda _: replace(PROVEN, mtime_ns=PROVEN.mtime_ns + 5),
    "gone": lambda _: None,
}


class Killed(BaseException):
    pass


@dataclass
class Disk:
    """What outlives a crash, and how its file systems rename: "rename", "link" or "copy".

    Every primitive is one step; the fuse kills before the next. `held` is a copy's or a link's inode.
    """

    way: str
    fuse: int = 1000
    inbox: Fingerprint | None = PROVEN
    aside: Fingerprint | None = None
    copy: Fingerprint | None = None
    target: Fingerprint | None = None
    journal: dict[str, JournalRow] = field(default_factory=dict)
    ledger: list[str] = field(default_factory=list)
    foreign: set[Fingerprint] = field(default_factory=set)

    def burn(self) -> None:
        if self.fuse == 0:
            raise Killed
        self.fuse -= 1

    def commit(self, ended: JournalRow) -> None:
        self.burn()
        self.journal[ended.operation_id] = ended

    def append(self, ended: JournalRow) -> None:
        self.burn()
        self.ledger.append(ended.operation_id)

    def forget(self) -> None:
        self.burn()
        self.journal.clear()

    def set_aside(self) -> None:
        self.burn()
        assert self.inbox is not None
        self.aside, self.inbox = touched(self.inbox), None

    def unlink_aside(self) -> None:
        self.burn()
        assert self.aside is not None
        assert PROVEN.survived_move(self.aside), "only what was proven is ever removed"
        assert self.journal, "and only with the proof on the disk"
        self.aside = None

    def put_back(self) -> None:
        self.burn()
        if self.inbox is None:
            self.inbox, self.aside = self.aside, None
        else:  # under its clash name: another file, to be delivered
            assert self.aside is not None
            self.foreign.add(self.aside)
            self.aside = None

    def rename(self) -> None:
        self.burn()
        assert self.inbox is not None
        assert self.target is None
        self.target, self.inbox = touched(self.inbox), None

    def link(self) -> None:
        self.burn()
        assert self.inbox is not None
        self.inbox = self.target = touched(self.inbox)

    def make_copy(self) -> Fingerprint:
        self.burn()
        self.copy = None
        self.burn()
        self.copy = replace(PROVEN, device=OTHER_DEVICE, inode=5, size=7)  # half made
        self.burn()
        self.copy = replace(PROVEN, device=OTHER_DEVICE, inode=5)
        return self.copy

    def rename_copy(self) -> None:
        self.burn()
        assert self.target is None
        self.copy, self.target = None, self.copy

    def clear_copy(self) -> None:
        self.burn()
        self.copy = None


def touched(there: Fingerprint) -> Fingerprint:
    """Some file systems count a rename as a change."""
    return replace(there, ctime_ns=there.ctime_ns + 1)


def remove(disk: Disk, ended: JournalRow) -> bool:
    """`Finisher.remove`: whether the original is gone."""
    if disk.aside is None:
        if disk.inbox is None:
            return True
        strict = ended.disposition is Disposition.DELETE
        if disk.inbox != PROVEN if strict else not PROVEN.survived_move(disk.inbox):
            return False
        disk.set_aside()
    assert disk.aside is not None
    if PROVEN.survived_move(disk.aside):
        disk.unlink_aside()
        return True
    disk.put_back()
    return False


def move(disk: Disk, ended: JournalRow) -> JournalRow | None:
    """`Recorder` from the move to the removal; None where the source is not what was proven."""
    if disk.inbox != PROVEN:
        disk.clear_copy()
        return None
    if disk.way == "rename":
        disk.rename()
    elif disk.way == "link":
        disk.link()
        disk.set_aside()
        disk.unlink_aside()
    else:
        if ended.copy is None or disk.copy != ended.copy:
            ended = replace(ended, copy=disk.make_copy())
            disk.commit(ended)
        disk.rename_copy()
        remove(disk, ended)
    return ended


def deliver(disk: Disk, ended: JournalRow) -> None:
    disk.commit(ended)
    if ended.disposition.moves:
        assert move(disk, ended) is not None
    elif ended.disposition is Disposition.DELETE:
        assert remove(disk, ended)
    disk.append(ended)
    disk.forget()


def find(disk: Disk, ended: JournalRow) -> Found:
    """`Finisher.find`."""
    moved_to = None
    if ended.disposition.moves and disk.target is not None:
        known = ended.copy or PROVEN
        moved_to = TARGET if known.survived_move(disk.target) else None
    if disk.aside is not None:
        may_go = moved_to is not None or ended.disposition is Disposition.DELETE
        if may_go and PROVEN.survived_move(disk.aside):
            return Found(disk.aside, moved_to, aside=True)
        disk.put_back()
    return Found(disk.inbox, moved_to)


def restart(disk: Disk) -> None:
    """`Restart.finish`, and what it leaves to the recorder."""
    facts = [(ended, find(disk, ended)) for ended in disk.journal.values()]
    for step in plan(facts, frozenset(disk.ledger)):
        line: JournalRow | None = step.row
        match step:
            case Forget():
                disk.clear_copy()
                line = None
            case MoveAndRecord():
                line = move(disk, step.row)
            case RemoveAndRecord(_, moved_to):
                if not remove(disk, step.row) and moved_to is None:
                    line = None
            case _:
                disk.clear_copy()
        if line is not None:
            disk.append(line)
    disk.forget()


def decided(disposition: Disposition) -> JournalRow:
    return row(job(seen=PROVEN), disposition=disposition)


def worlds() -> Iterator[tuple[Disposition, str, str]]:
    """(disposition, how the file systems rename, what people do)."""
    for disposition in (Disposition.COMPLETED, Disposition.FAILED):
        yield from itertools.product([disposition], ["rename", "link", "copy"], MEDDLING)
    yield from itertools.product([Disposition.DELETE, Disposition.KEEP], ["rename"], MEDDLING)


def run_until(disk: Disk, steps: int, act: Callable[[], None]) -> None:
    disk.fuse = steps
    try:
        act()
    except Killed:
        pass
    finally:
        disk.fuse = 1000


@pytest.mark.parametrize(("disposition", "way", "meddling"), list(worlds()))
def test_whatever_is_killed_and_meddled_with_every_file_ends_once_in_one_place(
    disposition: Disposition, way: str, meddling: str
) -> None:
    ended = decided(disposition)
    for killed_at, killed_again_at, meddled_after in itertools.product(range(14), range(14), range(2)):
        disk = Disk(way)
        run_until(disk, killed_at, lambda disk=disk: deliver(disk, ended))  # type: ignore[misc]
        began = bool(disk.journal or disk.ledger)
        if meddled_after == 0:
            disk.inbox = MEDDLING[meddling](disk.inbox)
        run_until(disk, killed_again_at, lambda disk=disk: restart(disk))  # type: ignore[misc]
        if meddled_after == 1:
            disk.inbox = MEDDLING[meddling](disk.inbox)
        dropped = disk.inbox
        restart(disk)
        judge(disk, ended, meddling, began=began, dropped=dropped)
        restart(disk)
        judge(disk, ended, meddling, began=began, dropped=dropped)


def judge(
    disk: Disk, ended: JournalRow, meddling: str, *, began: bool, dropped: Fingerprint | None
) -> None:
    story = f"{ended.disposition} by {disk.way}, {meddling}: {disk}"
    assert not disk.journal, story
    assert disk.aside is None, f"nothing stays hidden in the inbox; {story}"
    assert disk.copy is None, f"no half-made copy stays; {story}"
    lines = len(disk.ledger)
    assert lines <= 1, f"never recorded twice; {story}"
    assert lines == 0 or began, f"nothing unproven is recorded; {story}"
    in_inbox = disk.inbox is not None and PROVEN.survived_move(disk.inbox)
    if disk.target is not None:
        assert lines == 1, f"what was moved is recorded; {story}"
        assert not in_inbox, f"never in two places; {story}"
    if dropped is not None and not PROVEN.survived_move(dropped):
        assert disk.inbox == dropped, f"what came later is never touched; {story}"
    if began and meddling == "nothing":
        assert lines == 1, story
        assert (disk.target is not None) == ended.disposition.moves, story
        assert in_inbox == (ended.disposition is Disposition.KEEP), story
    if began and meddling == "gone":
        assert lines == 1, f"the object is there: somebody must know whose it is; {story}"
    if lines == 0:
        assert disk.inbox is not None or meddling == "gone", f"what is not recorded is there; {story}"
    if lines == 1 and in_inbox:
        assert ended.disposition is Disposition.KEEP, f"recorded, and still to be delivered; {story}"
