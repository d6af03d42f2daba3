"""What is heard of an inbox. A hint is only ever a reason to look: it may be late, or never come."""

from enum import StrEnum


class Heard(StrEnum):
    """What happened at a path.

    APPEARED: a name is there, and it may still be written. COMPLETED: whoever wrote it closed it, or
    it was renamed to where it is. DIRECTORY: a directory is there, with whatever it holds.
    """

    APPEARED = "appeared"
    COMPLETED = "completed"
    DIRECTORY = "directory"


def note(heard: dict[str, Heard], relpath: str, what: Heard) -> None:
    """Keep what was heard of a path. That it was closed is not forgotten for what is heard behind."""
    if what is Heard.COMPLETED or relpath not in heard:
        heard[relpath] = what
