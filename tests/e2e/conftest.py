"""A box with a bucket of its own on the one real store of the session."""

import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest

from hotfolder.seaweed import SeaweedFS
from tests.support.box import Box
from tests.support.juicefs import JuiceFS


@pytest.fixture
def box(tmp_path: Path, seaweed: SeaweedFS, bucket: str) -> Iterator[Box]:
    made = _box(tmp_path, seaweed, bucket)
    yield made
    made.close()


@pytest.fixture
def box_of_juicefs(tmp_path: Path, juicefs: JuiceFS) -> Iterator[Box]:
    """The same on a server of other descent."""
    made = _box(tmp_path, juicefs, f"box-{secrets.token_hex(6)}")
    made.s3().create_bucket(Bucket=made.bucket)
    yield made
    made.close()


def _box(root: Path, store: SeaweedFS | JuiceFS, bucket: str) -> Box:
    return Box(
        root,
        endpoint_url=store.endpoint_url,
        access_key=store.access_key,
        secret_key=store.secret_key,
        bucket=bucket,
    )
