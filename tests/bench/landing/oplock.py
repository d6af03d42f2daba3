"""`python -m tests.bench.landing.oplock PATH SECONDS < CONTENT`: writes as smbd does for an oplock.

Half of the content, a write lease on the file, a pause of SECONDS in which the lease is given up once
the kernel asks for it; a line on stdout, and the other half. Exits with 3 if the kernel did not ask.
"""

import fcntl
import os
import signal
import sys
import time


class Holder:
    """Of a write lease: whoever opens the file meanwhile waits until it is given up, or is refused."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self.asked = 0
        signal.signal(signal.SIGIO, lambda *_: self._give_up())
        fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_WRLCK)

    def _give_up(self) -> None:
        self.asked += 1
        fcntl.fcntl(self._descriptor, fcntl.F_SETLEASE, fcntl.F_UNLCK)


def main(path: str, seconds: float) -> int:
    content = sys.stdin.buffer.read()
    descriptor = os.open(path, os.O_CREAT | os.O_RDWR | os.O_EXCL, 0o644)
    os.write(descriptor, content[: len(content) // 2])
    holder = Holder(descriptor)
    until = time.monotonic() + seconds
    while (rest := until - time.monotonic()) > 0:
        time.sleep(rest)  # which goes on after a signal
    print("writing", flush=True)  # noqa: T201 - whoever started us notes the time
    os.write(descriptor, content[len(content) // 2 :])
    os.close(descriptor)
    return 0 if holder.asked else 3


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], float(sys.argv[2])))
