"""The benchmark's null sink answers as a store does, as far as an uploader asks."""

import base64
import contextlib
import hashlib
import http.client
import os
import time
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from tests.bench.speed.names import NEAR
from tests.bench.speed.stores import NullSink, sink

MIB = 1 << 20


@pytest.fixture(scope="module")
def near() -> Iterator[NullSink]:
    with sink(NEAR, 0) as started:
        yield started


@pytest.fixture
def store(near: NullSink) -> NullSink:
    near.usage()  # which forgets what was before
    return near


def client(store: NullSink) -> Any:
    target = store.target()
    return boto3.client(
        "s3",
        endpoint_url=target.endpoint_url,
        aws_access_key_id=target.access_key,
        aws_secret_access_key=target.secret_key,
        region_name="us-east-1",
        config=Config(
            s3={"addressing_style": "path"},
            request_checksum_calculation="when_required",
            retries={"max_attempts": 1},
        ),
    )


def sha256(data: bytes) -> str:
    return base64.b64encode(hashlib.sha256(data).digest()).decode()


def md5(data: bytes) -> str:
    return hashlib.md5(data, usedforsecurity=False).hexdigest()


def code(caught: pytest.ExceptionInfo[ClientError]) -> str:
    return str(caught.value.response["Error"]["Code"])


def test_a_put_is_answered_with_its_md5_and_its_checksum_and_can_be_read(store: NullSink) -> None:
    s3, data = client(store), b"a small body"
    answer = s3.put_object(
        Bucket="b", Key="odd näme", Body=data, ChecksumSHA256=sha256(data), Metadata={"k": "v"}
    )
    assert (answer["ETag"], answer["ChecksumSHA256"]) == (f'"{md5(data)}"', sha256(data))
    assert s3.get_object(Bucket="b", Key="odd näme")["Body"].read() == data
    head = s3.head_object(Bucket="b", Key="odd näme")
    assert (head["ContentLength"], head["Metadata"]) == (len(data), {"k": "v"})
    s3.delete_object(Bucket="b", Key="odd näme")
    with pytest.raises(ClientError) as caught:
        s3.get_object(Bucket="b", Key="odd näme")
    assert code(caught) == "NoSuchKey"


def test_a_wrong_sha256_of_a_small_body_is_refused(store: NullSink) -> None:
    with pytest.raises(ClientError) as caught:
        client(store).put_object(Bucket="b", Key="k", Body=b"this", ChecksumSHA256=sha256(b"that"))
    assert code(caught) == "BadDigest"
    assert store.usage().objects == 0


def test_a_condition_is_honoured(store: NullSink) -> None:
    s3 = client(store)
    s3.put_object(Bucket="b", Key="k", Body=b"first", IfNoneMatch="*")
    with pytest.raises(ClientError) as caught:
        s3.put_object(Bucket="b", Key="k", Body=b"second", IfNoneMatch="*")
    assert code(caught) == "PreconditionFailed"


def test_parts_become_one_object_and_all_is_counted(store: NullSink) -> None:
    s3, datas = client(store), [os.urandom(5 * MIB), os.urandom(MIB)]
    upload = s3.create_multipart_upload(Bucket="b", Key="k")["UploadId"]
    this: dict[str, Any] = {"Bucket": "b", "Key": "k", "UploadId": upload}
    parts = []
    for number, data in enumerate(datas, 1):
        answer = s3.upload_part(**this, PartNumber=number, Body=data, ChecksumSHA256=sha256(data))
        assert (answer["ETag"], answer["ChecksumSHA256"]) == (f'"{md5(data)}"', sha256(data))
        parts.append({"PartNumber": number, "ETag": answer["ETag"]})
    assert [part["Size"] for part in s3.list_parts(**this)["Parts"]] == [5 * MIB, MIB]
    with pytest.raises(ClientError) as caught:
        s3.complete_multipart_upload(**this, MultipartUpload={"Parts": parts[:1]})
    assert code(caught) == "InvalidPart"
    done = s3.complete_multipart_upload(**this, MultipartUpload={"Parts": parts})
    whole = hashlib.md5(usedforsecurity=False)
    for data in datas:
        whole.update(hashlib.md5(data, usedforsecurity=False).digest())
    assert done["ETag"] == f'"{whole.hexdigest()}-2"'
    usage = store.usage()
    assert usage.objects == 1
    assert 6 * MIB <= usage.received < 6 * MIB + 4096  # and the lists of parts
    assert usage.requests == {
        "CreateMultipartUpload": 1,
        "UploadPart": 2,
        "ListParts": 1,
        "CompleteMultipartUpload": 2,
    }
    assert store.usage().requests == {}


def test_uploads_at_the_same_time_are_kept_apart(store: NullSink) -> None:
    s3 = client(store)
    begun = [s3.create_multipart_upload(Bucket="b", Key=key)["UploadId"] for key in "ab"]
    s3.abort_multipart_upload(Bucket="b", Key="a", UploadId=begun[0])
    begun.append(s3.create_multipart_upload(Bucket="b", Key="c")["UploadId"])
    assert len(set(begun)) == 3


def plain(store: NullSink) -> http.client.HTTPConnection:
    return http.client.HTTPConnection(store.target().endpoint_url.removeprefix("http://"))


def test_a_body_in_chunks_is_read_as_what_it_holds(store: NullSink) -> None:
    data = os.urandom(300_000)
    with contextlib.closing(plain(store)) as connection:
        connection.request(
            "PUT", "/b/k", body=iter([data[:200_000], data[200_000:]]), encode_chunked=True
        )
        assert connection.getresponse().headers["ETag"] == f'"{md5(data)}"'
    assert store.usage().received == len(data)


def test_an_answer_is_held_back_for_the_latency_and_others_wait_at_the_same_time() -> None:
    with sink("slow", 500) as store, contextlib.ExitStack() as stack:
        connections = [stack.enter_context(contextlib.closing(plain(store))) for _ in range(20)]
        begun = time.monotonic()
        for number, connection in enumerate(connections):
            connection.request("PUT", f"/b/{number}", body=b"x")
        assert [connection.getresponse().status for connection in connections] == [200] * 20
        assert time.monotonic() - begun >= 0.5
        assert store.usage().requests == {"PutObject": 20}
