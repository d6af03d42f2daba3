"""A process that is killed at one chosen line of what writes to the disk."""

import asyncio
import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

import hotfolder
from hotfolder.adapters.finishing import Finisher, Roots
from hotfolder.adapters.ledger import FileLedger
from hotfolder.adapters.state.journal import SqliteJournal
from hotfolder.core.records import JournalRow
from hotfolder.recorder import Recorder
from hotfolder.threads import Threads

_ROOT = Path(hotfolder.__file__).parent
_WATCHED = tuple(
    str(_ROOT / place)
    for place in ("adapters/finishing", "adapters/state/journal.py", "adapters/ledger", "durable.py")
)
_SERVER = multiprocessing.get_context("forkserver")
_SERVER.set_forkserver_preload([__name__])


def record_until_killed(state: Path, roots: Roots, row: JournalRow, line: int) -> int | None:
    """Let a process end `row` and kill it at the line with this number, counted as they run.

    Returns None if it was killed, else how many lines there were.
    """
    reader, writer = _SERVER.Pipe(duplex=False)
    process = _SERVER.Process(target=_record, args=(state, roots, row, line, writer))
    process.start()
    writer.close()
    process.join()
    if process.exitcode == -signal.SIGKILL:
        return None
    assert process.exitcode == 0
    lines: int = reader.recv()
    return lines


def recorder(state: Path, roots: Roots, threads: Threads) -> tuple[Recorder, SqliteJournal]:
    """A recorder as `engine` makes it, with its records in `state`."""
    journal = SqliteJournal(state / "state.db")
    made = Recorder(
        journal=journal,
        ledger=FileLedger(state / "ledger.jsonl"),
        mover=Finisher({"media": roots}),
        threads=threads,
        clock=lambda: 1_761_700_060.0,
    )
    return made, journal


def _record(state: Path, roots: Roots, row: JournalRow, line: int, writer: Any) -> None:
    count = _kill_at(line)
    asyncio.run(_end(state, roots, row))
    threading.settrace(None)
    writer.send(count())


async def _end(state: Path, roots: Roots, row: JournalRow) -> None:
    threads = Threads("killed", 1)
    made, _ = recorder(state, roots, threads)
    running = asyncio.create_task(made.run())
    await made.finish(row, lambda _: None)
    made.close()
    await running
    threads.close()


def _kill_at(line: int) -> Callable[[], int]:
    """Count the lines that the threads to come run in what writes to the disk; die at `line`."""
    lines = 0

    def trace(frame: FrameType, event: str, _: object) -> Any:
        nonlocal lines
        if not frame.f_code.co_filename.startswith(_WATCHED):
            return None
        if event == "line":
            lines += 1
            if lines == line:
                sys.stderr.flush()
                os.kill(os.getpid(), signal.SIGKILL)
        return trace

    threading.settrace(trace)
    return lambda: lines
