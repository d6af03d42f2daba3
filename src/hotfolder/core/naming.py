"""Names that hotfolder gives on disk: in completed/ and failed/, and for a moment in an inbox. Pure."""

import datetime as dt
import re
from collections.abc import Iterator
from typing import Literal

Layout = Literal["tree", "flat", "dated"]


def completed_place(relpath: str, layout: Layout, made_at: float) -> str:
    """Where in completed/ an original goes: its own tree, its name alone, or its tree below a date.

    `made_at` in seconds since the epoch; the date is UTC, as in keys.
    """
    if layout == "flat":
        return relpath.rpartition("/")[2]
    if layout == "dated":
        return f"{dt.datetime.fromtimestamp(made_at, dt.UTC):%Y/%m/%d}/{relpath}"
    return relpath


def detours(directory: str) -> Iterator[str]:
    """`directory` (relative, "" for the root), then it with one step at a time under another name.

    For a target tree in which a file has the name that a folder needs now: `reel` was delivered as a
    file, and later `reel/1.mp4`. The deepest step comes first, because what stands above it is tried
    as it is before it is given another name.
    """
    yield directory
    steps = directory.split("/") if directory else []
    if not {"", ".", ".."}.isdisjoint(steps):
        return  # no scan gives such a path; a damaged journal must not lead anywhere with it
    for i in reversed(range(len(steps))):
        yield "/".join([*steps[:i], clash_name(steps[i], "folder"), *steps[i + 1 :]])


def clash_name(name: str, operation_id: str) -> str:
    """`name` with "~" and the operation's last 12 digits before its suffixes, for a taken target.

    The same operation always gives the same name, so that a restart finds what it moved. Stays
    within the 255 bytes that file systems allow.
    """
    stem, dot, suffix = name.partition(".") if not name.startswith(".") else (name, "", "")
    tag = f"~{operation_id[-12:]}"
    tail = f"{dot}{suffix}"
    raw = stem.encode("utf-8", "surrogateescape")
    room = 255 - len(tag) - len(tail.encode("utf-8", "surrogateescape"))
    if room < 1:
        raw, tail, room = name.encode("utf-8", "surrogateescape"), "", 255 - len(tag)
    return raw[:room].decode("utf-8", "surrogateescape") + tag + tail


_HIDDEN = ".hotfolder-"  # begins every name that we give for a moment; `adapters.filters` ignores it
_ASIDE = re.compile(rf"{re.escape(_HIDDEN)}aside-([0-9a-f-]{{36}})-(.+)", re.DOTALL)


def is_own(name: str) -> bool:
    """Whether only we give such names: nothing that is called so is ever delivered."""
    return name.startswith(_HIDDEN)


def copy_name(operation_id: str) -> str:
    """The name of a copy in its target folder until it is proven and complete."""
    return f"{_HIDDEN}copy-{operation_id}"


def aside_name(name: str, operation_id: str) -> str:
    """The name in the inbox of an original that is about to be removed.

    It holds the file's own name (its beginning, where 255 bytes are too few), so that a file can be
    put back by whoever finds it.
    """
    raw = f"{_HIDDEN}aside-{operation_id}-{name}".encode("utf-8", "surrogateescape")
    return raw[:255].decode("utf-8", "surrogateescape")


def is_aside(name: str) -> bool:
    """Whether `aside_name` made it."""
    return _ASIDE.fullmatch(name) is not None


def parts_of_aside(aside: str) -> tuple[str, str]:
    """The name that a file had before it was put aside, and the operation that did it."""
    found = _ASIDE.fullmatch(aside)
    if found is None:
        raise ValueError(f"{aside!r} is not put aside")
    return found[2], found[1]


_DATED = re.compile(r"(\d{4}/\d\d/\d\d)/(.+)", re.DOTALL)


def origin_of(relpath: str, layout: Layout) -> tuple[str, str | None]:
    """The inverse of `completed_place`: (what stands above it in completed/, its path in the inbox).

    None where a flat layout has forgotten it.
    """
    if layout == "flat":
        return "", None
    dated = _DATED.fullmatch(relpath) if layout == "dated" else None
    return (dated[1], dated[2]) if dated else ("", relpath)
