"""The configuration: its models, where it comes from, and sentences for what is wrong with it.

A key is here only if something obeys it.
"""

from hotfolder.config.destination import Destination, proxied_schemes
from hotfolder.config.file import FILE_NAME, find_file, load
from hotfolder.config.folders import Folder, FolderKeys, Group, RouteKeys
from hotfolder.config.settings import EXTENSIONS, Log, Settings, StatusKeys, Transfer

__all__ = [
    "EXTENSIONS",
    "FILE_NAME",
    "Destination",
    "Folder",
    "FolderKeys",
    "Group",
    "Log",
    "RouteKeys",
    "Settings",
    "StatusKeys",
    "Transfer",
    "find_file",
    "load",
    "proxied_schemes",
]
