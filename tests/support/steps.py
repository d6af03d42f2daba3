"""The named steps of the journey at which a process can be killed: one row each, to be extended.

A step is a moment at one function of the product, reached from outside by wrapping it (`faulty`). The
product knows nothing of it. A new step is a new row; `tests/e2e/test_killed.py` checks that every row
names a function that exists, and kills a real process at it.
"""

import importlib
import os
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Any


class When(Enum):
    """BEFORE the call, AFTER it returned, HALFWAY (a write of half the bytes), or a while IN it."""

    BEFORE = "before"
    AFTER = "after"
    HALFWAY = "halfway"
    IN = "in"


def _always(*_: Any, **__: Any) -> bool:
    return True


def _on_ledger(descriptor: int, *_: Any, **__: Any) -> bool:
    return os.readlink(f"/proc/self/fd/{descriptor}").endswith("/ledger.jsonl")


def _with_rows(_: Any, rows: Any, **__: Any) -> bool:
    return bool(rows)


def _with_forgotten(_: Any, __: Any, *, forget: Any = ()) -> bool:
    return bool(forget)


def _with_ids(_: Any, operation_ids: Any) -> bool:
    return bool(operation_ids)


@dataclass(frozen=True, slots=True)
class Step:
    """Kill at the n-th call of `function` ("module:Class.method") for which `counts` is true.

    `load` is what the inbox must hold to get there: "small" files, "large" ones (several parts), or
    "restart" and "resume" (a former process was killed, see `FORMER`). `nth` is the first call that is
    worth it. `command` is "run", or "once" for what a process does only at its end.
    """

    name: str
    function: str
    when: When
    load: str = "small"
    nth: int = 1
    counts: Callable[..., bool] = _always
    command: str = "run"


_FINISHING = "hotfolder.adapters.finishing"
_JOURNAL = "hotfolder.adapters.state.journal:SqliteJournal"
_LEDGER = "hotfolder.adapters.ledger:FileLedger"
_RESTART = "hotfolder.restart:Restart"
_UPLOADS = "hotfolder.adapters.state.uploads:SqliteUploads"
_SPOOL = "hotfolder.adapters.spool"
_WIRE = "hotfolder.wire:Wire"
B, A, HALF, IN = When.BEFORE, When.AFTER, When.HALFWAY, When.IN

STEPS = (
    Step("found", "hotfolder.intake:Intake._job", A),
    Step("opened", "hotfolder.packing:Packer.open", A),
    Step("packed", "hotfolder.whole:Whole._in_one", A),
    Step("put about to be sent", f"{_WIRE}.put", B),
    Step("put on the wire", f"{_WIRE}.put", IN),
    Step("put answered", f"{_WIRE}.put", A),
    Step("multipart intended", f"{_UPLOADS}.begin", A, "large"),
    Step("multipart about to be created", f"{_WIRE}.create_multipart", B, "large"),
    Step("multipart created", f"{_WIRE}.create_multipart", A, "large"),
    Step("multipart named", f"{_UPLOADS}.name", A, "large"),
    Step("part on the wire", f"{_WIRE}.upload_part", IN, "large", 2),
    Step("part sent", f"{_WIRE}.upload_part", A, "large"),
    Step("part noted", f"{_UPLOADS}.add", A, "large", 2),
    Step("all parts sent", f"{_WIRE}.complete", B, "large"),
    Step("completing", f"{_WIRE}.complete", IN, "large"),
    Step("completed by the store", f"{_WIRE}.complete", A, "large"),
    Step("upload forgotten", f"{_UPLOADS}.forget", A, "large"),
    Step("proven", "hotfolder.recorder:Recorder.finish", B),
    Step("before the journal", f"{_JOURNAL}.commit", B, counts=_with_rows),
    Step("journaled", f"{_JOURNAL}.commit", A, counts=_with_rows),
    Step("before the rename", f"{_FINISHING}.finisher:rename_without_clobbering", B),
    Step("renamed", f"{_FINISHING}.finisher:rename_without_clobbering", A),
    Step("moved", f"{_FINISHING}:Finisher.move", A),
    Step("before the folders' fsync", f"{_FINISHING}:Finisher.sync", B),
    Step("one folder of two synced", f"{_FINISHING}.unsynced:sync_names", A),
    Step("folders synced", f"{_FINISHING}:Finisher.sync", A),
    Step("before the ledger", f"{_LEDGER}.append", B),
    Step("ledger torn", "hotfolder.durable:write_all", HALF, counts=_on_ledger),
    Step("ledger written, not synced", "os:fdatasync", B, counts=_on_ledger),
    Step("ledger synced", "os:fdatasync", A, counts=_on_ledger),
    Step("recorded", f"{_LEDGER}.append", A),
    Step("before the row is forgotten", f"{_JOURNAL}.commit", B, counts=_with_forgotten, command="once"),
    Step("row forgotten", f"{_JOURNAL}.commit", A, counts=_with_forgotten, command="once"),
    Step("resume: parts listed", f"{_WIRE}.list_parts", A, "resume"),
    Step("resume: part sent", f"{_WIRE}.upload_part", A, "resume"),
    Step("resume: completed", f"{_WIRE}.complete", A, "resume"),
    Step("restart: rows read", f"{_JOURNAL}.rows", A, "restart"),
    Step("restart: looked for", f"{_FINISHING}:Finisher.find", A, "restart"),
    Step("restart: acted", f"{_RESTART}._act", A, "restart"),
    Step("restart: synced", f"{_FINISHING}:Finisher.sync", A, "restart"),
    Step("restart: ledger torn", "hotfolder.durable:write_all", HALF, "restart", counts=_on_ledger),
    Step("restart: recorded", f"{_LEDGER}.append", A, "restart"),
    Step("restart: forgotten", f"{_JOURNAL}.commit", A, "restart", counts=_with_forgotten),
)
#: What the inbox holds, and where a former process was killed, for the steps of what comes after a kill.
FORMER = {"restart": ("small", "journaled"), "resume": ("large", "part noted")}
#: With `spool = "disk"`; the last two with `keep_compressed` as well.
SPOOL_STEPS = (
    Step("spool: room reserved", f"{_SPOOL}.files:MakingFile._reserve", A),
    Step("spool: written", f"{_SPOOL}.files:MakingFile.write", A),
    Step("spool: named", "hotfolder.durable:put_in_place", A),
    Step("spool: noted", "hotfolder.adapters.state.staged:SqliteStaged.note", A),
    Step("spool: before it is cleared", f"{_SPOOL}.files:SpoolFolder.discard", B, counts=_with_ids),
    Step("spool: cleared", f"{_SPOOL}.files:SpoolFolder.discard", A, counts=_with_ids),
    Step("spool: before it is kept", f"{_SPOOL}.keeping:Keeper.keep", B),
    Step("spool: kept", f"{_SPOOL}.keeping:Keeper.keep", A),
)
BY_NAME = {step.name: step for step in (*STEPS, *SPOOL_STEPS)}


def found(step: Step) -> tuple[Any, str, Callable[..., Any]]:
    """What holds the step's function, the name it has there, and the function itself.

    Raises AttributeError or ImportError where the product has no such function any more.
    """
    module, _, path = step.function.partition(":")
    holder: Any = importlib.import_module(module)
    *above, name = path.split(".")
    for each in above:
        holder = getattr(holder, each)
    function: Callable[..., Any] = getattr(holder, name)
    return holder, name, function
