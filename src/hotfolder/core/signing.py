"""AWS Signature Version 4 of S3 requests, in their headers. Pure: the moment is an argument.

The rules are those of the S3 API reference, "Authenticating requests (AWS Signature Version 4)": unlike
other services, S3 takes the path as it is sent, and wants the body's SHA-256 as a header.
"""

import hashlib
import hmac
from collections.abc import Mapping

from hotfolder.core.ports.store import SigningKeys

_ALGORITHM = "AWS4-HMAC-SHA256"


class Signer:
    """Signs for one region; remembers the key that it derived, good for one credential and one day."""

    def __init__(self, region: str, service: str = "s3") -> None:
        self._region, self._service = region, service
        self._keys: SigningKeys | None = None
        self._day = ""
        self._derived = b""

    def signed(
        self,
        method: str,
        path: str,
        headers: Mapping[str, str],
        *,
        sha256: bytes,
        keys: SigningKeys,
        moment: str,
    ) -> list[tuple[str, str]]:
        """`headers` with those that sign them, names in lower case.

        `path` is percent-encoded, and has no query; `headers` hold the host, and no two names that
        differ in case alone; `moment` is UTC as "20261122T093000Z"; `sha256` is the body's.
        """
        digest = sha256.hex()
        fields = [(name.lower(), _trimmed(value)) for name, value in headers.items()]
        fields.append(("x-amz-content-sha256", digest))
        fields.append(("x-amz-date", moment))
        if keys.token:
            fields.append(("x-amz-security-token", keys.token))
        fields.sort()
        names = ";".join([name for name, _ in fields])
        lines = "\n".join([f"{name}:{value}" for name, value in fields])
        canonical = f"{method}\n{path}\n\n{lines}\n\n{names}\n{digest}"
        scope = f"{moment[:8]}/{self._region}/{self._service}/aws4_request"
        hashed = hashlib.sha256(canonical.encode()).hexdigest()
        to_sign = f"{_ALGORITHM}\n{moment}\n{scope}\n{hashed}"
        signature = hmac.digest(self._key(keys, moment[:8]), to_sign.encode(), "sha256").hex()
        credential = f"Credential={keys.access_key}/{scope}"
        said = f"{_ALGORITHM} {credential}, SignedHeaders={names}, Signature={signature}"
        fields.append(("authorization", said))
        return fields

    def _key(self, keys: SigningKeys, day: str) -> bytes:
        if keys is not self._keys or day != self._day:
            derived = f"AWS4{keys.secret_key}".encode()
            for word in (day, self._region, self._service, "aws4_request"):
                derived = hmac.digest(derived, word.encode(), "sha256")
            self._keys, self._day, self._derived = keys, day, derived
        return self._derived


def _trimmed(value: str) -> str:
    """A value as it is signed: runs of spaces count as one. It is sent so as well."""
    return " ".join(value.split()) if "  " in value or value != value.strip() else value
