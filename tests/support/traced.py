"""`python traced.py STRACE... -- COMMAND...`: becomes COMMAND once `STRACE... -p` has hold of it.

`strace COMMAND` and its -D would pass on to the command the signal that ends strace; one that attached
just lets go.
"""

import os
import subprocess
import sys
import time
from pathlib import Path

_STATUS = Path("/proc/self/status")


def main(arguments: list[str]) -> None:
    split = arguments.index("--")
    tracing, command = arguments[:split], arguments[split + 1 :]
    tracer = subprocess.Popen([*tracing, "-p", str(os.getpid())], start_new_session=True)
    while "TracerPid:\t0" in _STATUS.read_text():
        if tracer.poll() is not None:
            sys.exit(f"strace ended with {tracer.returncode}")
        time.sleep(0.01)
    os.execvp(command[0], command)  # noqa: S606 - it is to be this very process


if __name__ == "__main__":
    main(sys.argv[1:])
