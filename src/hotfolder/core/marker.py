"""The file beside a file that says that it is whole ("clip.mp4.done"). Pure."""

from hotfolder.core.records import Fingerprint

_NAME = "{name}"


class MarkerName:
    """How markers are called: "{name}.done". Raises `ValueError` for a pattern that is none."""

    def __init__(self, pattern: str) -> None:
        self._before, found, self._after = pattern.partition(_NAME)
        rest = self._before + self._after
        if not found or not rest or "/" in rest or "{" in rest or "}" in rest:
            raise ValueError(
                f"{pattern!r} is no name of a marker: it has {_NAME} (the file's name with its suffix) "
                f'once, and something beside it; write "{_NAME}.done"'
            )

    def of(self, relpath: str) -> str:
        """The marker of a file, in the same folder."""
        above, slash, name = relpath.rpartition("/")
        return f"{above}{slash}{self._before}{name}{self._after}"

    def file_of(self, relpath: str) -> str | None:
        """The file that `relpath` would be the marker of; None if it has no marker's name."""
        above, slash, name = relpath.rpartition("/")
        if not (name.startswith(self._before) and name.endswith(self._after)):
            return None
        file = name[len(self._before) : len(name) - len(self._after)]
        return f"{above}{slash}{file}" if file not in {"", ".", ".."} else None


def is_of_this_version(marker: Fingerprint, file: Fingerprint) -> bool:
    """Whether a marker was made, or last changed, after the last change of its file.

    Both times are ctimes, which the kernel of their common file system sets, and no program: a marker
    that was left there by an earlier file of that name says nothing about this one.
    """
    return marker.ctime_ns >= file.ctime_ns
