"""Short forms of `make bench-landing`: whatever lands is found, whole, once, and only when it is whole.

What is not installed, or not allowed to this user, is not tried; with REQUIRE_LANDING=1 the former is a
failure.
"""

import os
import random
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from hotfolder.seaweed import SeaweedFS
from tests.bench.landing import burst, fuse, smb, writers
from tests.bench.landing.ground import Ground, landing
from tests.bench.landing.ways import FEW, LOCAL, Place, Way, of_share
from tests.support.box import PATIENCE, Box
from tests.torture.stage import Stage

_SETTLE = 1.5  # some tools touch a file by its name once more after they closed it
_SEED = random.SystemRandom().randrange(1 << 32)


class Visits:
    """Things to do at the same time, and why some cannot be done."""

    def __init__(self, ground: Ground, far: Path) -> None:
        self._ground, self._far = ground, far
        self._near = ground.box.root / "near"
        self._near.mkdir()
        self.acts: list[Callable[[], object]] = []
        self.absent: list[str] = []
        self.forbidden: list[str] = []

    def add(self, ways: Iterable[Way], inbox: Path, ending: str = "", below: str = "") -> None:
        """`inbox`: where the user sees it; `below`: the folder of the inbox that he sees there."""
        for way in ways:
            if reason := way.missing():
                self.absent.append(reason)
                continue
            named = replace(way, name=f"{way.name}{ending}")
            far = self._far / str(len(self.acts))
            far.mkdir()
            place = Place(self._ground, named.prefix, inbox, self._near, far, below)
            self.acts.append(partial(way.act, place))

    def may(self, missing: str | None, forbidden: Callable[[], str | None]) -> bool:
        """Whether it can be tried; notes why not."""
        if missing is not None:
            self.absent.append(missing)
        elif (reason := forbidden()) is not None:
            self.forbidden.append(reason)
        else:
            return True
        return False


@pytest.fixture
def far() -> Iterator[Path]:
    """A folder on another file system than the inbox, if this machine has a tmpfs."""
    shm = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None  # noqa: S108
    with TemporaryDirectory(prefix="landing-far-", dir=shm) as folder:
        yield Path(folder)


def test_whatever_lands_is_delivered_whole_and_once(box: Box, far: Path) -> None:
    """Every way into the inbox, and every slow writer that keeps its file open, all at the same time."""
    box.configure(f'settle = "{_SETTLE}s"')
    few = [way for way in LOCAL if way.name in FEW]
    with ExitStack() as held:
        ground = held.enter_context(landing(box, _SEED))
        visits = Visits(ground, far)
        visits.add(LOCAL, box.inbox)
        if visits.may(fuse.missing(), partial(fuse.forbidden, box.root)):
            _mount(held, box, visits, few)
        box.start()
        if visits.may(smb.missing(), smb.forbidden):
            share = held.enter_context(smb.served(box.root / "smb", box.inbox))
            visits.add(of_share(share, 3 * _SETTLE), box.inbox)
        slow = {
            f"writer-{number}.bin": writer
            for number, writer in enumerate(writers.WRITERS)
            if writer.keeps_open
        }
        works = {
            name: writers.Work(box.inbox / name, ground.content(name, 99_999), _SETTLE) for name in slow
        }
        acts = [*visits.acts, *(partial(slow[name].write, work) for name, work in works.items())]
        with ThreadPoolExecutor(len(acts)) as several:
            list(several.map(lambda act: act(), acts))
        assert not ground.wait(list(ground.book), PATIENCE), _SEED
        for name, work in works.items():
            assert writers.early(ground, work) is None, (slow[name].name, _SEED)
        assert ground.judge() == []
    _tell(visits.absent, visits.forbidden)


def _mount(held: ExitStack, box: Box, visits: Visits, few: list[Way]) -> None:
    """The inbox is seen at another place, too; and a folder in it is a mount, written from behind."""
    other, card, behind = box.root / "other", box.inbox / "card", box.root / "behind"
    for folder in (other, card, behind):
        folder.mkdir()
    held.enter_context(fuse.mounted(box.inbox, other))
    held.enter_context(fuse.mounted(behind, card))
    visits.add(few, other, " through bindfs")
    visits.add(few, behind, " behind bindfs", below="card")


def _tell(absent: list[str], forbidden: list[str]) -> None:
    if absent and "REQUIRE_LANDING" in os.environ:
        pytest.fail(f"not installed: {'; '.join(absent)}")
    if absent or forbidden:
        pytest.skip(f"all else lands; not tried: {'; '.join([*absent, *forbidden])}")


def test_bursts_that_the_kernel_does_not_tell_of_are_delivered(
    tmp_path: Path, seaweed: SeaweedFS
) -> None:
    """The queue runs over; and most directories cannot be watched. A daemon each, at the same time."""
    stage = Stage(tmp_path, seaweed)
    bursts = (
        burst.Burst("overflow", files=200, directories=4, stopping=True),
        burst.Burst("limit", files=200, directories=80, limit=20),
    )
    forbidden = {each.title: each.forbidden() for each in bursts}
    with ThreadPoolExecutor(len(bursts)) as several:
        landed = several.map(
            partial(_burst, stage), (each for each in bursts if not forbidden[each.title])
        )
    assert [wrong for each in landed for wrong in each] == []
    _tell([], [reason for reason in forbidden.values() if reason])


def _burst(stage: Stage, dropped: burst.Burst) -> list[str]:
    with stage.box() as box:
        return burst.one(box, dropped, PATIENCE, _SEED).wrong
