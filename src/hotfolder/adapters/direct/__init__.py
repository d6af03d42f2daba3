"""Small PUTs over the event loop's own sockets: one object a request, no thread, no copy of a hop."""

from hotfolder.adapters.direct.engine import DirectPutEngine

__all__ = ["DirectPutEngine"]
