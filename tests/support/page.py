"""Sections of a page under docs/ that a program writes, between marks that say which."""

from collections.abc import Sequence
from pathlib import Path


def write_section(page: Path, command: str, name: str, lines: Sequence[str]) -> None:
    """Put `lines` in place of the section `name` between its two marks, or at the page's end."""
    begin, end = (
        f"<!-- {mark} of `{command}`, {name}; change the program -->" for mark in ("begin", "end")
    )
    text = page.read_text() if page.exists() else ""
    before, found, rest = text.partition(begin)
    after = rest.partition(end)[2] if found else ""
    page.write_text("\n".join([f"{before}{begin}", *lines, f"{end}{after or chr(10)}"]))
