"""A null sink that speaks S3 over HTTP: it hashes what arrives as a store must, and keeps nothing.

    python -m tests.bench.speed.sink --port 9000 --latency 0.02

Every body gets its real MD5 as ETag; an announced SHA-256 is compared with the bytes, so that wrong ones
are refused and the answer proves what it names; other checksums are echoed. Objects of up to 64 KiB stay
readable for a while, as a store is asked what it does before it is believed. Signatures are not checked.
Each answer is held back for `latency` seconds after its request has arrived whole: many wait at a time.

One thread serves all small requests from an epoll loop, in some 30 us of CPU each; a large body goes
to a thread of its own, where reading and hashing need no GIL. `GET /-/usage` tells the CPU seconds
spent, the bytes of all bodies, the objects there, and the requests of each kind; it forgets all
objects, and begins to count anew.
"""

import argparse
import base64
import hashlib
import heapq
import json
import re
import select
import socket
import threading
import time
from collections import Counter, OrderedDict, deque
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from email.utils import formatdate
from urllib.parse import parse_qs, unquote
from xml.sax.saxutils import escape

_LARGE = 256 * 1024  # bytes of a body that gets a thread
_READ = 1 << 20
_KEPT_SIZE, _KEPT = 64 * 1024, 64  # bytes and number of the bodies that can be read again
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_ETAGS = re.compile(rb"<ETag>(?:&quot;|&#34;|\")?([0-9a-f]{32})")
_OF_UPLOADS = {"POST": "CompleteMultipartUpload", "GET": "ListParts", "DELETE": "AbortMultipartUpload"}
_NS = 'xmlns="http://s3.amazonaws.com/doc/2006-03-01/"'


@dataclass(slots=True)
class _Stored:
    size: int
    etag: str
    headers: bytes
    body: bytes | None = None


@dataclass(slots=True, eq=False)
class _Connection:
    socket: socket.socket
    held: bytearray = field(default_factory=bytearray)
    is_expected: bool = False  # whether "100 Continue" was said for the request that is coming in


@dataclass(frozen=True, slots=True)
class _Request:
    method: str
    path: str
    query: dict[str, list[str]]
    head: bytes

    def header(self, name: bytes) -> bytes | None:
        """A header's value; `name` in lower case."""
        for line in self.head.split(b"\r\n")[1:]:
            found, _, value = line.partition(b":")
            if found.lower() == name:
                return value.strip()
        return None

    def fields(self, prefix: bytes) -> bytes:
        """All headers whose names begin so, as they came."""
        lines = self.head.split(b"\r\n")[1:]
        return b"".join(b"%b\r\n" % line for line in lines if line.lower().startswith(prefix))


@dataclass(slots=True)
class _Digests:
    """What a body is hashed into on its way."""

    md5: "hashlib._Hash"
    sha256: "hashlib._Hash | None"
    size: int = 0
    kept: bytes | None = None

    def update(self, data: bytes | memoryview) -> None:
        self.md5.update(data)
        if self.sha256 is not None:
            self.sha256.update(data)
        self.size += len(data)


class Sink:
    """The server on one listening socket; `latency` in seconds."""

    def __init__(self, listening: socket.socket, latency: float) -> None:
        self._listening, self._latency = listening, latency
        self._poll = select.epoll()
        self._connections: dict[int, _Connection] = {}
        self._later: list[tuple[float, int, _Connection, bytes]] = []
        self._number = 0
        self._done: deque[tuple[_Connection, bytes]] = deque()  # by the threads
        self._bell, self._rung = socket.socketpair()
        self._threads = ThreadPoolExecutor(64)
        self._lock = threading.Lock()  # of what is stored: threads finish bodies, too
        self._stored: dict[str, _Stored] = {}
        self._readable: OrderedDict[str, None] = OrderedDict()
        self._uploads: dict[str, dict[int, _Stored]] = {}
        self._asked: Counter[str] = Counter()
        self._received = 0
        self._cpu = time.process_time()
        self._date = (0, "")

    def serve(self) -> None:
        """Until the process is ended."""
        self._listening.setblocking(False)
        self._poll.register(self._listening, select.EPOLLIN)
        self._poll.register(self._rung, select.EPOLLIN)
        while True:
            wait = max(0.0, self._later[0][0] - time.monotonic()) if self._later else -1
            for descriptor, _ in self._poll.poll(wait):
                if descriptor == self._listening.fileno():
                    self._accept()
                elif descriptor == self._rung.fileno():
                    self._rung.recv(4096)
                else:
                    self._read(self._connections[descriptor])
            while self._done:
                connection, answer = self._done.popleft()
                self._watch(connection)
                self._answer(connection, answer)
            now = time.monotonic()
            while self._later and self._later[0][0] <= now:
                _, _, connection, answer = heapq.heappop(self._later)
                self._send(connection, answer)

    def _accept(self) -> None:
        while True:
            try:
                accepted, _ = self._listening.accept()
            except BlockingIOError:
                return
            accepted.setblocking(False)
            accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._watch(_Connection(accepted))

    def _watch(self, connection: _Connection) -> None:
        self._connections[connection.socket.fileno()] = connection
        self._poll.register(connection.socket, select.EPOLLIN)

    def _unwatch(self, connection: _Connection) -> None:
        self._poll.unregister(connection.socket)
        del self._connections[connection.socket.fileno()]

    def _read(self, connection: _Connection) -> None:
        try:
            data = connection.socket.recv(_READ)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._unwatch(connection)
            connection.socket.close()
            return
        connection.held += data
        while connection.held and self._take(connection):
            pass

    def _take(self, connection: _Connection) -> bool:
        """Serve the next request if it is there; returns whether another may be."""
        held = connection.held
        end = held.find(b"\r\n\r\n")
        if end < 0:
            return False
        head = bytes(held[:end])
        lower = head.lower()
        found = _LENGTH.search(head)
        length = int(found[1]) if found else 0
        is_odd = b"aws-chunked" in lower or b"\r\ntransfer-encoding: chunked" in lower
        if b"\r\nexpect: 100" in lower and not connection.is_expected:
            connection.is_expected = True
            connection.socket.send(b"HTTP/1.1 100 Continue\r\n\r\n")
        if length >= _LARGE or is_odd:
            del held[: end + 4]
            connection.is_expected = False
            self._unwatch(connection)
            self._threads.submit(self._take_large, connection, _request(head), length)
            return False
        if len(held) < end + 4 + length:
            return False
        body = bytes(held[end + 4 : end + 4 + length])
        del held[: end + 4 + length]
        connection.is_expected = False
        request = _request(head)
        digests = _digests_of(request)
        if length:
            digests.update(body)
        digests.kept = body
        self._answer(connection, self._answer_to(request, digests))
        return True

    def _take_large(self, connection: _Connection, request: _Request, length: int) -> None:
        """In a thread: read the body, hash it, and leave the answer to the loop."""
        try:
            connection.socket.setblocking(True)
            incoming = _Incoming(connection.socket, connection.held)
            digests = _digests_of(request)
            buffer = bytearray(_READ)
            for piece in incoming.body(request, length, memoryview(buffer)):
                digests.update(piece)
                if digests.size <= _KEPT_SIZE:
                    digests.kept = (digests.kept or b"") + piece
            connection.socket.setblocking(False)
            answer = self._answer_to(request, digests)
        except OSError:
            connection.socket.close()
            return
        self._done.append((connection, answer))
        self._bell.send(b"!")

    def _answer(self, connection: _Connection, answer: bytes) -> None:
        if not self._latency:
            self._send(connection, answer)
            return
        self._number += 1
        heapq.heappush(self._later, (time.monotonic() + self._latency, self._number, connection, answer))

    @staticmethod
    def _send(connection: _Connection, answer: bytes) -> None:
        try:
            connection.socket.setblocking(len(answer) > _KEPT_SIZE)
            connection.socket.sendall(answer)
            connection.socket.setblocking(False)
        except OSError:
            pass  # who asked is gone; the poll tells so, too

    # -- what is answered ----------------------------------------------------------------------------

    def _answer_to(self, request: _Request, digests: _Digests) -> bytes:
        with self._lock:
            status, headers, body = self._serve(request, digests)
        now = int(time.time())
        if now != self._date[0]:
            self._date = (now, formatdate(now, usegmt=True))
        length = b"" if b"Content-Length" in headers else b"Content-Length: %d\r\n" % len(body)
        common = (
            f"HTTP/1.1 {status}\r\nDate: {self._date[1]}\r\nServer: sink\r\nx-amz-request-id: 1\r\n"
        ).encode()
        return b"%b%b%b\r\n%b" % (common, headers, length, b"" if request.method == "HEAD" else body)

    def _serve(self, request: _Request, digests: _Digests) -> tuple[str, bytes, bytes]:
        """Status line, headers and body."""
        query, method = request.query, request.method
        if request.path == "/-/usage":
            return "200 OK", b"", self._usage()
        bucket, _, key = request.path.lstrip("/").partition("/")
        if not key:
            self._asked[f"{method.capitalize()}Bucket"] += 1
            return self._of_bucket(request, bucket)
        self._asked[_kind(method, query)] += 1
        self._received += digests.size
        if method == "PUT":
            return self._put(request, digests)
        if "uploads" in query:
            upload = f"{len(self._uploads) + 1:032x}"
            self._uploads[upload] = {}
            return _xml(
                "InitiateMultipartUploadResult",
                f"<Bucket>{bucket}</Bucket><Key>{escape(key)}</Key><UploadId>{upload}</UploadId>",
            )
        if "uploadId" in query:
            return self._of_upload(request, digests, query["uploadId"][0])
        if method == "DELETE":
            self._stored.pop(request.path, None)
            return "204 No Content", b"", b""
        return self._get(request)

    def _put(self, request: _Request, digests: _Digests) -> tuple[str, bytes, bytes]:
        claimed = request.header(b"x-amz-checksum-sha256")
        if claimed is not None and digests.sha256 is not None:
            actual = base64.b64encode(digests.sha256.digest())
            if actual != claimed:
                return _error("400 Bad Request", "BadDigest", "the SHA-256 is not that of the bytes")
        if request.header(b"if-none-match") == b"*" and request.path in self._stored:
            return _error("412 Precondition Failed", "PreconditionFailed", "there is such an object")
        etag = digests.md5.hexdigest()
        checksums = request.fields(b"x-amz-checksum-") if claimed is not None else b""
        stored = _Stored(digests.size, etag, checksums)
        if "partNumber" in request.query:
            parts = self._uploads.get(request.query["uploadId"][0])
            if parts is None:
                return _error("404 Not Found", "NoSuchUpload", "no such upload")
            parts[int(request.query["partNumber"][0])] = stored
        else:
            stored.headers += request.fields(b"x-amz-meta-")
            self._keep(request.path, stored, digests.kept)
        return "200 OK", b'ETag: "%b"\r\n%b' % (etag.encode(), checksums), b""

    def _keep(self, path: str, stored: _Stored, body: bytes | None) -> None:
        self._stored[path] = stored
        if body is None or len(body) != stored.size:
            return
        stored.body = body
        self._readable[path] = None
        self._readable.move_to_end(path)
        if len(self._readable) > _KEPT:
            oldest, _ = self._readable.popitem(last=False)
            if oldest in self._stored:
                self._stored[oldest].body = None

    def _of_upload(self, request: _Request, digests: _Digests, upload: str) -> tuple[str, bytes, bytes]:
        parts = self._uploads.get(upload)
        if parts is None:
            return _error("404 Not Found", "NoSuchUpload", "no such upload")
        if request.method == "DELETE":
            del self._uploads[upload]
            return "204 No Content", b"", b""
        if request.method == "GET":
            listed = "".join(
                f"<Part><PartNumber>{number}</PartNumber><ETag>&quot;{part.etag}&quot;</ETag>"
                f"<Size>{part.size}</Size></Part>"
                for number, part in sorted(parts.items())
            )
            return _xml("ListPartsResult", f"<IsTruncated>false</IsTruncated>{listed}")
        if request.header(b"if-none-match") == b"*" and request.path in self._stored:
            return _error("412 Precondition Failed", "PreconditionFailed", "there is such an object")
        named = [bytes.fromhex(etag.decode()) for etag in _ETAGS.findall(digests.kept or b"")]
        whole = hashlib.md5(b"".join(named), usedforsecurity=False).hexdigest()
        etag = f"{whole}-{len(named)}"
        size = sum(part.size for part in parts.values())
        self._stored[request.path] = _Stored(size, etag, b"")
        del self._uploads[upload]
        return _xml("CompleteMultipartUploadResult", f"<ETag>&quot;{etag}&quot;</ETag>")

    def _get(self, request: _Request) -> tuple[str, bytes, bytes]:
        stored = self._stored.get(request.path)
        if stored is None:
            return _error("404 Not Found", "NoSuchKey", "no such key")
        headers = b'ETag: "%b"\r\nLast-Modified: %b\r\n%b' % (
            stored.etag.encode(),
            formatdate(usegmt=True).encode(),
            stored.headers,
        )
        if request.method == "HEAD":
            return "200 OK", headers + b"Content-Length: %d\r\n" % stored.size, b""
        if stored.body is None:
            return _error("500 Internal Server Error", "InternalError", "a null sink keeps nothing")
        return "200 OK", headers, stored.body

    def _of_bucket(self, request: _Request, bucket: str) -> tuple[str, bytes, bytes]:
        query = request.query
        if request.method in {"PUT", "HEAD"}:
            return "200 OK", b"", b""
        if "location" in query:
            return _xml("LocationConstraint", "")
        if "uploads" in query:
            return _xml(
                "ListMultipartUploadsResult",
                f"<Bucket>{bucket}</Bucket><IsTruncated>false</IsTruncated>",
            )
        return _xml(
            "ListBucketResult",
            f"<Name>{bucket}</Name><IsTruncated>false</IsTruncated><KeyCount>0</KeyCount>",
        )

    def _usage(self) -> bytes:
        now = time.process_time()
        told = {
            "cpu": now - self._cpu,
            "received": self._received,
            "objects": len(self._stored),
            "requests": dict(self._asked),
        }
        self._cpu, self._received, self._asked = now, 0, Counter()
        self._stored.clear()
        self._uploads.clear()
        return json.dumps(told).encode()


class _Incoming:
    """The rest of one request, from what was read already and then from its socket."""

    def __init__(self, connected: socket.socket, held: bytearray) -> None:
        self._socket, self._held = connected, held

    def body(self, request: _Request, length: int, into: memoryview) -> Iterator[bytes | memoryview]:
        if b"chunked" in (request.header(b"transfer-encoding") or b"").lower():
            yield from self._http_chunks(into)
        elif b"aws-chunked" in (request.header(b"content-encoding") or b"").lower():
            yield from self._aws_chunks(into)
        else:
            yield from self._plain(length, into)

    def _plain(self, length: int, into: memoryview) -> Iterator[bytes | memoryview]:
        if self._held:
            first = bytes(self._held[:length])
            del self._held[:length]
            length -= len(first)
            yield first
        while length:
            size = self._socket.recv_into(into, min(len(into), length))
            if not size:
                raise ConnectionResetError
            length -= size
            yield into[:size]

    def _http_chunks(self, into: memoryview) -> Iterator[bytes | memoryview]:
        while size := int(self._line().partition(b";")[0], 16):
            yield from self._plain(size, into)
            self._line()
        while self._line():
            pass

    def _aws_chunks(self, into: memoryview) -> Iterator[bytes | memoryview]:
        """Chunks with signatures, and trailing headers."""
        while size := int(self._line().partition(b";")[0], 16):
            yield from self._plain(size, into)
            self._line()
        while self._line():
            pass

    def _line(self) -> bytes:
        while (end := self._held.find(b"\r\n")) < 0:
            more = self._socket.recv(4096)
            if not more:
                raise ConnectionResetError
            self._held += more
        line = bytes(self._held[:end])
        del self._held[: end + 2]
        return line


def _request(head: bytes) -> _Request:
    first = head[: head.find(b"\r\n")].decode("latin-1")
    method, target, _ = first.split(" ", 2)
    path, _, query = target.partition("?")
    return _Request(
        method, unquote(path), parse_qs(query, keep_blank_values=True) if query else {}, head
    )


def _digests_of(request: _Request) -> _Digests:
    announced = request.header(b"x-amz-checksum-sha256") is not None
    return _Digests(hashlib.md5(usedforsecurity=False), hashlib.sha256() if announced else None)


def _kind(method: str, query: dict[str, list[str]]) -> str:
    if method == "PUT":
        return "UploadPart" if "partNumber" in query else "PutObject"
    if "uploads" in query:
        return "CreateMultipartUpload"
    if "uploadId" in query:
        return _OF_UPLOADS[method]
    return f"{method.capitalize()}Object"


def _xml(name: str, content: str) -> tuple[str, bytes, bytes]:
    document = f'<?xml version="1.0" encoding="UTF-8"?>\n<{name} {_NS}>{content}</{name}>'
    return "200 OK", b"Content-Type: application/xml\r\n", document.encode()


def _error(status: str, code: str, message: str) -> tuple[str, bytes, bytes]:
    document = f"<Error><Code>{code}</Code><Message>{message}</Message></Error>"
    return status, b"Content-Type: application/xml\r\n", document.encode()


def main() -> None:
    parser = argparse.ArgumentParser(description="a null sink that speaks S3")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--latency", type=float, default=0.0, help="seconds before each answer")
    options = parser.parse_args()
    listening = socket.create_server(("127.0.0.1", options.port), backlog=1024)
    print(listening.getsockname()[1], flush=True)  # noqa: T201 - for whoever starts it
    Sink(listening, options.latency).serve()


if __name__ == "__main__":
    main()
