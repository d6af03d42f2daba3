"""A user at work in an inbox: drops small and large files, and changes some of them all the time.

He keeps a book of every version that he did not himself destroy: each must be found in the end.
"""

import hashlib
import os
import random
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_SMALL, _LARGE, _CHANGING = 6000, (6_000_000, 30_000_000), 5
_PAUSE = 0.03  # seconds between two things he does, at most twice that


class User:
    """Works in a thread of his own. `book`: the versions that must be there, by a number of ours."""

    def __init__(self, inbox: Path, *, seed: int, most_large: int) -> None:
        self._inbox, self._desk = inbox, inbox.parent / "being-written"
        self._dice = random.Random(seed)
        self._most_large = most_large
        self._book: dict[int, tuple[str, str]] = {}
        self._inodes: dict[int, int] = {}  # of the changing files that are his to change -> number
        self._number = 0
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._work, name="user")
        self._error: BaseException | None = None
        self.late: set[str] = set()
        self.lock = threading.Lock()  # held while he does something

    @property
    def drops(self) -> int:
        """How many versions must be found by now."""
        return len(self._book)

    @property
    def dropped(self) -> list[tuple[str, str]]:
        return list(self._book.values())

    @contextmanager
    def at_work(self) -> Iterator[None]:
        self._thread.start()
        try:
            yield
        finally:
            self._stopping.set()
            self._thread.join()
        if self._error is not None:
            raise self._error

    def _work(self) -> None:
        try:
            while not self._stopping.wait(self._dice.uniform(0, 2 * _PAUSE)):
                with self.lock:
                    self._do_something()
        except BaseException as error:  # noqa: BLE001 - told by `at_work`
            self._error = error

    def _do_something(self) -> None:
        kind = self._dice.random()
        if kind < 0.02 and self._most_large > 0:
            self._most_large -= 1
            self._drop("large", self._dice.randrange(*_LARGE))
        elif kind < 0.5:
            self._drop(self._dice.choice(["", "sub", "sub/deep"]), self._dice.randrange(_SMALL))
        else:
            self._change(self._inbox / f"changing-{self._dice.randrange(_CHANGING)}")

    def _drop(self, folder: str, size: int) -> None:
        self._number += 1
        path = self._inbox / folder / f"{self._number}.bin"
        path.parent.mkdir(parents=True, exist_ok=True)
        self._put(path, size)

    def _put(self, path: Path, size: int) -> None:
        """Put a new file in a place; what it replaces, if that is still there, he destroyed himself."""
        self._number += 1
        content = b"%d %s\n" % (self._number, os.fsencode(path.name)) + self._dice.randbytes(size)
        self._desk.write_bytes(content)
        inode = self._desk.stat().st_ino
        with _opened(path, os.O_RDONLY) as old:
            self._desk.rename(path)
            if old is not None and os.fstat(old).st_nlink == 0:
                del self._book[self._inodes.pop(os.fstat(old).st_ino)]
        self._book[self._number] = (path.name, hashlib.sha256(content).hexdigest())
        if path.name.startswith("changing-"):
            self._inodes[inode] = self._number

    def _change(self, path: Path) -> None:
        how = self._dice.choice(["append", "truncate", "replace"])
        with _opened(path, os.O_RDWR) as descriptor:
            if descriptor is None or how == "replace":
                self._put(path, self._dice.randrange(_SMALL))
                return
            status = os.fstat(descriptor)
            number = self._inodes[status.st_ino]
            if how == "append":
                os.lseek(descriptor, 0, os.SEEK_END)
                os.write(descriptor, self._dice.randbytes(500))
            else:
                os.ftruncate(descriptor, max(status.st_size // 2, 30))
            version = hashlib.sha256(os.pread(descriptor, 10_000_000, 0)).hexdigest()
            self._book[number] = (path.name, version)
            there = None
            with suppress(FileNotFoundError):
                there = path.stat().st_ino
            if there != status.st_ino:
                self.late.add(version)


@contextmanager
def _opened(path: Path, flags: int) -> Iterator[int | None]:
    """A descriptor of the file, or None if there is none."""
    try:
        descriptor = os.open(path, flags | os.O_NOFOLLOW)
    except FileNotFoundError:
        yield None
        return
    try:
        yield descriptor
    finally:
        os.close(descriptor)
