"""Bodies on the wire, both ways: sent in pieces without a copy, read in chunks across retries."""

import http.client
import socket
from collections.abc import Iterator
from concurrent.futures import CancelledError
from typing import TYPE_CHECKING, Any

import botocore.exceptions as boto_errors

from hotfolder.adapters.s3.faults import headers, status
from hotfolder.adapters.s3.tries import Failed
from hotfolder.adapters.s3.watching import current_watch
from hotfolder.core.answers import Subject, judge_foreign
from hotfolder.core.errors import ObjectRefused
from hotfolder.core.foreign import is_foreign
from hotfolder.core.ports import Body, Scattered
from hotfolder.core.stalls import Phase

if TYPE_CHECKING:
    from types_boto3_s3.client import S3Client

_PIECE = 1024 * 1024  # bytes given to the socket, or read from it, at once


class Pieces:
    """A body that goes to the socket piece by piece out of the caller's memory, and can be halted.

    As `bytes` it would be one `sendall`, whose timeout covers the whole body; with a `read` method
    botocore would ask for "100 Continue" first and urllib3 would copy it in 16 KiB blocks.
    """

    def __init__(self, body: Body | Scattered) -> None:
        pieces = body if isinstance(body, Scattered) else (body,)
        self._views = [memoryview(piece).cast("B") for piece in pieces]
        self._size = len(body)
        self._halted = False

    def __len__(self) -> int:
        return self._size

    def __iter__(self) -> Iterator[memoryview]:
        if self._halted:
            raise CancelledError
        for view in self._views:
            for offset in range(0, len(view), _PIECE):
                if self._halted:
                    raise CancelledError
                yield view[offset : offset + _PIECE]

    def seek(self, position: int) -> int:
        # botocore rewinds before it follows a redirect to another region; iterating does that.
        return position

    def halt(self) -> None:
        """No more of it is sent; it is let go of, whoever keeps us (of repetitions a circle is left)."""
        self._halted, self._views = True, []


class Download:
    """An object as it is read, chunk by chunk, over as many requests as the line needs."""

    def __init__(self, subject: Subject, start: int) -> None:
        self._subject = subject
        self._arguments = {"Bucket": subject.bucket, "Key": subject.key}
        self._offset = start
        self._stream: Any = None
        self._connection: socket.socket | None = None

    def read(self, s3: "S3Client") -> bytes:
        """The next chunk; empty at the end. Raises FileNotFoundError and `Failed`; blocks."""
        try:
            if self._stream is None and not self._open(s3):
                return b""
            self._show()
            chunk = bytes(self._stream.read(_PIECE))
        except Exception:
            self.close()
            raise
        self._offset += len(chunk)
        return chunk

    def close(self) -> None:
        if self._stream is not None:
            self._stream.close()
            self._stream = None

    def _show(self) -> None:
        """Let the request be watched that reads on: its connection is that of the one that opened."""
        watch = current_watch()
        if watch is not None:
            self._connection = watch.connection or self._connection
            if self._connection is not None:
                watch.on(self._connection, Phase.STREAMING)

    def _open(self, s3: "S3Client") -> bool:
        arguments: dict[str, Any] = dict(self._arguments)
        if self._offset:
            arguments["Range"] = f"bytes={self._offset}-"
        try:
            reply = s3.get_object(**arguments)
        except boto_errors.ClientError as error:
            if error.response.get("Error", {}).get("Code") in {"NoSuchKey", "404"}:
                raise FileNotFoundError(f"no object {arguments['Key']!r}") from error
            if status(error) == http.HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
                return False  # exactly at the end of the object
            if status(error) == http.HTTPStatus.PRECONDITION_FAILED:
                raise ObjectRefused(
                    f"the object {arguments['Key']!r} changed while it was read"
                ) from error
            raise
        if is_foreign("GetObject", (), headers(reply)):
            reply["Body"].close()
            raise Failed(judge_foreign(self._subject))
        self._arguments["IfMatch"] = reply["ETag"]  # never the tail of another object
        self._stream = reply["Body"]
        return True
