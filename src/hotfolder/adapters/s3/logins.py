"""Whose credentials a connection has: one class for each `auth` of [destination].

Each opens a session with those credentials and no others: what is asked for by name is never
replaced by what happens to lie in the environment.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import boto3
import botocore.exceptions as boto_errors
import botocore.session
from botocore.credentials import SharedCredentialProvider

_ON_INSTANCE = {"container-role", "iam-role"}  # botocore's names of its two metadata services
_UNNAMED = {"ec2-credentials-file", "boto-config", *_ON_INSTANCE}  # asked after any profile


class Login(Protocol):
    """Opens a session. Blocks (files, metadata, a keyring)."""

    def open(self, region: str) -> boto3.Session:
        """Raises botocore's errors where there are no credentials, or what `read` raises."""
        ...


@dataclass(frozen=True, slots=True)
class DefaultLogin:
    """boto3's own resolution: environment, files, SSO, instance."""

    def open(self, region: str) -> boto3.Session:
        """See `Login`."""
        return boto3.Session(region_name=region)


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


@dataclass(frozen=True, slots=True)
class ProfileLogin:
    """A profile of the AWS files, in every way they know: keys, SSO, roles, processes."""

    name: str

    def open(self, region: str) -> boto3.Session:
        """See `Login`."""
        session = botocore.session.Session(profile=self.name)
        resolver = session.get_component("credential_provider")
        resolver.providers = [p for p in resolver.providers if p.METHOD not in _UNNAMED]
        if session.get_credentials() is None:
            raise EmptyProfileError(name=self.name)
        return boto3.Session(botocore_session=session, region_name=region)


@dataclass(frozen=True, slots=True)
class InstanceLogin:
    """The role of the instance or container, from its metadata service."""

    def open(self, region: str) -> boto3.Session:
        """See `Login`."""
        session = botocore.session.Session()
        resolver = session.get_component("credential_provider")
        resolver.providers = [p for p in resolver.providers if p.METHOD in _ON_INSTANCE]
        if session.get_credentials() is None:
            raise NoRoleError
        return boto3.Session(botocore_session=session, region_name=region)


@dataclass(frozen=True, slots=True)
class SecretLogin:
    """A key pair out of a safe: `read` gives access key and secret key."""

    read: Callable[[], tuple[str, str]]

    def open(self, region: str) -> boto3.Session:
        """See `Login`."""
        access_key, secret_key = self.read()
        return _with_keys(access_key, secret_key, None, region)


class NoKeyPairError(boto_errors.NoCredentialsError):
    """The configured credentials file is absent, or holds no whole key pair."""

    fmt = "there is no key pair in the section [default] of {path}"


class EmptyProfileError(boto_errors.NoCredentialsError):
    """The profile is there, and says nothing of credentials."""

    fmt = "the profile {name!r} of the AWS files gives no credentials"


class NoRoleError(boto_errors.NoCredentialsError):
    """No metadata service answers, or it knows of no role."""

    fmt = "the metadata of this instance or container give no role"


def _with_keys(access_key: str, secret_key: str, token: str | None, region: str) -> boto3.Session:
    return boto3.Session(
        aws_access_key_id=access_key,
        aws_secret_access_key=secret_key,
        aws_session_token=token,
        region_name=region,
    )
