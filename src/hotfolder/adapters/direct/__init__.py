"""PUTs over the event loop's own sockets: whole objects and parts, no thread, no copy."""

from hotfolder.adapters.direct.engine import DirectPutEngine

__all__ = ["DirectPutEngine"]
