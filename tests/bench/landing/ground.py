"""The ground that files land on: a box, a book of what was dropped, and the ledger as it grows."""

import hashlib
import http.client
import json
import os
import random
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

from tests.support.box import Box
from tests.support.verdict import Inspector, sha256_in_tar

KIB, MIB = 1 << 10, 1 << 20
_POLL = 0.001  # seconds between two looks at the ledger: the resolution of every figure


class Follower:
    """Reads the ledger as it grows. `seen`: moment (monotonic) at which a path's line could be read."""

    def __init__(self, ledger: Path) -> None:
        self._ledger = ledger
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._follow, name="follower", daemon=True)
        self.lines: list[dict[str, Any]] = []
        self.seen: dict[str, float] = {}

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopping.set()
        self._thread.join()

    def _follow(self) -> None:
        while not self._ledger.exists():
            if self._stopping.wait(_POLL):
                return
        rest = b""
        with self._ledger.open("rb", buffering=0) as file:
            while not self._stopping.is_set():
                piece = file.read(MIB)
                if not piece:
                    time.sleep(_POLL)
                    continue
                now = time.monotonic()
                *whole, rest = (rest + piece).split(b"\n")
                for line in whole:
                    entry = json.loads(line)
                    self.seen.setdefault(str(entry["target_path"]), now)
                    self.lines.append(entry)


class HastyInspector(Inspector):
    """The same judge, who asks for objects over one plain connection: three times as many a second."""

    def __init__(self, box: Box) -> None:
        super().__init__(box)
        self._bucket, self._sign = box.bucket, box.s3().generate_presigned_url
        address = urlsplit(box.endpoint_url)
        self._connection = http.client.HTTPConnection(str(address.hostname), address.port, timeout=60)

    def close(self) -> None:
        self._connection.close()

    def restored_sha256(self, key: str) -> str | None:
        url = urlsplit(self._sign("get_object", Params={"Bucket": self._bucket, "Key": key}))
        self._connection.request("GET", f"{url.path}?{url.query}")
        with self._connection.getresponse() as reply:
            found = sha256_in_tar(reply) if reply.status == http.HTTPStatus.OK else None
            reply.read()  # what the tar did not need, so that the connection can be used again
            return found


@dataclass(slots=True)
class Ground:
    """One box with its book: what was dropped, by path relative to the inbox -> SHA-256."""

    box: Box
    follower: Follower
    dice: random.Random
    book: dict[str, str] = field(default_factory=dict)

    def write(self, folder: Path, name: str, size: int = 3 * KIB) -> Path:
        """A new file of random bytes at `folder`/`name`, that is to land in the inbox as `name`."""
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(self.content(name, size))
        return path

    def content(self, name: str, size: int) -> bytes:
        """Random bytes that are to land in the inbox as `name`."""
        content = self.dice.randbytes(size)
        self.book[name] = hashlib.sha256(content).hexdigest()
        return content

    def recorded(self, name: str) -> float | None:
        """The moment (monotonic) at which the line of `name` could be read."""
        return self.follower.seen.get(os.path.join(self.box.inbox, name))

    def wait(self, names: list[str], timeout: float) -> list[str]:
        """Wait until each has a line; returns those that have none after `timeout` seconds."""
        deadline = time.monotonic() + timeout
        waited = names
        while waited and time.monotonic() < deadline:
            time.sleep(0.01)
            waited = [name for name in waited if self.recorded(name) is None]
        return waited

    def judge(self) -> list[str]:
        """What is wrong with all that was dropped, as sentences; ends the daemon first."""
        self.box.wait(lambda: self.box.phase() == "idle")
        self.box.stop()
        dropped = [(os.path.join(self.box.inbox, name), sha256) for name, sha256 in self.book.items()]
        with closing(HastyInspector(self.box)) as inspector:
            found = inspector.final(dropped).violations()
        wrong = [f"{kind}: {each}" for kind, those in found.items() for each in those]
        return wrong + self._undelivered()

    def _undelivered(self) -> list[str]:
        lines = [line for line in self.box.ledger() if line["status"] == "success"]
        times = Counter(os.path.relpath(str(line["target_path"]), self.box.inbox) for line in lines)
        objects = Counter(self.box.keys()) - Counter(str(line["s3_object_key"]) for line in lines)
        return [
            *(f"delivered {times[name]} times: {name}" for name in self.book if times[name] != 1),
            *(f"nobody dropped {name}" for name in times.keys() - self.book.keys()),
            *(f"an object of no line: {key}" for key in objects),
        ]


@contextmanager
def landing(box: Box, seed: int) -> Iterator[Ground]:
    """The ground of a box, with its ledger followed. The daemon is the caller's to start."""
    with Follower(box.state / "ledger.jsonl") as follower:
        yield Ground(box, follower, random.Random(seed))
