"""What is dropped: this project, small files, large files, a directory, odd names.

Each file's size, SHA-256, time and mode are known before its last writer closes it, so that nobody
has to read what the daemon may be moving away. `make bench` takes its text from here.
"""

import hashlib
import os
import random
import subprocess
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

_BLOCK = 8 << 20
_PROJECT = Path(__file__).resolve().parents[2]

EMPTY = b"empty file"
#: Legal names that trip up programs, with what is odd about each.
ODD_NAMES = {
    "spaces, quotes": b"with spaces and 'quotes'.txt",
    "emoji, umlauts": "emoji \U0001f3ac and umlaut äöü.mp4".encode(),
    "newline": b"line\nbreak.txt",
    "invalid UTF-8": b"invalid \xff\xfe utf-8.bin",
    "255 bytes": b"x" * 251 + b".txt",
    "255 bytes, emoji": "\U0001f3ac".encode() * 63 + b"...",
    "leading dash": b"-leading-dash",
    "backslash, %": b"percent%41 plus+ and back\\slash",
    "control bytes": b"tab\tand \x01 control",
    "NFC twin": "twin é.txt".encode(),
    "NFD twin": "twin e\u0301.txt".encode(),
    "empty": EMPTY,
}

PROJECT, SMALL, DIRECTORY = "this project", "small files", "dropped directory"


@dataclass(frozen=True, slots=True)
class Written:
    """A file as its writer left it. `sha256` in hex, `mode` the permission bits."""

    size: int
    sha256: str
    mtime_ns: int
    mode: int


@dataclass(frozen=True, slots=True)
class Dropped:
    """A file in the inbox, at `relpath` below it; `what` is the part of the demo it belongs to."""

    relpath: str
    what: str
    content: Written

    @property
    def name(self) -> str:
        return os.path.basename(self.relpath)


def random_blocks(size: int) -> Iterator[bytes]:
    for start in range(0, size, _BLOCK):
        yield os.urandom(min(_BLOCK, size - start))


def log_blocks(size: int) -> Iterator[bytes]:
    """A web server's log: text with a repeating shape and changing numbers."""
    dice = random.Random(1)
    lines = (
        f"2026-11-21T10:{dice.randrange(60):02d}:{dice.randrange(60):02d}Z INFO request "
        f"id={dice.getrandbits(64):016x} path=/api/v1/items/{dice.randrange(10**5)}\n"
        for _ in range(100_000)
    )
    text = "".join(lines).encode()
    while size > 0:
        block = text[dice.randrange(4096) :][:size]
        yield block
        size -= len(block)


def write(path: Path, blocks: Iterable[bytes], *, like: os.stat_result | None = None) -> Written:
    """Write a new file; with `like`, give it that mode and time as `cp -p` does."""
    path.parent.mkdir(parents=True, exist_ok=True)
    digest = hashlib.sha256()
    with path.open("xb") as file:
        for block in blocks:
            digest.update(block)
            file.write(block)
        file.flush()
        if like is not None:
            os.fchmod(file.fileno(), like.st_mode & 0o777)
            os.utime(file.fileno(), ns=(like.st_atime_ns, like.st_mtime_ns))
        seen = os.fstat(file.fileno())
    return Written(seen.st_size, digest.hexdigest(), seen.st_mtime_ns, seen.st_mode & 0o7777)


def small_files(folder: Path, count: int, size: int = 4096) -> dict[str, Written]:
    """`count` files of random bytes; by name."""
    return {f"f{n:05d}": write(folder / f"f{n:05d}", random_blocks(size)) for n in range(count)}


def drop_all(inbox: Path, staging: Path, *, large: int) -> Iterator[Dropped]:
    """Drop everything into the inbox, file by file; `large` is the size of each large one.

    `staging` is a folder on the inbox's file system that is not there yet.
    """
    for what, raw in ODD_NAMES.items():
        size, odd = 0 if raw == EMPTY else 10_000, os.fsdecode(raw)
        yield Dropped(odd, what, write(inbox / odd, random_blocks(size)))
    yield from _drop_directory(inbox, staging)
    for path in _project_files():
        place = f"project/{path.relative_to(_PROJECT)}"
        yield Dropped(place, PROJECT, write(inbox / place, [path.read_bytes()], like=path.stat()))
    for name, written in small_files(inbox / "small", 1000).items():
        yield Dropped(f"small/{name}", SMALL, written)
    for name, make in (("random.bin", random_blocks), ("server.log", log_blocks)):
        yield Dropped(f"large/{name}", "large", write(inbox / "large" / name, make(large)))


def _drop_directory(inbox: Path, staging: Path) -> Iterator[Dropped]:
    """A directory with folders in it that appears whole, by one rename: no event tells its files."""
    folders = ("", "day 1", "day 1/camera a", "day 1/camera b/raw", "day 2/ünïcode")
    names = [os.path.join(folder, f"take {n}.mov") for folder in folders for n in range(4)]
    written = {name: write(staging / name, random_blocks(100_000)) for name in names}
    staging.rename(inbox / "shoot")
    for name, content in written.items():
        yield Dropped(f"shoot/{name}", DIRECTORY, content)


def _project_files() -> list[Path]:
    """The files that git tracks here; without git or its folder, the sources."""
    try:
        listing = subprocess.run(
            ["git", "ls-files", "-z"],
            cwd=_PROJECT,
            check=True,
            capture_output=True,
        ).stdout
        paths = [_PROJECT / os.fsdecode(name) for name in listing.split(b"\0") if name]
    except (OSError, subprocess.CalledProcessError):
        paths = [p for folder in ("src", "tests") for p in (_PROJECT / folder).rglob("*.py")]
    return [path for path in paths if path.is_file() and not path.is_symlink()]
