"""Part `writers`: programs that write slowly, with pauses; none is taken early, none twice.

Each says when it is about to write or close for the last time: no delivery of its file may have begun
before that moment.
"""

import mmap
import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from pathlib import Path

from tests.bench.landing import oplock
from tests.bench.landing.ground import MIB, Ground, landing
from tests.bench.landing.sections import Section
from tests.support.box import Box
from tests.torture.stage import Stage

COLUMNS = ("writer", "writes for (s)", "begun after the last write (s)", "recorded after (s)")
PATIENCE = 60.0
_SIZE = 2 * MIB
_GRAIN = 0.001  # the ledger tells of milliseconds


@dataclass(slots=True)
class Work:
    """What a writer gets: where to write what, and the settle time in seconds.

    `last`: when it was about to write or close for the last time, in seconds since 1970.
    """

    path: Path
    content: bytes
    settle: float
    last: float = 0.0

    def ending(self) -> None:
        """The next call is the last one that matters."""
        self.last = time.time()

    def halves(self) -> tuple[bytes, bytes]:
        middle = len(self.content) // 2
        return self.content[:middle], self.content[middle:]


def pausing(work: Work) -> None:
    """Stops in the middle for three times the settle time, the file open."""
    first, second = work.halves()
    with work.path.open("wb", buffering=0) as file:
        file.write(first)
        time.sleep(3 * work.settle)
        work.ending()
        file.write(second)


def pausing_before(work: Work) -> None:
    """Creates the file, and has nothing to write for three times the settle time."""
    with work.path.open("wb", buffering=0) as file:
        time.sleep(3 * work.settle)
        work.ending()
        file.write(work.content)


def pausing_at_end(work: Work) -> None:
    """Has written all, and keeps the file open for three times the settle time."""
    with work.path.open("wb", buffering=0) as file:
        file.write(work.content)
        time.sleep(3 * work.settle)
        work.ending()


def reopening(work: Work) -> None:
    """Closes in the middle, and opens again within the settle time."""
    first, second = work.halves()
    work.path.write_bytes(first)
    time.sleep(work.settle / 4)
    with work.path.open("ab") as file:
        work.ending()
        file.write(second)


def appending(work: Work) -> None:
    """Opens, appends and closes every quarter of the settle time, twelve times."""
    step = len(work.content) // 12 + 1
    for begin in range(0, len(work.content), step):
        with work.path.open("ab") as file:
            work.ending()
            file.write(work.content[begin : begin + step])
        time.sleep(work.settle / 4)


def preallocating(work: Work) -> None:
    """Takes the room first, so that size and blocks never change, then fills it with pauses."""
    first, second = work.halves()
    with work.path.open("wb", buffering=0) as file:
        os.posix_fallocate(file.fileno(), 0, len(work.content))
        time.sleep(1.5 * work.settle)
        file.write(first)
        time.sleep(1.5 * work.settle)
        work.ending()
        file.write(second)


def backdating(work: Work) -> None:
    """As cp --preserve: sets the time of the original, years ago, at every step."""
    first, second = work.halves()
    with work.path.open("wb", buffering=0) as file:
        file.write(first)
        os.utime(file.fileno(), (0, 0))
        time.sleep(3 * work.settle)
        file.write(second)
        work.ending()
        os.utime(file.fileno(), (0, 0))


def mapping(work: Work) -> None:
    """Through a shared mapping whose descriptor is closed already."""
    with work.path.open("w+b") as file:
        file.truncate(len(work.content))
        memory = mmap.mmap(file.fileno(), len(work.content))
    with memory:
        memory[: len(work.content) // 2] = work.halves()[0]
        time.sleep(3 * work.settle)
        work.ending()
        memory[len(work.content) // 2 :] = work.halves()[1]


def rewriting(work: Work) -> None:
    """Writes all, then goes back and overwrites the beginning in place, with the file open."""
    with work.path.open("wb", buffering=0) as file:
        file.write(bytes(len(work.content)))
        time.sleep(1.5 * work.settle)
        file.seek(0)
        work.ending()
        file.write(work.content)


def truncating(work: Work) -> None:
    """Saves twice: what it wrote first is thrown away by the second save, within the settle time."""
    work.path.write_bytes(b"an older version of this\n" * 1000)
    time.sleep(work.settle / 4)
    work.ending()
    work.path.write_bytes(work.content)


def holding_an_oplock(work: Work) -> None:
    """Another process holds a write lease, which our own opening of the file has it give up."""
    command = [sys.executable, "-m", oplock.__name__, str(work.path), str(3 * work.settle)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(work.content)
        process.stdin.close()
        process.stdout.readline()
        work.ending()
    assert process.returncode == 0, f"nobody asked for the lease: {process.returncode}"


@dataclass(frozen=True, slots=True)
class Writer:
    """`keeps_open`: the file is open from its first byte to its last."""

    name: str
    write: Callable[[Work], None]
    keeps_open: bool = True


WRITERS: Sequence[Writer] = (
    Writer("pauses 3 x settle in the middle, open", pausing),
    Writer("pauses 3 x settle before the first byte, open", pausing_before),
    Writer("pauses 3 x settle after the last byte, open", pausing_at_end),
    Writer("preallocates, then fills", preallocating),
    Writer("sets an old mtime as it goes", backdating),
    Writer("writes through a mapping", mapping),
    Writer("overwrites its beginning", rewriting),
    Writer("holds an oplock (a write lease)", holding_an_oplock),
    Writer("closes, reopens within settle", reopening, keeps_open=False),
    Writer("saves twice within settle", truncating, keeps_open=False),
    Writer("appends every settle / 4", appending, keeps_open=False),
)


def written(write: Callable[[Work], None], work: Work) -> tuple[float, float]:
    """Write; returns for how many seconds it lasted, and the moment (monotonic) of its end."""
    begun = time.monotonic()
    write(work)
    ended = time.monotonic()
    return ended - begun, ended


def marked(write: Callable[[Work], None], work: Work) -> None:
    """Leaves the file alone for three times the settle time, closed, and then says that it is whole."""
    write(work)
    time.sleep(3 * work.settle)
    work.ending()
    _marker(work.path).touch()


def _marker(path: Path) -> Path:
    return path.with_name(f"{path.name}.done")


def chosen(ready: str) -> Sequence[Writer]:
    """Those that promise what `ready` asks for."""
    if ready == "marker":
        # Nobody opens a file before its marker is there, and so nobody asks for a lease on it.
        unasked = [writer for writer in WRITERS if writer.write is not holding_an_oplock]
        return [replace(writer, write=partial(marked, writer.write)) for writer in unasked]
    return [writer for writer in WRITERS if writer.keeps_open or ready == "quiet"]


def markers_left(box: Box, names: Sequence[str]) -> list[str]:
    """The markers that did not go along with their files; takes away those that did, as no content."""
    left = []
    for name in names:
        try:
            _marker(box.completed / name).unlink()
        except FileNotFoundError:
            left.append(f"the marker of {name} is not beside it in completed/")
    return left


def all_at_once(box: Box, ready: str, settle: float, seed: int) -> Section:
    """Every writer at the same time, into the inbox of one daemon."""
    writers = chosen(ready)
    section = Section(COLUMNS)
    with landing(box, seed) as ground, ThreadPoolExecutor(len(writers)) as several:
        box.start()
        names = [f"writer-{number}.bin" for number in range(len(writers))]
        works = [Work(box.inbox / name, ground.content(name, _SIZE), settle) for name in names]
        ends = list(several.map(written, (writer.write for writer in writers), works))
        missing = ground.wait(names, PATIENCE)
        section.wrong += [f"no line of {name}" for name in missing]
        for writer, work, (lasted, ended) in zip(writers, works, ends, strict=True):
            row, wrong = told(ground, f"{writer.name}; `{ready}`", work, ended)
            row.insert(1, f"{lasted:.1f}")
            section.add(row, wrong)
        if ready == "marker":
            section.wrong += markers_left(box, names)
        section.wrong += ground.judge()
    return section


def lead(ground: Ground, work: Work) -> float:
    """Seconds from the last write to the begin of the delivery; negative if that was early."""
    lines = [line for line in ground.follower.lines if Path(line["target_path"]) == work.path]
    return min(datetime.fromisoformat(line["started_at"]).timestamp() for line in lines) - work.last


def early(ground: Ground, work: Work) -> str | None:
    """Whether the file was taken before it was whole, as a sentence."""
    begun = lead(ground, work)
    return None if begun >= -_GRAIN else f"its delivery began {-begun:.3f} s before its last write"


def told(ground: Ground, title: str, work: Work, ended: float) -> tuple[list[str], str | None]:
    """The row of one writer, and whether its file was taken early."""
    recorded = ground.recorded(work.path.name)
    if recorded is None:
        return [title, "", "never"], None
    wrong = early(ground, work)
    row = [title, f"{lead(ground, work):.2f}", f"{max(0.0, recorded - ended):.2f}"]
    return row, f"{title}: {wrong}" if wrong else None


def run(stage: Stage, readies: Sequence[str], settle: float, seed: int) -> Section:
    section = Section(COLUMNS)
    for ready in readies:
        with stage.box() as box:
            own = "" if ready == "quiet" else f'\nready = "{ready}"'
            box.configure(f'settle = "{settle:g}s"{own}')
            section.join(all_at_once(box, ready, settle, seed))
    return section
