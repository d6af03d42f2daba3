"""Part `burst`: more at once than inotify can tell, and more directories than it may watch.

The queue's length belongs to the whole machine, so it is never changed here: to be sure of an overflow
the daemon is stopped (SIGSTOP) while the files land, as on a machine that is too busy to run it. The
limit of watches is lowered in a user namespace of the daemon's own, where it is nobody else's.
"""

import json
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from subprocess import Popen

from tests.bench.landing.ground import Ground, landing
from tests.bench.landing.sections import Section
from tests.support.box import Box
from tests.torture.stage import Stage

COLUMNS = (
    *("burst on tmpfs", "files", "directories", "dropped in (s)", "all recorded after (s)"),
    *("overflows seen", "files/s"),
)
QUEUE = Path("/proc/sys/fs/inotify/max_queued_events")
LOWERED = 'echo {limit} > /proc/sys/user/max_inotify_watches && exec "$@"'


def lowered(limit: int) -> tuple[str, ...]:
    """What a command runs under to have at most `limit` watches: a user namespace of its own."""
    return ("unshare", "--user", "--map-root-user", "sh", "-c", LOWERED.format(limit=limit), "sh")


@contextmanager
def stopped(process: "Popen[bytes]") -> Iterator[None]:
    """The daemon does not run meanwhile."""
    process.send_signal(signal.SIGSTOP)
    try:
        yield
    finally:
        process.send_signal(signal.SIGCONT)


def fill_queue(inbox: Path) -> None:
    """Let more happen to two ignored files than the kernel keeps of events; the daemon is stopped.

    Two, because the kernel keeps one event of several that are alike and follow each other.
    """
    names = [inbox / f"noise-{each}.tmp" for each in "ab"]
    for number in range(int(QUEUE.read_text())):
        with names[number % 2].open("ab", buffering=0) as file:
            file.write(b".")
    for name in names:
        name.unlink()


def overflows(box: Box) -> int:
    """How many the daemon told of."""
    events = (json.loads(line) for line in box.log().splitlines() if line.startswith("{"))
    return sum("overflow" in str(event["event"]) for event in events)


@dataclass(frozen=True, slots=True)
class Burst:
    """So many small files, spread over so many new directories of two levels."""

    files: int
    directories: int

    def names(self) -> list[str]:
        each = self.files // self.directories
        return [
            f"day{number // each // 100:03d}/roll{number // each % 100:02d}/shot{number:06d}.txt"
            for number in range(each * self.directories)
        ]

    def drop(self, ground: Ground) -> list[str]:
        """All at once, from one thread; returns their names."""
        names = self.names()
        for name in names:
            ground.write(ground.box.inbox, name, size=200)
        return names


def land(ground: Ground, title: str, burst: Burst, *, stopping: bool, patience: float) -> Section:
    """One burst into the inbox of one daemon. `stopping`: it is stopped meanwhile, its queue full."""
    section = Section(COLUMNS)
    process = ground.box.start()
    begun = time.monotonic()
    if stopping:
        with stopped(process):
            fill_queue(ground.box.inbox)
            begun = time.monotonic()
            names = burst.drop(ground)
    else:
        names = burst.drop(ground)
    ended = time.monotonic()
    missing = ground.wait(names, patience)
    last = max((ground.recorded(name) or ended for name in names), default=ended)
    seen = overflows(ground.box)
    section.add(
        [
            *(title, f"{len(names):,}", f"{burst.directories:,}", f"{ended - begun:.1f}"),
            *("never" if missing else f"{last - ended:.1f}", str(seen)),
            f"{(len(names) - len(missing)) / (last - begun):,.0f}",
        ],
        f"{title}: no line of {len(missing):,} files, as {missing[0]}" if missing else None,
    )
    if stopping and not seen:
        section.wrong.append(f"{title}: nobody saw the overflow")
    section.wrong += ground.judge()
    return section


def run(files: int, stage: Stage, seed: int, patience: float) -> Section:
    """`stage` is on tmpfs."""
    section = Section(COLUMNS)
    for title, burst, stopping, limit in (
        ("daemon running", Burst(files, max(1, files // 1000)), False, None),
        ("daemon stopped meanwhile", Burst(files, max(1, files // 1000)), True, None),
        ("at most 100 watches", Burst(files, max(1, files // 50)), False, 100),
    ):
        with stage.box() as box:
            box.configure('settle = "1s"', '\n[log]\nformat = "json"\n')
            if limit is not None:
                box.wrapper = lowered(limit)
            with landing(box, seed) as ground:
                section.join(land(ground, title, burst, stopping=stopping, patience=patience))
    return section
