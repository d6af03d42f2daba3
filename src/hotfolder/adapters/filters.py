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


def include_filter(patterns: Sequence[str]) -> Callable[[str], bool]:
    """A test whether a file (relative to the inbox) matches one of gitignore-style `patterns`."""
    return pathspec.GitIgnoreSpec.from_lines(patterns).match_file


def ignore_filter(patterns: Sequence[str], include: Sequence[str] = ()) -> Callable[[str], bool]:
    """A test whether the path (relative to the inbox, "/" at the end of a directory) is left alone.

    With `include`, a file that matches none of those patterns is left alone as well. Raises
    `ValueError` for a pattern that git would not take either.
    """
    # "#" starts a comment in gitignore files, and "\#" is the name that begins with it.
    junk = [pattern.replace("#", "\\#") for pattern in JUNK]
    spec = pathspec.GitIgnoreSpec.from_lines([*junk, *patterns])

    included = include_filter(include) if include else None

    def ignored(relpath: str) -> bool:
        name = relpath.rstrip("/").rpartition("/")[2]
        if _RSYNC_TEMPORARY.fullmatch(name) or spec.match_file(relpath):
            return True
        return included is not None and not relpath.endswith("/") and not included(relpath)

    return ignored
