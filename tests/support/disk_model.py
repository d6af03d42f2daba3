"""What a power cut may leave: files and folders in memory, with what is durable and what is not yet.

The model keeps to what fsync promises and no more:

- Bytes of a file, and its length, are durable once an fsync or fdatasync of that file, begun after they
  were written, has returned. Until then each page of 4 KiB may be there or not; what is missing below
  the file's end reads as zeros.
- A name (created or removed) is durable once its folder was fsynced likewise. That the file itself was
  fsynced does not help: on ext4 and XFS it would, POSIX does not say so.
- A rename is one step: on no journaling file system are both names gone, or both there. Between two
  folders it counts as durable only once BOTH were fsynced, though one fsync suffices on ext4; until then
  it may have happened or not.
- Otherwise nothing is ordered: a later change may be there and an earlier one not, unless an fsync
  stands between them. ext4 keeps more order than that, and more than we want to rely on.

Not modelled: the shared-memory file of SQLite (rebuilt from the log whenever nobody has it open), files
that promise nothing over a power cut (heartbeat, locks), times and modes.
"""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

PAGE = 4096


@dataclass(frozen=True, slots=True)
class Write:
    inode: int
    offset: int
    data: bytes


@dataclass(frozen=True, slots=True)
class Truncate:
    inode: int
    size: int


@dataclass(frozen=True, slots=True)
class Create:
    """A file or folder gets its first name, or a file another one (a hard link)."""

    folder: int
    name: str
    inode: int
    is_folder: bool = False


@dataclass(frozen=True, slots=True)
class Remove:
    folder: int
    name: str
    inode: int


@dataclass(frozen=True, slots=True)
class Rename:
    inode: int
    folder: int
    name: str
    to_folder: int
    to_name: str


@dataclass(frozen=True, slots=True)
class Sync:
    """An fsync that returned; it covers what had ended when it began, `begun` operations in."""

    inode: int
    begun: int


@dataclass(frozen=True, slots=True)
class Stored:
    """The store answered that it has the object. Its side of the wire loses nothing."""

    key: str


Data = Write | Truncate
Naming = Create | Remove | Rename
Change = Data | Naming
Operation = Change | Sync | Stored


@dataclass(slots=True)
class Tree:
    """Files by inode, and folders by inode with their entries. `root` is a folder."""

    root: int
    files: dict[int, bytes] = field(default_factory=dict)
    folders: dict[int, dict[str, int]] = field(default_factory=dict)

    def copy(self) -> "Tree":
        return Tree(self.root, dict(self.files), {n: dict(e) for n, e in self.folders.items()})

    def apply(self, change: Change) -> None:
        match change:
            case Write(inode, offset, data):
                old = self.files.get(inode, b"")
                self.files[inode] = old[:offset].ljust(offset, b"\0") + data + old[offset + len(data) :]
            case Truncate(inode, size):
                self.files[inode] = self.files.get(inode, b"")[:size].ljust(size, b"\0")
            case Create(folder, name, inode, is_folder):
                self.folders.setdefault(folder, {})[name] = inode
                if is_folder:
                    self.folders.setdefault(inode, {})
                else:
                    self.files.setdefault(inode, b"")
            case Remove(folder, name, inode):
                if self.folders.get(folder, {}).get(name) == inode:
                    del self.folders[folder][name]
            case Rename(inode, folder, name, to_folder, to_name):
                if self.folders.get(folder, {}).get(name) == inode:
                    del self.folders[folder][name]
                self.folders.setdefault(to_folder, {})[to_name] = inode

    def paths(self) -> Iterator[tuple[str, int]]:
        """Every file that a name leads to, relative to the root, and its inode; folders end in "/"."""
        waiting = [("", self.root)]
        while waiting:
            prefix, inode = waiting.pop()
            for name, below in sorted(self.folders[inode].items()):
                if below in self.folders:
                    yield f"{prefix}{name}/", below
                    waiting.append((f"{prefix}{name}/", below))
                else:
                    yield f"{prefix}{name}", below

    def folder_at(self, relpath: str) -> int:
        """The folder at a path relative to the root. Raises KeyError."""
        inode = self.root
        for name in filter(None, relpath.split("/")):
            inode = self.folders[inode][name]
        if inode not in self.folders:
            raise KeyError(relpath)
        return inode


@dataclass(slots=True)
class _Pending:
    """A change that is not durable yet; `owed`: what must be fsynced for it to be."""

    change: Change
    number: int
    owed: set[int]


@dataclass(frozen=True, slots=True)
class Wreck:
    """What a power cut after `operations` of the recording may leave, and how it came about."""

    operations: int
    variant: str
    tree: Tree
    stored: frozenset[str]
    durable: Tree  # what is certain to be there at this moment


def visible(start: Tree, operations: Sequence[Operation]) -> Tree:
    """What every process sees after these operations: the page cache has it all."""
    tree = start.copy()
    for operation in operations:
        if not isinstance(operation, Sync | Stored):
            tree.apply(operation)
    return tree


def wrecks(
    start: Tree, operations: Sequence[Operation], *, seed: int, subsets: int, begin: int = 0
) -> Iterator[Wreck]:
    """Every prefix from `begin` operations on, each in all its variants, `subsets` of them at random."""
    dice = random.Random(seed)
    durable, pending, stored = start.copy(), list[_Pending](), frozenset[str]()
    for number in range(len(operations) + 1):
        if number:
            match operations[number - 1]:
                case Stored(key):
                    stored |= {key}
                case Sync(inode, begun):
                    pending = _synced(durable, pending, inode, begun)
                case change:
                    pending.append(_Pending(change, number - 1, _owed(change)))
        if number < begin:
            continue
        frozen = durable.copy()
        for variant, kept in _variants(pending, dice, subsets):
            tree = durable.copy()
            for change in kept:
                tree.apply(change)
            yield Wreck(number, variant, tree, stored, frozen)


def _owed(change: Change) -> set[int]:
    match change:
        case Write(inode) | Truncate(inode):
            return {inode}
        case Create(folder) | Remove(folder):
            return {folder}
        case Rename(_, folder, _, to_folder):
            return {folder, to_folder}


def _synced(durable: Tree, pending: list[_Pending], inode: int, begun: int) -> list[_Pending]:
    left = []
    for each in pending:
        if each.number < begun:
            each.owed.discard(inode)
        if each.owed:
            left.append(each)
        else:
            durable.apply(each.change)
    return left


def _variants(
    pending: Sequence[_Pending], dice: random.Random, subsets: int
) -> Iterator[tuple[str, list[Change]]]:
    changes = [each.change for each in pending]
    yield "everything", changes
    if not changes:
        return
    yield "only what was synced", []
    yield "names without data", [each for each in changes if not isinstance(each, Data)]
    yield "data without names", [each for each in changes if isinstance(each, Data)]
    pieces = [piece for change in changes for piece in _pages(change)]
    for number in range(subsets):
        yield f"subset {number}", [piece for piece in pieces if dice.random() < 0.5]


def _pages(change: Change) -> Iterator[Change]:
    """A write page by page: the disk takes them in any order."""
    if not isinstance(change, Write):
        yield change
        return
    begin, end = change.offset, change.offset + len(change.data)
    while begin < end:
        stop = min(end, (begin // PAGE + 1) * PAGE)
        yield Write(change.inode, begin, change.data[begin - change.offset : stop - change.offset])
        begin = stop
