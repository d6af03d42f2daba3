"""An answer that was cut off is no answer, wherever that was and whoever asked: never half of one."""

import asyncio
import hashlib
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from hotfolder.adapters.s3 import FileLogin, S3Settings, S3Store
from hotfolder.core.errors import DestinationError, DestinationTrouble
from hotfolder.core.records import ObjectDraft, PartReceipt
from tests.support.certificates import Authority, make_authority
from tests.support.s3_stores import WAYS, Way, opened, write_credentials

BODY = b"0123456789" * 400
SHA256 = hashlib.sha256(BODY).digest()
HEAD = (
    b"HTTP/1.1 200 OK\r\n"
    b"x-amz-request-id: 1\r\n"
    b"Content-Length: 1000\r\n"
    b'ETag: "0123456789abcdef0123456789abcdef-2"\r\n'
    b"x-amz-meta-hotfolder-operation: 0195-33\r\n"
    b"x-amz-meta-hotfolder-size: 4000\r\n\r\n"
)
OK = b'HTTP/1.1 200 OK\r\nETag: "e"\r\nx-amz-checksum-sha256: abc=\r\nContent-Length: 0\r\n\r\n'
COMPLETED = (
    b"<CompleteMultipartUploadResult><Key>k</Key><ETag>e-1</ETag></CompleteMultipartUploadResult>"
)
LISTED = (
    b"<ListPartsResult><UploadId>u</UploadId><IsTruncated>false</IsTruncated>"
    b"<Part><PartNumber>1</PartNumber><Size>3</Size><ETag>e</ETag></Part>"
    b"<Part><PartNumber>2</PartNumber><Size>3</Size><ETag>f</ETag></Part></ListPartsResult>"
)
REFUSED = b"<Error><Code>KeyTooLongError</Code><Message>no</Message></Error>"

_TLS_HELLO = b"\x16"

Ask = Callable[[S3Store], Awaitable[object]]


async def head(store: S3Store) -> object:
    return await store.head("k")


async def put(store: S3Store) -> object:
    return await store.put(ObjectDraft("k"), BODY, sha256=SHA256, unless_exists=True)


async def part(store: S3Store) -> object:
    return await store.upload_part("k", "u", 1, BODY, sha256=SHA256)


async def complete(store: S3Store) -> object:
    return await store.complete("k", "u", [PartReceipt(1, 3, "e")], unless_exists=True)


async def list_parts(store: S3Store) -> object:
    return await store.list_parts("k", "u")


async def get(store: S3Store) -> object:
    return b"".join([chunk async for chunk in store.get("k")])


class Cutting:
    """A server that says `answer` to every request and ends the connection."""

    def __init__(self) -> None:
        self.answer = b""
        self._writers: list[asyncio.StreamWriter] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.append(writer)
        first = await reader.readexactly(1)
        if first == _TLS_HELLO:  # of who asks whether TLS is spoken here
            writer.close()
            return
        asked = (await reader.readuntil(b"\r\n\r\n")).lower()
        size = asked.partition(b"content-length: ")[2].partition(b"\r\n")[0]
        await reader.readexactly(int(size or 0))
        writer.write(self.answer)
        await writer.drain()
        writer.close()

    async def hang_up(self) -> None:
        for writer in self._writers:
            writer.transport.abort()
        await asyncio.gather(*(writer.wait_closed() for writer in self._writers), return_exceptions=True)


@asynccontextmanager
async def cutting(
    folder: Path, *, way: Way = "boto3", authority: Authority | None = None
) -> AsyncIterator[tuple[S3Store, Cutting]]:
    served = Cutting()
    tls = authority.tls() if authority else None
    server = await asyncio.start_server(served.serve, "127.0.0.1", 0, ssl=tls)
    settings = settings_at(server.sockets[0].getsockname()[1], folder, authority)
    async with opened(settings, way=way) as store:
        yield store, served
    server.close()
    await served.hang_up()


def settings_at(port: int, folder: Path, authority: Authority | None) -> S3Settings:
    return S3Settings(
        "bucket",
        endpoint_url=f"{'https' if authority else 'http'}://localhost:{port}",
        login=FileLogin(write_credentials(folder / "credentials", "KEY", "SECRET")),
        ca_bundle=authority.bundle if authority else None,
        attempts=1,
    )


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return make_authority(tmp_path_factory.mktemp("certificates") / "ca")


async def expect_cut(store: S3Store, ask: Ask) -> None:
    """It ends as a line does that was cut."""
    with pytest.raises(DestinationError) as caught:
        await ask(store)
    assert caught.value.trouble is DestinationTrouble.UNREACHABLE
    assert caught.value.failing_for is not None, f"not taken for a cut: {caught.value}"


@pytest.mark.parametrize("secure", [False, True], ids=["http", "https"])
async def test_a_head_cut_at_any_byte_is_no_head(
    tmp_path: Path, authority: Authority, secure: bool
) -> None:
    every = range(len(HEAD)) if not secure else (0, 5, 13, 17, 36, 60, 90, 130, len(HEAD) - 1)
    async with cutting(tmp_path, authority=authority if secure else None) as (store, server):
        for size in every:
            server.answer = HEAD[:size]
            await expect_cut(store, head)
        server.answer = HEAD
        found = await store.head("k")
        assert found is not None
        assert found.metadata["hotfolder-size"] == "4000"


async def test_nor_is_one_that_ends_where_tls_was_not_ended(
    tmp_path: Path, authority: Authority
) -> None:
    def serve() -> None:
        line = authority.tls().wrap_socket(listening.accept()[0], server_side=True)
        with line:  # whose end says no goodbye
            line.recv(65536)
            line.sendall(HEAD[:-2])

    with socket.create_server(("127.0.0.1", 0)) as listening:
        serving = asyncio.create_task(asyncio.to_thread(serve))
        settings = settings_at(listening.getsockname()[1], tmp_path, authority)
        async with opened(settings) as store:
            await expect_cut(store, head)
        await serving


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("secure", [False, True], ids=["http", "https"])
async def test_nor_is_that_of_what_was_sent(
    tmp_path: Path, authority: Authority, way: Way, secure: bool
) -> None:
    made = cutting(tmp_path, way=way, authority=authority if secure else None)
    async with made as (store, server):
        for size in (11, 23, OK.index(b"sha256"), OK.index(b"Length"), len(OK) - 2):
            server.answer = OK[:size]
            await expect_cut(store, put)
            await expect_cut(store, part)


def framed(body: bytes, how: str, status: bytes = b"200 OK") -> bytes:
    start = b"HTTP/1.1 " + status + b"\r\n"
    if how == "length":
        return start + b"Content-Length: %d\r\n\r\n" % len(body) + body
    if how == "chunks":
        half = len(body) // 2
        pieces = (body[:half], body[half:], b"")
        chunks = b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces)
        return start + b"Transfer-Encoding: chunked\r\n\r\n" + chunks
    return start + b"\r\n" + body


@pytest.mark.parametrize("how", ["length", "chunks"])
@pytest.mark.parametrize(
    ("ask", "body", "status"),
    [
        (complete, COMPLETED, b"200 OK"),
        (list_parts, LISTED, b"200 OK"),
        (get, BODY, b"200 OK"),
        (list_parts, REFUSED, b"400 Bad Request"),
    ],
    ids=["complete", "list parts", "get", "refusal"],
)
async def test_half_a_document_is_none(
    tmp_path: Path, ask: Ask, body: bytes, status: bytes, how: str
) -> None:
    whole = framed(body, how, status).replace(b"\r\n", b'\r\nETag: "e"\r\n', 1)
    start = whole.index(b"\r\n\r\n") + 4
    async with cutting(tmp_path) as (store, server):
        for size in (start, start + 1, (start + len(whole)) // 2, len(whole) - 6):
            server.answer = whole[:size]
            await expect_cut(store, ask)


@pytest.mark.parametrize(
    ("ask", "body"), [(complete, COMPLETED), (list_parts, LISTED)], ids=["complete", "list parts"]
)
async def test_half_a_document_that_was_to_end_with_the_connection_is_none(
    tmp_path: Path, ask: Ask, body: bytes
) -> None:
    """Nothing of HTTP tells that it is cut, but the document does."""
    whole = framed(body, "until the end")
    async with cutting(tmp_path) as (store, server):
        for size in range(len(whole) - len(body), len(whole), 9):
            server.answer = whole[:size]
            with pytest.raises(DestinationError):
                await ask(store)
        server.answer = whole
        await ask(store)


async def test_an_object_that_is_to_end_with_the_connection_is_not_read(tmp_path: Path) -> None:
    """Nothing would tell that it is cut."""
    async with cutting(tmp_path) as (store, server):
        server.answer = framed(BODY, "until the end").replace(b"\r\n", b'\r\nETag: "e"\r\n', 1)
        with pytest.raises(DestinationError, match="no S3 store gave"):
            await get(store)
