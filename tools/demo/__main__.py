"""Start the sandbox, drop real input, watch, prove, say it in one line; leave nothing behind."""

import argparse
import os
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path
from types import FrameType

from hotfolder.cli.output import say, shown, size, span
from hotfolder.core.errors import HotfolderError
from tools.demo import DemoFailed, inputs, progress, proofs
from tools.demo.inputs import Dropped
from tools.demo.process import SandboxProcess
from tools.demo.table import print_delivered

_LARGE, _SMALL = 300_000_000, 30_000_000  # bytes of each of the two large files
_ENDS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def main() -> int:
    """Returns the exit code: 0 only if every file was proven."""
    parser = argparse.ArgumentParser(prog="make demo", description=__doc__)
    parser.add_argument("--small", action="store_true", help="two files of 30 MB, not 300 MB")
    parser.add_argument("--all", action="store_true", help="print a row for every file")
    parser.add_argument("--keep", action="store_true", help="leave the sandbox's folder for a look")
    options = parser.parse_args()
    for number in _ENDS:
        if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN:  # nohup
            signal.signal(number, _interrupt)
    for name in [name for name in os.environ if name.startswith(("AWS_", "HOTFOLDER_"))]:
        del os.environ[name]  # the sandbox and plain boto3 have their own, and nothing else
    try:
        check_space(_SMALL if options.small else _LARGE)
        root = Path(tempfile.mkdtemp(prefix="hotfolder-demo-"))
        try:
            demonstrate(root, large=_SMALL if options.small else _LARGE, every=options.all)
        finally:
            if options.keep:
                say(f"Kept in {root}")
            else:
                shutil.rmtree(root)
    except (DemoFailed, HotfolderError, OSError) as error:
        print(f"demo: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("demo: interrupted; everything it started is ended", file=sys.stderr)
        return 130
    return 0


def check_space(large: int) -> None:
    """Raises `DemoFailed` where the temporary folder has too little room.

    Each large file stands there in completed/, in the store, fetched, and restored.
    """
    needed, folder = 4 * 2 * large + 100_000_000, tempfile.gettempdir()
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise DemoFailed(
            f"{folder} has {size(free)} free, the demo needs {size(needed)}: "
            "name another folder with TMPDIR, or run `make demo DEMO=--small`"
        )


def demonstrate(root: Path, *, large: int, every: bool) -> None:
    """The whole demo in `root`. Raises `DemoFailed` at the first thing that is not as promised."""
    begun = time.monotonic()
    sandbox = SandboxProcess(root / "sandbox", root / "sandbox.log")
    with sandbox:
        say(f"The sandbox runs in {shown(root)} ({span(time.monotonic() - begun)} to start)")
        dropped = {
            file.relpath: file for file in inputs.drop_all(sandbox.inbox, root / "staged", large=large)
        }
        total = sum(file.content.size for file in dropped.values())
        say(f"Dropped {len(dropped):,} files, {size(total)}, into its inbox; waiting for the last one")
        since = time.monotonic()
        progress.watch(sandbox, len(dropped), total)
        say(f"All delivered, {span(time.monotonic() - since)} after the last was dropped")
        _prove(sandbox, dropped, root / "restored", every=every)
    code = sandbox.stop()
    if code != 0:
        raise DemoFailed(f"the sandbox ended with exit code {code}{sandbox.last_words()}")


def _prove(sandbox: SandboxProcess, dropped: dict[str, Dropped], work: Path, *, every: bool) -> None:
    lines = proofs.check_ledger(sandbox, dropped)
    print_delivered(dropped.values(), lines, every=every)
    say("Fetching every object with plain boto3, restoring it with the system's tar, comparing")
    since = time.monotonic()
    with progress.meter() as meter:
        alike = proofs.check_objects(sandbox, dropped, lines, work, meter)
    proofs.check_folders(sandbox, dropped)
    say(f"Checked in {span(time.monotonic() - since)}; completed/ has every original,")
    say("the ledger has one line for each file and its chain holds")
    say(f"{alike:,} of {len(dropped):,} files are in the store, restored byte for byte: ok")


def _interrupt(number: int, _frame: FrameType | None) -> None:
    # Once is enough: a second one must not break into the tidying up.
    for each in _ENDS:
        signal.signal(each, signal.SIG_IGN)
    raise KeyboardInterrupt(signal.strsignal(number))


if __name__ == "__main__":
    sys.exit(main())
