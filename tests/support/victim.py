"""Killing a real process in a box: at a named step, or from outside, and what comes after it."""

import hashlib
import json
import os
import random
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from tests.support.box import HOTFOLDER, PATIENCE, Box, files_below
from tests.support.load import User
from tests.support.steps import BY_NAME, FORMER, Step
from tests.support.verdict import Inspector, Verdict

ROOT = Path(__file__).parents[2]
FAULTY = (sys.executable, "-m", "tests.support.faulty")
_LARGE = 66_000_000  # 13 parts: at most 8 are under way, and two noted, when the first run dies
_LEAST = 20  # versions in the book of its user at the end of a storm
_LIFE = (0.4, 3.0)  # seconds that a daemon lives in a storm; it needs one to start
_PATIENCE = PATIENCE  # seconds until a process that was to die is taken for one that never will


class DidNotDieError(AssertionError):
    """The process ended otherwise than it should, or lived on: the check would have proven nothing."""


@dataclass(slots=True)
class Storm:
    """What became of a box whose daemon was killed at random moments while its user was at work."""

    kills: int
    verdict: Verdict


def storm(box: Box, *, seed: int, is_over: Callable[[int], bool], most_large: int) -> Storm:
    """Start and kill daemons until `is_over` (asked with the number of kills), then let one finish.

    Checks every wreck, and the end.
    """
    dice = random.Random(seed)
    box.configure('settle = "100ms"', '[transfer]\npart_size = "5MiB"')
    inspector, verdict, kills = Inspector(box), Verdict(), 0
    user = User(box.inbox, seed=seed, most_large=most_large)
    with user.at_work():
        while not is_over(kills) or user.drops < _LEAST:
            process = box.spawn(*HOTFOLDER, "run", "--config", str(box.config))
            with suppress(subprocess.TimeoutExpired):
                code = process.wait(dice.uniform(*_LIFE))
                raise DidNotDieError(
                    f"it ended by itself with {code}; its log ends:\n{box.log()[-3000:]}"
                )
            process.kill()
            process.wait()
            kills += 1
            with user.lock:
                verdict.add(inspector.wreck(user.late))
    settle_down(box)
    verdict.add(inspector.final(user.dropped, user.late))
    return Storm(kills, verdict)


def settle_down(box: Box) -> None:
    """Start a daemon as usual, let it come to rest, and stop it."""
    box.start()
    box.wait(lambda: not any(files_below(box.inbox)))
    box.wait(lambda: box.phase() == "idle")
    code = box.stop()
    if code != 0:
        raise DidNotDieError(f"the last daemon ended with {code}; its log ends:\n{box.log()[-3000:]}")


class Victim:
    """One box whose processes are killed. `dropped` is all that its user ever dropped."""

    def __init__(self, box: Box, *, seed: int, folder: str = 'settle = "100ms"') -> None:
        self.box = box
        self.dropped: list[tuple[str, str]] = []
        self.inspector = Inspector(box)
        self._dice = random.Random(seed)
        self._number = 0
        # Two requests at once: a large file still has parts to send when its first one is answered.
        box.configure(folder, '[transfer]\npart_size = "5MiB"\nrequests = 2')

    def drop(self, load: str) -> None:
        """Put files into the inbox as a careful user does: each whole at once."""
        if load == "large":
            self._put("large.bin", self._dice.randbytes(_LARGE))
            return
        for name in ("a", "sub/b", "sub/deeper/c"):
            self._put(name, self._dice.randbytes(self._dice.randrange(1, 5000)))

    def drop_random(self, name: str, size: int) -> None:
        """A file of any size: made piece by piece, and hashed on the way."""
        hashing, hidden = hashlib.sha256(), self.box.root / "being-written"
        with hidden.open("wb") as file:
            while size > 0:
                piece = self._dice.randbytes(min(size, 1 << 20))
                hashing.update(piece)
                size -= file.write(piece)
        hidden.rename(self.box.inbox / name)
        self.dropped.append((name, hashing.hexdigest()))

    def _put(self, name: str, content: bytes) -> None:
        self._number += 1
        relpath = f"{os.path.dirname(name)}/{self._number}-{os.path.basename(name)}".lstrip("/")
        path = self.box.inbox / relpath
        path.parent.mkdir(parents=True, exist_ok=True)
        hidden = self.box.root / "being-written"
        hidden.write_bytes(content)
        hidden.rename(path)
        self.dropped.append((relpath, hashlib.sha256(content).hexdigest()))

    def round(self, step: Step) -> Verdict:
        """Drop what the step needs, kill there, and let a usual daemon make up for it; what was found.

        Raises `DidNotDieError`.
        """
        load, former = FORMER.get(step.load, (step.load, ""))
        self.drop(load)
        verdict = self.kill_at(BY_NAME[former]) if former else Verdict()
        verdict.add(self.kill_at(step))
        verdict.add(self.settle_down())
        return verdict

    def kill_at(self, step: Step, *, nth: int | None = None) -> Verdict:
        """Run a daemon that dies at `step`; what its wreck shows. Raises `DidNotDieError`."""
        mark, plan = self.box.root / "died-at", self.box.root / "plan.json"
        mark.unlink(missing_ok=True)
        plan.write_text(json.dumps({"step": step.name, "nth": nth or step.nth, "mark": str(mark)}))
        process = self.box.spawn(
            *(*FAULTY, str(plan), step.command, "--config", str(self.box.config)), PYTHONPATH=str(ROOT)
        )
        try:
            code: int | None = process.wait(_PATIENCE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            code = None
        if code != -signal.SIGKILL or not mark.exists() or mark.read_text() != step.name:
            raise DidNotDieError(
                f"it did not die at {step.name!r}, but ended with {code}; its log ends:\n"
                f"{self.box.log()[-3000:]}"
            )
        return self.inspector.wreck()

    def settle_down(self) -> Verdict:
        """Let a usual daemon come to rest, and judge all that was ever dropped."""
        settle_down(self.box)
        return self.inspector.final(self.dropped)
