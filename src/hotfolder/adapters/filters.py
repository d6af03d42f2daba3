"""What is left alone in an inbox: system files by their names, and gitignore patterns (pathspec).

pathspec implements git's own rules, which people know from elsewhere; the user's patterns have the
last word over the built-in list, but for our own names.
"""

import fnmatch
import re
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from typing import NamedTuple

import pathspec

from hotfolder.core.naming import is_own

_KNOWN_FOLDERS = 4_096  # whose verdict is kept in mind: a walk asks for each once a file


class Junk(NamedTuple):
    """Patterns of names in any folder. A "/" at the end of one: of folders only."""

    of: str
    patterns: tuple[str, ...]
    #: Only files: a folder of that name is a person's.
    files: bool = False
    any_case: bool = False


#: What systems, browsers, NAS software and editors leave lying about, or have not finished. Only names
#: that are certain to be no one's data: each one keeps a file out for good.
JUNK = (
    Junk("transfers under way", ("*.part", "*.partial", "*.crdownload", "*.tmp")),
    Junk(
        "transfers under way",
        ("*.filepart", "*.opdownload", "*.aria2", "*.!ut", "*.!qB", ".in.*.", ".pureftpd-upload.*"),
        files=True,
    ),
    Junk("rsync", (".~tmp~/", ".rsync-partial/")),
    Junk("macOS", (".DS_Store", "._*", ".apdisk"), files=True),
    Junk(
        "macOS",
        (
            *(".AppleDouble/", ".Spotlight-V100/", ".Trashes/", ".fseventsd/", ".TemporaryItems/"),
            ".DocumentRevisions-V100/",
        ),
    ),
    Junk("Windows", ("Thumbs.db", "ehthumbs.db", "desktop.ini"), files=True, any_case=True),
    Junk("Windows", ("$RECYCLE.BIN/", "System Volume Information/"), any_case=True),
    Junk("office programs", ("~$*", ".~lock.*#"), files=True),
    Junk("editors", (".*.sw[g-p]", ".#*", ".goutputstream-*", ".*.kate-swp"), files=True),
    Junk("NAS software", ("@eaDir/", "@Recycle/", "@Recently-Snapshot/", ".@__thumb/")),
    Junk("NAS software", ("#recycle/", "#snapshot/", ".recycle/")),
    Junk("Syncthing", (".stfolder", ".stversions/")),
    Junk("file systems", (".nfs*", ".smbdelete*", ".fuse_hidden*"), files=True),
    Junk("file systems", ("lost+found/", ".Trash-[0-9]*/", ".snapshot/", ".snapshots/", ".zfs/")),
)

#: rsync writes to .NAME.XXXXXX and renames. A letter, and a capital or a digit, at least: so that no
#: hidden file with a six-letter word or a date for a suffix is taken for one.
_RSYNC_TEMPORARY = re.compile(r"\..+\.(?=[a-z]*[A-Z0-9])(?=[0-9]*[A-Za-z])[A-Za-z0-9]{6}", re.DOTALL)
RSYNC_NAMES = ".NAME.XXXXXX"
OWN_NAMES = ".hotfolder-*"  # which no pattern takes back

_GROUP_NAME = re.compile(r"(?<!\\)\(\?P<\w+>")  # pathspec gives its groups the same name each
_ANY_FOLDER = "^(?:.+/)?"
_NOTHING = r"(?!)"


def include_filter(patterns: Sequence[str]) -> Callable[[str], bool]:
    """A test whether a file (relative to the inbox) matches one of gitignore-style `patterns`."""
    return _matcher(patterns)


def _matcher(patterns: Sequence[str]) -> Callable[[str], bool]:
    """`GitIgnoreSpec.match_file`, at a fifth of its cost for a path that nothing matches."""
    spec = pathspec.GitIgnoreSpec.from_lines(patterns)
    any_of = _any_of(spec)
    if all(pattern.include is not False for pattern in spec.patterns):
        return lambda relpath: any_of(relpath) is not None
    return lambda relpath: any_of(relpath) is not None and spec.match_file(relpath)


def _any_of(spec: pathspec.GitIgnoreSpec) -> Callable[[str], re.Match[str] | None]:
    """A search for any of its patterns, "!" or not; "in any folder" is tried once for all.

    pathspec tries one pattern after the other, for each of a million files.
    """
    anywhere: list[str] = []
    others: list[str] = []
    for expression in (pattern.regex for pattern in spec.patterns if pattern.regex is not None):
        text = _GROUP_NAME.sub("(?:", expression.pattern)
        if text.startswith(_ANY_FOLDER):
            anywhere.append(f"(?:{text.removeprefix(_ANY_FOLDER)})")
        else:
            others.append(f"(?:{text})")
    together = [f"(?:{_ANY_FOLDER}(?:{'|'.join(anywhere)}))"] if anywhere else []
    return re.compile("|".join(together + others) or _NOTHING).search


def ignore_filter(patterns: Sequence[str], include: Sequence[str] = ()) -> "IgnoreFilter":
    """What is left alone: junk, what matches `patterns`, and with `include` any file that matches none.

    Raises `ValueError` for a pattern that git would not take either.
    """
    return IgnoreFilter(patterns, include)


class IgnoreFilter:
    """A test whether a path (relative to the inbox, "/" at the end of a directory) is left alone.

    As with git, nothing below a directory that is left alone can be taken again.
    """

    def __init__(self, patterns: Sequence[str], include: Sequence[str] = ()) -> None:
        self._patterns = tuple(filter(None, patterns))
        self._spec = pathspec.GitIgnoreSpec.from_lines(self._patterns)
        self._mentions = _any_of(self._spec)
        self._included = include_filter(include) if include else None
        self._of_folder = lru_cache(_KNOWN_FOLDERS)(self._why_folder)

    def __call__(self, relpath: str) -> bool:
        return self.why(relpath) is not None

    def why(self, relpath: str) -> str | None:
        """Why the path is left alone, as the end of a sentence; None if it is not."""
        if relpath.endswith("/"):
            return self._of_folder(relpath.rstrip("/"))
        above, slash, _ = relpath.rpartition("/")
        why = self._of_folder(above) if slash else None
        why = why or self._why_itself(relpath, is_folder=False)
        if why is None and self._included is not None and not self._included(relpath):
            return "it matches no pattern of `include`"
        return why

    def _why_folder(self, relpath: str) -> str | None:
        above, slash, _ = relpath.rpartition("/")
        why = self._of_folder(above) if slash else None
        if why is not None:
            return why
        why = self._why_itself(relpath, is_folder=True)
        return None if why is None else f"its folder {relpath}/ is left alone: {why}"

    def _why_itself(self, relpath: str, *, is_folder: bool) -> str | None:
        name = relpath.rpartition("/")[2]
        if is_own(name):
            return f"only hotfolder's own names are like {OWN_NAMES}"
        path = f"{relpath}/" if is_folder else relpath
        if self._mentions(path) is not None:
            verdict = self._spec.check_file(path)
            if verdict.include is False:
                return None
            if verdict.include and verdict.index is not None:
                return f"{self._patterns[verdict.index]!r} of `ignore` matches it"
        junk = _junk_pattern(name, is_folder=is_folder)
        return None if junk is None else f"{junk!r} of the built-in list matches it"


def builtin_patterns() -> dict[str, list[str]]:
    """The built-in list: what it is of -> patterns of names; a "/" at the end means folders."""
    listed: dict[str, list[str]] = {}
    for kind in JUNK:
        listed.setdefault(kind.of, []).extend(kind.patterns)
    listed["rsync"].append(RSYNC_NAMES)
    return listed | {"hotfolder itself": [OWN_NAMES]}


def _junk_pattern(name: str, *, is_folder: bool) -> str | None:
    """The pattern of the built-in list that the name matches."""
    if name[0].lower() not in _BEGINNINGS and not name.endswith(_ENDINGS):
        return None  # as of nearly every file of a million
    for expression, patterns in _FOLDERS if is_folder else _FILES:
        found = expression.fullmatch(name)
        if found is not None:
            return patterns[(found.lastindex or 1) - 1]
    return RSYNC_NAMES if not is_folder and _RSYNC_TEMPORARY.fullmatch(name) else None


def _expressions(*, folders: bool) -> list[tuple[re.Pattern[str], list[str]]]:
    """One expression, with a group a pattern, for those that mind case, and one for the others."""
    expressions = []
    for any_case in (False, True):
        kinds = [kind for kind in JUNK if kind.any_case is any_case and not (folders and kind.files)]
        patterns = [
            pattern
            for kind in kinds
            for pattern in kind.patterns
            if folders or not pattern.endswith("/")
        ]
        expressions.append((_either(patterns, any_case=any_case), patterns))
    return expressions


def _either(patterns: Iterable[str], *, any_case: bool) -> re.Pattern[str]:
    each = (fnmatch.translate(pattern.rstrip("/")) for pattern in patterns)
    return re.compile("|".join(f"({one})" for one in each), re.IGNORECASE if any_case else 0)


_PATTERNS = [pattern.rstrip("/") for kind in JUNK for pattern in kind.patterns]
_BEGINNINGS = frozenset(pattern[0].lower() for pattern in _PATTERNS if pattern[0] != "*")
_ENDINGS = tuple(pattern[1:] for pattern in _PATTERNS if pattern[0] == "*")  # none has two stars
_FILES, _FOLDERS = _expressions(folders=False), _expressions(folders=True)
