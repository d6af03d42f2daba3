"""AWS Signature Version 4 of S3 requests, in their headers. Pure: the moment is an argument.

The rules are those of the S3 API reference, "Authenticating requests (AWS Signature Version 4)": unlike
other services, S3 takes the path as it is sent, and wants the body's SHA-256 as a header.
"""

import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from operator import itemgetter
from typing import Any

from hotfolder.core.ports.store import SigningKeys

_ALGORITHM = "AWS4-HMAC-SHA256"


@dataclass(frozen=True, slots=True)
class _Shape:
    """What all requests with the same names of headers share: they are sorted and worded once."""

    names: str
    values: Any  # an itemgetter of these headers, in their order
    canonical: str  # to be filled with them, as they are signed
    lines: str  # and as they are sent


class Signer:
    """Signs for one region; remembers the key that it derived, good for one credential and one day."""

    def __init__(self, region: str, service: str = "s3") -> None:
        self._region, self._service = region, service
        self._keys: SigningKeys | None = None
        self._day = ""
        self._keyed = hmac.new(b"", digestmod="sha256")

    def signed(
        self,
        method: str,
        path: str,
        headers: Mapping[str, str],
        *,
        sha256: bytes,
        keys: SigningKeys,
        moment: str,
        query: str = "",
    ) -> str:
        """The lines of `headers`, and of those that sign them, as HTTP writes them.

        `path` is percent-encoded; so is `query`, its fields sorted by name. The names of `headers` are
        in lower case, the host among them, and no value has a space at an end; `moment` is UTC as
        "20261122T093000Z"; `sha256` is the body's.
        """
        digest, day = sha256.hex(), moment[:8]
        named = {**headers, "x-amz-content-sha256": digest, "x-amz-date": moment}
        if keys.token:
            named["x-amz-security-token"] = keys.token
        shape = _shape(tuple(named))
        values = shape.values(named)
        fields = shape.canonical % values
        if "  " in fields:  # a run of spaces is signed as one, and so it is sent
            values = tuple(" ".join(value.split()) for value in values)
            fields = shape.canonical % values
        canonical = f"{method}\n{path}\n{query}\n{fields}\n{shape.names}\n{digest}"
        scope = f"{day}/{self._region}/{self._service}/aws4_request"
        hashed = hashlib.sha256(canonical.encode()).hexdigest()
        to_sign = f"{_ALGORITHM}\n{moment}\n{scope}\n{hashed}"
        # Not hmac.digest: that lets go of the interpreter, and waits for it behind the busy threads.
        signing = self._signing(keys, day).copy()
        signing.update(to_sign.encode())
        signature = signing.hexdigest()
        return (
            f"{shape.lines % values}authorization: {_ALGORITHM} Credential={keys.access_key}/{scope}, "
            f"SignedHeaders={shape.names}, Signature={signature}\r\n"
        )

    def _signing(self, keys: SigningKeys, day: str) -> hmac.HMAC:
        if keys is not self._keys or day != self._day:
            derived = f"AWS4{keys.secret_key}".encode()
            for word in (day, self._region, self._service, "aws4_request"):
                derived = hmac.digest(derived, word.encode(), "sha256")
            self._keys, self._day, self._keyed = keys, day, hmac.new(derived, digestmod="sha256")
        return self._keyed


@lru_cache(maxsize=256)
def _shape(names: tuple[str, ...]) -> _Shape:
    """At least three: those that sign, and the host."""
    ordered = sorted(names)
    escaped = [name.replace("%", "%%") for name in ordered]
    canonical = "".join([f"{name}:%s\n" for name in escaped])
    lines = "".join([f"{name}: %s\r\n" for name in escaped])
    return _Shape(";".join(ordered), itemgetter(*ordered), canonical, lines)
