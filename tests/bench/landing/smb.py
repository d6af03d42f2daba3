"""A real smbd on a port of loopback, with nothing shared but one inbox, and its client."""

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

TOOLS = ("smbd", "smbclient")
_START = 30.0  # seconds
_CONFIG = """\
[global]
server role = standalone server
interfaces = 127.0.0.1/8
bind interfaces only = yes
smb ports = {port}
disable netbios = yes
disable spoolss = yes
load printers = no
map to guest = bad user
guest account = {user}
{folders}
log file = {place}/log
max log size = 0
kernel oplocks = {kernel_oplocks}
smb2 leases = {leases}
oplocks = yes
[inbox]
path = {inbox}
read only = no
guest ok = yes
force user = {user}
"""
_FOLDERS = ("private dir", "lock directory", "state directory", "cache directory", "pid directory")


def missing() -> str | None:
    """What is not installed."""
    absent = [tool for tool in TOOLS if not shutil.which(tool)]
    return f"{' and '.join(absent)} not installed" if absent else None


def forbidden() -> str | None:
    """Why no share can be served by this user."""
    return None if os.geteuid() == 0 else "smbd has to be started by root"


@dataclass(frozen=True, slots=True)
class Share:
    """The inbox as a client sees it."""

    port: int

    def do(self, command: str) -> None:
        """Run smbclient's `command`."""
        with self.client(command) as process:
            said, _ = process.communicate(timeout=60)
        _expect_fine(process, said)

    def put_slowly(self, name: str, pieces: list[bytes], pause: float) -> None:
        """One file in pieces, with `pause` seconds after each, open on the server all the time."""
        with self.client(f"put - {name}") as process:
            assert process.stdin is not None
            for piece in pieces:
                process.stdin.write(piece)
                process.stdin.flush()
                time.sleep(pause)
            said, _ = process.communicate(timeout=60)
        _expect_fine(process, said)

    def client(self, command: str) -> "subprocess.Popen[bytes]":
        return subprocess.Popen(
            ["smbclient", "-N", "-p", str(self.port), "//127.0.0.1/inbox", "-c", command],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )


def _expect_fine(process: "subprocess.Popen[bytes]", said: bytes) -> None:
    if process.returncode != 0 or b"NT_STATUS" in said:
        raise AssertionError(f"smbclient failed: {said.decode(errors='replace')}")


@contextmanager
def served(
    place: Path, inbox: Path, *, user: str = "root", kernel_oplocks: bool = True
) -> Iterator[Share]:
    """Serve `inbox`; the server's own files are in `place`. Its children end with it."""
    place.mkdir()
    port = _free_port()
    config = place / "smb.conf"
    kernel = "yes" if kernel_oplocks else "no"
    config.write_text(
        _CONFIG.format(
            port=port,
            user=user,
            place=place,
            inbox=inbox,
            folders="\n".join(f"{folder} = {place}" for folder in _FOLDERS),
            kernel_oplocks=kernel,
            leases="no"
            if kernel_oplocks
            else "yes",  # smbd gives leases only where the kernel has no say
        )
    )
    command = ["smbd", "--foreground", "--no-process-group", "--configfile", str(config)]
    with (place / "output").open("wb") as output:
        server = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, process_group=0
        )
    try:
        _await_port(port, server, place)
        yield Share(port)
    finally:
        os.killpg(server.pid, signal.SIGTERM)
        server.wait(20)


def _await_port(port: int, server: "subprocess.Popen[bytes]", place: Path) -> None:
    deadline = time.monotonic() + _START
    while time.monotonic() < deadline and server.poll() is None:
        with closing(socket.socket()) as asking:
            if asking.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise AssertionError(f"smbd does not answer: {(place / 'output').read_text()[-2000:]}")


def _free_port() -> int:
    with closing(socket.socket()) as asking:
        asking.bind(("127.0.0.1", 0))
        port: int = asking.getsockname()[1]
        return port
