"""Sections of a page under docs/ that a program writes, between marks that say which."""

from collections.abc import Sequence
from pathlib import Path


def write_section(page: Path, command: str, name: str, lines: Sequence[str]) -> None:
    """Put `lines` in place of the section `name` between its two marks, or at the page's end."""
    before, after, _ = _cut(page, command, name)
    begin, end = _marks(command, name)
    page.write_text("\n".join([f"{before}{begin}", *lines, f"{end}{after or chr(10)}"]))


def read_section(page: Path, command: str, name: str) -> list[str]:
    """The lines between the marks; none where there is no such section."""
    return _cut(page, command, name)[2]


def _cut(page: Path, command: str, name: str) -> tuple[str, str, list[str]]:
    """What is before the section, what is after it, and its lines."""
    begin, end = _marks(command, name)
    text = page.read_text() if page.exists() else ""
    before, found, rest = text.partition(begin)
    inside, _, after = rest.partition(end) if found else ("", "", "")
    return before, after, inside.split("\n")[1:-1]


def _marks(command: str, name: str) -> tuple[str, str]:
    begin, end = (
        f"<!-- {mark} of `{command}`, {name}; change the program -->" for mark in ("begin", "end")
    )
    return begin, end
