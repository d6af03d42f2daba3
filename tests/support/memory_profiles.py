"""What stores were seen to do, in memory."""

from hotfolder.core.profile import Seen


class MemoryProfiles:
    """`core.ports.Profiles` that forgets with the process."""

    def __init__(self) -> None:
        self.kept: dict[str, Seen] = {}

    def all(self) -> dict[str, Seen]:
        return dict(self.kept)

    def keep(self, key: str, seen: Seen) -> None:
        self.kept[key] = seen
