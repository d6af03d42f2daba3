"""Whose credentials a connection has: one class for each `auth` of [destination].

Each opens a session with those credentials and no others: what is asked for by name is never
replaced by what happens to lie in the environment.
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Protocol

import boto3
import botocore.exceptions as boto_errors
import botocore.session
from botocore.credentials import SharedCredentialProvider
from botocore.loaders import Loader, create_loader

_ON_INSTANCE = {"container-role", "iam-role"}  # botocore's names of its two metadata services
_UNNAMED = {"ec2-credentials-file", "boto-config", *_ON_INSTANCE}  # asked after any profile


class Login(Protocol):
    """Opens a session. Blocks (files, metadata, a keyring)."""

    def open(self, region: str) -> boto3.Session:
        """Raises botocore's errors where there are no credentials, or what `read` raises."""
        ...

    def files(self) -> tuple[Path, ...]:
        """The files that are read for it: another credential may stand there at any time."""
        ...


@dataclass(frozen=True, slots=True)
class DefaultLogin:
    """boto3's own resolution: environment, files, SSO, instance."""

    def open(self, region: str) -> boto3.Session:
        """See `Login`."""
        return boto3.Session(botocore_session=_session(), region_name=region)

    def files(self) -> tuple[Path, ...]:
        """See `Login`."""
        return _aws_files()


@dataclass(frozen=True, slots=True)
class FileLogin:
    """The profile "default" of one AWS shared-credentials file."""

    path: Path

    def open(self, region: str) -> boto3.Session:
        """See `Login`."""
        try:
            credentials = SharedCredentialProvider(str(self.path), "default").load()
        except boto_errors.PartialCredentialsError as error:
            raise NoKeyPairError(path=self.path) from error
        if credentials is None:
            raise NoKeyPairError(path=self.path)
        return _with_keys(credentials.access_key, credentials.secret_key, credentials.token, region)

    def files(self) -> tuple[Path, ...]:
        """See `Login`."""
        return (self.path,)


@dataclass(frozen=True, slots=True)
class ProfileLogin:
    """A profile of the AWS files, in every way they know: keys, SSO, roles, processes."""

    name: str

    def open(self, region: str) -> boto3.Session:
        """See `Login`."""
        session = _session(self.name)
        resolver = session.get_component("credential_provider")
        resolver.providers = [p for p in resolver.providers if p.METHOD not in _UNNAMED]
        if session.get_credentials() is None:
            raise EmptyProfileError(name=self.name)
        return boto3.Session(botocore_session=session, region_name=region)

    def files(self) -> tuple[Path, ...]:
        """See `Login`."""
        return _aws_files()


@dataclass(frozen=True, slots=True)
class InstanceLogin:
    """The role of the instance or container, from its metadata service."""

    def open(self, region: str) -> boto3.Session:
        """See `Login`."""
        session = _session()
        resolver = session.get_component("credential_provider")
        resolver.providers = [p for p in resolver.providers if p.METHOD in _ON_INSTANCE]
        if session.get_credentials() is None:
            raise NoRoleError
        return boto3.Session(botocore_session=session, region_name=region)

    def files(self) -> tuple[Path, ...]:
        """See `Login`. botocore asks the metadata again before the role's keys expire."""
        return ()


@dataclass(frozen=True, slots=True)
class SecretLogin:
    """A key pair out of a safe: `read` gives access key and secret key."""

    read: Callable[[], tuple[str, str]]

    def open(self, region: str) -> boto3.Session:
        """See `Login`."""
        access_key, secret_key = self.read()
        return _with_keys(access_key, secret_key, None, region)

    def files(self) -> tuple[Path, ...]:
        """See `Login`. A safe is asked again when its keys are refused: it may want to be unlocked."""
        return ()


_loading = threading.Lock()


def _session(profile: str | None = None) -> botocore.session.Session:
    """One that shares with all others what botocore reads of AWS's services.

    That reading is two thirds of the making of a client, and each session would do it again.
    """
    session = botocore.session.Session(profile=profile)
    with _loading:
        loader = _loader(session.get_config_variable("data_path"))
    session.register_component("data_loader", loader)
    return session


class _SharedLoader(Loader):
    @property
    def search_paths(self) -> list[str]:
        """A copy: every session of boto3 adds the folder of its resources, which we do not use."""
        return list(super().search_paths)


@cache
def _loader(data_path: str | None) -> Loader:
    """Knows S3 by the time that threads share it: from then on nothing of that is written any more."""
    places = create_loader(data_path).search_paths
    loader = _SharedLoader(places, include_default_search_paths=False)
    loader.load_service_model("s3", "service-2", api_version=None)
    return loader


def open_session(login: Login, region: str) -> boto3.Session:
    """`login.open`, raising botocore's errors (and its own) alone."""
    with _typed():
        return login.open(region)


def frozen(session: boto3.Session) -> Any:
    """The keys of this moment (botocore's `ReadOnlyCredentials`), refreshed if they are about to expire.

    Raises botocore's errors alone.
    """
    with _typed():
        credentials = session.get_credentials()
        if credentials is None:
            raise boto_errors.NoCredentialsError
        return credentials.get_frozen_credentials()


@contextmanager
def _typed() -> Iterator[None]:
    """A credential process, a role or a token file can fail in any way, and botocore hands it on."""
    try:
        yield
    except boto_errors.ClientError as error:  # of STS or SSO, which were asked for a role
        code = error.response.get("Error", {}).get("Code", "")
        kind = ExpiredLoginError if code.startswith("Expired") else UnusableLoginError
        raise kind(error=error) from error
    except RuntimeError as error:  # "refreshed, but the refreshed credentials are still expired"
        raise ExpiredLoginError(error=error) from error
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise UnusableLoginError(error=error) from error


class ExpiredLoginError(boto_errors.BotoCoreError):
    """What gives the credentials gives expired ones."""

    fmt = "the credentials have expired, and so has what renews them: {error}"


class UnusableLoginError(boto_errors.BotoCoreError):
    """What gives the credentials failed."""

    fmt = "what should give the credentials failed: {error}"


class NoKeyPairError(boto_errors.NoCredentialsError):
    """The configured credentials file is absent, or holds no whole key pair."""

    fmt = "there is no key pair in the section [default] of {path}"


class EmptyProfileError(boto_errors.NoCredentialsError):
    """The profile is there, and says nothing of credentials."""

    fmt = "the profile {name!r} of the AWS files gives no credentials"


class NoRoleError(boto_errors.NoCredentialsError):
    """No metadata service answers, or it knows of no role."""

    fmt = "the metadata of this instance or container give no role"


def _aws_files() -> tuple[Path, ...]:
    """The two of AWS, which the environment may name. botocore refreshes what they lead to by itself."""
    session = botocore.session.Session()
    names = (session.get_config_variable(name) for name in ("credentials_file", "config_file"))
    return tuple(Path(str(name)).expanduser() for name in names)


def _with_keys(access_key: str, secret_key: str, token: str | None, region: str) -> boto3.Session:
    return boto3.Session(
        aws_access_key_id=access_key,
        aws_secret_access_key=secret_key,
        aws_session_token=token,
        region_name=region,
        botocore_session=_session(),
    )
