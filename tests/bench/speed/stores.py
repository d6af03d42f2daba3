"""What is uploaded to: null sinks that answer late, and SeaweedFS."""

import contextlib
import itertools
import json
import secrets
import subprocess
import sys
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import boto3
from botocore.config import Config

from hotfolder.seaweed import SeaweedFS
from tests.bench.speed.peers import Target

_numbers = itertools.count(1)


@dataclass(frozen=True, slots=True)
class Usage:
    """What a store did in a run: CPU seconds, bytes of bodies, objects, requests of each kind."""

    cpu: float
    received: int
    objects: int
    requests: Mapping[str, int]


class Store(Protocol):
    name: str

    def target(self) -> Target:
        """A place where nothing is yet."""

    def usage(self) -> Usage | None:
        """What was done since it was asked last, if the store tells."""

    def clear(self, target: Target) -> None:
        """Give up the room that a run's objects take."""


class NullSink:
    """One sink's process. `latency` in milliseconds, before each answer."""

    def __init__(self, name: str, latency: int) -> None:
        self.name = name
        command = [sys.executable, "-m", "tests.bench.speed.sink", "--latency", f"{latency / 1000}"]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        self._url = f"http://127.0.0.1:{int(self._process.stdout.readline())}"

    def target(self) -> Target:
        return Target(self._url, "BENCH", "secret", "bench", f"run-{next(_numbers)}")

    def usage(self) -> Usage:
        with urllib.request.urlopen(f"{self._url}/-/usage") as answer:  # noqa: S310 - our own, on loopback
            told = json.load(answer)
        return Usage(told["cpu"], told["received"], told["objects"], told["requests"])

    def clear(self, target: Target) -> None:
        """It keeps nothing."""

    def close(self) -> None:
        with self._process:
            self._process.terminate()


class Seaweed:
    """A bucket of its own for each run: one is deleted faster than its objects are."""

    def __init__(self, name: str, server: SeaweedFS) -> None:
        self.name, self._server = name, server
        self._s3 = boto3.client(
            "s3",
            endpoint_url=server.endpoint_url,
            aws_access_key_id=server.access_key,
            aws_secret_access_key=server.secret_key,
            region_name="us-east-1",
            config=Config(s3={"addressing_style": "path"}),
        )

    def target(self) -> Target:
        server, bucket = self._server, f"run-{next(_numbers)}"
        self._s3.create_bucket(Bucket=bucket)
        return Target(server.endpoint_url, server.access_key, server.secret_key, bucket, "all")

    def usage(self) -> None:
        """It does not tell."""

    def clear(self, target: Target) -> None:
        self._s3.delete_bucket(Bucket=target.bucket)


@contextlib.contextmanager
def sink(name: str, latency: int) -> Iterator[NullSink]:
    """`latency` in milliseconds."""
    started = NullSink(name, latency)
    try:
        yield started
    finally:
        started.close()


@contextlib.contextmanager
def seaweed(name: str, place: Path) -> Iterator[Seaweed]:
    with SeaweedFS(place, access_key="BENCH", secret_key=secrets.token_hex(16)) as server:
        yield Seaweed(name, server)
