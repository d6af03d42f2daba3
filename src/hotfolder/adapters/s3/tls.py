"""What has to be asked of TLS beside the client: a bundle of CAs, and whether it is spoken at all."""

import socket
import ssl
from pathlib import Path
from urllib.parse import urlsplit

import botocore.httpsession

from hotfolder.core.errors import DestinationError, DestinationTrouble

_PATIENCE = 2.0  # seconds


def usual_bundle() -> Path:
    """The CAs that boto3 trusts where it is told nothing: certifi's, else botocore's own."""
    return Path(botocore.httpsession.where())


def checked_bundle(path: Path) -> Path:
    """The path, if certificates can be read there. Raises `DestinationError`: it may come yet.

    Asked beforehand, as botocore names neither the file nor the fault.
    """
    try:
        ssl.create_default_context(cafile=str(path))
    except OSError as error:  # ssl.SSLError is one, and says what is wrong with the content
        no_pem = isinstance(error, ssl.SSLError)
        why = "it holds no certificate in PEM form" if no_pem else error.strerror
        raise DestinationError(
            DestinationTrouble.UNREACHABLE,
            f"cannot use the ca_bundle {path}: {why}",
            hint="give the certificate of the store's CA in PEM form, and let this user read it",
        ) from error
    return path


def speaks_tls(url: str) -> bool | None:
    """Whether the server at this address answers a TLS handshake; None where nothing listens."""
    parts = urlsplit(url)
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE  # nothing is sent: only what is spoken there is asked
    try:
        line = socket.create_connection((parts.hostname or "", parts.port or 80), _PATIENCE)
    except OSError:
        return None  # the error that led here says why
    try:
        with line, context.wrap_socket(line, server_hostname=parts.hostname):
            return True
    except OSError:
        return False  # a refusal in TLS's own words, silence, or none of its words
