"""A whole hotfolder in a folder: its configuration, its processes, what is on disk and in the store."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tarfile
import time
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config

from hotfolder.adapters.ledger import FileLedger, verify_chain
from hotfolder.probing import FOLDER

#: Seconds for what takes one: a machine may be busy with much else. What is timed says how long itself.
PATIENCE = 150.0
HOTFOLDER = [sys.executable, "-m", "hotfolder"]
#: What a killed test run leaves behind ends with it. A program of a millisecond, which becomes what it
#: starts; where it is missing nothing else changes.
_SETPRIV = shutil.which("setpriv")
_LEASH = (_SETPRIV, "--pdeathsig", "KILL") if _SETPRIV else ()


_TELL = """
import contextlib, io, json, sys
from hotfolder.cli import app
for arguments in json.load(sys.stdin):
    with contextlib.redirect_stdout(io.StringIO()) as told, contextlib.redirect_stderr(told):
        app(arguments, standalone_mode=False)
    print(json.dumps(told.getvalue()))
"""


class Box:
    """One daemon's world under `root`, delivering to `bucket` of a running store."""

    def __init__(
        self, root: Path, *, endpoint_url: str, access_key: str, secret_key: str, bucket: str
    ) -> None:
        self.root, self.bucket = root, bucket
        self.endpoint_url, self.access_key, self.secret_key = endpoint_url, access_key, secret_key
        self.inbox, self.completed, self.failed = (
            root / name for name in ("inbox", "completed", "failed")
        )
        self.state = root / "state"
        self.heartbeat = self.state / "status.json"
        self.config = root / "hotfolder.toml"
        self.inbox.mkdir()
        self.processes: list[subprocess.Popen[bytes]] = []
        #: What the daemons of this box run under, and find in their environment besides.
        self.wrapper: tuple[str, ...] = ()
        self.surroundings: dict[str, str] = {}
        (root / "credentials").write_text(
            f"[default]\naws_access_key_id = {access_key}\naws_secret_access_key = {secret_key}\n"
        )
        self.configure()

    def configure(self, folder: str = 'settle = "200ms"', extra: str = "", **destination: str) -> None:
        """Write the configuration. `folder` and `extra` are TOML lines, `destination` replaces keys."""
        values = {
            "bucket": self.bucket,
            "endpoint_url": self.endpoint_url,
            "addressing_style": "path",
            "auth": "config",
            "credentials_file": "credentials",
            **destination,
        }
        lines = "\n".join(f'{key} = "{value}"' for key, value in values.items())
        self.config.write_text(
            f'state_dir = "state"\n[destination]\n{lines}\n[folders.box]\ninbox = "inbox"\n{folder}\n'
            f'[status]\ninterval = "100ms"\n{extra}\n'
        )

    def command(
        self, *arguments: str, timeout: float = PATIENCE, cwd: Path | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run one command to its end."""
        return subprocess.run(
            [*HOTFOLDER, *arguments, "--config", str(self.config)],
            capture_output=True,
            text=True,
            timeout=timeout,
            cwd=cwd or self.root,
            env=self.environment(),
            check=False,
        )

    def told(self, *commands: Sequence[str]) -> list[str]:
        """What each of these commands says, which all succeed; all of them in one process."""
        asked = json.dumps([[*command, "--config", str(self.config)] for command in commands])
        done = subprocess.run(
            [sys.executable, "-c", _TELL],
            input=asked,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            cwd=self.root,
            env=self.environment(),
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return [str(json.loads(line)) for line in done.stdout.splitlines()]

    def start(
        self, *options: str, wait: bool = True, stdin: int = subprocess.DEVNULL, **environment: str
    ) -> "subprocess.Popen[bytes]":
        """Start the daemon; return once it beats, with `wait` once it has walked its inbox, too."""
        process = self.spawn(
            *HOTFOLDER, "run", "--config", str(self.config), *options, stdin=stdin, **environment
        )
        self.processes.append(process)
        self.wait(lambda: self.status().get("pid") == process.pid)
        if wait:
            self.wait(lambda: self.phase() == "idle")
        return process

    def spawn(
        self, *command: str, stdin: int = subprocess.DEVNULL, **environment: str
    ) -> "subprocess.Popen[bytes]":
        """Start any process in this box, its output in the log; ending it is the caller's.

        It also ends with the thread that started it, which is to be the main one.
        """
        with (self.root / "log").open("ab") as log:
            return subprocess.Popen(
                (*_LEASH, *self.wrapper, *command),
                stdin=stdin,
                stderr=log,
                stdout=log,
                cwd=self.root,
                env=self.environment() | self.surroundings | environment,
            )

    @staticmethod
    def environment() -> dict[str, str]:
        """Ours without anything that could configure hotfolder or boto3 behind the test's back."""
        return {key: value for key, value in os.environ.items() if not re.match("AWS_|HOTFOLDER_", key)}

    def stop(self, number: int = signal.SIGTERM, timeout: float = PATIENCE) -> int:
        """End the daemon started last; returns its exit code."""
        process = self.processes.pop()
        process.send_signal(number)
        return process.wait(timeout)

    def kill(self) -> None:
        """End the daemon started last with SIGKILL."""
        process = self.processes.pop()
        process.kill()
        process.wait()

    def close(self) -> None:
        for process in self.processes:
            process.kill()
            process.wait()

    def status(self) -> dict[str, Any]:
        try:
            state: dict[str, Any] = json.loads(self.heartbeat.read_bytes())
        except FileNotFoundError:
            return {}
        return state

    def phase(self) -> str:
        return str(self.status().get("phase"))

    def ledger(self) -> list[dict[str, Any]]:
        """All lines, after a check of the chain."""
        path = self.state / "ledger.jsonl"
        if not path.exists():
            return []
        verify_chain(path)
        return list(FileLedger(path).newest_first())[::-1]

    def log(self) -> str:
        return (self.root / "log").read_text(errors="replace")

    def wait(self, condition: Callable[[], object], timeout: float = PATIENCE) -> None:
        """Poll until `condition` holds; the log is shown where it does not."""
        deadline = time.monotonic() + timeout
        while not condition():
            dead = [process for process in self.processes if process.poll() is not None]
            assert not dead, f"the daemon ended by itself; its log ends:\n{self.log()[-3000:]}"
            if time.monotonic() > deadline:
                raise AssertionError(f"not within {timeout} s; the log ends:\n{self.log()[-3000:]}")
            time.sleep(0.05)

    def wait_recorded(self, count: int, timeout: float = PATIENCE) -> list[dict[str, Any]]:
        self.wait(lambda: len(self.ledger()) >= count, timeout)
        return self.ledger()

    # -- the bucket, seen by plain boto3 -------------------------------------------------------

    def s3(self) -> Any:
        return _client(self.endpoint_url, self.access_key, self.secret_key)

    def keys(self, *, probes: bool = False) -> list[str]:
        """Every key; without the probes that a daemon may be making just now, unless asked for."""
        pages = self.s3().get_paginator("list_objects_v2").paginate(Bucket=self.bucket)
        keys = [item["Key"] for page in pages for item in page.get("Contents", [])]
        return [key for key in keys if probes or not is_probe(key)]

    def fetch(self, key: str, to: Path) -> Path:
        self.s3().download_file(self.bucket, key, str(to))
        return to

    def restore(self, key: str, into: Path) -> Path:
        """Fetch a .tar.gz and unpack it as anybody would, with the system's tar; its one file."""
        into.mkdir(parents=True)
        archive = self.fetch(key, into.parent / f"{into.name}.tar.gz")
        subprocess.run(["tar", "xzf", str(archive), "-C", str(into)], check=True, capture_output=True)
        with tarfile.open(archive, "r|gz") as stream:
            assert len(list(stream)) == 1
        (restored,) = into.iterdir()
        return restored

    def open_uploads(self) -> list[str]:
        return [upload["UploadId"] for upload in uploads_in(self.s3(), self.bucket)]


@cache
def _client(endpoint_url: str, access_key: str, secret_key: str) -> Any:
    return boto3.client(
        "s3",
        endpoint_url=endpoint_url,
        aws_access_key_id=access_key,
        aws_secret_access_key=secret_key,
        region_name="us-east-1",
        config=Config(signature_version="s3v4", s3={"addressing_style": "path"}),
    )


def is_probe(key: str) -> bool:
    """Whether a key is of what a daemon looks at its store with, just now or until it was killed."""
    return f"{FOLDER}/" in key


def uploads_in(s3: Any, bucket: str) -> list[dict[str, Any]]:
    """The open multipart uploads of files."""
    uploads = s3.list_multipart_uploads(Bucket=bucket).get("Uploads", [])
    return [upload for upload in uploads if not is_probe(upload["Key"])]


def files_below(root: Path) -> Iterator[Path]:
    return (path for path in root.rglob("*") if path.is_file())
