"""Ways to put files into an inbox, as people, cameras, shares and scripts do."""

import mmap
import os
import shutil
import subprocess
import tarfile
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.bench.landing.ground import MIB, Ground
from tests.bench.landing.smb import Share


@dataclass(frozen=True, slots=True)
class Place:
    """Where one way begins and ends. `near` is on the inbox's file system, `far` on another one.

    All names of a way begin with its own `prefix`; `inbox` is where its user sees the inbox, or the
    folder `below` it.
    """

    ground: Ground
    prefix: str
    inbox: Path
    near: Path
    far: Path
    below: str = ""

    def name(self, ending: str) -> str:
        return f"{self.prefix}-{ending}"

    def original(self, folder: Path, ending: str = "clip.bin", size: int = 3 * MIB) -> Path:
        """A file of random bytes in `folder` that will be in the inbox under the same name."""
        path = folder / self.name(ending)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(self._content(ending, size))
        return path

    def content(self, ending: str = "clip.bin", size: int = 3 * MIB) -> tuple[Path, bytes]:
        """A path in the inbox, and what is to be written there."""
        return self.inbox / self.name(ending), self._content(ending, size)

    def _content(self, ending: str, size: int) -> bytes:
        return self.ground.content(os.path.join(self.below, self.name(ending)), size)

    def tree(self, folder: Path) -> Path:
        """A directory in `folder`: shallow and deep, small and large, ten levels down."""
        deep = "/".join("abcdefghij")
        for number in range(20):
            self.original(folder, f"tree/day{number % 3}/shot{number:02d}.txt", size=999 + number)
        self.original(folder, "tree/large.bin")
        self.original(folder, f"tree/{deep}/bottom.txt", size=17)
        return folder / self.name("tree")


def cp(place: Place) -> None:
    run("cp", place.original(place.far), place.inbox)


def cp_preserve(place: Place) -> None:
    source = place.original(place.far)
    os.utime(source, (0, 0))
    run("cp", "--preserve=all", source, place.inbox)


def cp_tree(place: Place) -> None:
    run("cp", "-a", place.tree(place.far), place.inbox)


def mv_within(place: Place) -> None:
    run("mv", place.original(place.near), place.inbox)


def mv_tree(place: Place) -> None:
    run("mv", place.tree(place.near), place.inbox)


def mv_across(place: Place) -> None:
    run("mv", place.original(place.far), place.inbox)


def mv_tree_across(place: Place) -> None:
    run("mv", place.tree(place.far), place.inbox)


def hard_link(place: Place) -> None:
    run("ln", place.original(place.near), place.inbox)


def hard_linked_tree(place: Place) -> None:
    run("cp", "-al", place.tree(place.near), place.inbox)


def rsync(place: Place) -> None:
    run("rsync", "-a", place.tree(place.far), place.inbox)


def rsync_inplace(place: Place) -> None:
    run("rsync", "-a", "--inplace", place.tree(place.far), place.inbox)


def untar(place: Place) -> None:
    tree = place.tree(place.far)
    archive = place.far / "archive.tar"
    with tarfile.open(archive, "w") as packed:
        packed.add(tree, tree.name)
    run("tar", "-xf", archive, "-C", place.inbox)


def unzip(place: Place) -> None:
    tree = place.tree(place.far)
    archive = place.far / "archive.zip"
    with zipfile.ZipFile(archive, "w") as packed:
        for path in tree.rglob("*"):
            packed.write(path, path.relative_to(place.far))
    with zipfile.ZipFile(archive) as packed:
        packed.extractall(place.inbox)  # noqa: S202 - packed three lines before


def install(place: Place) -> None:
    run("install", "-m", "0640", place.original(place.far), place.inbox)


def redirected(place: Place) -> None:
    path, content = place.content()
    with path.open("wb") as target:
        subprocess.run(["cat"], input=content, stdout=target, check=True)


def renamed_when_done(place: Place) -> None:
    """As browsers, cameras and sync clients do: under a temporary name, then renamed in the inbox."""
    path, content = place.content()
    temporary = path.with_name(f"{path.name}.part")
    temporary.write_bytes(content)
    temporary.rename(path)


def annexed(place: Place) -> None:
    """As git-annex does: a content-addressed temporary name elsewhere, read-only, then renamed in."""
    source = place.original(place.near)
    source.chmod(0o444)
    hidden = source.rename(place.near / "SHA256E-s3145728--0123.bin.tmp")
    hidden.rename(place.inbox / source.name)


def unnamed(place: Place) -> None:
    """O_TMPFILE: the file gets its name only once it is whole, by a link."""
    path, content = place.content()
    descriptor = os.open(place.inbox, os.O_TMPFILE | os.O_WRONLY, 0o644)
    try:
        with os.fdopen(os.dup(descriptor), "wb") as file:
            file.write(content)
        # A descriptor of the directory makes Python call linkat(), which follows the link in /proc.
        os.link(f"/proc/self/fd/{descriptor}", path, src_dir_fd=descriptor, follow_symlinks=True)
    finally:
        os.close(descriptor)


def mapped(place: Place) -> None:
    """Through a shared mapping: no write() at all, as some editors and databases do."""
    path, content = place.content()
    with path.open("w+b") as file:
        file.truncate(len(content))
        with mmap.mmap(file.fileno(), len(content)) as memory:
            memory[:] = content


def empty(place: Place) -> None:
    path, content = place.content("empty.txt", size=0)
    path.write_bytes(content)


@dataclass(frozen=True, slots=True)
class Way:
    """`act` puts files into the inbox and returns after the last write. `tool`: must be installed."""

    name: str
    act: Callable[[Place], None]
    tool: str = "sh"

    @property
    def prefix(self) -> str:
        """Of the names of what lands by it."""
        return self.name.translate({ord(each): "-" for each in " ,`"})

    def missing(self) -> str | None:
        """Why it cannot be tried here."""
        return None if shutil.which(self.tool) else f"{self.tool} is not installed"


LOCAL: Sequence[Way] = (
    Way("cp", cp),
    Way("cp --preserve=all", cp_preserve),
    Way("cp -a of a tree", cp_tree),
    Way("mv from the same file system", mv_within),
    Way("mv of a tree from the same file system", mv_tree),
    Way("mv from another file system", mv_across),
    Way("mv of a tree from another file system", mv_tree_across),
    Way("hard link", hard_link),
    Way("hard-linked tree", hard_linked_tree),
    Way("rsync", rsync, "rsync"),
    Way("rsync --inplace", rsync_inplace, "rsync"),
    Way("tar -x", untar),
    Way("unzip", unzip),
    Way("install", install),
    Way("cat >", redirected),
    Way("renamed from .part", renamed_when_done),
    Way("renamed in, read-only", annexed),
    Way("unnamed, then linked", unnamed),
    Way("shared mapping", mapped),
    Way("an empty file", empty),
)
#: What is tried from behind a mount: a file written, one renamed in, a tree.
FEW: Sequence[str] = ("cp", "mv from another file system", "renamed from .part", "cp -a of a tree")


def of_share(share: Share, pause: float) -> Sequence[Way]:
    """Ways of an SMB client. `pause`: seconds in which a slow one says nothing, its file open."""

    def put(place: Place) -> None:
        share.do(f"put {place.original(place.far)} {place.name('clip.bin')}")

    def put_tree(place: Place) -> None:
        tree = place.tree(place.far)
        share.do(f"lcd {tree.parent}; recurse on; prompt off; mput {tree.name}")

    def put_and_rename(place: Place) -> None:
        name = place.name("clip.bin")
        share.do(f"put {place.original(place.far)} {name}.part; rename {name}.part {name}")

    def put_slowly(place: Place) -> None:
        content = place.content()[1]
        share.put_slowly(place.name("clip.bin"), [content[:MIB], content[MIB:]], pause)

    return (
        Way("SMB put", put),
        Way("SMB mput of a tree", put_tree),
        Way("SMB put, then renamed", put_and_rename),
        Way(f"SMB put with pauses of {pause:g} s", put_slowly),
    )


def run(*command: str | Path) -> None:
    done = subprocess.run([str(each) for each in command], capture_output=True, check=False)
    if done.returncode != 0:
        raise AssertionError(f"{command[0]} failed: {done.stderr.decode(errors='replace')}")
