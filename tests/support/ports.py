"""Ports of loopback where nobody listens, and where nobody will by chance."""

import random
import socket
from pathlib import Path

_RANGE = Path("/proc/sys/net/ipv4/ip_local_port_range")
_LEAST = 10_000


def closed_port() -> int:
    """From below those that the kernel gives away: to other tests, which run at the same time."""
    first = int(_RANGE.read_text().split()[0])
    while True:
        port = random.randrange(_LEAST, first) if first > _LEAST else 0
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue  # a service of this machine
            return int(probe.getsockname()[1])
