"""One row of the matrix: a real daemon meets a fault, is killed meanwhile, and has to make up for it.

`play` drops a seeded mix of files before, during and after the fault, kills the daemon with SIGKILL at
random moments and starts it again, ends the fault, and waits until the inbox is empty. What it then says
of every file was found out by plain means (`tests.support.verdict`, boto3 on the store itself).
"""

import hashlib
import itertools
import json
import os
import random
import re
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from tests.support.box import HOTFOLDER, PATIENCE, Box, files_below
from tests.support.verdict import DELIVERED, Inspector, Verdict

Lives = list[list[dict[str, Any]]]

COLUMNS = (
    *("fault", "kind", "files dropped", "delivered", "skipped", "failed (with the right reason)"),
    *("waiting", "lost", "twice", "unproven"),
)
MIB = 1 << 20
_ODD = os.fsdecode(b'odd "n\xc3\xa4me" \xff\n\'%2F&?.bin')
_PAUSE = 3.0  # seconds between lots while poisoned files are given up
_STARTS = 8  # of a daemon that is allowed to end by itself, in one play


class Fault(Protocol):
    """What is wrong with the world from `begin` to `end`."""

    def begin(self) -> None: ...
    def end(self) -> None: ...


@runtime_checkable
class Counted(Protocol):
    """A fault that knows whether anybody met it; one that nobody met proves nothing."""

    def has_struck(self) -> bool: ...


@dataclass(frozen=True, slots=True)
class Scenario:
    """One fault and what is to become of the files. Times in seconds.

    `prepare` is entered before the daemon starts: it writes the configuration (`configure`), sets
    `box.wrapper` and `box.surroundings`, mounts; its exit undoes that, after the verdict.
    """

    name: str
    kind: str  # "store", "store, https", "local"
    prepare: Callable[[Box], AbstractContextManager[Fault]]
    #: The reason (a pattern) with which poisoned files must end in failed/. None: none may fail.
    failed: str | None = None
    #: Files with this in their name are dropped beside the others: the fault is about them alone.
    poisoned: str = ""
    kills: int = 2
    lasts: float = 4.0
    #: Whether files can be dropped while it lasts, and how many lots.
    drops: int = 1
    #: Whether a lot is dropped right before it begins, so that it strikes files on their way.
    eve: bool = False
    #: What the heartbeat must say of it (a pattern; "phase: hold") before it ends. None: nothing.
    says: str | None = None
    #: Whether the fault is no file's own: each is to be recorded as the first attempt.
    free: bool = True
    #: How often one process may say `destination.held`; None: as often as it likes.
    holds: int | None = None
    #: The proofs that the ledger may name; which one, depends on what is known of the store by then.
    proofs: frozenset[str] = frozenset({"checksum", "etag", "readback"})
    #: Exit codes with which a process may end by itself while the fault lasts; it is started again.
    exits: frozenset[int] = frozenset()
    #: How long all may take once the fault is over.
    patience: float = PATIENCE


@dataclass(slots=True)
class Row:
    """What became of the files. `problems`: everything that should not be, each in a sentence."""

    name: str
    kind: str
    dropped: int = 0
    delivered: int = 0
    skipped: int = 0
    failed: int = 0
    waiting: int = 0
    lost: list[str] = field(default_factory=list)
    twice: list[str] = field(default_factory=list)
    unproven: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    seconds: float = 0.0

    def cells(self) -> list[str]:
        counts = (self.dropped, self.delivered, self.skipped, self.failed, self.waiting)
        wrong = (len(each) for each in (self.lost, self.twice, self.unproven))
        return [self.name, self.kind, *map(str, (*counts, *wrong))]

    def violations(self) -> dict[str, list[str]]:
        kinds = ("lost", "twice", "unproven", "problems")
        return {kind: found for kind in kinds if (found := getattr(self, kind))}

    def is_clean(self) -> bool:
        return not self.violations()


class Boxes(Protocol):
    """Gives boxes, each with a bucket of its own on the store."""

    def box(self) -> AbstractContextManager[Box]: ...


def configure(
    box: Box,
    folder: str = "",
    transfer: str = "",
    extra: str = "",
    *,
    file_attempts: int = 3,
    attempts: int = 6,
    **destination: str,
) -> None:
    """The configuration of a play: as usual, but soon at the end of its patience.

    `folder`, `transfer` and `extra` are TOML lines that come besides.
    """
    box.configure(
        f'settle = "100ms"\nrescan = "5s"\nfile_attempts = {file_attempts}\n{folder}',
        f'[transfer]\npart_size = "5MiB"\nrequests = 8\nattempts = {attempts}\n'
        f'connect_timeout = "2s"\nread_timeout = "3s"\n{transfer}\n{extra}',
        **destination,
    )


def play(scenario: Scenario, stage: Boxes, *, seed: int) -> Row:
    """Play one scenario in a box of its own. Raises nothing of the daemon's: it is told in the row."""
    began = time.monotonic()
    with stage.box() as box, scenario.prepare(box) as fault:
        row = _Play(scenario, box, fault, seed).run()
    row.seconds = time.monotonic() - began
    return row


class _Play:
    def __init__(self, scenario: Scenario, box: Box, fault: Fault, seed: int) -> None:
        self._scenario, self._box, self._fault = scenario, box, fault
        self._dice = random.Random(f"{scenario.name} {scenario.kind} {seed}")
        self._drops = Drops(box.inbox, self._dice)
        self._daemon = _Daemon(box, scenario.exits)
        self._inspector = Inspector(box)
        self._fault_ends_at = 0
        self._row = Row(scenario.name, scenario.kind)

    def run(self) -> Row:
        phases = ["before", "during", "after"]
        kills = Counter(self._dice.choice(phases) for _ in range(self._scenario.kills - 1))
        kills["during"] += self._scenario.kills > 0
        self._daemon.start()
        self._drops.lot()
        self._until(self._daemon.is_up, "the daemon is up")
        self._live(self._dice.uniform(0.0, 1.0), kills["before"])
        if self._scenario.eve:
            self._drops.lot()
            self._live(self._dice.uniform(0.1, 0.5), 0)
        self._fault.begin()
        self._meanwhile(kills["during"])
        self._fault.end()
        self._fault_ends_at = self._daemon.logged()
        self._daemon.may_exit = frozenset()
        self._drops.lot(small=True)
        self._live(self._dice.uniform(0.0, 2.0), kills["after"])
        self._drain()
        self._daemon.stop()
        judge = _Judge(self._scenario, self._box, self._drops, self._inspector, self._row)
        judge.judge(self._daemon.lives(), self._daemon.lives(until=self._fault_ends_at))
        self._row.problems += self._daemon.problems
        return self._row

    def _meanwhile(self, kills: int) -> None:
        lasts = self._scenario.lasts * self._dice.uniform(0.7, 1.3)
        for number in range(self._scenario.drops):
            self._drops.lot(poison=self._scenario.poisoned if number == 0 else "")
        self._live(lasts, kills)
        if self._scenario.failed is not None:
            # Only good files among them tell whose fault it is.
            self._drop_until(self._poison_is_gone, "the poisoned files are given up", small=True)
        if (says := self._scenario.says) is not None:
            self._until(lambda: re.search(says, self._said()), f"the heartbeat says {says!r}")
        if isinstance(self._fault, Counted):
            self._drop_until(self._fault.has_struck, "the fault has struck")

    def _said(self) -> str:
        status = self._box.status() if self._daemon.is_up() else {}
        return f"{status.get('phase')}: {status.get('hold')}"

    def _poison_is_gone(self) -> bool:
        return not any(self._scenario.poisoned in path.name for path in files_below(self._box.inbox))

    def _drop_until(self, condition: Callable[[], object], what: str, *, small: bool = False) -> None:
        """Go on dropping files until it is so."""
        next_lot = time.monotonic() + _PAUSE

        def is_over() -> object:
            nonlocal next_lot
            if self._scenario.drops and time.monotonic() > next_lot:
                self._drops.lot(small=small)
                next_lot = time.monotonic() + _PAUSE
            return condition()

        self._until(is_over, what)

    def _live(self, seconds: float, kills: int) -> None:
        """Let time pass, with `kills` at moments of chance."""
        moments = sorted(self._dice.uniform(0, seconds) for _ in range(kills))
        passed = 0.0
        for moment in moments:
            self._daemon.live(moment - passed)
            self._daemon.kill()
            self._look_at_wreck()
            self._daemon.start()
            passed = moment
        self._daemon.live(seconds - passed)

    def _look_at_wreck(self) -> None:
        found = self._inspector.wreck()
        self._row.unproven += [f"after a kill: {path}" for path in found.moved_unproven]
        self._row.problems += found.broken

    def _drain(self) -> None:
        self._until(lambda: not any(files_below(self._box.inbox)), "the inbox is empty")
        self._until(self._daemon.is_idle, "the daemon is idle")

    def _until(self, condition: Callable[[], object], what: str) -> None:
        deadline = time.monotonic() + self._scenario.patience
        while not condition():
            if time.monotonic() > deadline:
                state = json.dumps({k: self._box.status().get(k) for k in ("phase", "waiting", "hold")})
                self._row.problems.append(f"{self._scenario.patience:g} s, and not yet: {what}: {state}")
                return
            self._daemon.live(0.1)


class _Daemon:
    """The processes of a play, one after the other. `may_exit`: codes that are no crash now."""

    def __init__(self, box: Box, may_exit: frozenset[int]) -> None:
        self._box, self.may_exit = box, may_exit
        self._process: subprocess.Popen[bytes] | None = None
        self._starts: list[int] = []  # of the log, where each process begins
        self._own_ends = 0
        self.problems: list[str] = []

    def start(self) -> None:
        self._starts.append(self.logged())
        self._process = self._box.spawn(*HOTFOLDER, "run", "--config", str(self._box.config))
        self._box.processes.append(self._process)

    def live(self, seconds: float) -> None:
        """Let it live; if it ends by itself, say so and start it again, as systemd would."""
        until = time.monotonic() + seconds
        while True:
            code = self._running().poll()
            if code is not None:
                self._ended(code)
            if time.monotonic() >= until:
                return
            time.sleep(min(0.05, max(0.0, until - time.monotonic())))

    def kill(self) -> None:
        process = self._running()
        process.kill()
        code = process.wait()
        self._box.processes.remove(process)
        if code != -signal.SIGKILL and code not in self.may_exit:
            self.problems.append(self._crash(code))

    def stop(self) -> None:
        process = self._running()
        process.terminate()
        try:
            code = process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self.problems.append(f"it did not stop within {PATIENCE:g} s")
            self.kill()
            return
        self._box.processes.remove(process)
        if code != 0:
            self.problems.append(self._crash(code))

    def is_up(self) -> bool:
        """Whether the one that runs now beats; a killed one's last word still stands there."""
        return self._box.status().get("pid") == self._running().pid

    def is_idle(self) -> bool:
        return self.is_up() and self._box.phase() == "idle"

    def logged(self) -> int:
        """Bytes of the log by now."""
        log = self._box.root / "log"
        return log.stat().st_size if log.exists() else 0

    def lives(self, *, until: int | None = None) -> list[list[dict[str, Any]]]:
        """The events that each process logged, before the log had `until` bytes."""
        log = (self._box.root / "log").read_bytes()[:until]
        ends = [*self._starts[1:], len(log)]
        return [_events(log[start:end]) for start, end in zip(self._starts, ends, strict=True)]

    def _running(self) -> "subprocess.Popen[bytes]":
        if self._process is None:
            raise RuntimeError("no daemon was started")
        return self._process

    def _ended(self, code: int) -> None:
        if code not in self.may_exit:
            self.problems.append(self._crash(code))
        self._own_ends += 1
        if self._own_ends > _STARTS:
            raise AssertionError(f"it ends again and again: {self.problems[-1:] or code}")
        self._box.processes.remove(self._running())
        time.sleep(0.5)
        self.start()

    def _crash(self, code: int) -> str:
        return f"it ended by itself with {code}; its log ends: {self._box.log()[-1500:]}"


@dataclass(frozen=True, slots=True)
class Dropped:
    """One file as its user dropped it; `path` is where."""

    path: str
    sha256: str
    is_poisoned: bool


class Drops:
    """What is dropped: tiny files, text, a large one of several parts, an empty one, an odd name."""

    def __init__(self, inbox: Path, dice: random.Random) -> None:
        self._inbox, self._dice = inbox, dice
        self.all: list[Dropped] = []

    def lot(self, *, poison: str = "", small: bool = False) -> None:
        """One of each kind, in an order of chance; with `poison` also two files of that name."""
        dice, number = self._dice, len(self.all)
        lot = {f"sub/{number}-tiny.bin": dice.randbytes(dice.randrange(1, 5000))}
        lot[f"{number}-text.log"] = (b"%d of %d\n" % (dice.getrandbits(40), number)) * dice.randrange(
            9000
        )
        lot[f"{number}-tiny"] = dice.randbytes(dice.randrange(1, 300))
        if not small:
            lot[f"{number}-large.bin"] = dice.randbytes(dice.randrange(8 * MIB, 17 * MIB))
        if not self.all:
            lot["empty"] = b""
        elif not any(_ODD in dropped.path for dropped in self.all):
            lot[_ODD] = dice.randbytes(1000)
        if poison:
            lot[f"{poison}-small.bin"] = dice.randbytes(3000)
            lot[f"{poison}-large.bin"] = dice.randbytes(9 * MIB)
        names = list(lot)
        dice.shuffle(names)
        for name in names:
            self._put(name, lot[name], poison)

    def _put(self, relpath: str, content: bytes, poison: str) -> None:
        """Whole at once: `.part` files are never looked at, wherever the inbox may be mounted."""
        path = self._inbox / relpath
        path.parent.mkdir(parents=True, exist_ok=True)
        hidden = path.with_name(f"{len(self.all)}.part")
        hidden.write_bytes(content)
        hidden.rename(path)
        is_poisoned = bool(poison) and poison in relpath
        self.all.append(Dropped(str(path), hashlib.sha256(content).hexdigest(), is_poisoned))


class _Judge:
    """Says of every dropped file what became of it, into the row."""

    def __init__(
        self, scenario: Scenario, box: Box, drops: Drops, inspector: Inspector, row: Row
    ) -> None:
        self._scenario, self._box, self._row = scenario, box, row
        self._dropped, self._inspector = drops.all, inspector

    def judge(self, lives: Lives, meanwhile: Lives) -> None:
        """`lives`: the events of each process; `meanwhile`: those until the fault ended."""
        row = self._row
        row.dropped = len(self._dropped)
        found = self._inspector.final([(each.path, each.sha256) for each in self._dropped])
        row.lost += found.lost
        row.twice += found.in_two_places + found.recorded_twice
        row.unproven += found.moved_unproven
        self._tell_others(found)
        lines = self._box.ledger()
        self._judge_lines(lines)
        self._judge_objects(lines)
        self._judge_log(lives, meanwhile)

    def _tell_others(self, found: Verdict) -> None:
        for kind in ("unrecorded", "leftovers", "broken", "open_uploads"):
            self._row.problems += [f"{kind}: {what}" for what in getattr(found, kind)]

    def _judge_lines(self, lines: list[dict[str, Any]]) -> None:
        row = self._row
        by_path: dict[str, list[dict[str, Any]]] = {}
        for line in lines:
            by_path.setdefault(line["target_path"], []).append(line)
        for each in self._dropped:
            own = by_path.pop(each.path, [])
            if len(own) > 1:
                row.twice.append(f"{each.path} has {len(own)} lines: {[line['status'] for line in own]}")
            if not own:
                row.waiting += os.path.lexists(each.path)
            for line in own[-1:]:
                self._judge_line(each, line)
        row.problems += [f"a line of what nobody dropped: {path}" for path in by_path]
        if row.waiting:
            row.problems.append(f"{row.waiting} files still wait")

    def _judge_line(self, dropped: Dropped, line: dict[str, Any]) -> None:
        row, scenario = self._row, self._scenario
        if line["status"] in DELIVERED:
            row.delivered += line["status"] == "success"
            row.skipped += line["status"] == "skipped"
            if line["verification"] not in scenario.proofs:
                row.unproven.append(f"{dropped.path}: proven by {line['verification']!r} only")
            if scenario.free and not dropped.is_poisoned and line["attempts"] != 1:
                row.problems.append(f"{dropped.path} was charged {line['attempts']} attempts")
            if dropped.is_poisoned and scenario.failed is not None:
                row.problems.append(f"{dropped.path} was to fail, and ended as {line['status']}")
            return
        reason = str(line["error_message"])
        if dropped.is_poisoned and re.search(scenario.failed or "(?!)", reason):
            row.failed += 1
        else:
            row.problems.append(f"{dropped.path} {line['status']} with: {reason}")

    def _judge_objects(self, lines: list[dict[str, Any]]) -> None:
        """Every object is one that a line names, and no two hold the same file.

        What a file that failed left in the store is not counted: its fault may lie in the answer.
        """
        named = {line["s3_object_key"] for line in lines if line["status"] in DELIVERED}
        failed = {line["target_path"] for line in lines if line["status"] == "failed"}
        forgiven = {each.sha256 for each in self._dropped if each.path in failed}
        copies: dict[str, list[str]] = {}
        for key in sorted(self._box.keys()):
            sha256 = self._inspector.restored_sha256(key)
            if sha256 not in forgiven:
                copies.setdefault(sha256 or "nothing", []).append(key)
                if key not in named:
                    self._row.problems.append(f"nothing tells of the object {key}")
        self._row.twice += [f"the same file in {keys}" for keys in copies.values() if len(keys) > 1]

    def _judge_log(self, lives: Lives, meanwhile: Lives) -> None:
        for number, life in enumerate(meanwhile, 1):
            held = [event for event in life if event.get("event") == "destination.held"]
            if self._scenario.holds is not None and len(held) > self._scenario.holds:
                self._row.problems.append(f"process {number} told of {len(held)} holds: {held[-1]}")
        for event in itertools.chain(*lives):
            if "exception" in event:
                self._row.problems.append(f"a defect in the log: {event}")


def _events(log: bytes) -> list[dict[str, Any]]:
    """What one process logged; what is no JSON is told as a defect, but for a last line cut short."""
    events: list[dict[str, Any]] = []
    for line in log.split(b"\n")[:-1]:
        try:
            events.append(json.loads(line))
        except ValueError:
            events.append({"event": "no JSON", "exception": line.decode(errors="replace")})
    return events
