"""What a [destination] of the settings becomes: the settings of the S3 adapter, and its engine."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from hotfolder.adapters import safe
from hotfolder.adapters.direct import DirectPutEngine
from hotfolder.adapters.s3 import (
    DefaultLogin,
    FileLogin,
    InstanceLogin,
    Login,
    ProfileLogin,
    S3Settings,
    SecretLogin,
    usual_bundle,
)
from hotfolder.config import Destination, Transfer, proxied_schemes
from hotfolder.core.errors import ConfigError
from hotfolder.core.ports import Limiter, PutEngine
from hotfolder.core.s3_words import ObjectOptions
from hotfolder.core.stalls import Bounds

if TYPE_CHECKING:
    from hotfolder.adapters.crt import CrtPutEngine


def s3_settings(destination: Destination, transfer: Transfer) -> S3Settings:
    """How the store is reached. Raises `ConfigError` where `auth` or `engine` lacks what it needs."""
    if transfer.engine == "crt":
        _crt_put_engine()
    return S3Settings(
        bucket=destination.bucket,
        region=destination.region,
        endpoint_url=destination.endpoint_url,
        addressing_style=destination.addressing_style,
        login=_login(destination),
        options=ObjectOptions(
            storage_class=destination.storage_class,
            tags=destination.tags,
            acl=destination.acl,
            sse=destination.sse,
            kms_key_id=destination.kms_key_id,
        ),
        ca_bundle=destination.trusted_bundle(),
        proxy=destination.proxy,
        connect_timeout=transfer.connect_timeout,
        read_timeout=transfer.read_timeout,
        min_speed=float(transfer.min_speed),
        attempts=transfer.attempts,
        max_pool_connections=transfer.requests,
    )


def put_engine(
    destination: Destination,
    transfer: Transfer,
    on_move: Callable[[], None] = lambda: None,
    limiter: Limiter | None = None,
) -> PutEngine | None:
    """What sends in place of boto3; None where nothing may. `on_move`, `limiter`: see `DirectPutEngine`.

    Proxies are boto3's. awscrt's client would take any that the environment names, also for a store that
    no_proxy excepts.
    """
    if transfer.engine == "boto3" or destination.is_proxied():
        return None
    bundle = destination.trusted_bundle()
    if transfer.engine == "crt":
        if proxied_schemes():
            return None
        return _crt_put_engine()(
            region=destination.region,
            connect_timeout=transfer.connect_timeout,
            connections=transfer.requests + transfer.small_requests,
            ca_bundle=bundle,
        )
    return DirectPutEngine(
        region=destination.region,
        bounds=Bounds(transfer.connect_timeout, transfer.read_timeout, float(transfer.min_speed)),
        connections=transfer.requests + transfer.small_requests,
        ca_bundle=bundle or usual_bundle(),
        on_move=on_move,
        limiter=limiter,
    )


def _crt_put_engine() -> "type[CrtPutEngine]":
    try:
        from hotfolder.adapters.crt import CrtPutEngine  # of an optional package
    except ImportError as error:
        raise ConfigError(
            'engine = "crt" needs the package awscrt, which is not installed',
            hint="install it with `pip install 'hotfolder[crt]'`, or leave engine out",
        ) from error
    return CrtPutEngine


def _login(destination: Destination) -> Login:
    match destination.auth:
        case "config" | "systemd":
            return FileLogin(destination.key_file())
        case "profile":
            return ProfileLogin(destination.profile or "")
        case "instance":
            return InstanceLogin()
        case "keyring":
            return SecretLogin(safe.open_entry(destination.keyring_entry or "").read)
        case "default":
            return DefaultLogin()
