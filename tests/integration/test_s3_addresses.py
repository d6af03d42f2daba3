"""The put engine is sent to the very address that boto3 itself would use."""

from pathlib import Path

import pytest

from hotfolder.adapters.s3 import S3Connection, S3Settings
from tests.support.s3_stores import write_credentials


class Seen(Exception):
    """Carries the URL of a request out of botocore, before it is sent."""


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        (
            S3Settings("my-bucket", region="eu-central-1"),
            "https://my-bucket.s3.eu-central-1.amazonaws.com/",
        ),
        (S3Settings("my-bucket"), "https://my-bucket.s3.amazonaws.com/"),
        (
            S3Settings("dotted.bucket", region="eu-west-1"),
            "https://s3.eu-west-1.amazonaws.com/dotted.bucket/",
        ),
        (
            S3Settings("my-bucket", region="eu-west-1", addressing_style="path"),
            "https://s3.eu-west-1.amazonaws.com/my-bucket/",
        ),
        (
            S3Settings("my-bucket", endpoint_url="https://s3.example.com"),
            "https://s3.example.com/my-bucket/",
        ),
        (
            S3Settings(
                "my-bucket", endpoint_url="http://s3.example.com:9000", addressing_style="virtual"
            ),
            "http://my-bucket.s3.example.com:9000/",
        ),
    ],
)
def test_base_url_is_where_boto3_sends(
    settings: S3Settings, expected: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_credentials(tmp_path / "credentials", "KEY", "SECRET")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    connection = S3Connection(settings)
    assert connection.base_url() == expected

    def show(request: object, **_: object) -> None:
        raise Seen(getattr(request, "url", ""))

    client = connection.client()
    client.meta.events.register("before-send.s3", show)
    with pytest.raises(Seen, match=f"^{expected}k$"):
        client.put_object(Bucket=settings.bucket, Key="k", Body=b"x")
