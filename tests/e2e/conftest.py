"""A box with a bucket of its own on the one real store of the session."""

import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest

from hotfolder.seaweed import SeaweedFS
from tests.support.box import Box
from tests.support.juicefs import JuiceFS


@pytest.fixture
def box(tmp_path: Path, seaweed: SeaweedFS) -> Iterator[Box]:
    yield from _box(tmp_path, seaweed)


@pytest.fixture
def box_of_juicefs(tmp_path: Path, juicefs: JuiceFS) -> Iterator[Box]:
    """The same on a server of other descent."""
    yield from _box(tmp_path, juicefs)


def _box(root: Path, store: SeaweedFS | JuiceFS) -> Iterator[Box]:
    made = Box(
        root,
        endpoint_url=store.endpoint_url,
        access_key=store.access_key,
        secret_key=store.secret_key,
        bucket=f"box-{secrets.token_hex(6)}",
    )
    made.s3().create_bucket(Bucket=made.bucket)
    yield made
    made.close()
