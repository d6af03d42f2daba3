"""The object store over boto3: one bucket, every request carrying its own SHA-256."""

from hotfolder.adapters.s3.connection import S3Connection, S3Settings
from hotfolder.adapters.s3.engine_puts import SINGLE_PUT_LIMIT
from hotfolder.adapters.s3.logins import (
    DefaultLogin,
    FileLogin,
    InstanceLogin,
    Login,
    ProfileLogin,
    SecretLogin,
)
from hotfolder.adapters.s3.store import S3Store
from hotfolder.adapters.s3.tls import usual_bundle

__all__ = [
    "SINGLE_PUT_LIMIT",
    "DefaultLogin",
    "FileLogin",
    "InstanceLogin",
    "Login",
    "ProfileLogin",
    "S3Connection",
    "S3Settings",
    "S3Store",
    "SecretLogin",
    "usual_bundle",
]
