"""What the settings of a folder become: its groups, the format and the key of each file, its roots."""

from functools import cache
from pathlib import Path

from hotfolder.adapters import compression as codecs
from hotfolder.adapters.archive import BareFile, TarArchive
from hotfolder.adapters.filters import include_filter
from hotfolder.adapters.finishing import Roots
from hotfolder.config import EXTENSIONS, Folder, RouteKeys, Settings
from hotfolder.core.conflict import OnConflict
from hotfolder.core.grouping import Grouping, GroupRule
from hotfolder.core.marker import MarkerName
from hotfolder.core.records import Verify
from hotfolder.delivery import Rules
from hotfolder.formats import Format


def rules_of(settings: Settings, name: str, group: str) -> Rules:
    """What holds for the files of a group of the folder `name`."""
    rules = settings.folders[name].rules_of(group)
    return Rules(
        settings.route(name, group),
        format_of(rules),
        rules.storage_class,
        rules.tags,
        Verify(rules.verify),
        OnConflict(rules.on_conflict),
    )


def grouping_of(name: str, folder: Folder, *, forced: str | None = None) -> Grouping:
    """Which groups a folder has."""
    rules = [
        GroupRule(group, own.extensions, include_filter(own.include) if own.include else None)
        for group, own in folder.groups.items()
    ]
    return Grouping(name, folder.group_by, rules, forced)


def format_of(rules: RouteKeys) -> Format:
    """What files are packed into. One for all groups that ask for the same: there may be thousands."""
    return _format(rules.compression, rules.level)


@cache
def _format(compression: str, level: str | int) -> Format:
    kind = {".gz": "gzip", ".zst": "zstd", "": "none"}[Path(f"x{EXTENSIONS[compression]}").suffix]
    content_type = {
        "gzip": "application/gzip",
        "zstd": "application/zstd",
        "none": "application/octet-stream",
    }
    return Format(
        name=compression,
        ext=EXTENSIONS[compression],
        content_type=content_type[kind],
        archive=TarArchive() if compression.startswith("tar.") else BareFile(),
        codec=codecs.codec(kind, level),
        sealed=kind != "none",
    )


def roots_of(folder: Folder) -> Roots:
    return Roots(str(folder.inbox), str(folder.completed), str(folder.failed))


def marker_of(folder: Folder) -> MarkerName | None:
    """What the markers of its files are called, if it waits for such."""
    return MarkerName(folder.marker) if folder.ready == "marker" else None
