"""Killing a real process in a box: at a named step, or from outside, and what comes after it."""

import hashlib
import json
import os
import random
import signal
import subprocess
import sys
from pathlib import Path

from tests.support.box import Box, files_below
from tests.support.steps import Step
from tests.support.verdict import Inspector, Verdict

ROOT = Path(__file__).parents[2]
FAULTY = (sys.executable, "-m", "tests.support.faulty")
_LARGE = 12_000_000  # bytes that do not compress: three parts of 5 MiB
_PATIENCE = 60.0  # seconds until a process that was to die is taken for one that never will


class DidNotDieError(AssertionError):
    """The process ended otherwise than it should, or lived on: the check would have proven nothing."""


class Victim:
    """One box whose processes are killed. `dropped` is all that its user ever dropped."""

    def __init__(self, box: Box, *, seed: int, folder: str = 'settle = "100ms"') -> None:
        self.box = box
        self.dropped: list[tuple[str, str]] = []
        self.inspector = Inspector(box)
        self._dice = random.Random(seed)
        self._number = 0
        box.configure(folder, '[transfer]\npart_size = "5MiB"')

    def drop(self, load: str) -> None:
        """Put files into the inbox as a careful user does: each whole at once."""
        if load == "large":
            self._put("large.bin", self._dice.randbytes(_LARGE))
            return
        for name in ("a", "sub/b", "sub/deeper/c"):
            self._put(name, self._dice.randbytes(self._dice.randrange(1, 5000)))

    def _put(self, name: str, content: bytes) -> None:
        self._number += 1
        relpath = f"{os.path.dirname(name)}/{self._number}-{os.path.basename(name)}".lstrip("/")
        path = self.box.inbox / relpath
        path.parent.mkdir(parents=True, exist_ok=True)
        hidden = self.box.root / "being-written"
        hidden.write_bytes(content)
        hidden.rename(path)
        self.dropped.append((relpath, hashlib.sha256(content).hexdigest()))

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
        """Start a daemon as usual, let it come to rest, stop it, and judge all that was ever dropped."""
        self.box.start()
        self.box.wait(lambda: not any(files_below(self.box.inbox)))
        self.box.wait(lambda: self.box.phase() == "idle")
        code = self.box.stop()
        verdict = self.inspector.final(self.dropped)
        if code != 0:
            verdict.broken.append(f"the daemon ended with {code}")
        return verdict
