"""[destination]: the bucket, and how it is reached."""

import os
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    Field,
    model_validator,
)

from hotfolder.config import values
from hotfolder.config.types import OwnFile, Table, Tags, Text, Token
from hotfolder.core.errors import ConfigError
from hotfolder.core.s3_words import is_loopback

#: The key that belongs to each `auth`, and how to give it.
AUTH_KEYS = {
    "config": ("credentials_file", 'credentials_file = "PATH", in the format of ~/.aws/credentials'),
    "profile": ("profile", 'profile = "NAME", of the AWS files'),
    "keyring": ("keyring_entry", 'keyring_entry = "SERVICE/USERNAME"'),
    "systemd": ("credential_name", ""),  # may be left out
}


def proxied_schemes(url: str = "") -> set[str]:
    """The schemes for which the environment names a proxy (http_proxy and the like).

    With `url`: none where no_proxy excepts its host. It is asked as botocore does.
    """
    # Here, as they bring all of http and email: no query needs them.
    from urllib.request import getproxies_environment, proxy_bypass

    if url and proxy_bypass(urlsplit(url).netloc):
        return set()
    return set(getproxies_environment()) - {"no"}


class Destination(Table):
    """The bucket, and how it is reached."""

    bucket: Annotated[Text, AfterValidator(values.bucket)]
    """The bucket. Required; `run` waits until it is there."""
    prefix: Annotated[str, AfterValidator(values.prefix)] = ""
    """The start of every key, {prefix} in templates."""
    region: Text = "us-east-1"
    """The region of the bucket."""
    endpoint_url: Annotated[str, AfterValidator(values.endpoint)] = ""
    """The address of an S3-compatible store; empty: AWS."""
    addressing_style: Literal["auto", "path", "virtual"] = "auto"
    """How the bucket is named in requests: path (host/bucket), virtual (bucket.host), or auto."""
    ca_bundle: OwnFile | None = Field(
        default=None, description="The store's CA certificates (PEM), in place of the system's."
    )
    proxy: Annotated[str, AfterValidator(values.proxy)] = Field(
        default="",
        description="The URL of an HTTP proxy; all requests go through it, by boto3 alone. Empty: what "
        "the environment names for the store (`https_proxy`, `no_proxy`), but for one right here.",
    )
    auth: Literal["default", "config", "profile", "instance", "keyring", "systemd"] = "default"
    """Whose keys: default (as the AWS CLI finds them; those of `aws login` need 'hotfolder[crt]'),
    config (credentials_file), profile, instance (the role of the machine or container), keyring, systemd
    (LoadCredential)."""
    credentials_file: OwnFile | None = Field(
        default=None, description='With auth = "config": [default] of a file as ~/.aws/credentials.'
    )
    profile: Text | None = Field(
        default=None, description='With auth = "profile": a profile of the AWS files, also of SSO.'
    )
    keyring_entry: Annotated[str, AfterValidator(values.keyring_entry)] | None = Field(
        default=None,
        description='With auth = "keyring": SERVICE/USERNAME. Its secret is ACCESS_KEY:SECRET_KEY.',
    )
    credential_name: Annotated[Text, AfterValidator(values.file_name)] | None = Field(
        default=None,
        description='With auth = "systemd": the name in LoadCredential=, else "s3". '
        "Its content is as in ~/.aws/credentials, section [default].",
    )
    storage_class: Annotated[Token, Field(min_length=1)] = "STANDARD"
    """The storage class of the objects."""
    tags: Tags = Field(default={}, description="Object tags, sent with the object itself.")
    sse: Literal["", "AES256", "aws:kms"] = ""
    """Encryption by the store: AES256 or aws:kms; empty: as the bucket has it."""
    kms_key_id: Token = Field(
        default="", description='With sse = "aws:kms": the key; empty: the account\'s own for S3.'
    )
    acl: Literal[
        "",
        "private",
        "public-read",
        "public-read-write",
        "authenticated-read",
        "aws-exec-read",
        "bucket-owner-read",
        "bucket-owner-full-control",
    ] = Field(default="", description="A canned ACL; empty: the bucket's default.")

    @property
    def place(self) -> tuple[str, str]:
        """What tells one bucket from another: equal places hold the same keys."""
        return self.endpoint_url, self.bucket

    @model_validator(mode="after")
    def _auth_has_its_keys(self) -> "Destination":
        for mode, (key, example) in AUTH_KEYS.items():
            given = getattr(self, key) is not None
            if given and self.auth != mode:
                raise ValueError(
                    f'{key} is read only with auth = "{mode}"; set that, or leave {key} out'
                )
            if example and self.auth == mode and not given:
                raise ValueError(f'auth = "{mode}" needs {example}')
        return self

    @model_validator(mode="after")
    def _options_fit(self) -> "Destination":
        if self.kms_key_id and self.sse != "aws:kms":
            raise ValueError('kms_key_id is read only with sse = "aws:kms"; set that, or leave it out')
        if self.ca_bundle is not None and self.endpoint_url.startswith("http:"):
            raise ValueError(
                f"ca_bundle is for https, and endpoint_url is {self.endpoint_url}; correct one of them"
            )
        if self.addressing_style == "virtual" and not values.is_host_name(self.bucket):
            raise ValueError(
                f"the bucket {self.bucket!r} cannot be part of a host name; "
                'write addressing_style = "path" or "auto"'
            )
        return self

    @property
    def address(self) -> str:
        """The URL of the store, also where it is that of AWS."""
        china = ".cn" if self.region.startswith("cn-") else ""
        return self.endpoint_url or f"https://s3.{self.region}.amazonaws.com{china}"

    def is_proxied(self) -> bool:
        """Whether boto3 goes through a proxy: the configured one, or that of the environment."""
        named = urlsplit(self.address).scheme in proxied_schemes(self.address)
        return bool(self.proxy) or (named and not is_loopback(self.address))

    def trusted_bundle(self) -> Path | None:
        """`ca_bundle`, else $AWS_CA_BUNDLE: boto3 would obey that by itself, the other engines not."""
        bundle = os.environ.get("AWS_CA_BUNDLE")
        return self.ca_bundle or (Path(bundle) if bundle else None)

    def key_file(self) -> Path:
        """The AWS credentials file of auth = "config" or "systemd". Raises `ConfigError`.

        Asked only by those who connect: the other commands run outside of the unit as well.
        """
        if self.credentials_file is not None:
            return self.credentials_file
        name = self.credential_name or "s3"
        directory = os.environ.get("CREDENTIALS_DIRECTORY")
        if not directory:
            raise ConfigError(
                'auth = "systemd" finds no $CREDENTIALS_DIRECTORY',
                hint=f"start hotfolder by a unit with LoadCredential={name}:/etc/hotfolder/credentials",
            )
        return Path(directory) / name
