"""Answers that are whole, or none: below botocore, where an end of the connection still looks like one.

`http.client` takes the end of a connection for the end of an answer's head, and botocore asks nobody to
count its body. Half an answer would then be one that lacks what came behind: an object without its
metadata, a refusal without its reason.
"""

import http.client
import io
from typing import Any


class _Lines(io.BufferedReader):
    """What is read of an answer. A line of its head, or of its chunks, that does not end is none."""

    def readline(self, size: int | None = -1, /) -> bytes:
        limit = -1 if size is None else size
        line = super().readline(limit)
        if not line.endswith(b"\n") and len(line) != limit:
            raise http.client.IncompleteRead(line)
        return line


class WholeResponse(http.client.HTTPResponse):
    """Raises `IncompleteRead` where the connection ended before the empty line behind the head."""

    fp: Any

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fp = _Lines(self.fp.detach())


class CountedBodies:
    """For a pool of connections: a body that is shorter than its Content-Length is an error."""

    def urlopen(self, *args: Any, **kwargs: Any) -> Any:
        kwargs["enforce_content_length"] = True
        return super().urlopen(*args, **kwargs)  # type: ignore[misc] # a mixin: a pool comes after it
