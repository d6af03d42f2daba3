"""Part `ways`: every way into an inbox, one after the other; all arrive, whole, once."""

import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.bench.landing import fuse, smb
from tests.bench.landing.ground import Ground, landing
from tests.bench.landing.sections import Section
from tests.bench.landing.ways import FEW, LOCAL, Place, Way, of_share
from tests.support.box import Box
from tests.torture.stage import Stage

COLUMNS = ("way", "files", "first recorded after (s)", "last recorded after (s)")
PATIENCE = 60.0  # seconds for the last line of a way


def land(ground: Ground, way: Way, place: Place) -> tuple[list[str], str | None]:
    """Let files land by one way: its row, and what is wrong."""
    before = set(ground.book)
    way.act(place)
    ended = time.monotonic()
    names = [name for name in ground.book if name not in before]
    missing = ground.wait(names, PATIENCE)
    moments = [moment - ended for name in names if (moment := ground.recorded(name)) is not None]
    first, last = (
        f"{max(0.0, each):.2f}" for each in (min(moments, default=0), max(moments, default=0))
    )
    row = [way.name, str(len(names)), first, "never" if missing else last]
    wrong = f"{way.name}: no line of {len(missing)} of {len(names)} files" if missing else None
    return row, wrong


@dataclass(slots=True)
class Tried:
    """Ways into the inbox of one daemon, one after the other."""

    ground: Ground
    near: Path
    far: Path
    section: Section

    def all(self, ways: Iterable[Way], inbox: Path, addition: str = "") -> None:
        """`inbox`: where the user sees it. `addition` tells these ways from the same ones elsewhere."""
        for way in ways:
            named = replace(way, name=f"{way.name}{addition}")
            if reason := way.missing():
                self.section.skip(named.name, reason)
                continue
            place = Place(
                self.ground, named.prefix, inbox, self.near, self.far / str(len(self.section.rows))
            )
            place.far.mkdir()
            self.section.add(*land(self.ground, named, place))


@contextmanager
def trying(box: Box, seed: int) -> Iterator[Tried]:
    """Start the daemon; in the end all that landed is judged."""
    near = box.root / "near"
    near.mkdir()
    with landing(box, seed) as ground, TemporaryDirectory(prefix="landing-far-", dir="/dev/shm") as far:
        box.start()
        tried = Tried(ground, near, Path(far), Section(COLUMNS))
        yield tried
        tried.section.wrong += ground.judge()


def local(box: Box, ways: Iterable[Way], seed: int) -> Section:
    """Ways within one machine."""
    with trying(box, seed) as tried:
        tried.all(ways, box.inbox)
    return tried.section


def shared(box: Box, pause: float, seed: int, *, kernel_oplocks: bool) -> Section:
    """Ways of an SMB client."""
    if reason := smb.missing() or smb.forbidden():
        section = Section(COLUMNS)
        section.skip("SMB", reason)
        return section
    with (
        trying(box, seed) as tried,
        smb.served(box.root / "smb", box.inbox, kernel_oplocks=kernel_oplocks) as share,
    ):
        tried.all(of_share(share, pause), box.inbox, "" if kernel_oplocks else ", no kernel oplocks")
    return tried.section


def mounted(box: Box, seed: int, *, inbox_above: bool) -> Section:
    """The inbox is a FUSE mount that is written from behind; or it is what a FUSE mount shows."""
    section = Section(COLUMNS)
    where = ", behind the inbox's bindfs" if inbox_above else ", through a bindfs of the inbox"
    if reason := fuse.missing() or fuse.forbidden(box.root):
        section.skip(where.lstrip(", "), reason)
        return section
    other = box.root / "other"
    other.mkdir()
    ends = (other, box.inbox) if inbox_above else (box.inbox, other)
    with fuse.mounted(*ends), trying(box, seed) as tried:
        tried.all((way for way in LOCAL if way.name in FEW), other, where)
    return tried.section


def run(stage: Stage, settle: float, seed: int) -> Section:
    """All of them."""
    section = Section(COLUMNS)
    for part in (
        partial(local, ways=LOCAL, seed=seed),
        partial(shared, pause=3 * settle, seed=seed, kernel_oplocks=True),
        partial(shared, pause=3 * settle, seed=seed, kernel_oplocks=False),
        partial(mounted, seed=seed, inbox_above=False),
        partial(mounted, seed=seed, inbox_above=True),
    ):
        with stage.box() as box:
            box.configure(f'settle = "{settle:g}s"')
            section.join(part(box))
    return section
