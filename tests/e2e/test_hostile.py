"""An inbox that somebody filled on purpose: every kind of entry has its end, and none stops the rest."""

import json
import os
import secrets
import socket
import stat
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.box import Box

SECRET = b"nobody may ever upload this"


@dataclass(frozen=True)
class Odd:
    """One entry: how it is made at its path, and how it ends.

    `left`, `failed`, `ignored`: a part of the reason. None of them: it is delivered. `below`: not the
    entry itself ends so, but what is in it.
    """

    name: bytes
    make: Callable[[str], None]
    left: str = ""
    failed: str = ""
    ignored: str = ""
    below: str = ""

    @property
    def relpath(self) -> str:
        return os.fsdecode(self.name) + self.below

    @property
    def is_delivered(self) -> bool:
        return not (self.left or self.failed or self.ignored)


def content(path: str) -> None:
    """A file with bytes of its own, its directories made."""
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "xb") as file:
        file.write(secrets.token_bytes(64))


def link_to(target: str) -> Callable[[str], None]:
    return lambda path: os.symlink(target, path)


def sparse(size: int) -> Callable[[str], None]:
    def make(path: str) -> None:
        content(path)
        os.truncate(path, size)

    return make


def stamped(seconds: int) -> Callable[[str], None]:
    def make(path: str) -> None:
        content(path)
        os.utime(path, ns=(0, seconds * 10**9 + 123_456_789))

    return make


def moded(mode: int) -> Callable[[str], None]:
    def make(path: str) -> None:
        content(path)
        os.chmod(path, mode)

    return make


def bound(path: str) -> None:
    """A unix socket."""
    above = os.open(os.path.dirname(path), os.O_PATH)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(f"/proc/self/fd/{above}/{os.path.basename(path)}")
    os.close(above)


def hard_linked(path: str) -> None:
    content(path)
    os.link(path, f"{path}-twin")


def device(path: str) -> None:
    """/dev/zero, which gives bytes without end; another pipe where only root may make one."""
    if os.geteuid() == 0:
        os.mknod(path, stat.S_IFCHR | 0o666, os.makedev(1, 5))
    else:
        os.mkfifo(path)


def deep(path: str) -> None:
    """Beyond PATH_MAX, step by step."""
    here = os.open(os.path.dirname(path), os.O_RDONLY)
    for name in (os.path.basename(path), *("d" * 200 for _ in range(25))):
        os.mkdir(name, dir_fd=here)
        below = os.open(name, os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = below
    os.close(os.open("file", os.O_CREAT | os.O_WRONLY, 0o644, dir_fd=here))
    os.close(here)


def endless(path: str) -> None:
    """More steps than are entered, and nothing else."""
    here = os.open(os.path.dirname(path), os.O_RDONLY)
    for name in (os.path.basename(path), *("s" * 260)):
        os.mkdir(name, dir_fd=here)
        below = os.open(name, os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = below
    os.close(here)


def empty(path: str) -> None:
    Path(path).touch()


LINK, DEVICE = "a symbolic link", "a device, pipe or socket"
ODD = [
    Odd(b"link-to-file", link_to("plain"), left=LINK),
    Odd(b"link-to-folder", link_to("folder"), left=LINK),
    Odd(b"link-loop", link_to("link-loop"), left=LINK),
    Odd(b"link-dangling", link_to("nowhere"), left=LINK),
    Odd(b"link-up", link_to(".."), left=LINK),
    Odd(b"fifo", os.mkfifo, left=DEVICE),
    Odd(b"device", device, left=DEVICE),
    Odd(b"socket", bound, left=DEVICE),
    Odd(b"plain", content),
    Odd(b"empty", empty),
    Odd(b"new\nline\x1b]0;owned\x07.txt", content),
    Odd(b"\x1b[2J\x1b[31mred", content),
    Odd(b"\r\x08\x7f\xc2\x9b31m", content),
    Odd(b"\xe2\x80\xaetxt.exe", content),
    Odd(b"\xff\xfe\xfa", content),
    Odd(b"\xff" * 255, content),
    Odd(b"n" * 255, content),
    Odd(b"\xc3\xbc" * 127 + b"n", content),
    Odd(b"-rf", content),
    Odd(b"--config=x", content),
    Odd(b" lead", content),
    Odd(b"trail ", content),
    Odd(b" ", content),
    Odd(b"...", content),
    Odd(b"..a", content),
    Odd(b". .", content),
    Odd(b"a.", content),
    Odd(b"\xef\xbc\x8e\xef\xbc\x8e", content),  # dots that are none
    Odd(b"100%", content),
    Odd(b"a%2Fb", content),
    Odd(b"a%252Fb", content),
    Odd(b"back\\slash", content),
    Odd(b"?&#+;='\"<>|*:", content),
    Odd(b"caf\xc3\xa9", content),
    Odd(b"cafe\xcc\x81", content),
    Odd(b"twin.txt", content),
    Odd(b"TWIN.TXT", content),
    Odd(b"sparse", sparse(64 * 1024 * 1024)),
    Odd(b"times/past", stamped(-(2**31))),
    Odd(b"times/future", stamped(2**33)),
    Odd(b"times/beyond", stamped(2**40)),  # as far as the file system keeps it
    Odd(b"times/before", stamped(-(2**40))),
    Odd(b"hard", hard_linked),
    Odd(b"hard-twin", lambda _: None),
    Odd(b"large", sparse(100_000_001), left="max_size (100,000,000 bytes)"),
    Odd(b"modes/setuid", moded(0o6755)),
    Odd(b"modes/none", moded(0o200)),
    Odd(b".hotfolder-copy-x", content, ignored="hotfolder's own"),
    Odd(b"x.part", content, ignored="'*.part' of the built-in list"),
    Odd(b"/".join([b"k" * 200] * 6), content, failed="S3 takes 1024"),
    Odd(b"deep", deep, below="/" + "/".join(["d" * 200] * 25) + "/file", failed="S3 takes 1024"),
    Odd(b"endless", endless, below="/s" * 250, left="below 250 other folders"),
]


@pytest.fixture
def outside(tmp_path: Path) -> Iterator[Path]:
    """What nothing may ever come from, or get to."""
    place = tmp_path / "outside"
    place.mkdir()
    (place / "secret").write_bytes(SECRET)
    yield place
    for deep in ("inbox/deep", "inbox/endless", "failed/deep"):  # no path leads to their ends
        subprocess.run(["rm", "-rf", str(tmp_path / deep)], check=True)


def test_every_kind_of_entry_has_its_end_and_none_stops_the_rest(box: Box, outside: Path) -> None:
    entries = [
        *ODD,
        Odd(b"link-outside", link_to(str(outside)), left=LINK),
        Odd(b"link-secret", link_to(str(outside / "secret")), left=LINK),
    ]
    for odd in entries:
        odd.make(os.fsdecode(os.fsencode(box.inbox) + b"/" + odd.name))
    # The other side, too: what leads out of completed/ is gone round.
    box.completed.mkdir()
    (box.completed / "times").symlink_to(outside)
    # The end of the pipe that waits for somebody to write, and blocks whoever opens the other.
    reading = os.open(box.inbox / "fifo", os.O_RDONLY | os.O_NONBLOCK)
    box.configure('settle = "100ms"\nmax_size = "100MB"')
    box.start()
    delivered = {odd.relpath for odd in entries if odd.is_delivered}
    failed = {odd.relpath: odd.failed for odd in entries if odd.failed}
    left = {odd.relpath: odd.left for odd in entries if odd.left}

    ledger = box.wait_recorded(len(delivered) + len(failed))
    box.wait(lambda: box.status()["left"]["count"] == len(left))
    ends = {line["target_path"].removeprefix(f"{box.inbox}/"): line for line in ledger}
    # The twin of a file that has just moved was changed by that, and its bytes are there already.
    ended = {path for path, line in ends.items() if line["status"] in {"success", "skipped"}}
    assert ended == delivered
    for path, why in failed.items():
        assert ends[path]["status"] == "failed"
        assert why in ends[path]["error_message"]
    told = {entry["path"]: entry["why"] for entry in box.status()["left"]["first"]}
    assert {path.removeprefix(f"{box.inbox}/") for path in told} <= set(left)
    for path, why in told.items():
        assert left[path.removeprefix(f"{box.inbox}/")] in why
    # Every name has a key of its own, and every key an object.
    keys = [line["s3_object_key"] for line in ledger if line["status"] != "failed"]
    assert sorted(keys) == sorted(box.keys())
    assert len(set(keys)) == len(delivered)

    assert {path.name: path.read_bytes() for path in outside.iterdir()} == {"secret": SECRET}
    assert (box.completed / "times~folder" / "past").is_file()
    kinds = {odd.ignored or odd.left: odd.relpath for odd in entries if odd.ignored or odd.left}
    tellings = box.told(*OTHERS, *(("show", relpath) for relpath in kinds.values()))
    for why, shown in zip(kinds, tellings[len(OTHERS) :], strict=True):
        assert why in shown
    # Whatever a file is called, neither a command nor the log brings a control character.
    assert "\\x1b[2J" in tellings[0]
    for line in "\n".join([*tellings, box.log()]).split("\n"):
        assert line.replace("\t", "").isprintable(), line
    assert all(json.loads(line) for line in box.log().splitlines())
    assert box.stop() == 0
    os.close(reading)


OTHERS = [
    ("history", "--limit", "100"),
    ("history", "--limit", "100", "--json"),
    ("log",),
    ("log", "--json"),
    ("status",),
    ("status", "--json"),
    ("stats",),
    ("show", "\x1b[2J\x1b[31mred"),
    ("show", "\udcff\udcfe\udcfa"),
]
