"""The proxy of the fault matrix: it changes nothing unless it is told to, and then just that."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError, ConnectionClosedError, EndpointConnectionError, SSLError

from hotfolder.seaweed import SeaweedFS
from tests.support import fault_proxy as fp
from tests.support.certificates import make_authority
from tests.support.fault_proxy import FaultProxy, Operation, Rule

_PART = 5 << 20


@pytest.fixture(params=["http", "https"])
def proxy(request: pytest.FixtureRequest, tmp_path: Path, seaweed: SeaweedFS) -> Iterator[FaultProxy]:
    options: dict[str, Any] = {}
    if request.param == "https":
        options["tls"] = make_authority(tmp_path / "ca").tls()
        options["wrong_tls"] = make_authority(tmp_path / "nobody").tls()
    with FaultProxy(seaweed.endpoint_url, **options) as made:
        yield made


@pytest.fixture
def client(proxy: FaultProxy, tmp_path: Path, seaweed: SeaweedFS) -> Iterator[Any]:
    made = boto3.client(
        "s3",
        endpoint_url=proxy.url,
        aws_access_key_id=seaweed.access_key,
        aws_secret_access_key=seaweed.secret_key,
        region_name="us-east-1",
        verify=str(tmp_path / "ca" / "ca.pem") if proxy.url.startswith("https") else None,
        config=Config(
            s3={"addressing_style": "path"},
            retries={"total_max_attempts": 1},
            connect_timeout=5,
            read_timeout=20,
            request_checksum_calculation="when_required",
        ),
    )
    yield made
    made.close()


@contextmanager
def obeyed(proxy: FaultProxy, *rules: Rule) -> Iterator[None]:
    proxy.obey(rules)
    yield
    assert set(proxy.struck) == set(range(len(rules)))
    proxy.obey_none()


def test_what_it_is_not_told_to_spoil_passes(bucket: str, client: Any) -> None:
    body = bytes(range(256)) * 4000
    client.put_object(Bucket=bucket, Key="a b/%41?&", Body=body)
    upload = client.create_multipart_upload(Bucket=bucket, Key="large")["UploadId"]
    named = {"Bucket": bucket, "Key": "large", "UploadId": upload}
    part = client.upload_part(**named, PartNumber=1, Body=b"x" * _PART)
    made = {"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]}
    client.complete_multipart_upload(**named, MultipartUpload=made)
    found = client.list_objects_v2(Bucket=bucket)["Contents"]
    assert [each["Key"] for each in found] == ["a b/%41?&", "large"]
    assert client.get_object(Bucket=bucket, Key="a b/%41?&")["Body"].read() == body


@pytest.mark.parametrize(
    ("act", "expected", "kept"),
    [
        (fp.refuse(403, "AccessDenied"), ClientError, False),
        (fp.reset_before_body, (ConnectionClosedError, SSLError), False),
        (fp.reset_in_body, (ConnectionClosedError, SSLError), False),
        (fp.reset_after_body, (ConnectionClosedError, SSLError), False),
        (fp.lose_answer, (ConnectionClosedError, SSLError), True),
        (fp.alter_body, ClientError, False),
    ],
)
def test_what_is_spoilt_is_an_error_and_kept_or_not(
    act: fp.Act, expected: Any, kept: bool, bucket: str, client: Any, proxy: FaultProxy
) -> None:
    told = {"Bucket": bucket, "Body": b"body" * 1000, "ChecksumAlgorithm": "SHA256"}
    with obeyed(proxy, Rule(act, frozenset({Operation.PUT}), key="spoilt")):
        client.put_object(**told, Key="fine")
        with pytest.raises(expected):
            client.put_object(**told, Key="spoilt")
    keys = [each["Key"] for each in client.list_objects_v2(Bucket=bucket)["Contents"]]
    assert keys == (["fine", "spoilt"] if kept else ["fine"])


@pytest.mark.parametrize(
    ("change", "field"), [(fp.other_etag, "ETag"), (fp.other_checksum, "ChecksumSHA256")]
)
def test_an_answer_is_changed_and_the_object_is_not(
    change: Callable[[fp.Answer], fp.Answer], field: str, bucket: str, client: Any, proxy: FaultProxy
) -> None:
    told = {"Bucket": bucket, "Key": "a", "Body": b"a", "ChecksumAlgorithm": "SHA256"}
    said = client.put_object(**told)
    with obeyed(proxy, Rule(fp.change_answer(change), fp.TELLING)):
        other = client.put_object(**told)
    assert other[field] != said[field]
    assert len(other[field]) == len(said[field])
    assert client.put_object(**told)[field] == said[field]


def test_connections_are_refused_and_taken_again(bucket: str, client: Any, proxy: FaultProxy) -> None:
    proxy.refuse_connections()
    with pytest.raises(EndpointConnectionError):
        client.list_objects_v2(Bucket=bucket)
    proxy.take_connections()
    client.list_objects_v2(Bucket=bucket)


def test_a_handshake_fails(bucket: str, client: Any, proxy: FaultProxy) -> None:
    if proxy.url.startswith("http:"):
        pytest.skip("there is no handshake without TLS")
    proxy.fail_handshakes(True)
    with pytest.raises(SSLError):
        client.list_objects_v2(Bucket=bucket)
    proxy.fail_handshakes(False)
    client.list_objects_v2(Bucket=bucket)
