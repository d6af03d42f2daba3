"""What a run cost: wall clock, CPU and memory of a tree of processes.

The peak is read from each process's own mark in /proc every 100 ms: `ru_maxrss` also counts what the
process was before it became the program, a copy of the one that started it.
"""

import contextlib
import os
import subprocess
import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.bench.speed.peers import Pipeline

_EVERY = 0.1


class RunFailed(Exception):
    """A program failed, or did not do what it was asked: there is no figure."""


@dataclass(frozen=True, slots=True)
class Cost:
    """Seconds of wall clock and CPU; `peak` in bytes, the sum of the processes' own."""

    wall: float
    cpu: float
    peak: int


@dataclass(slots=True)
class Peaks:
    """Reads the peaks of processes and of their children until it is ended."""

    roots: Sequence[int]
    _seen: dict[int, int] = field(default_factory=dict)
    _ended: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread = field(init=False)

    def __enter__(self) -> "Peaks":
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    @property
    def total(self) -> int:
        return sum(self._seen.values())

    def _watch(self) -> None:
        self.look()
        while not self._ended.wait(_EVERY):
            self.look()

    def look(self) -> None:
        for pid in tree(self.roots):
            self._seen[pid] = max(peak(pid), self._seen.get(pid, 0))


def tree(roots: Iterable[int]) -> list[int]:
    """These processes and what they started, as far as they are there."""
    pids = list(roots)
    for pid in pids:  # which grows meanwhile
        with contextlib.suppress(OSError):
            for children in Path(f"/proc/{pid}/task").glob("*/children"):
                pids += map(int, children.read_text().split())
    return pids


def peak(pid: int) -> int:
    """Peak resident bytes of a process so far; 0 if it is gone."""
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("VmHWM"):
                return int(line.split()[1]) * 1024
    return 0


def cpu(roots: Iterable[int]) -> float:
    """CPU seconds so far of these processes, what they started, and what those have waited for."""
    ticks = 0
    for pid in tree(roots):
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        ticks += sum(map(int, fields[11:15]))
    return ticks / os.sysconf("SC_CLK_TCK")


def run(pipeline: Pipeline, environment: Mapping[str, str], log: Path) -> Cost:
    """Run a pipeline to its end. Raises RunFailed with the end of its output."""
    processes: list[subprocess.Popen[bytes]] = []
    with log.open("wb") as output:
        begun = time.perf_counter()
        for number, command in enumerate(pipeline):
            is_last = number == len(pipeline) - 1
            processes.append(
                subprocess.Popen(
                    command,
                    stdin=processes[-1].stdout if processes else subprocess.DEVNULL,
                    stdout=output if is_last else subprocess.PIPE,
                    stderr=output,
                    env=dict(environment),
                )
            )
            if number:
                processes[-2].stdout.close()  # type: ignore[union-attr] # it is the pipe asked for
        with Peaks([process.pid for process in processes]) as peaks:
            spent = 0.0
            for process in processes:
                _, status, used = os.wait4(process.pid, 0)
                process.returncode = os.waitstatus_to_exitcode(status)
                spent += used.ru_utime + used.ru_stime
            wall = time.perf_counter() - begun
    if failed := [process for process in processes if process.returncode != 0]:
        said = log.read_text(errors="replace")[-2000:]
        raise RunFailed(f"{failed[0].args!r} ended with {failed[0].returncode}:\n{said}")
    return Cost(wall, spent, peaks.total)
