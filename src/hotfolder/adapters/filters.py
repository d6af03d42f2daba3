"""What is left alone in an inbox: gitignore patterns (pathspec), and system files by their names.

pathspec implements git's own rules, which people know from elsewhere.
"""

import re
from collections.abc import Callable, Sequence

import pathspec

#: Matched by name in any folder: what systems, browsers, NAS software and editors leave lying about.
JUNK = (
    ".DS_Store",
    "._*",
    "[Tt]humbs.db",
    "[Dd]esktop.ini",
    "*.part",
    "*.partial",
    "*.crdownload",
    "*.tmp",
    "~$*",
    ".~lock.*",
    "@eaDir",
    "#recycle",
    ".stfolder",
    ".nfs*",
    ".smbdelete*",
    ".hotfolder-*",  # our own, for a moment: `core.routing` makes them
)
#: rsync writes to .NAME.XXXXXX and renames. One digit or capital at least, so that no hidden file
#: with a six-letter word for a suffix is taken for one.
_RSYNC_TEMPORARY = re.compile(r"\..+\.(?=[a-z]*[A-Z0-9])[A-Za-z0-9]{6}", re.DOTALL)

_GROUP_NAME = re.compile(r"(?<!\\)\(\?P<\w+>")  # pathspec gives its groups the same name each
_ANY_FOLDER = "^(?:.+/)?"
_NOTHING = r"(?!)"


def include_filter(patterns: Sequence[str]) -> Callable[[str], bool]:
    """A test whether a file (relative to the inbox) matches one of gitignore-style `patterns`."""
    return _matcher(patterns)


def _matcher(patterns: Sequence[str]) -> Callable[[str], bool]:
    """`GitIgnoreSpec.match_file`, at a fifth of its cost for a path that nothing matches.

    pathspec tries one pattern after the other, for each of a million files. What none of them matches
    is found out by one expression of them all; where "!" patterns take part, pathspec decides the rest.
    """
    spec = pathspec.GitIgnoreSpec.from_lines(patterns)
    compiled = [pattern for pattern in spec.patterns if pattern.regex is not None]  # no comments
    any_of = _any_of([pattern.regex for pattern in compiled if pattern.include and pattern.regex])
    if all(pattern.include for pattern in compiled):
        return lambda relpath: any_of(relpath) is not None
    return lambda relpath: any_of(relpath) is not None and spec.match_file(relpath)


def _any_of(expressions: Sequence[re.Pattern[str]]) -> Callable[[str], re.Match[str] | None]:
    """A search for any of them. What many begin with ("in any folder") is tried once for all."""
    anywhere: list[str] = []
    others: list[str] = []
    for expression in expressions:
        text = _GROUP_NAME.sub("(?:", expression.pattern)
        if text.startswith(_ANY_FOLDER):
            anywhere.append(f"(?:{text.removeprefix(_ANY_FOLDER)})")
        else:
            others.append(f"(?:{text})")
    together = [f"(?:{_ANY_FOLDER}(?:{'|'.join(anywhere)}))"] if anywhere else []
    return re.compile("|".join(together + others) or _NOTHING).search


def ignore_filter(patterns: Sequence[str], include: Sequence[str] = ()) -> Callable[[str], bool]:
    """A test whether the path (relative to the inbox, "/" at the end of a directory) is left alone.

    With `include`, a file that matches none of those patterns is left alone as well. Raises
    `ValueError` for a pattern that git would not take either.
    """
    # "#" starts a comment in gitignore files, and "\#" is the name that begins with it.
    junk = [pattern.replace("#", "\\#") for pattern in JUNK]
    matches = _matcher([*junk, *patterns])
    included = include_filter(include) if include else None

    def ignored(relpath: str) -> bool:
        name = relpath.rstrip("/").rpartition("/")[2]
        if _RSYNC_TEMPORARY.fullmatch(name) or matches(relpath):
            return True
        return included is not None and not relpath.endswith("/") and not included(relpath)

    return ignored
