"""What is uploaded: made once a run of the bench, in a folder on disk, and read before each run.

So every contestant finds its input in the page cache, as files are that were just dropped.
"""

import os
import random
import shutil
import sysconfig
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from tools.demo import inputs

KIB, MIB, GIB = 1 << 10, 1 << 20, 1 << 30
_A_FOLDER = 1000  # files of one folder


@dataclass(frozen=True, slots=True)
class Work:
    """Files of one kind: a short name, what people read, and `make`, which fills a folder."""

    name: str
    title: str
    make: Callable[[Path, int], None]


@dataclass(frozen=True, slots=True)
class Made:
    """A work's files below `folder`; `size` in bytes, of all."""

    folder: Path
    files: int
    size: int

    def warm(self) -> None:
        """Read every file once; what others wrote before is then on the disk."""
        os.sync()
        buffer = bytearray(MIB)
        for path in files_below(self.folder):
            with path.open("rb", buffering=0) as file:
                while file.readinto(buffer):
                    pass

    def linked(self, to: Path) -> None:
        """A tree of hard links to the files: a copy for a program that removes what it sent."""
        shutil.copytree(self.folder, to, copy_function=os.link)


def make(work: Work, folder: Path, seed: int) -> Made:
    """Make its files. The pages still to be written are then on the disk."""
    work.make(folder, seed)
    found = list(files_below(folder))
    os.sync()
    return Made(folder, len(found), sum(path.stat().st_size for path in found))


def files_below(folder: Path) -> Iterator[Path]:
    return (path for path in folder.rglob("*") if path.is_file())


def small(name: str, count: int) -> Work:
    """Each 4 KiB of text, no two alike, a thousand in a folder."""

    def fill(folder: Path, seed: int) -> None:
        dice = random.Random(seed)
        for number in range(count):
            _write(folder, number, [b"%08d" % number, *_text(4 * KIB - 8, dice)])

    return Work(name, f"{count:,} x 4 KiB", fill)


def mixed(name: str, count: int) -> Work:
    """Each 1 MiB, text and random bytes by turns."""

    def fill(folder: Path, seed: int) -> None:
        dice = random.Random(seed)
        for number in range(count):
            _write(folder, number, (_text if number % 2 else _random)(MIB, dice))

    return Work(name, f"{count:,} x 1 MiB mixed", fill)


def large(name: str, count: int, size: int, what: str) -> Work:
    """`what` is "text" or "random bytes"."""

    def fill(folder: Path, seed: int) -> None:
        dice = random.Random(seed)
        for number in range(count):
            _write(folder, number, (_text if what == "text" else _random)(size, dice))

    unit = f"{size // GIB} GiB" if size >= GIB else f"{size // MIB} MiB"
    return Work(name, f"{f'{count} x ' if count > 1 else ''}{unit} of {what}", fill)


def source_tree(name: str) -> Work:
    """The standard library of this Python: thousands of real files of mixed sizes."""

    def fill(folder: Path, _: int) -> None:
        left_out = shutil.ignore_patterns("site-packages", "__pycache__")
        shutil.copytree(sysconfig.get_path("stdlib"), folder, ignore=left_out)
        for path in folder.rglob("*"):
            if path.is_symlink():
                path.unlink()

    return Work(name, "a source tree", fill)


def _write(folder: Path, number: int, blocks: Iterable[bytes]) -> None:
    path = folder / f"d{number // _A_FOLDER:02d}" / f"f{number:06d}"
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("xb") as file:
        file.writelines(blocks)


def _text(size: int, dice: random.Random) -> Iterator[bytes]:
    """A server's log, which gzip makes four times smaller."""
    return _turned(_log(), size, dice)


def _random(size: int, dice: random.Random) -> Iterator[bytes]:
    """Bytes that no compressor makes smaller."""
    return _turned(_noise(), size, dice)


def _turned(base: bytes, size: int, dice: random.Random) -> Iterator[bytes]:
    """Some MiB over and over, each time from another place: far more than compressors look back."""
    while size > 0:
        start = dice.randrange(len(base))
        block = base[start : start + size]
        yield block
        size -= len(block)


@cache
def _log() -> bytes:
    return b"".join(inputs.log_blocks(16 * MIB))


@cache
def _noise() -> bytes:
    return random.Random(1).randbytes(16 * MIB)
