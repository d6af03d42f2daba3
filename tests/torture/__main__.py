"""`make torture`: kill -9 at every step and at random moments, power cuts, what is sent again; faults.

Bounded by the environment: TORTURE_ROUNDS (rounds a step, 2), TORTURE_MINUTES (of random kills, 3),
TORTURE_SUBSETS (random subsets for each moment of a power cut, 12), TORTURE_GIB (size of the large
upload, 2), TORTURE_FAULTS (rounds of every fault, 1), TORTURE_MINUTE (seconds of the outage of a minute,
60), TORTURE_ONLY (a pattern of the faults' names), TORTURE_PARTS ("kills faults"), TORTURE_SEED (else
drawn, and printed). Exits with 1 if anything is wrong; each part writes its section of docs/torture.md
otherwise.
"""

import os
import secrets
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from rich.console import Console
from rich.table import Table

from hotfolder.seaweed import SeaweedFS
from tests.support import power_cuts
from tests.support.page import write_section
from tests.support.resending import Resent, resent
from tests.support.steps import SPOOL_STEPS, STEPS, Step
from tests.support.verdict import Verdict
from tests.support.victim import Victim, storm
from tests.torture import matrix
from tests.torture.scenario import COLUMNS as FAULT_COLUMNS
from tests.torture.stage import Stage

PAGE = Path(__file__).parents[2] / "docs" / "torture.md"
MIB = 1 << 20
_SPOOLED = 'settle = "100ms"\nspool = "disk"'
#: What `keep_compressed` leaves in completed/ was dropped by nobody: tests/e2e/test_spool.py judges it.
_SPOOL_STEPS = tuple(step for step in SPOOL_STEPS if "kept" not in step.name)
_AT_ONCE = max(2, os.cpu_count() or 2)
console = Console(width=150)


@dataclass(frozen=True, slots=True)
class Plan:
    """How much is tried."""

    rounds: int = int(os.environ.get("TORTURE_ROUNDS", "2"))
    minutes: float = float(os.environ.get("TORTURE_MINUTES", "3"))
    subsets: int = int(os.environ.get("TORTURE_SUBSETS", "12"))
    gib: float = float(os.environ.get("TORTURE_GIB", "2"))
    parts: str = os.environ.get("TORTURE_PARTS", "kills faults")
    faults: int = int(os.environ.get("TORTURE_FAULTS", "1"))
    minute: float = float(os.environ.get("TORTURE_MINUTE", "60"))
    only: str = os.environ.get("TORTURE_ONLY", "")
    seed: int = int(os.environ.get("TORTURE_SEED", "0")) or secrets.randbits(32)


@dataclass(slots=True)
class Row:
    """One line of the matrix."""

    name: str
    rounds: int = 0
    verdict: Verdict = field(default_factory=Verdict)
    error: str = ""

    def cells(self) -> list[str]:
        found = self.verdict
        other = found.in_two_places + found.unrecorded + found.leftovers + found.broken
        counts = (found.lost, found.recorded_twice, found.moved_unproven, found.open_uploads, other)
        return [self.name, str(self.rounds), str(found.files), *(str(len(each)) for each in counts)]

    def is_clean(self) -> bool:
        return not self.error and not self.verdict.violations()


COLUMNS = (
    *("killed at", "rounds", "files", "lost", "recorded twice", "moved unproven"),
    *("open uploads left", "other"),
)


def at_step(stage: Stage, plan: Plan, step: Step) -> Row:
    row = Row(step.name)
    with stage.box() as box:
        spools = step in _SPOOL_STEPS
        victim = Victim(box, seed=plan.seed, folder=_SPOOLED if spools else 'settle = "100ms"')
        try:
            for _ in range(plan.rounds):
                found = victim.round(step)
                row.rounds += 1
                row.verdict.add(found)
        except AssertionError as error:
            row.error = str(error)
        row.verdict.files = len(victim.dropped)
    return row


def at_random(stage: Stage, plan: Plan, number: int) -> Row:
    until = time.monotonic() + 60 * plan.minutes
    row = Row(f"random moments under load ({number + 1})")
    with stage.box() as box:
        try:
            ended = storm(
                box, seed=plan.seed + number, is_over=lambda _: time.monotonic() > until, most_large=40
            )
            row.rounds, row.verdict = ended.kills, ended.verdict
        except AssertionError as error:
            row.error = str(error)
    return row


def show(rows: Sequence[Row]) -> None:
    table = Table(*COLUMNS)
    for row in rows:
        table.add_row(*row.cells(), style=None if row.is_clean() else "red")
    console.print(table)
    for row in rows:
        for kind, what in row.verdict.violations().items():
            console.print(f"{row.name}: {kind}: {what[:5]}", markup=False)
        if row.error:
            console.print(f"{row.name}: {row.error}", markup=False)


def section(plan: Plan, rows: Sequence[Row], cuts: Sequence[power_cuts.Cuts], sent: Resent) -> list[str]:
    return [
        "# Killed anywhere, nothing lost",
        "",
        f"`make torture` with {plan.rounds} rounds a step, {plan.minutes:g} minutes of random kills",
        f"on {_AT_ONCE} boxes at once, {plan.subsets} random subsets for a power cut, seed {plan.seed}.",
        "Each round: a real daemon, killed with SIGKILL at the step; its wreck looked at; a usual one",
        "started, left until it rests; then every file, ledger line and object compared by plain means.",
        "",
        f"| {' | '.join(COLUMNS)} |",
        f"|---|{'---:|' * (len(COLUMNS) - 1)}",
        *(f"| {' | '.join(row.cells())} |" for row in rows),
        "",
        "A power cut after every operation of a recorded delivery, with all, nothing, and random",
        "subsets of what was not fsynced; restarted by the product's own code:",
        "",
        "| recording | operations | states | broken promises |",
        "|---|---:|---:|---:|",
        *(f"| {cut.name} | {cut.operations} | {cut.states} | {len(cut.violations)} |" for cut in cuts),
        "",
        f"kill -9 halfway through an upload of {mib(sent.size)} (parts of {mib(sent.part)}):",
        f"{mib(sent.sent_before)} had been sent and {mib(sent.had)} were whole parts in the store; the",
        f"restart sent {mib(sent.sent_after)}, {mib(sent.again)} more than the store still lacked",
        "(headers and all).",
        "",
    ]


def mib(size: int) -> str:
    return f"{size / MIB:.2f} MiB"


def main() -> int:
    plan = Plan()
    console.print(f"seed {plan.seed}", highlight=False)
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="torture-") as place:
        root = Path(place)
        store = SeaweedFS(root / "store", access_key="TORTUREKEY", secret_key=secrets.token_urlsafe(24))
        with store:
            stage = Stage(root, store)
            parts = {"kills": kills, "faults": faults}
            fine = [parts[name](stage, plan) for name in plan.parts.split()]
    console.print(f"{(time.monotonic() - began) / 60:.1f} minutes")
    return 0 if all(fine) else 1


def kills(stage: Stage, plan: Plan) -> bool:
    """kill -9, power cuts, and what is sent again. Whether all is as it should be."""
    with ThreadPoolExecutor(_AT_ONCE) as several:
        rows = list(_told(several.map(partial(at_step, stage, plan), (*STEPS, *_SPOOL_STEPS))))
        rows += _told(several.map(partial(at_random, stage, plan), range(_AT_ONCE)))
    cuts = list(power_cuts.all_of(stage.box, seed=plan.seed, subsets=plan.subsets))
    with stage.box() as box:
        sent = resent(box, size=int(plan.gib * 1024 * MIB), seed=plan.seed)
    show(rows)
    for cut in cuts:
        console.print(f"power cuts, {cut.name}: {cut.states} states, {len(cut.violations)} violations")
        for violation in cut.violations[:5]:
            console.print(f"  {violation}", markup=False)
    lines = section(plan, rows, cuts, sent)
    console.print("\n".join(lines[-6:]), markup=False, highlight=False)
    fine = all(row.is_clean() for row in rows) and not any(cut.violations for cut in cuts)
    if not fine or sent.verdict.violations():
        console.print(f"something is wrong; seed {plan.seed}: {sent.verdict.violations()}", style="red")
        return False
    write_section(PAGE, "make torture", "kills", lines)
    return True


def faults(stage: Stage, plan: Plan) -> bool:
    """The matrix of faults. Whether all is as it should be."""
    bounds = matrix.Bounds(plan.faults, plan.only, plan.minute, plan.seed, at_once=_AT_ONCE + 1)
    rows = []
    for row in matrix.rows(stage, bounds):
        rows.append(row)
        told = "clean" if row.is_clean() else "NOT CLEAN"
        console.print(f"{row.name}, {row.kind}: {row.seconds:.0f} s, {told}", markup=False)
        for kind, what in row.violations().items():
            for each in what[:5]:
                console.print(f"  {kind}: {each}", markup=False, highlight=False)
    table = Table(*FAULT_COLUMNS)
    for row in rows:
        table.add_row(*row.cells(), style=None if row.is_clean() else "red")
    console.print(table)
    fine = all(row.is_clean() for row in rows)
    if fine and not plan.only:
        write_section(PAGE, "make torture", "faults", matrix.section(bounds, rows))
    return fine


def _told(rows: Iterator[Row]) -> Iterator[Row]:
    for row in rows:
        console.print(f"{row.name}: {row.rounds} rounds, {'clean' if row.is_clean() else 'NOT CLEAN'}")
        yield row


if __name__ == "__main__":
    sys.exit(main())
