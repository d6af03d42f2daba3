"""Walking an inbox: a stream of paths, with no stat a file, no list of files and bounded memory."""

import os
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass

from hotfolder.beneath import EXHAUSTED, MOST_STEPS, NOT_THERE, directory_at, is_too_deep
from hotfolder.core.records import PassedOver

_MOST_PENDING = 20_000  # names of directories that one walk keeps, to be entered later
_LEAST_PENDING = 200  # of these below each directory, however deep it lies
_TOO_DEEP = f"it lies below {MOST_STEPS} other folders, and is not entered: move it up"

#: None: a directory was read to its end.
Entries = Generator[str | PassedOver | None, None, None]


def walk(root: str, start: str, ignored: Callable[[str], bool]) -> "Walk":
    """Every entry below `root`/`start` that is not ignored and no folder, relative to `root`.

    A regular file is its path; whatever is never opened (links, devices, folders that may not be
    read) comes with the reason. Where the root itself cannot be read, or nothing more can be opened, the
    OSError is raised.
    """
    return Walk(root, start, ignored)


class Walk:
    """Iterate it, in one thread at a time: the files of a directory, then its directories by name.

    One directory is open at a time. Of directories without end in one place, some are kept by name
    and the place is read again for those that come after them.
    """

    def __init__(
        self,
        root: str,
        start: str,
        ignored: Callable[[str], bool],
        *,
        most_pending: int = _MOST_PENDING,
        least_pending: int = _LEAST_PENDING,
    ) -> None:
        self._root, self._ignored = root, ignored
        self._most, self._least = most_pending, least_pending
        self._pending = 0  # names kept, of all levels
        self._listing: Entries | None = None
        self._entries = self._walk(start)

    def __iter__(self) -> Iterator[str | PassedOver]:
        return (entry for entry in self._entries if entry is not None)

    def some(self, most: int, is_late: Callable[[], bool]) -> list[str | PassedOver] | None:
        """Up to `most` entries, or what was found until it `is_late`, maybe nothing; None at the end.

        There may be a file in a thousand directories, and it is not to wait for the next one.
        """
        found: list[str | PassedOver] = []
        for entry in self._entries:
            if entry is not None:
                found.append(entry)
            if len(found) >= most or (entry is None and is_late()):
                return found
        return found or None

    def rest(self) -> None:
        """Let go of the directory that is open; going on gives the files of that directory again.

        A walk may wait for hours, and nothing is to keep a volume from being unmounted.
        """
        listing, self._listing = self._listing, None
        if listing is not None:
            listing.close()

    def _walk(self, start: str) -> Entries:
        levels = [(yield from self._enter(start))]
        while levels:
            level = levels[-1]
            if level.names:
                name = level.names.pop()
                self._pending -= 1
                directory = f"{level.directory}/{name}" if level.directory else name
                levels.append((yield from self._enter(directory)))
            elif level.last is not None:
                levels[-1] = yield from self._enter(level.directory, after=level.last)
            else:
                levels.pop()

    def _enter(
        self, directory: str, after: str | None = None
    ) -> Generator[str | PassedOver | None, None, "_Level"]:
        """Give the files of a directory, unless `after` a name; returns the directories in it."""
        while True:
            names = _Smallest(max(self._least, self._most - self._pending), after)
            listing = self._listing = self._list(directory, names, with_files=after is None)
            yield from listing
            if self._listing is listing:  # it has come to its end, and nobody closed it
                self._listing = None
                break
        yield None
        kept = names.taken()
        self._pending += len(kept)
        return _Level(directory, kept[::-1], kept[-1] if names.dropped_some else None)

    def _list(self, directory: str, names: "_Smallest", *, with_files: bool) -> Entries:
        ignored = self._ignored
        prefix = f"{directory}/" if directory else ""
        try:
            with directory_at(self._root, directory) as descriptor, os.scandir(descriptor) as entries:
                for entry in entries:
                    name = entry.name
                    relpath = prefix + name
                    found = _found(entry, relpath)
                    if found is None:
                        if names.wants(name) and not ignored(f"{relpath}/"):
                            names.add(name)
                    elif with_files and not ignored(relpath):
                        yield found
        except OSError as error:
            if not directory or error.errno in EXHAUSTED:
                raise
            if error.errno not in NOT_THERE:
                why = f"cannot be read: {error.strerror}; let the user that runs hotfolder enter it"
                yield PassedOver(directory, why)


def walk_top(root: str, start: str, ignored: Callable[[str], bool]) -> Walk:
    """As `walk`, but nothing below the top: a directory is one entry, with "/" at its end.

    A `start` below the root stands for the directory at the top that holds it.
    """
    return _TopWalk(root, start, ignored)


class _TopWalk(Walk):
    def _walk(self, start: str) -> Entries:
        if start:
            yield f"{start.partition('/')[0]}/"
            return
        while True:
            listing = self._listing = self._list_top()
            yield from listing
            if self._listing is listing:  # it has come to its end, and nobody closed it
                self._listing = None
                return

    def _list_top(self) -> Entries:
        with directory_at(self._root, "") as descriptor, os.scandir(descriptor) as entries:
            for entry in entries:
                found = _found(entry, entry.name)
                relpath = f"{entry.name}/" if found is None else entry.name
                if not self._ignored(relpath):
                    yield relpath if found is None else found


def folders_below(root: str) -> Iterator[str]:
    """Every folder below `root`, relative to it, whatever it holds. Raises OSError for `root` alone."""
    pending = [""]
    while pending:
        directory = pending.pop()
        try:
            with directory_at(root, directory) as descriptor, os.scandir(descriptor) as entries:
                for entry in entries:
                    if entry.is_dir(follow_symlinks=False):
                        relpath = f"{directory}/{entry.name}" if directory else entry.name
                        if not is_too_deep(relpath):
                            pending.append(relpath)
                            yield relpath
        except OSError:  # it may not be entered, so nothing is ever taken from there
            if not directory:
                raise


@dataclass(slots=True)
class _Level:
    """`names` of directories to be entered, from the last to the first.

    `last`: there are more behind this name; None: there are not.
    """

    directory: str
    names: list[str]
    last: str | None


class _Smallest:
    """The `most` first names, in their order, of all that come `after` one; holds twice as many."""

    def __init__(self, most: int, after: str | None) -> None:
        self._most, self._after = most, after
        self._below: str | None = None
        self._names: list[str] = []
        self.dropped_some = False

    def wants(self, name: str) -> bool:
        if self._after is not None and name <= self._after:
            return False
        if self._below is not None and name > self._below:
            self.dropped_some = True
            return False
        return True

    def add(self, name: str) -> None:
        self._names.append(name)
        if len(self._names) >= 2 * self._most:
            self._cut()

    def taken(self) -> list[str]:
        self._cut()
        return self._names

    def _cut(self) -> None:
        self._names.sort()
        if len(self._names) > self._most:
            del self._names[self._most :]
            self._below, self.dropped_some = self._names[-1], True


def _found(entry: "os.DirEntry[str]", relpath: str) -> str | PassedOver | None:
    """A file, an entry that is never opened, or None for a directory that is to be entered."""
    try:
        if entry.is_file(follow_symlinks=False):
            return relpath
        if entry.is_dir(follow_symlinks=False):
            return PassedOver(relpath, _TOO_DEEP) if is_too_deep(relpath) else None
        what = "a symbolic link" if entry.is_symlink() else "a device, pipe or socket"
    except OSError as error:  # where the file system does not say what it is; the others are found
        return PassedOver(relpath, f"cannot be looked at: {error.strerror}; check the disk")
    return PassedOver(relpath, f"{what}: only regular files are delivered")
