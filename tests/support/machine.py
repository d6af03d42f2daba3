"""A little machine: the real systemd as process 1 of namespaces, over a throw-away copy of this root.

It has its own processes, mounts, users and units, and shares kernel, network and processors.
"""

import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from tests.support.box import PATIENCE

REPOSITORY = Path(__file__).parents[2]
SYSTEMD = Path("/usr/lib/systemd/systemd")


class CannotBoot(Exception):
    """Why there can be no machine here."""


class Machine:
    """A booted machine. `first` is its process 1, as it is numbered outside."""

    def __init__(self, first: int) -> None:
        self.first = first
        self.root = Path(f"/proc/{first}/root")

    def run(
        self, *command: str, user: str = "root", check: bool = True
    ) -> subprocess.CompletedProcess[str]:
        """Run a command inside, to its end."""
        inside = ["nsenter", "-t", str(self.first), "-a"]
        if user != "root":
            inside += ["setpriv", f"--reuid={user}", f"--regid={user}", "--init-groups"]
        done = subprocess.run(
            [*inside, *command],
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
            env=_PLAIN,
        )
        assert not check or done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
        return done

    def property(self, name: str, unit: str = "hotfolder") -> str:
        return self.run("systemctl", "show", "--value", "-p", name, unit).stdout.strip()

    def log(self, unit: str = "hotfolder") -> str:
        return self.run("journalctl", "-u", unit, "-o", "cat", "--no-pager").stdout

    def wait(self, condition: Callable[[], object], timeout: float = PATIENCE) -> None:
        deadline = time.monotonic() + timeout
        while not condition():
            if time.monotonic() > deadline:
                state = self.run("systemctl", "status", "--no-pager", "hotfolder*", check=False).stdout
                raise AssertionError(f"not within {timeout} s:\n{state}\n{self.log()[-3000:]}")
            time.sleep(0.1)


_PLAIN = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8"}


@contextlib.contextmanager
def booted() -> Iterator[Machine]:
    """A machine with hotfolder in /opt/hotfolder and its units installed. Raises `CannotBoot`."""
    _require_tools()
    work = Path(tempfile.mkdtemp(prefix="machine-"))
    group = _cgroup2() / work.name
    try:
        with contextlib.ExitStack() as stack:
            yield _boot(work, group, stack)
    finally:
        _forget_group(group)
        shutil.rmtree(work, ignore_errors=True)


def _boot(work: Path, group: Path, stack: contextlib.ExitStack) -> Machine:
    """Start a machine that ends with `stack`."""
    unshare = ("unshare", "--mount", "--pid", "--fork", "--kill-child", "--uts", "--ipc", "--cgroup")
    boot = str(Path(__file__).with_name("boot.sh"))
    ours = (f"{REPOSITORY}/src", f"{REPOSITORY}/systemd")
    # The shell enters the group first: it becomes the root of the machine's own hierarchy.
    shell = ("sh", "-c", 'echo $$ > "$0" && exec "$@"', str(group / "cgroup.procs"))
    try:
        group.mkdir()
        said = stack.enter_context((work / "said").open("wb"))
        process = subprocess.Popen(
            [*shell, *unshare, boot, str(work), sys.base_prefix, sys.prefix, *ours],
            stdout=said,
            stderr=said,
            env=_PLAIN,
        )
    except OSError as error:
        raise CannotBoot(str(error)) from error
    stack.callback(process.wait)
    stack.callback(process.kill)  # and with it, by --kill-child, all that is inside
    return _started(process, work / "said")


def _started(process: "subprocess.Popen[bytes]", said: Path) -> Machine:
    """The machine, as soon as its systemd has reached its target."""
    deadline = time.monotonic() + PATIENCE
    while process.poll() is None and time.monotonic() < deadline:
        with contextlib.suppress(OSError):  # a process that ends, or has not begun
            children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
            if children:
                machine = Machine(int(children[0]))
                ready = "is-active", "--quiet", "multi-user.target"
                systemd_runs = os.readlink(f"/proc/{machine.first}/exe").endswith("/systemd")
                if systemd_runs and machine.run("systemctl", *ready, check=False).returncode == 0:
                    return machine
        time.sleep(0.1)
    raise CannotBoot(said.read_text(errors="replace").strip() or "systemd did not come up")


def _cgroup2() -> Path:
    for place in (Path("/sys/fs/cgroup"), Path("/sys/fs/cgroup/unified")):
        if (place / "cgroup.procs").exists() and (place / "cgroup.controllers").exists():
            return place
    raise CannotBoot("there is no cgroup2 hierarchy")


def _require_tools() -> None:
    if os.geteuid() != 0:
        raise CannotBoot("making namespaces with users needs root")
    missing = [
        tool for tool in ("unshare", "nsenter", "setpriv", "pivot_root") if not shutil.which(tool)
    ]
    if missing or not SYSTEMD.exists():
        raise CannotBoot(f"not installed: {', '.join(missing) or 'systemd'}")


def _forget_group(group: Path) -> None:
    """Remove the machine's control groups; a group of processes that are just ending is busy."""
    for _ in range(50):
        for below, _names, _files in os.walk(group, topdown=False):
            with contextlib.suppress(OSError):
                os.rmdir(below)
        if not group.exists():
            return
        time.sleep(0.1)
