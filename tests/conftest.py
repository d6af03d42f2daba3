"""What tests of every kind share: one real S3 store for the whole run, a fresh bucket for each test."""

import ctypes
import os
import secrets
import shutil
import signal
import sys
from collections.abc import AsyncIterator, Generator, Iterator
from pathlib import Path
from typing import Any

import hypothesis
import pytest

from hotfolder.adapters.s3 import FileLogin, S3Connection, S3Settings, S3Store
from hotfolder.seaweed import SeaweedFS
from tests.support.buckets import Buckets
from tests.support.certificates import Authority, make_authority
from tests.support.juicefs import JuiceFS
from tests.support.s3_stores import SecureSeaweedFS, opened, write_credentials

# However busy the machine is: an example that takes long is no fault. CI judges each change by the same
# examples; who runs the tests by hand looks for new ones.
hypothesis.settings.register_profile(
    "unhurried",
    deadline=None,
    derandomize="CI" in os.environ,
    suppress_health_check=[hypothesis.HealthCheck.too_slow],
)
hypothesis.settings.load_profile("unhurried")

_CLONE_NEWNS, _MS_PRIVATE, _MS_REC = 0x00020000, 1 << 18, 1 << 14


def pytest_configure() -> None:
    """Make the surroundings the same wherever the tests are started."""
    # Each of some thousand processes would compile all of hotfolder: that takes as long as the rest of
    # a start.
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    sys.dont_write_bytecode = False
    # A shell that starts us in the background has it ignored, and so would every daemon.
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if "PYTEST_XDIST_WORKER" not in os.environ:
        _mount_in_private()


def _mount_in_private() -> None:
    """What tests mount goes with the last process of this run, however that ends; where we may."""
    libc = ctypes.CDLL(None)
    if os.geteuid() == 0 and libc.unshare(_CLONE_NEWNS) == 0:
        libc.mount(None, b"/", None, _MS_REC | _MS_PRIVATE, None)


@pytest.hookimpl(wrapper=True)
def pytest_report_to_serializable() -> Generator[None, Any, Any]:
    """What tests print may hold names that are no UTF-8, which xdist cannot hand on."""
    return _encodable((yield))


def _encodable(told: Any) -> Any:
    if isinstance(told, str):
        return told.encode("utf-8", "backslashreplace").decode()
    if isinstance(told, dict):
        return {_encodable(key): _encodable(value) for key, value in told.items()}
    if isinstance(told, list | tuple):
        return type(told)(map(_encodable, told))
    return told


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """A CA that vouches for `localhost`."""
    return make_authority(tmp_path_factory.mktemp("certificates") / "ours")


@pytest.fixture(scope="session")
def seaweed(tmp_path_factory: pytest.TempPathFactory, authority: Authority) -> Iterator[SecureSeaweedFS]:
    """A SeaweedFS server on free ports of loopback, http and https."""
    store = SecureSeaweedFS(
        tmp_path_factory.mktemp("seaweed"),
        authority=authority,
        access_key="TESTKEY" + secrets.token_hex(6).upper(),
        secret_key=secrets.token_urlsafe(24),
    )
    with store:
        yield store
        assert store.pid is not None
        os.kill(store.pid, signal.SIGKILL)  # its end in order takes seconds, and nobody wants its data
    shutil.rmtree(store.directory, ignore_errors=True)


@pytest.fixture(scope="session")
def juicefs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[JuiceFS]:
    """A server of other descent, on free ports of loopback."""
    store = JuiceFS(
        tmp_path_factory.mktemp("juicefs"),
        access_key="TESTKEY" + secrets.token_hex(6).upper(),
        secret_key=secrets.token_urlsafe(24),
    )
    with store:
        yield store
    shutil.rmtree(store.directory, ignore_errors=True)


@pytest.fixture(scope="session")
def credentials_file(seaweed: SeaweedFS, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The server's keys as an AWS shared-credentials file."""
    path = tmp_path_factory.mktemp("credentials") / "credentials"
    return write_credentials(path, seaweed.access_key, seaweed.secret_key)


@pytest.fixture(scope="session")
def admin(seaweed: SeaweedFS, credentials_file: Path) -> Iterator[S3Connection]:
    """A connection of its own for what tests do behind the store's back."""
    connection = S3Connection(
        S3Settings("unused", endpoint_url=seaweed.endpoint_url, login=FileLogin(credentials_file))
    )
    yield connection
    connection.close()


@pytest.fixture(scope="session")
def buckets(admin: S3Connection, seaweed: SeaweedFS) -> Buckets:
    def restart() -> None:
        seaweed.stop()
        seaweed.start()  # with what it holds, on the same ports

    return Buckets(admin.client(), restart)


@pytest.fixture
def bucket(buckets: Buckets) -> str:
    """The name of a bucket that nobody else uses."""
    return buckets.take()


@pytest.fixture
def s3_settings(seaweed: SeaweedFS, credentials_file: Path, bucket: str) -> S3Settings:
    """Settings of a store in the fresh bucket, with timeouts that suit loopback."""
    return S3Settings(
        bucket,
        endpoint_url=seaweed.endpoint_url,
        login=FileLogin(credentials_file),
        connect_timeout=20.0,
        read_timeout=60.0,
    )


@pytest.fixture
async def s3_store(s3_settings: S3Settings) -> AsyncIterator[S3Store]:
    """A store in the fresh bucket, over boto3 alone; its waits between tries take no time."""
    async with opened(s3_settings) as store:
        yield store
