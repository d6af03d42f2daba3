"""What the null sink answers: requests parsed, bodies hashed, objects known by size and digest."""

import base64
import hashlib
import itertools
import json
import re
import threading
import time
from collections import Counter, OrderedDict
from dataclasses import dataclass
from email.utils import formatdate
from functools import cached_property
from urllib.parse import parse_qs, unquote
from xml.sax.saxutils import escape

#: Bodies of up to so many bytes have their SHA-256 checked and can be read again, the last of them.
_SMALL, _KEPT = 64 * 1024, 64
_LISTS = 256 * 1024  # bytes of the longest list of parts
_ETAGS = re.compile(rb"<ETag>(?:&quot;|&#34;|\")?([0-9a-f]{32})")
_OF_UPLOADS = {"POST": "CompleteMultipartUpload", "GET": "ListParts", "DELETE": "AbortMultipartUpload"}
_NS = 'xmlns="http://s3.amazonaws.com/doc/2006-03-01/"'
_SHA256 = b"x-amz-checksum-sha256"
_Answer = tuple[str, bytes, bytes]  # status line, headers, body


class Request:
    """A request's head. `headers` by their names in lower case."""

    def __init__(self, head: bytes) -> None:
        first, *lines = head.split(b"\r\n")
        method, target, _ = first.decode("latin-1").split(" ", 2)
        path, _, query = target.partition("?")
        self.method, self.path = method, unquote(path) if "%" in path else path
        self.query = parse_qs(query, keep_blank_values=True) if query else {}
        self.headers: dict[bytes, bytes] = {}
        for line in lines:
            name, _, value = line.partition(b":")
            self.headers[name.lower()] = value.strip()

    @cached_property
    def length(self) -> int:
        return int(self.headers.get(b"content-length", b"0"))

    @cached_property
    def is_http_chunked(self) -> bool:
        return b"chunked" in self.headers.get(b"transfer-encoding", b"").lower()

    @cached_property
    def is_aws_chunked(self) -> bool:
        return b"aws-chunked" in self.headers.get(b"content-encoding", b"").lower()

    @property
    def is_conditional(self) -> bool:
        return self.headers.get(b"if-none-match") == b"*"

    def fields(self, prefix: bytes) -> bytes:
        """The lines of all headers whose names begin so."""
        named = (each for each in self.headers.items() if each[0].startswith(prefix))
        return b"".join(b"%b: %b\r\n" % each for each in named)


class Body:
    """What is known of a body that comes in. `kept`: its bytes, while they are few."""

    def __init__(self) -> None:
        self._md5 = hashlib.md5(usedforsecurity=False)
        self.size = 0
        self.kept: bytes | None = b""

    def update(self, data: bytes | memoryview) -> None:
        self._md5.update(data)
        self.size += len(data)
        if self.kept is not None:
            self.kept = self.kept + data if self.size <= _LISTS else None

    @property
    def small(self) -> bytes | None:
        return self.kept if self.size <= _SMALL else None

    @property
    def etag(self) -> str:
        return self._md5.hexdigest()


@dataclass(slots=True)
class _Stored:
    size: int
    etag: str
    headers: bytes
    body: bytes | None = None


class Answers:
    """Every object and open upload; safe to ask from many threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._stored: dict[str, _Stored] = {}
        self._readable: OrderedDict[str, None] = OrderedDict()
        self._uploads: dict[str, dict[int, _Stored]] = {}
        self._numbers = itertools.count(1)
        self._asked: Counter[str] = Counter()
        self._received = 0
        self._cpu = time.process_time()
        self._second, self._common = 0, b""

    def answer(self, request: Request, body: Body) -> bytes:
        """The whole answer, as it goes over the wire."""
        with self._lock:
            status, headers, content = self._serve(request, body)
            if (now := int(time.time())) != self._second:
                self._second, self._common = now, _common(now)
        length = b"" if b"Content-Length" in headers else b"Content-Length: %d\r\n" % len(content)
        if request.method == "HEAD":
            content = b""
        return b"HTTP/1.1 %b\r\n%b%b%b\r\n%b" % (status.encode(), self._common, headers, length, content)

    def _serve(self, request: Request, body: Body) -> _Answer:
        query, method = request.query, request.method
        if request.path == "/-/usage":
            return "200 OK", b"", self._usage()
        bucket, _, key = request.path.lstrip("/").partition("/")
        self._asked[_kind(request, key)] += 1
        self._received += body.size
        if not key:
            return _of_bucket(request, bucket)
        if method == "PUT":
            return self._put(request, body)
        if "uploads" in query:
            upload = f"{next(self._numbers):032x}"
            self._uploads[upload] = {}
            named = f"<Bucket>{bucket}</Bucket><Key>{escape(key)}</Key><UploadId>{upload}</UploadId>"
            return _xml("InitiateMultipartUploadResult", named)
        if "uploadId" in query:
            return self._of_upload(request, body, query["uploadId"][0])
        if method == "DELETE":
            self._stored.pop(request.path, None)
            return "204 No Content", b"", b""
        return self._get(request)

    def _put(self, request: Request, body: Body) -> _Answer:
        claimed = request.headers.get(_SHA256)
        if claimed is not None and body.small is not None:
            actual = base64.b64encode(hashlib.sha256(body.small).digest())
            if actual != claimed:
                return _error("400 Bad Request", "BadDigest", "the SHA-256 is not that of the bytes")
        if request.is_conditional and request.path in self._stored:
            return _error("412 Precondition Failed", "PreconditionFailed", "there is such an object")
        etag = body.etag
        checksums = request.fields(b"x-amz-checksum-")
        stored = _Stored(body.size, etag, checksums)
        if "partNumber" in request.query:
            parts = self._uploads.get(request.query["uploadId"][0])
            if parts is None:
                return _error("404 Not Found", "NoSuchUpload", "no such upload")
            parts[int(request.query["partNumber"][0])] = stored
        else:
            stored.headers += request.fields(b"x-amz-meta-")
            self._keep(request.path, stored, body.small)
        return "200 OK", b'ETag: "%b"\r\n%b' % (etag.encode(), checksums), b""

    def _keep(self, path: str, stored: _Stored, body: bytes | None) -> None:
        self._stored[path] = stored
        if body is None:
            return
        stored.body = body
        self._readable[path] = None
        self._readable.move_to_end(path)
        if len(self._readable) > _KEPT:
            oldest, _ = self._readable.popitem(last=False)
            if oldest in self._stored:
                self._stored[oldest].body = None

    def _of_upload(self, request: Request, body: Body, upload: str) -> _Answer:
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
        if request.is_conditional and request.path in self._stored:
            return _error("412 Precondition Failed", "PreconditionFailed", "there is such an object")
        named = [etag.decode() for etag in _ETAGS.findall(body.kept or b"")]
        if named != [part.etag for _, part in sorted(parts.items())]:
            return _error("400 Bad Request", "InvalidPart", "the parts are not those that were sent")
        digests = b"".join(map(bytes.fromhex, named))
        etag = f"{hashlib.md5(digests, usedforsecurity=False).hexdigest()}-{len(named)}"
        self._stored[request.path] = _Stored(sum(part.size for part in parts.values()), etag, b"")
        del self._uploads[upload]
        return _xml("CompleteMultipartUploadResult", f"<ETag>&quot;{etag}&quot;</ETag>")

    def _get(self, request: Request) -> _Answer:
        stored = self._stored.get(request.path)
        if stored is None:
            return _error("404 Not Found", "NoSuchKey", "no such key")
        named = (stored.etag.encode(), formatdate(usegmt=True).encode(), stored.headers)
        headers = b'ETag: "%b"\r\nLast-Modified: %b\r\n%b' % named
        if request.method == "HEAD":
            return "200 OK", headers + b"Content-Length: %d\r\n" % stored.size, b""
        if stored.body is None:
            return _error("500 Internal Server Error", "InternalError", "a null sink keeps nothing")
        return "200 OK", headers, stored.body

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
        self._readable.clear()
        self._uploads.clear()
        return json.dumps(told).encode()


def _common(now: int) -> bytes:
    """The headers of every answer."""
    lines = (f"Date: {formatdate(now, usegmt=True)}", "Server: sink", "x-amz-request-id: 1", "")
    return "\r\n".join(lines).encode()


def _kind(request: Request, key: str) -> str:
    """S3's name of what is asked for, or nearly."""
    method, query = request.method, request.query
    if not key:
        return f"{method.capitalize()}Bucket"
    if method == "PUT":
        return "UploadPart" if "partNumber" in query else "PutObject"
    if "uploads" in query:
        return "CreateMultipartUpload"
    if "uploadId" in query:
        return _OF_UPLOADS[method]
    return f"{method.capitalize()}Object"


def _of_bucket(request: Request, bucket: str) -> _Answer:
    """A bucket that is there, and empty."""
    if request.method in {"PUT", "HEAD"}:
        return "200 OK", b"", b""
    if "location" in request.query:
        return _xml("LocationConstraint", "")
    ended = "<IsTruncated>false</IsTruncated>"
    if "uploads" in request.query:
        return _xml("ListMultipartUploadsResult", f"<Bucket>{bucket}</Bucket>{ended}")
    return _xml("ListBucketResult", f"<Name>{bucket}</Name>{ended}<KeyCount>0</KeyCount>")


def _xml(name: str, content: str) -> _Answer:
    document = f'<?xml version="1.0" encoding="UTF-8"?>\n<{name} {_NS}>{content}</{name}>'
    return "200 OK", b"Content-Type: application/xml\r\n", document.encode()


def _error(status: str, code: str, message: str) -> _Answer:
    document = f"<Error><Code>{code}</Code><Message>{message}</Message></Error>"
    return status, b"Content-Type: application/xml\r\n", document.encode()
