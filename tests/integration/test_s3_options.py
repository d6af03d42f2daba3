"""What [destination] asks of every object, as it goes over the wire and as a real store keeps it."""

import hashlib
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from hotfolder.adapters.s3 import FileLogin, S3Connection, S3Settings, S3Store
from hotfolder.core.records import ObjectDraft, Receipt
from hotfolder.core.s3_words import ObjectOptions
from tests.support.s3_stores import WAYS, Way, opened, sender, write_credentials
from tests.support.scripted_http import Reply, scripted

BODY = b"0123456789" * 400
OK = Reply(200)
OPENED = Reply(
    body="<InitiateMultipartUploadResult><UploadId>u1</UploadId></InitiateMultipartUploadResult>"
)
KMS = {"x-amz-server-side-encryption": "aws:kms"}
ALL = ObjectOptions(
    storage_class="STANDARD_IA",
    tags={"project key": "a/b&c=d", "caf\u00e9": ""},
    acl="bucket-owner-full-control",
    sse="aws:kms",
    kms_key_id="alias/archive",
)
HEADERS = {
    "x-amz-storage-class": "standard_ia",
    "x-amz-tagging": "project%20key=a%2fb%26c%3dd&caf%c3%a9=",
    "x-amz-acl": "bucket-owner-full-control",
    "x-amz-server-side-encryption": "aws:kms",
    "x-amz-server-side-encryption-aws-kms-key-id": "alias/archive",
}


@pytest.fixture(params=WAYS)
def way(request: pytest.FixtureRequest) -> Way:
    return request.param  # type: ignore[no-any-return]


@pytest.fixture
def login(tmp_path: Path) -> FileLogin:
    return FileLogin(write_credentials(tmp_path / "keys", "KEY", "SECRET"))


async def put(store: S3Store, draft: ObjectDraft) -> Receipt:
    return await store.put(draft, BODY, sha256=hashlib.sha256(BODY).digest(), unless_exists=True)


def options_in(head: str) -> dict[str, str]:
    """The headers of a request (all in lower case) that ask something of the object."""
    lines = [line.partition(": ") for line in head.split("\r\n")]
    return {name: value for name, _, value in lines if name in HEADERS}


async def asked(
    options: ObjectOptions, draft: ObjectDraft, login: FileLogin, *, way: Way
) -> list[Mapping[str, str]]:
    """What the single PUT and the creation of a multipart upload ask of the object."""
    async with scripted(OK, OPENED) as server:
        settings = S3Settings(
            "bucket", endpoint_url=server.endpoint_url, login=login, options=options, attempts=1
        )
        async with opened(settings, way=way) as store:
            await put(store, draft)
            assert await store.create_multipart(draft) == "u1"
    signed = [head.partition("signedheaders=")[2].partition(",")[0].split(";") for head in server.heads]
    asking = [options_in(head) for head in server.heads]
    assert all(set(options) <= set(names) for options, names in zip(asking, signed, strict=True))
    assert sender(server.heads[0]) == way
    return list(asking)


async def test_every_option_is_sent_by_both_engines_and_for_multipart(
    way: Way, login: FileLogin
) -> None:
    assert await asked(ALL, ObjectDraft("k"), login, way=way) == [HEADERS, HEADERS]


async def test_the_defaults_are_not_sent_as_some_stores_refuse_them(way: Way, login: FileLogin) -> None:
    assert await asked(ObjectOptions(), ObjectDraft("k"), login, way=way) == [{}, {}]


async def test_an_objects_own_class_and_tags_go_before_the_destinations(
    way: Way, login: FileLogin
) -> None:
    own = HEADERS | {"x-amz-storage-class": "glacier_ir", "x-amz-tagging": "a=b"}
    draft = ObjectDraft("k", storage_class="GLACIER_IR", tags={"a": "b"})
    assert await asked(ALL, draft, login, way=way) == [own, own]


async def test_an_object_may_be_plain_where_the_destination_is_not(way: Way, login: FileLogin) -> None:
    draft = ObjectDraft("k", storage_class="STANDARD", tags={})
    less = {
        name: value for name, value in HEADERS.items() if name[6:] not in {"storage-class", "tagging"}
    }
    assert await asked(ALL, draft, login, way=way) == [less, less]


async def test_a_real_store_keeps_class_tags_and_encryption(
    s3_settings: S3Settings, admin: S3Connection, way: Way
) -> None:
    wanted = replace(ALL, sse="AES256", kms_key_id="")
    async with opened(replace(s3_settings, options=wanted), way=way) as store:
        receipt = await put(store, ObjectDraft("one"))
        assert receipt.checksum_sha256
        assert receipt.etag_is_digest
        upload_id = await store.create_multipart(ObjectDraft("many"))
        digest = hashlib.sha256(BODY).digest()
        part = await store.upload_part("many", upload_id, 1, BODY, sha256=digest)
        await store.complete("many", upload_id, [part], unless_exists=True)
        for key in ("one", "many"):
            info = await store.head(key)
            assert info is not None
            assert info.storage_class == "STANDARD_IA"
            reply = admin.client().get_object_tagging(Bucket=s3_settings.bucket, Key=key)
            assert {tag["Key"]: tag["Value"] for tag in reply["TagSet"]} == ALL.tags
            head = admin.client().head_object(Bucket=s3_settings.bucket, Key=key)
            assert head.get("ServerSideEncryption") == "AES256"


@pytest.mark.parametrize("says", [KMS, {}], ids=["store says so", "only we asked"])
async def test_under_a_kms_key_no_etag_is_a_digest(
    way: Way, login: FileLogin, says: dict[str, str]
) -> None:
    done = "<CompleteMultipartUploadResult><ETag>e</ETag></CompleteMultipartUploadResult>"
    script = [
        Reply(headers=says),
        Reply(headers=says),
        Reply(headers=says, body=done),
        Reply(headers=says),
    ]
    asking = ObjectOptions() if says else ALL
    async with scripted(*script) as server:
        settings = S3Settings("bucket", endpoint_url=server.endpoint_url, login=login, options=asking)
        async with opened(settings, way=way) as store:
            receipt = await put(store, ObjectDraft("k"))
            sha256 = hashlib.sha256(BODY).digest()
            part = await store.upload_part("k", "u1", 1, BODY, sha256=sha256)
            whole = await store.complete("k", "u1", [part], unless_exists=True)
            info = await store.head("k")
    assert info is not None
    assert [said.etag_is_digest for said in (receipt, part, whole, info)] == [False] * 4
