"""Part `ways`: every way into an inbox, one after the other; all arrive, whole, once."""

import statistics
import tempfile
import time
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from pathlib import Path

from tests.bench.landing.ground import Ground, landing
from tests.bench.landing.sections import Section
from tests.bench.landing.ways import LOCAL, Place, Way
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
    first, last = (f"{max(0.0, each):.2f}" for each in (min(moments, default=0), max(moments, default=0)))
    row = [way.name, str(len(names)), first, "never" if missing else last]
    wrong = f"{way.name}: no line of {len(missing)} of {len(names)} files" if missing else None
    return row, wrong


def local(box: Box, ways: Iterable[Way], seed: int) -> Section:
    """Ways within one machine, into the inbox of one daemon."""
    section = Section(COLUMNS)
    with ExitStack() as held:
        ground = held.enter_context(landing(box, seed))
        near, far = box.root / "near", Path(held.enter_context(tempfile.TemporaryDirectory(dir="/dev/shm")))
        near.mkdir()
        box.start()
        for way in ways:
            if reason := way.missing():
                section.skip(way.name, reason)
                continue
            place = Place(ground, way.prefix, box.inbox, near, far)
            section.add(*land(ground, way, place))
        section.wrong += ground.judge()
    return section


def run(stage: Stage, settle: str, seed: int) -> Section:
    with stage.box() as box:
        box.configure(f'settle = "{settle}"')
        return local(box, LOCAL, seed)
