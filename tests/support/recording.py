"""What a real process did to its disk, recorded by strace as operations of `disk_model`."""

import json
import os
import re
import subprocess
from collections.abc import Callable, Container, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatch
from pathlib import Path

from tests.support.box import PATIENCE
from tests.support.disk_model import (
    Create,
    Operation,
    Remove,
    Rename,
    Stored,
    Sync,
    Tree,
    Truncate,
    Write,
)

_CALLS = (
    *("openat", "open", "creat", "write", "pwrite64", "writev", "pwritev", "pwritev2", "lseek"),
    *("fsync", "fdatasync", "sync", "syncfs", "sync_file_range", "msync"),
    *("rename", "renameat", "renameat2", "link", "linkat", "symlink", "symlinkat", "unlink", "unlinkat"),
    *("ftruncate", "truncate", "fallocate", "mkdir", "mkdirat", "rmdir"),
    *("copy_file_range", "sendfile", "splice", "mmap"),
)
#: Files that promise nothing over a power cut; see `disk_model`.
_PROMISE_NOTHING = (
    "state/*-shm",
    "state/lock",
    "state/*.lock",
    "state/.status.json.*",
    "state/status.json",
)

_LINE = re.compile(r"^(\d+) +(\w+)\((.*)\) += (-?\d+|0x[0-9a-f]+|\?)(.*)$")
_UNFINISHED = re.compile(r"^(\d+) +(\w+)\((.*) <unfinished \.\.\.>$")
_RESUMED = re.compile(r"^(\d+) +<\.\.\. (\w+) resumed>(.*)$")
_DESCRIPTOR = re.compile(r"^(-?\d+|AT_FDCWD)<((?:\\x[0-9a-f]{2})*)>(\(deleted\))?$")


class NotModelledError(Exception):
    """The process did something to its folders that the model does not know: extend it."""


@dataclass(frozen=True, slots=True)
class Recording:
    """What was there at the start (inodes are the real ones), and what was done to it, in order."""

    start: Tree
    operations: tuple[Operation, ...]


def strace(output: Path) -> list[str]:
    """The command that runs another one and writes down what it does to files."""
    calls = ",".join(_CALLS)
    options = ["-f", "-qq", "-y", "-xx", "-s", "100000000", "--seccomp-bpf", "-e", "signal=none"]
    return ["strace", *options, "-e", f"trace={calls}", "-o", str(output), "--"]


def record(
    root: Path,
    roots: Sequence[str],
    run: Callable[[list[str]], "subprocess.Popen[bytes]"],
    *,
    witness: Path,
    codes: Container[int] = (0,),
) -> Recording:
    """Record what a process does to the folders `roots` below `root`, until it ends with one of `codes`.

    `run` starts it below the command it is given. What it writes to `witness` are the store's answers.
    """
    start = snapshot(root, roots)
    output = root.parent / f"{root.name}.strace"
    process = run(strace(output))
    code = process.wait(PATIENCE)
    if code not in codes:
        raise AssertionError(f"the recorded process ended with {code}")
    operations = read(output, root, roots, start, witness=witness)
    output.unlink()
    return Recording(start, operations)


def read(
    output: Path, root: Path, roots: Sequence[str], start: Tree, *, witness: Path | None = None
) -> tuple[Operation, ...]:
    """What strace's `output` tells of the folders `roots` below `root`, where `start` stood before."""
    parser = _Parser(
        root, set(roots), witness, start.copy(), made=min((0, *start.files, *start.folders))
    )
    with output.open(encoding="ascii") as lines:
        for line in lines:
            parser.take(line.rstrip("\n"))
    return tuple(parser.operations)


def snapshot(root: Path, roots: Sequence[str]) -> Tree:
    """What stands below `root` in the folders `roots`, all of it taken for durable."""
    tree = Tree(os.stat(root).st_ino)
    tree.folders[tree.root] = {}
    for top in roots:
        for folder, _, names in os.walk(root / top):
            inode = os.stat(folder).st_ino
            tree.folders.setdefault(inode, {})
            above, name = os.path.split(os.path.relpath(folder, root))
            tree.folders[tree.folder_at(above)][name] = inode
            for name in names:
                path = Path(folder, name)
                if not _promises_nothing(os.path.relpath(path, root)):
                    tree.folders[inode][name] = path.stat().st_ino
                    tree.files[path.stat().st_ino] = path.read_bytes()
    return tree


def _promises_nothing(relpath: str) -> bool:
    return any(fnmatch(relpath, pattern) for pattern in _PROMISE_NOTHING)


@dataclass(slots=True)
class _Descriptor:
    """Where the next `write` goes; None: nobody knows."""

    offset: int | None
    appends: bool


@dataclass(slots=True)
class _Parser:
    """Takes strace's lines; `live` is what stands on the disk if nothing is cut."""

    root: Path
    roots: set[str]
    witness: Path | None
    live: Tree
    made: int  # inodes of what is made here count downward from this one: they are never real ones
    operations: list[Operation] = field(default_factory=list)
    _unfinished: dict[str, tuple[str, int]] = field(default_factory=dict)
    _open: dict[int, _Descriptor] = field(default_factory=dict)

    def take(self, line: str) -> None:
        begun = len(self.operations)
        if unfinished := _UNFINISHED.match(line):
            self._unfinished[unfinished[1]] = (line.removesuffix(" <unfinished ...>"), begun)
            return
        if resumed := _RESUMED.match(line):
            head, begun = self._unfinished.pop(resumed[1])
            line = head + resumed[3]
        parsed = _LINE.match(line)
        if parsed is None:
            raise NotModelledError(f"unreadable: {line[:200]}")
        _, call, arguments, answer, _ = parsed.groups()
        if answer.startswith("-") or answer == "?":
            return  # it failed, or the process ended in it: nothing was done
        self._act(call, arguments.split(", "), int(answer, 0), begun)

    def _act(self, call: str, arguments: list[str], answer: int, begun: int) -> None:
        match call:
            case "openat":
                self._opened(arguments, answer)
            case "write" | "pwrite64":
                self._written(call, arguments, answer)
            case "lseek" | "fsync" | "fdatasync" | "ftruncate":
                self._on_descriptor(call, arguments, answer, begun)
            case "mmap":
                shared = "MAP_SHARED" in arguments[3] and "PROT_WRITE" in arguments[2]
                if shared and arguments[4] != "-1":
                    self._refuse(call, arguments[4:5])
            case _:
                self._named(call, arguments)

    def _on_descriptor(self, call: str, arguments: list[str], answer: int, begun: int) -> None:
        number, path = _fd(arguments[0])
        inode = self._inode(path)
        if call == "lseek" and int(number) in self._open:
            self._open[int(number)].offset = answer
        if inode is None or call == "lseek":
            return
        if call == "ftruncate":
            self._do(Truncate(inode, int(arguments[1])))
        else:
            self.operations.append(Sync(inode, begun))

    def _named(self, call: str, arguments: list[str]) -> None:
        """Names made, moved or removed."""
        match call:
            case "mkdir":
                self._made_folder(_text(arguments[0]))
            case "mkdirat":
                self._made_folder(_at(*arguments[:2]))
            case "rename" | "link":
                self._to_another(call, _text(arguments[0]), _text(arguments[1]))
            case "renameat" | "renameat2" | "linkat":
                self._to_another(call, _at(*arguments[:2]), _at(*arguments[2:4]))
            case "unlink":
                self._removed(_text(arguments[0]))
            case "unlinkat":
                self._removed(_at(*arguments[:2]))
            case _:
                self._refuse(call, arguments)

    def _refuse(self, call: str, arguments: list[str]) -> None:
        """What we do not know may not touch our folders."""
        places = [_fd(each)[1] for each in arguments if _DESCRIPTOR.match(each)]
        places += [_text(each) for each in arguments if each.startswith('"')]
        if call == "sync" or any(self._relpath(place) is not None for place in places):
            raise NotModelledError(f"{call}({', '.join(places)})")

    def _opened(self, arguments: list[str], answer: int) -> None:
        path, flags = _at(*arguments[:2]), arguments[2].split("|")
        self._open[answer] = _Descriptor(0, "O_APPEND" in flags)
        if "O_RDWR" in flags and not {"O_EXCL", "O_APPEND"} & set(flags):
            self._open[answer].offset = None  # reads, which we do not see, would move it
        relpath = self._relpath(path)
        if relpath is None:
            return
        inode = self._inode(path)
        if inode is None and "O_CREAT" in flags:
            self._do(Create(*self._place(relpath), self._new()))
        elif inode is not None and "O_TRUNC" in flags:
            self._do(Truncate(inode, 0))

    def _written(self, call: str, arguments: list[str], answer: int) -> None:
        number, path = _fd(arguments[0])
        data = _bytes(arguments[1])[:answer]
        if self.witness is not None and path == str(self.witness):
            self.operations.append(Stored(json.loads(data)["key"]))
            return
        inode = self._inode(path)
        if inode is None:
            return
        descriptor = self._open[int(number)]
        if call == "pwrite64":
            offset: int | None = int(arguments[3])
        elif descriptor.appends:
            offset = len(self.live.files[inode])
        else:
            offset = descriptor.offset
            descriptor.offset = None if offset is None else offset + answer
        if offset is None:
            raise NotModelledError(f"a write to {path} at an unknown place")
        self._do(Write(inode, offset, data))

    def _made_folder(self, path: str) -> None:
        if (relpath := self._relpath(path)) is not None:
            self._do(Create(*self._place(relpath), self._new(), is_folder=True))

    def _to_another(self, call: str, old: str, new: str) -> None:
        was, becomes = self._relpath(old), self._relpath(new)
        if was is None and becomes is None:
            return
        if was is None or becomes is None:
            raise NotModelledError(f"{call} over the border of our folders: {old} to {new}")
        folder, name = self._place(was)
        inode, place = self.live.folders[folder][name], self._place(becomes)
        self._do(
            Create(*place, inode) if call.startswith("link") else Rename(inode, folder, name, *place)
        )

    def _removed(self, path: str) -> None:
        if (relpath := self._relpath(path)) is not None:
            folder, name = self._place(relpath)
            self._do(Remove(folder, name, self.live.folders[folder][name]))

    def _do(self, change: Write | Truncate | Create | Remove | Rename) -> None:
        self.live.apply(change)
        self.operations.append(change)

    def _new(self) -> int:
        self.made -= 1
        return self.made

    def _relpath(self, path: str) -> str | None:
        """The path relative to the root, if it is in one of our folders and promises anything."""
        if not path:
            return None
        relpath = os.path.relpath(self.root / path, self.root)  # the root is where it was started
        ours = relpath.split("/")[0] in self.roots and not _promises_nothing(relpath)
        return relpath if ours else None

    def _inode(self, path: str) -> int | None:
        """The file or folder of ours at an absolute path."""
        if path == str(self.root):
            return self.live.root
        relpath = self._relpath(path)
        if relpath is None:
            return None
        folder, name = self._place(relpath)
        return self.live.folders[folder].get(name)

    def _place(self, relpath: str) -> tuple[int, str]:
        above, name = os.path.split(relpath)
        return self.live.folder_at(above), name


def _fd(argument: str) -> tuple[str, str]:
    """A descriptor's number and its path; what was deleted, or is no file, has none."""
    parsed = _DESCRIPTOR.match(argument)
    if parsed is None:
        return argument.partition("<")[0], ""
    return parsed[1], "" if parsed[3] else os.fsdecode(_unescaped(parsed[2]))


def _at(folder: str, name: str) -> str:
    return os.path.normpath(os.path.join(_fd(folder)[1], _text(name)))


def _text(argument: str) -> str:
    return os.fsdecode(_bytes(argument))


def _bytes(argument: str) -> bytes:
    return _unescaped(argument.strip('"'))


def _unescaped(text: str) -> bytes:
    return bytes.fromhex(text.replace("\\x", ""))
