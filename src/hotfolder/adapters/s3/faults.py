"""What botocore's errors are in the words of `core.answers`."""

import ssl
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

import botocore.exceptions as boto_errors

from hotfolder.adapters.s3.logins import ExpiredLoginError, UnusableLoginError
from hotfolder.core.refusals import Fault, Refusal, refusal_of

_FAULTS: tuple[tuple[tuple[type[Exception], ...], Fault], ...] = (
    (
        (
            boto_errors.NoCredentialsError,
            boto_errors.PartialCredentialsError,
            boto_errors.CredentialRetrievalError,
            boto_errors.ConfigParseError,
            boto_errors.ProfileNotFound,
            UnusableLoginError,
        ),
        Fault.NO_CREDENTIALS,
    ),
    (
        (
            boto_errors.SSOError,
            boto_errors.TokenRetrievalError,
            boto_errors.UnauthorizedSSOTokenError,
            ExpiredLoginError,
        ),
        Fault.EXPIRED_LOGIN,
    ),
    ((boto_errors.SSLError,), Fault.TLS),
    (
        (
            boto_errors.EndpointConnectionError,
            boto_errors.ConnectTimeoutError,
            boto_errors.ProxyConnectionError,
        ),
        Fault.NO_CONNECTION,
    ),
    ((boto_errors.ReadTimeoutError,), Fault.TIMEOUT),
    (
        (
            boto_errors.ConnectionClosedError,
            boto_errors.ResponseStreamingError,
            boto_errors.IncompleteReadError,
        ),
        Fault.CUT,
    ),
)


_NO_TLS = ("WRONG_VERSION_NUMBER", "record layer failure")  # OpenSSL's words for what is no TLS at all


def fault(error: Exception) -> Fault:
    inner = getattr(error, "kwargs", {}).get("error")
    causes = getattr(inner, "args", ())
    if any(isinstance(cause, TimeoutError) for cause in causes):
        return Fault.TIMEOUT  # while sending: urllib3 words it "connection aborted"
    if isinstance(error, boto_errors.SSLError) and any(words in str(error) for words in _NO_TLS):
        return Fault.NO_TLS
    if any(isinstance(cause, ssl.SSLEOFError | ssl.SSLZeroReturnError) for cause in causes):
        return Fault.CUT  # what a reset looks like within TLS: the certificate is fine
    return next((meant for kinds, meant in _FAULTS if isinstance(error, kinds)), Fault.OTHER)


def detail(error: Exception) -> str:
    """What botocore says, unless it merely repeats another's words, which may quote a header.

    Of an address only whom it names: the rest is the request that the sentence began with.
    """
    said: Mapping[str, Any] = getattr(error, "kwargs", {})
    if type(error) is boto_errors.HTTPClientError:
        return type(said.get("error")).__name__
    url = said.get("endpoint_url")
    if not isinstance(url, str):
        return str(error)
    where = urlsplit(url)
    origin = f"{where.scheme}://{where.netloc.rpartition('@')[2]}"
    why = _of_the_system(said.get("error"))
    if isinstance(error, boto_errors.EndpointConnectionError) and why:
        return f"{origin}: {why}"  # refused, no such name, no route: botocore has one sentence for all
    return str(error).replace(url, origin)


def _of_the_system(error: BaseException | None) -> str:
    """What the kernel or the resolver said, below all that wraps it; empty where neither did."""
    while error is not None:
        if isinstance(error, OSError) and error.strerror:
            return error.strerror
        error = error.__cause__ or error.__context__
    return ""


def refusal(error: boto_errors.ClientError, *, now: float) -> Refusal:
    """`now`: seconds since the epoch on this machine's clock."""
    said: Mapping[str, Any] = error.response.get("Error", {})
    document = {name: str(value) for name, value in said.items()}
    return refusal_of(status(error), document, headers(error.response), now=now)


def headers(reply: Mapping[str, Any]) -> Mapping[str, str]:
    """Of an answer, by lower-case name."""
    said: Mapping[str, str] = reply.get("ResponseMetadata", {}).get("HTTPHeaders", {})
    return said


def status(error: boto_errors.ClientError) -> int:
    return int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
