"""A box with a bucket of its own on the one real store of the session."""

import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest

from hotfolder.seaweed import SeaweedFS
from tests.support.box import Box


@pytest.fixture
def box(tmp_path: Path, seaweed: SeaweedFS) -> Iterator[Box]:
    made = Box(
        tmp_path,
        endpoint_url=seaweed.endpoint_url,
        access_key=seaweed.access_key,
        secret_key=seaweed.secret_key,
        bucket=f"box-{secrets.token_hex(6)}",
    )
    made.s3().create_bucket(Bucket=made.bucket)
    yield made
    made.close()
