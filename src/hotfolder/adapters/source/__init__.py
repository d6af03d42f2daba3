"""Originals on the local file system: a file, or a directory that is delivered as one archive."""

from hotfolder.adapters.source.file import OpenOriginal, open_original, open_originals
from hotfolder.adapters.source.owner import user_name
from hotfolder.adapters.source.refusing import refuse_open_writer
from hotfolder.adapters.source.tree import OpenTree, open_tree

__all__ = [
    "OpenOriginal",
    "OpenTree",
    "open_original",
    "open_originals",
    "open_tree",
    "refuse_open_writer",
    "user_name",
]
