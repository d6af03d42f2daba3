"""What is uploaded: made once a run of the bench, in a folder on disk, and read before each run.

So every contestant finds its input in the page cache, as files are that were just dropped.
"""

import itertools
import os
import random
import shutil
import sysconfig
from collections.abc import Callable, Iterator
from dataclasses import dataclass
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
        """Read every file once."""
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
        text = b"".join(inputs.log_blocks(16 * MIB))
        dice = random.Random(seed)
        for number in range(count):
            start = dice.randrange(len(text) - 4 * KIB)
            _write(folder, number, iter([b"%08d" % number + text[start : start + 4 * KIB - 8]]))

    return Work(name, f"{count:,} x 4 KiB", fill)


def mixed(name: str, count: int) -> Work:
    """Each 1 MiB, text and random bytes by turns."""

    def fill(folder: Path, seed: int) -> None:
        for number in range(count):
            blocks = inputs.log_blocks(MIB) if number % 2 else _random(MIB, seed + number)
            _write(folder, number, blocks)

    return Work(name, f"{count:,} x 1 MiB, half text, half random", fill)


def large(name: str, count: int, size: int, what: str) -> Work:
    """`what` is text or random."""

    def fill(folder: Path, seed: int) -> None:
        for number in range(count):
            blocks = inputs.log_blocks(size) if what == "text" else _random(size, seed + number)
            _write(folder, number, blocks)

    unit = f"{size // GIB} GiB" if size >= GIB else f"{size // MIB} MiB"
    return Work(name, f"{count:,} x {unit} {what}", fill)


def source_tree(name: str) -> Work:
    """The standard library of this Python: thousands of real files of mixed sizes."""

    def fill(folder: Path, _: int) -> None:
        left_out = shutil.ignore_patterns("site-packages", "__pycache__")
        shutil.copytree(sysconfig.get_path("stdlib"), folder, ignore=left_out)
        for path in folder.rglob("*"):
            if path.is_symlink():
                path.unlink()

    return Work(name, "a source tree (Python's standard library)", fill)


def _write(folder: Path, number: int, blocks: Iterator[bytes]) -> None:
    inputs.write(folder / f"d{number // _A_FOLDER:02d}" / f"f{number:06d}", blocks)


def _random(size: int, seed: int) -> Iterator[bytes]:
    """Bytes that no compressor makes smaller: some MiB of them over and over, each time turned."""
    base = random.Random(seed).randbytes(min(size, 8 * MIB + 1))
    for number in itertools.count():
        if size <= 0:
            return
        turn = number * 4099 % len(base)
        block = (base[turn:] + base[:turn])[:size]
        yield block
        size -= len(block)
