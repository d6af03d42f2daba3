"""What every object store keeps: the one in memory, and real servers over each engine.

The servers are SeaweedFS, the same over https, and a JuiceFS gateway, which is of MinIO's descent. What
one of them cannot do is declared in its `Abilities`; then the test says what it does instead.
"""

import base64
import hashlib
import itertools
import time
import traceback
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from hotfolder.adapters.s3 import SINGLE_PUT_LIMIT, FileLogin, S3Settings, S3Store
from hotfolder.core.errors import (
    DestinationError,
    DestinationTrouble,
    FileRejected,
    HotfolderError,
    KeyTaken,
    ObjectRefused,
    UploadLost,
    VerificationFailed,
)
from hotfolder.core.ports import ObjectStore, Scattered
from hotfolder.core.records import ObjectDraft, ObjectInfo, PartReceipt
from tests.support import ports
from tests.support.buckets import Buckets
from tests.support.juicefs import JuiceFS
from tests.support.memory_store import MemoryStore
from tests.support.s3_stores import (
    WAYS,
    Abilities,
    Naps,
    SecureSeaweedFS,
    Server,
    Way,
    opened,
    write_credentials,
)

MIB = 1024 * 1024
PART = bytes(range(256)) * (5 * MIB // 256)  # the smallest that S3 takes before the last
SERVERS = ["seaweedfs", "seaweedfs_https", "juicefs_gateway"]
SEAWEEDFS = Abilities()
JUICEFS = Abilities(names_checksums=False, honours_conditions=False, tells_lost_parts=False)
ODD_KEYS = [
    "plain.tar.gz",
    "with space/and more",
    "emoji \N{GRINNING FACE}.bin",
    "plus+minus-",
    "%41 is not A",
    'quo\'te "double" <tag> &amp; `tick`',
    "caf\u00e9",  # NFC
    "cafe\u0301",  # NFD
    "#hash?query=1&x;y:z@[!$*(),]",
    "tilde~ dots... und_erscore",
    "/".join(["k" * 199] * 4 + ["k" * 99]),  # 899 bytes
]


def sha(body: bytes) -> bytes:
    return hashlib.sha256(body).digest()


def md5(body: bytes) -> bytes:
    return hashlib.md5(body, usedforsecurity=False).digest()


def b64(digest: bytes) -> str:
    return base64.b64encode(digest).decode()


def composite(bodies: Sequence[bytes]) -> tuple[str, str]:
    """Checksum and ETag of an object of these parts, as S3 computes them."""
    checksum = b64(sha(b"".join(map(sha, bodies))))
    etag = md5(b"".join(map(md5, bodies))).hex()
    return f"{checksum}-{len(bodies)}", f"{etag}-{len(bodies)}"


_numbers = itertools.count(1)


@pytest.fixture
def seaweedfs(seaweed: SecureSeaweedFS, credentials_file: Path) -> Server:
    return Server(
        seaweed.endpoint_url, seaweed.access_key, seaweed.secret_key, credentials_file, SEAWEEDFS
    )


@pytest.fixture
def seaweedfs_https(seaweedfs: Server, seaweed: SecureSeaweedFS) -> Server:
    return replace(seaweedfs, endpoint_url=seaweed.secure_url, ca_bundle=seaweed.authority.bundle)


@pytest.fixture
def juicefs_gateway(juicefs: JuiceFS, tmp_path: Path) -> Server:
    file = write_credentials(tmp_path / "juicefs", juicefs.access_key, juicefs.secret_key)
    return Server(juicefs.endpoint_url, juicefs.access_key, juicefs.secret_key, file, JUICEFS)


@pytest.fixture(params=SERVERS)
def server(request: pytest.FixtureRequest) -> Server:
    made: Server = request.getfixturevalue(request.param)
    return made


Fresh = Callable[[Server], S3Settings]


@pytest.fixture
def fresh(buckets: Buckets) -> Fresh:
    """Settings of a store in a fresh bucket of a server."""

    def settings(server: Server) -> S3Settings:
        if server.can is SEAWEEDFS:
            return server.settings(buckets.take())
        return server.make_bucket(f"contract-{next(_numbers)}")

    return settings


@pytest.fixture
def s3_settings(server: Server, fresh: Fresh) -> S3Settings:
    """Settings of a store in a fresh bucket of each server."""
    return fresh(server)


@pytest.fixture(params=["memory", *(f"{name}+{way}" for name in SERVERS for way in WAYS)])
async def place(
    request: pytest.FixtureRequest,
) -> AsyncIterator[tuple[ObjectStore, Abilities]]:
    name, _, way = request.param.partition("+")
    if name == "memory":
        yield MemoryStore(), Abilities()
        return
    server: Server = request.getfixturevalue(name)
    fresh: Fresh = request.getfixturevalue("fresh")
    async with opened(fresh(server), way=way) as store:
        yield store, server.can


@pytest.fixture
def store(place: tuple[ObjectStore, Abilities]) -> ObjectStore:
    return place[0]


@pytest.fixture
def can(place: tuple[ObjectStore, Abilities]) -> Abilities:
    """What the server of `store` can do."""
    return place[1]


@pytest.fixture
def closed_port() -> int:
    return ports.closed_port()


@pytest.fixture(params=WAYS)
def way(request: pytest.FixtureRequest) -> Way:
    return request.param  # type: ignore[no-any-return]


async def put(store: ObjectStore, key: str, body: bytes = b"x", *, unless_exists: bool = False) -> str:
    receipt = await store.put(ObjectDraft(key), body, sha256=sha(body), unless_exists=unless_exists)
    return receipt.etag


async def content(store: ObjectStore, key: str, start: int = 0) -> bytes:
    return b"".join([chunk async for chunk in store.get(key, start=start)])


async def listing(store: ObjectStore, prefix: str = "") -> list[ObjectInfo]:
    return [info async for info in store.list(prefix)]


async def send_parts(
    store: ObjectStore, key: str, upload_id: str, bodies: Sequence[bytes]
) -> list[PartReceipt]:
    return [
        await store.upload_part(key, upload_id, number, body, sha256=sha(body))
        for number, body in enumerate(bodies, 1)
    ]


class TestSinglePut:
    @pytest.mark.parametrize("size", [0, 1, 4096, 3 * MIB + 7])
    async def test_receipt_and_head_name_checksum_and_etag(
        self, store: ObjectStore, can: Abilities, size: int
    ) -> None:
        body = (b"0123456789" * (size // 10 + 1))[:size]
        draft = ObjectDraft("a/b.gz", {"hotfolder-Size": str(size)}, "application/gzip")
        receipt = await store.put(draft, body, sha256=sha(body), unless_exists=True)
        assert receipt.checksum_sha256 == can.named(b64(sha(body)))
        assert receipt.etag == md5(body).hex()
        assert receipt.attempts == 1
        head = await store.head("a/b.gz")
        assert head is not None
        assert (head.key, head.size, head.etag) == ("a/b.gz", size, receipt.etag)
        assert head.checksum_sha256 == receipt.checksum_sha256
        assert head.metadata == {"hotfolder-size": str(size)}
        assert await content(store, "a/b.gz") == body

    async def test_takes_a_memoryview(self, store: ObjectStore) -> None:
        buffer = bytearray(b"--hello--")
        await store.put(
            ObjectDraft("k"), memoryview(buffer)[2:7], sha256=sha(b"hello"), unless_exists=False
        )
        buffer[:] = b"overwrite"
        assert await content(store, "k") == b"hello"

    async def test_body_above_the_single_put_limit(self, store: ObjectStore, can: Abilities) -> None:
        body = PART * 2
        assert len(body) > SINGLE_PUT_LIMIT
        receipt = await store.put(ObjectDraft("k"), body, sha256=sha(body), unless_exists=True)
        assert receipt.checksum_sha256 == can.named(b64(sha(body)))
        assert await content(store, "k") == body

    async def test_odd_keys(self, store: ObjectStore) -> None:
        for number, key in enumerate(ODD_KEYS):
            await put(store, key, f"body {number}".encode(), unless_exists=True)
        assert [info.key for info in await listing(store)] == sorted(ODD_KEYS, key=str.encode)
        for number, key in enumerate(ODD_KEYS):
            assert await content(store, key) == f"body {number}".encode()
            head = await store.head(key)
            assert head is not None
            assert head.key == key
            await store.delete(key)
        assert await listing(store) == []

    @pytest.mark.parametrize("key", ["", "k" * 1025, "\N{GRINNING FACE}" * 257, "lone \udce9"])
    async def test_impossible_keys_are_rejected(self, store: ObjectStore, key: str) -> None:
        with pytest.raises(FileRejected):
            await put(store, key)
        with pytest.raises(FileRejected):
            await store.create_multipart(ObjectDraft(key))
        with pytest.raises(FileRejected):
            await store.delete(key)

    @pytest.mark.parametrize("value", ["caf\u00e9", "two\nlines", " padded "])
    async def test_impossible_metadata_is_rejected(self, store: ObjectStore, value: str) -> None:
        with pytest.raises(FileRejected):
            await store.put(ObjectDraft("k", {"name": value}), b"", sha256=sha(b""), unless_exists=False)

    @pytest.mark.parametrize("size", [5, 9 * MIB])
    async def test_wrong_checksum_is_refused(self, store: ObjectStore, size: int) -> None:
        with pytest.raises(VerificationFailed):
            await store.put(
                ObjectDraft("k"), bytes(size), sha256=sha(b"something else"), unless_exists=False
            )
        assert await store.head("k") is None

    async def test_unless_exists(self, store: ObjectStore, can: Abilities) -> None:
        await put(store, "k", b"first", unless_exists=True)
        if can.honours_conditions:
            with pytest.raises(KeyTaken):
                await put(store, "k", b"second", unless_exists=True)
            assert await content(store, "k") == b"first"
        else:  # silently: that is why such a store has to be known
            await put(store, "k", b"second", unless_exists=True)
            assert await content(store, "k") == b"second"
        await put(store, "k", b"third", unless_exists=False)
        assert await content(store, "k") == b"third"


class TestReading:
    async def test_absent_object(self, store: ObjectStore) -> None:
        assert await store.head("absent") is None
        with pytest.raises(FileNotFoundError):
            await content(store, "absent")
        await store.delete("absent")

    @pytest.mark.parametrize("start", [0, 1, 70_000, 99_999, 100_000])
    async def test_get_from_an_offset(self, store: ObjectStore, start: int) -> None:
        body = bytes(range(250)) * 400
        await put(store, "k", body)
        assert await content(store, "k", start) == body[start:]

    async def test_a_reader_may_leave_early(self, store: ObjectStore) -> None:
        await put(store, "k", PART)
        stream = store.get("k")
        assert await anext(stream)
        await stream.aclose()
        assert await content(store, "k") == PART

    async def test_list_by_prefix_in_key_order(self, store: ObjectStore) -> None:
        for key in ("b/2", "a/1", "b/10", "c"):
            await put(store, key, key.encode())
        infos = await listing(store, "b/")
        assert [(info.key, info.size) for info in infos] == [("b/10", 4), ("b/2", 3)]
        assert infos[0].etag == md5(b"b/10").hex()

    async def test_check(self, store: ObjectStore) -> None:
        await store.check()


class TestMultipart:
    async def test_roundtrip_with_a_shorter_last_part(self, store: ObjectStore, can: Abilities) -> None:
        bodies = [PART, PART, b"tail"]
        draft = ObjectDraft("big.tar.gz", {"hotfolder-operation": "1"})
        upload_id = await store.create_multipart(draft)
        parts = await send_parts(store, draft.key, upload_id, bodies)
        expected = [
            PartReceipt(number, len(body), md5(body).hex(), can.named(b64(sha(body))))
            for number, body in enumerate(bodies, 1)
        ]
        assert parts == expected
        receipt = await store.complete(draft.key, upload_id, parts, unless_exists=True)
        checksum, etag = composite(bodies)
        assert (receipt.checksum_sha256, receipt.etag) == (can.named(checksum), etag)
        head = await store.head(draft.key)
        assert head is not None
        assert (head.checksum_sha256, head.etag) == (can.named(checksum), etag)
        assert (head.size, head.metadata) == (2 * len(PART) + 4, {"hotfolder-operation": "1"})
        assert await content(store, draft.key, len(PART) - 1) == PART[-1:] + PART + b"tail"

    async def test_a_part_may_lie_in_pieces(self, store: ObjectStore) -> None:
        one = Scattered([PART[: MIB + 1], memoryview(PART)[MIB + 1 : MIB + 2], b"", PART[MIB + 2 :]])
        upload_id = await store.create_multipart(ObjectDraft("k"))
        parts = [
            await store.upload_part("k", upload_id, number, body, sha256=sha(bytes(body)))
            for number, body in enumerate((one, Scattered([b"ta", b"il"])), 1)
        ]
        await store.complete("k", upload_id, parts, unless_exists=False)
        assert await content(store, "k") == PART + b"tail"

    async def test_list_parts_and_send_one_again(self, store: ObjectStore) -> None:
        upload_id = await store.create_multipart(ObjectDraft("k"))
        assert await store.list_parts("k", upload_id) == []
        second = await store.upload_part("k", upload_id, 2, b"tail", sha256=sha(b"tail"))
        await store.upload_part("k", upload_id, 1, b"wrong", sha256=sha(b"wrong"))
        first = await store.upload_part("k", upload_id, 1, PART, sha256=sha(PART))
        listed = [(part.number, part.size, part.etag) for part in await store.list_parts("k", upload_id)]
        assert listed == sorted(listed, key=lambda part: part[0])
        # SeaweedFS lists every sending of a part, S3 the last one.
        assert {(1, len(PART), first.etag), (2, 4, second.etag)} <= set(listed)
        await store.complete("k", upload_id, [first, second], unless_exists=False)
        assert await content(store, "k") == PART + b"tail"

    async def test_wrong_checksum_of_a_part_is_refused(self, store: ObjectStore) -> None:
        upload_id = await store.create_multipart(ObjectDraft("k"))
        with pytest.raises(VerificationFailed):
            await store.upload_part("k", upload_id, 1, PART, sha256=sha(b"other"))
        assert await store.list_parts("k", upload_id) == []

    async def test_parts_that_the_store_does_not_have(self, store: ObjectStore, can: Abilities) -> None:
        upload_id = await store.create_multipart(ObjectDraft("k"))
        parts = await send_parts(store, "k", upload_id, [PART])
        foreign = PartReceipt(2, 4, md5(b"tail").hex())
        expected = (VerificationFailed, ObjectRefused) if can.tells_lost_parts else UploadLost
        with pytest.raises(expected):
            await store.complete("k", upload_id, [*parts, foreign], unless_exists=True)
        assert await store.head("k") is None

    async def test_complete_unless_exists(self, store: ObjectStore, can: Abilities) -> None:
        upload_id = await store.create_multipart(ObjectDraft("k"))
        parts = await send_parts(store, "k", upload_id, [b"only"])
        await put(store, "k", b"came first")
        if can.honours_conditions:
            with pytest.raises(KeyTaken):
                await store.complete("k", upload_id, parts, unless_exists=True)
            assert await content(store, "k") == b"came first"
        await store.complete("k", upload_id, parts, unless_exists=not can.honours_conditions)
        assert await content(store, "k") == b"only"

    async def test_open_uploads_are_listed_by_prefix(self, store: ObjectStore) -> None:
        ours = {key: await store.create_multipart(ObjectDraft(key)) for key in ("a/é 1", "a/2", "b")}
        again = await store.create_multipart(ObjectDraft("b"))
        found = [(upload.key, upload.upload_id) async for upload in store.list_uploads("a/")]
        assert sorted(found) == sorted((key, ours[key]) for key in ("a/é 1", "a/2"))
        assert {upload.upload_id async for upload in store.list_uploads("b")} == {ours["b"], again}
        for upload in [upload async for upload in store.list_uploads("")]:
            assert abs(upload.initiated - time.time()) < 600
            await store.abort(upload.key, upload.upload_id)
        assert [upload async for upload in store.list_uploads("")] == []

    async def test_an_aborted_upload_is_lost(self, store: ObjectStore) -> None:
        upload_id = await store.create_multipart(ObjectDraft("k"))
        parts = await send_parts(store, "k", upload_id, [b"only"])
        await store.abort("k", upload_id)
        await store.abort("k", upload_id)
        with pytest.raises(UploadLost):
            await store.upload_part("k", upload_id, 2, b"x", sha256=sha(b"x"))
        with pytest.raises(UploadLost):
            await store.list_parts("k", upload_id)
        with pytest.raises(UploadLost):
            await store.complete("k", upload_id, parts, unless_exists=False)
        assert await store.head("k") is None


class TestTrouble:
    """What belongs to the whole destination; only real stores can be unreachable."""

    async def test_missing_bucket(self, s3_settings: S3Settings, way: Way) -> None:
        async with opened(replace(s3_settings, bucket="no-such-bucket"), way=way) as store:
            await expect_trouble(store, DestinationTrouble.NO_BUCKET)

    async def test_unknown_access_key(self, s3_settings: S3Settings, tmp_path: Path, way: Way) -> None:
        file = write_credentials(tmp_path / "credentials", "UNKNOWNKEY", "SecretThatMustNotShow")
        async with opened(replace(s3_settings, login=FileLogin(file)), way=way) as store:
            errors = await expect_trouble(store, DestinationTrouble.DENIED)
        assert all("access key" in error.hint for error in errors)

    async def test_wrong_secret_key(
        self, s3_settings: S3Settings, tmp_path: Path, way: Way, server: Server
    ) -> None:
        file = write_credentials(tmp_path / "credentials", server.access_key, "SecretThatMustNotShow")
        async with opened(replace(s3_settings, login=FileLogin(file)), way=way) as store:
            errors = await expect_trouble(store, DestinationTrouble.DENIED)
        assert all("secret key" in error.hint for error in errors)

    async def test_no_credentials(self, s3_settings: S3Settings, tmp_path: Path, way: Way) -> None:
        absent = replace(s3_settings, login=FileLogin(tmp_path / "absent"))
        async with opened(absent, way=way) as store:
            await expect_trouble(store, DestinationTrouble.DENIED)

    async def test_nothing_listens(self, s3_settings: S3Settings, closed_port: int, way: Way) -> None:
        naps = Naps()
        nowhere = replace(s3_settings, endpoint_url=f"http://127.0.0.1:{closed_port}")
        async with opened(nowhere, way=way, sleep=naps) as store:
            errors = await expect_trouble(store, DestinationTrouble.UNREACHABLE)
        assert len(naps.asked) == 3 * len(errors)  # four tries each, and then the caller holds

    async def test_credentials_that_come_later_are_picked_up(
        self, s3_settings: S3Settings, tmp_path: Path, way: Way, server: Server
    ) -> None:
        late = replace(s3_settings, login=FileLogin(tmp_path / "credentials"))
        async with opened(late, way=way) as store:
            with pytest.raises(DestinationError):
                await store.check()
            write_credentials(tmp_path / "credentials", server.access_key, server.secret_key)
            await put(store, "k", b"at last")
            assert await content(store, "k") == b"at last"


async def expect_trouble(store: S3Store, trouble: DestinationTrouble) -> list[HotfolderError]:
    """Every operation raises it, with a hint, and with no secret in message or traceback."""
    errors: list[HotfolderError] = []
    for attempt in (
        store.check(),
        put(store, "k"),
        put(store, "k", PART * 2),
        store.create_multipart(ObjectDraft("k")),
        content(store, "k"),
        listing(store),
        store.delete("k"),
    ):
        with pytest.raises(DestinationError) as caught:
            await attempt
        assert caught.value.trouble is trouble
        assert caught.value.hint
        assert caught.value.__cause__ is not None
        assert "SecretThatMustNotShow" not in "".join(traceback.format_exception(caught.value))
        errors.append(caught.value)
    return errors
