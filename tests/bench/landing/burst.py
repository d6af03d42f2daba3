"""Part `burst`: more at once than inotify can tell, and more directories than it may watch.

The queue's length belongs to the whole machine, so it is never changed here: to be sure of an overflow
the daemon is stopped (SIGSTOP) while the files land, as on a machine that is too busy to run it. The
limit of watches is lowered in a user namespace of the daemon's own, where it is nobody else's.
"""

import os
import signal
import subprocess
import time
from collections.abc import Iterator, Sequence
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
    *("files/s", "directories watched", "overflows seen"),
)
_ONE_LEDGER = '[ledger]\nrotate = "1GiB"'  # what follows and judges it reads one file
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


@dataclass(frozen=True, slots=True)
class Burst:
    """So many small files, spread over so many directories of two levels."""

    title: str
    files: int
    directories: int
    stopping: bool = False  # the daemon is stopped meanwhile, its queue full
    limit: int | None = None  # of watches; the directories stand there before the daemon starts

    def names(self) -> list[str]:
        each = self.files // self.directories
        return [
            f"day{number // each // 100:03d}/roll{number // each % 100:02d}/shot{number:06d}.txt"
            for number in range(each * self.directories)
        ]

    def wrapper(self) -> tuple[str, ...]:
        return () if self.limit is None else lowered(self.limit)

    def forbidden(self) -> str | None:
        """Why this user cannot try it."""
        command = (*self.wrapper(), "true")
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        return done.stderr.strip().replace("\n", "; ") if done.returncode != 0 else None

    def drop(self, ground: Ground, process: "Popen[bytes]") -> float:
        """All at once, from one thread; returns the moment (monotonic) at which the first one came."""
        if not self.stopping:
            return self._drop(ground)
        with stopped(process):
            fill_queue(ground.box.inbox)
            return self._drop(ground)

    def _drop(self, ground: Ground) -> float:
        begun = time.monotonic()
        for name in self.names():
            ground.write(ground.box.inbox, name, size=200)
        return begun


def bursts(files: int, limit: int = 100) -> Sequence[Burst]:
    return (
        Burst("daemon running", files, max(1, files // 1000)),
        Burst("daemon stopped meanwhile", files, max(1, files // 1000), stopping=True),
        Burst(f"at most {limit} watches", files, max(5 * limit, files // 50), limit=limit),
    )


def land(ground: Ground, burst: Burst, patience: float) -> Section:
    """One burst into the inbox of one daemon; then all is judged."""
    section, names = Section(COLUMNS), burst.names()
    if burst.limit is not None:
        for folder in {os.path.dirname(name) for name in names}:
            (ground.box.inbox / folder).mkdir(parents=True)
    process = ground.box.start()
    begun = burst.drop(ground, process)
    ended = time.monotonic()
    missing = ground.wait(names, patience)
    last = max((ground.recorded(name) or ended for name in names), default=ended)
    watching = ground.box.status()["watching"]["box"]
    section.add(
        [
            *(burst.title, f"{len(names):,}", f"{burst.directories:,}", f"{ended - begun:.1f}"),
            *("never" if missing else f"{last - ended:.1f}", f"{len(names) / (last - begun):,.0f}"),
            *(str(watching["directories"]), str(watching["overflows"])),
        ],
        f"{burst.title}: no line of {len(missing):,} files, as {missing[0]}" if missing else None,
    )
    if burst.stopping and not watching["overflows"]:
        section.wrong.append(f"{burst.title}: nobody saw the overflow")
    if burst.limit is not None and not 0 < watching["directories"] <= burst.limit:
        section.wrong.append(f"{burst.title}: {watching['directories']} directories are watched")
    section.wrong += ground.judge()
    return section


def one(box: Box, burst: Burst, patience: float, seed: int) -> Section:
    if reason := burst.forbidden():
        section = Section(COLUMNS)
        section.skip(burst.title, reason)
        return section
    box.configure('settle = "1s"', _ONE_LEDGER)
    box.wrapper = burst.wrapper()
    with landing(box, seed) as ground:
        return land(ground, burst, patience)


def run(files: int, stage: Stage, seed: int, patience: float) -> Section:
    """`stage` is on tmpfs."""
    section = Section(COLUMNS)
    for burst in bursts(files):
        with stage.box() as box:
            section.join(one(box, burst, patience, seed))
    return section
