"""`hotfolder sandbox` as a process of its own: started, looked at from outside, ended."""

import configparser
import contextlib
import gzip
import json
import os
import select
import signal
import subprocess
import sys
import time
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Self

import boto3
from botocore.config import Config

from tools.demo import DemoFailed

_START = 60.0  # seconds until it beats
_STOP = 40.0  # seconds to drain and to end the store


class SandboxProcess:
    """The sandbox in `directory`, while this is open. Its output is in `log`.

    It has a session of its own: Ctrl-C reaches the demo alone, which then ends the sandbox in order.
    """

    def __init__(self, directory: Path, log: Path) -> None:
        self.directory, self.log = directory, log
        self.inbox, self.completed, self.failed = (
            directory / name for name in ("inbox", "completed", "failed")
        )
        self.ledger = directory / "state" / "ledger.jsonl"
        self._process: subprocess.Popen[bytes] | None = None
        self._children: list[int] = []  # pidfds: no other process can be taken for them

    def __enter__(self) -> Self:
        with self.log.open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "hotfolder", "sandbox", str(self.directory)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        try:
            self.wait(self.status, _START, "ready")
            self._hold_children(self._process.pid)
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> int:
        """End it as Ctrl-C does, by force only past the deadline; returns its exit code."""
        process = self._process
        if process is None:
            return 0
        if process.poll() is None and not self._children:
            self._hold_children(process.pid)
        for number in (signal.SIGINT, signal.SIGTERM):
            if process.poll() is None:
                process.send_signal(number)
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(_STOP)
        if process.poll() is None:
            process.kill()
        self._end_children()
        return process.wait()

    def _hold_children(self, pid: int) -> None:
        """Know the store, so that it can be ended even if the sandbox is killed."""
        for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
            with contextlib.suppress(ProcessLookupError):
                self._children.append(os.pidfd_open(int(child)))

    def _end_children(self) -> None:
        """The store ends with the sandbox, but not at once, and hangs if its folder goes before."""
        for child in self._children:
            ended, _, _ = select.select([child], [], [], _STOP)
            if not ended:
                signal.pidfd_send_signal(child, signal.SIGKILL)
                select.select([child], [], [], _STOP)
            os.close(child)
        self._children.clear()

    def wait(self, condition: Callable[[], object], seconds: float, what: str) -> None:
        """Poll until `condition` holds. Raises `DemoFailed` where it does not, or the sandbox ends."""
        deadline = time.monotonic() + seconds
        while not condition():
            self.check_running()
            if time.monotonic() > deadline:
                raise DemoFailed(f"the sandbox was not {what} within {seconds:.0f} s{self.last_words()}")
            time.sleep(0.1)

    def check_running(self) -> None:
        """Raises `DemoFailed` with the end of its log if the sandbox ended by itself."""
        code = self._process.poll() if self._process else None
        if code is not None:
            raise DemoFailed(f"the sandbox ended by itself with exit code {code}{self.last_words()}")

    def last_words(self) -> str:
        lines = self.log.read_text(encoding="utf-8", errors="replace").splitlines()[-8:]
        return "\n".join(["; its log ends with", *lines]) if lines else ""

    def status(self) -> dict[str, Any]:
        """The heartbeat; empty until there is one."""
        try:
            state: dict[str, Any] = json.loads((self.directory / "state" / "status.json").read_bytes())
        except FileNotFoundError:
            return {}
        return state

    def recorded(self) -> int:
        """How many lines the ledger has."""
        return sum(1 for _ in self._raw_lines())

    def lines(self) -> Iterator[dict[str, Any]]:
        """The ledger's lines; it stands still, or its last line may be torn."""
        yield from map(json.loads, self._raw_lines())

    def _raw_lines(self) -> Iterator[bytes]:
        """Of the full files, plain or packed, and of the one that is appended to."""
        full = {path.name.removesuffix(".gz") for path in self.ledger.parent.glob("ledger-*.jsonl*")}
        for path in [*(self.ledger.with_name(name) for name in sorted(full)), self.ledger]:
            with contextlib.suppress(FileNotFoundError), path.open("rb") as file:
                yield from file
                continue
            with contextlib.suppress(FileNotFoundError), gzip.open(f"{path}.gz", "rb") as packed:
                yield from packed

    def bucket(self) -> tuple[Any, str]:
        """A plain boto3 client for the sandbox's store, and the name of the bucket."""
        destination = tomllib.loads((self.directory / "hotfolder.toml").read_text())["destination"]
        parser = configparser.ConfigParser()
        parser.read(self.directory / destination["credentials_file"], encoding="utf-8")
        keys = parser["default"]
        client = boto3.client(
            "s3",
            endpoint_url=destination["endpoint_url"],
            aws_access_key_id=keys["aws_access_key_id"],
            aws_secret_access_key=keys["aws_secret_access_key"],
            region_name="us-east-1",
            config=Config(s3={"addressing_style": "path"}, proxies={}),
        )
        return client, destination["bucket"]
