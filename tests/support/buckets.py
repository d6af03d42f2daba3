"""Buckets of the one real store of a run, each for one test."""

import itertools
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

_AT_ONCE = 16


class Buckets:
    """Buckets that nobody else uses and that hold nothing; made through `s3`, a boto3 client.

    SeaweedFS answers the first PUT into a bucket 0.21 s late, whatever it is, while it makes volumes for
    it. So each has had one, some together, and no thread of ours is at work while a test runs.
    On a busy machine its master stops making volumes now and then, for good: `restart` heals it.
    """

    def __init__(self, s3: Any, restart: Callable[[], None]) -> None:
        self._s3, self._restart = s3, restart
        self._numbers = itertools.count(1)
        self._ready: deque[str] = deque()

    def take(self) -> str:
        """The name of a fresh one."""
        if not self._ready:
            try:
                self._make_some()
            except (ClientError, BotoCoreError):
                self._restart()
                self._make_some()
        return self._ready.popleft()

    def _make_some(self) -> None:
        with ThreadPoolExecutor(_AT_ONCE) as threads:
            names = threads.map(self._make, list(itertools.islice(self._numbers, _AT_ONCE)))
            self._ready.extend(list(names))

    def _make(self, number: int) -> str:
        name = f"bucket-{number}"
        self._s3.create_bucket(Bucket=name)
        self._s3.put_object(Bucket=name, Key="first", Body=b"1")  # an empty one needs no volume
        self._s3.delete_object(Bucket=name, Key="first")
        return name
