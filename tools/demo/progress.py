"""What is going on, from the heartbeat: a bar on a terminal, elsewhere a line every two seconds."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from rich.progress import BarColumn, Progress, TextColumn

from hotfolder.cli.output import out, rate, say, shown, size, span
from tools.demo import DemoFailed
from tools.demo.process import SandboxProcess

_PLAIN_EVERY = 2.0  # seconds
_DEADLINE = 600.0  # seconds until everything has to be delivered


class Meter:
    """One line of text beside the share that is done."""

    def __init__(self, bar: Progress | None) -> None:
        self._bar = bar
        self._task = bar.add_task("", total=1.0) if bar else None
        self._begun = self._last = time.monotonic()

    def show(self, share: float, text: str) -> None:
        if self._bar is not None and self._task is not None:
            self._bar.update(self._task, completed=share, description=text)
        elif time.monotonic() - self._last >= _PLAIN_EVERY:
            self._last = time.monotonic()
            say(f"  {self._last - self._begun:3.0f} s  {text}")


@contextmanager
def meter() -> Iterator[Meter]:
    """A meter that fits where stdout leads."""
    if not out.is_terminal:
        yield Meter(None)
        return
    text = TextColumn("{task.description}", markup=False)
    with Progress(BarColumn(24), text, console=out, transient=True) as bar:
        yield Meter(bar)


def watch(sandbox: SandboxProcess, files: int, size_dropped: int) -> None:
    """Return once the ledger has a line for each of the `files`.

    Raises `DemoFailed` if the sandbox ends, and past the deadline.
    """
    deadline = time.monotonic() + _DEADLINE
    with meter() as line:
        while sandbox.recorded() < files:
            sandbox.check_running()
            if time.monotonic() > deadline:
                raise DemoFailed(
                    f"{sandbox.recorded():,} of {files:,} files were delivered within {_DEADLINE:.0f} s"
                    f"{sandbox.last_words()}"
                )
            state = sandbox.status()
            line.show(bytes_moved(state) / max(1, size_dropped), _summary(state, files, size_dropped))
            time.sleep(0.2)


def bytes_moved(state: dict[str, Any]) -> int:
    """Bytes of originals that are delivered or read, as the heartbeat counts them."""
    flying = sum(int(flight["bytes"]) for flight in state["active"])
    return int(state["totals"]["bytes_uploaded"]) + flying


def _summary(state: dict[str, Any], files: int, size_dropped: int) -> str:
    """Files, bytes, rate, time left, and what is wrong with the store if anything is."""
    totals, trouble = state["totals"], state["destination"]["last_error"]
    return (
        f"{totals['uploaded'] + totals['skipped']:,} of {files:,} files, "
        f"{size(bytes_moved(state))} of {size(size_dropped)}, "
        f"{rate(state['bytes_per_second'])}, ETA {span(state['eta_seconds'])}"
        f"{f' - the store: {shown(trouble)}' if trouble else ''}"
    )
