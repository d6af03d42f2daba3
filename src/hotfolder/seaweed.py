"""The embedded S3 store of `hotfolder sandbox` and of the tests: one SeaweedFS process on loopback.

SeaweedFS comes as the `weed` binary of the `sandbox` extra. Everything it opens gets a port
of our choosing, so that several can run on one machine and none stands on a well-known port.
"""

import contextlib
import http.client
import json
import os
import shutil
import signal
import subprocess
import sys
import sysconfig
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

from hotfolder.core.errors import ConfigError, LocalError
from hotfolder.leash import claimed, leashed
from hotfolder.seaweed_ports import HOST, choose_ports, sweep_sockets

# Seconds that it gets to stop. Once it has run for a minute it would take 12, of which it waits ten for
# its own admin server; what it has answered for is with the kernel then.
_STOP = 4.0
# A port that was free when it was chosen may be taken a moment later, before weed binds it: how often it
# is started, with other ports each time, and what it says then.
_TRIES = 3
_TAKEN = "Port allocation failed"


def find_weed() -> str:
    """Path of the `weed` binary: beside this interpreter first, then on PATH. Raises ConfigError."""
    for folder in (sysconfig.get_path("scripts"), str(Path(sys.executable).parent), None):
        found = shutil.which("weed", path=folder)
        if found:
            return found
    raise ConfigError(
        "the embedded store is not installed: no `weed` beside this Python and none on PATH",
        hint="install it with: pip install 'hotfolder[sandbox]'",
    )


class _PortTaken(LocalError):
    """Somebody was faster than weed: other ports will do."""


class SeaweedFS:
    """One SeaweedFS server that keeps its data in `directory`; start, use `endpoint_url`, stop.

    Data, ports and credentials file stay in `directory`: the next start with it finds every object.
    `s3_port` 0 takes a free one (the same one again after a restart, if it is still free).
    `access_key` and `secret_key` become the only identity, with every right. Timeouts in seconds.
    `bucket` is made if it is named and not there yet.
    Start it from a thread that lives as long as the store is wanted (the main thread): the kernel
    kills the store with the thread that started it, so that a killed hotfolder leaves no orphan.
    """

    def __init__(
        self,
        directory: Path,
        *,
        access_key: str,
        secret_key: str,
        s3_port: int = 0,
        bucket: str = "",
        start_timeout: float = 60.0,
        stop_timeout: float = _STOP,
    ) -> None:
        self.directory = directory.resolve()
        self.access_key = access_key
        self.secret_key = secret_key
        self.log_path = self.directory / "weed.log"
        self._wanted_port = s3_port
        self._bucket = bucket
        self._start_timeout = start_timeout
        self._stop_timeout = stop_timeout
        self._process: subprocess.Popen[bytes] | None = None
        self._ports: dict[str, int] = {}

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    @property
    def s3_port(self) -> int:
        """The port of the S3 endpoint; known once `start` returned."""
        return self._ports["s3.port"]

    @property
    def endpoint_url(self) -> str:
        """What `endpoint_url` of an S3 client wants; known once `start` returned."""
        return f"http://{HOST}:{self.s3_port}"

    @property
    def pid(self) -> int | None:
        """Process id while it runs."""
        return self._process.pid if self._process else None

    def start(self) -> None:
        """Return once S3 answers and the bucket stands.

        Raises ConfigError (not installed), or LocalError: another one runs in this folder, or this one
        did not begin (with the last lines of its log).
        """
        if self._process is not None:
            raise RuntimeError("this SeaweedFS is already started")
        weed = find_weed()
        self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        for tries_left in reversed(range(_TRIES)):
            try:
                self._start(weed)
                return
            except _PortTaken:
                if not tries_left:
                    raise

    def _start(self, weed: str) -> None:
        try:
            self._begin(weed)
            self._await_ready()
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """End the server: SIGTERM, then SIGKILL past the deadline. Stopping twice is fine."""
        process, self._process = self._process, None
        if process is None:
            return
        process.terminate()
        try:
            process.wait(self._stop_timeout)
        except subprocess.TimeoutExpired:
            with contextlib.suppress(ProcessLookupError):  # it may end in this very moment
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        sweep_sockets(self._ports)

    def _begin(self, weed: str) -> None:
        with claimed(self.directory / "lock", patience=self._stop_timeout) as lock:
            self._write_identity()
            self._forget_former_run()
            self._ports = choose_ports(self.directory / "ports.json", self._wanted_port)
            with self.log_path.open("wb") as log:
                self._process = subprocess.Popen(
                    leashed(weed, *self._arguments()),
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    cwd=self.directory,
                    env=self._environment(),
                    pass_fds=[lock],
                    start_new_session=True,  # Ctrl-C in the terminal is the daemon's; it drains first
                )
            os.pwrite(lock, f"{self._process.pid}\n".encode(), 0)

    def _arguments(self) -> list[str]:
        options: dict[str, object] = {
            "dir": self.directory,
            "ip": HOST,
            "ip.bind": HOST,
            "s3.config": self.directory / "s3.json",
            "s3.autoCreateBucket": "false",
            "s3.port.iceberg": 0,
            "s3.port.lance": 0,
            "admin.ui": "false",
            "webdav": "false",
            "master.telemetry": "false",
            # Volumes are neither preallocated nor counted against the disk: the default (free space
            # / volume size, seven at once for each bucket) runs out of volumes with eleven buckets.
            "master.volumeSizeLimitMB": 1024,
            "volume.max": 100_000,
            **self._ports,
        }
        if self._bucket:
            options["bucket"] = self._bucket
        return ["-logtostderr=true", "mini", *(f"-{name}={value}" for name, value in options.items())]

    def _environment(self) -> Mapping[str, str]:
        # Nothing of ours: weed would take AWS_ACCESS_KEY_ID, S3_BUCKET and WEED_* for orders, and
        # $HOME/.seaweedfs for configuration.
        return {
            "HOME": str(self.directory),
            "TMPDIR": str(self.directory),
            "PATH": os.defpath,
            "WEED_MASTER_VOLUME_GROWTH_COPY_1": "2",  # volumes made at once for a bucket
        }

    def _key_pairs(self) -> Mapping[str, str]:
        return {self.access_key: self.secret_key}

    def _write_identity(self) -> None:
        identity = {
            "name": "hotfolder",
            "credentials": [
                {"accessKey": access_key, "secretKey": secret_key}
                for access_key, secret_key in self._key_pairs().items()
            ],
            "actions": ["Admin", "Read", "Write", "List", "Tagging"],
        }
        path = self.directory / "s3.json"
        # Created with its mode: a file that is chmod-ed later stands open for a moment.
        path.unlink(missing_ok=True)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            json.dump({"identities": [identity]}, file)

    def _forget_former_run(self) -> None:
        # weed reads its own options back from here: those of an older hotfolder would come to life.
        (self.directory / "mini.options").unlink(missing_ok=True)
        if self.log_path.exists():
            self.log_path.replace(self.log_path.with_suffix(".log.1"))

    def _await_ready(self) -> None:
        assert self._process is not None  # noqa: S101  # set by start, which alone calls this
        deadline = time.monotonic() + self._start_timeout
        while not self._is_ready():
            if self._process.poll() is not None:
                raise self._failure(f"SeaweedFS ended with exit code {self._process.returncode}")
            if time.monotonic() > deadline:
                raise self._failure(f"SeaweedFS was not ready within {self._start_timeout:.0f} s")
            time.sleep(0.05)

    def _is_ready(self) -> bool:
        if _status(self.s3_port, "/") is None or not self._has_volumes():
            return False
        # weed makes the bucket about a second after S3 answers, and only its filer tells.
        return not self._bucket or _status(self._ports["filer.port"], f"/buckets/{self._bucket}/") == 200

    def _has_volumes(self) -> bool:
        """Whether the volume server has reported to the master: until then every GET is a 500."""
        try:
            answer = _ask("GET", self._ports["master.port"], "/dir/status")
            topology = json.loads(answer[1])["Topology"] if answer else {}
        except (ValueError, KeyError):
            return False
        racks = [rack for center in topology.get("DataCenters") or () for rack in center["Racks"] or ()]
        return any(rack["DataNodes"] for rack in racks)

    def _failure(self, what: str) -> LocalError:
        tail = self.log_path.read_text(encoding="utf-8", errors="replace").splitlines()[-8:]
        kind = _PortTaken if any(_TAKEN in line for line in tail) else LocalError
        return kind("\n".join([what, *tail]), hint=f"its log is {self.log_path}")


def _status(port: int, path: str) -> int | None:
    answer = _ask("HEAD", port, path)
    return answer[0] if answer else None


def _ask(method: str, port: int, path: str) -> tuple[int, bytes] | None:
    """Status and body, or None while nothing answers (the caller asks until its deadline)."""
    connection = http.client.HTTPConnection(HOST, port, timeout=2)
    try:
        connection.request(method, path)
        response = connection.getresponse()
        return response.status, response.read()
    except (OSError, http.client.HTTPException):
        return None  # not up yet; past the deadline its log is shown
    finally:
        connection.close()
