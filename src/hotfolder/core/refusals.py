"""An HTTP answer that is no success, and what it says: code, message, region, clock. Pure."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from xml.etree import ElementTree as ET

from hotfolder.core.skew import skew_of

_MAX_ERROR_BODY = 64 * 1024  # bytes; S3's error documents have about 500
_IN_REGION = re.compile(r"\bs3[.-](?:dualstack\.)?([a-z]{2}(?:-[a-z]+)+-\d)\.amazonaws\.com")


class Fault(StrEnum):
    """Why there is no answer at all."""

    NO_CONNECTION = "no connection"
    CUT = "connection cut"
    TIMEOUT = "no answer in time"
    STALLED = "stalled"
    TLS = "TLS failed"
    NO_TLS = "the store does not speak https there"
    NO_PLAIN = "the store speaks https there"
    NO_CREDENTIALS = "no credentials"
    EXPIRED_LOGIN = "the login has expired"
    OTHER = "request failed"


@dataclass(frozen=True, slots=True)
class Answer:
    """One HTTP answer as a put engine got it, or the fault that took its place (`status` is 0).

    Header names are lower-case. `body` is the error document, empty on success; `code` is S3's error
    code where the engine kept only that. `requests` counts what was sent, as engines may repeat.
    """

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    code: str = ""
    fault: Fault | None = None
    detail: str = ""
    requests: int = 1


@dataclass(frozen=True, slots=True)
class Refusal:
    """A store's "no" in its own words. `region` is where the bucket really is, if it was told.

    `retry_after`: seconds that it asks for.
    `skew`: seconds of our clock minus the store's, None if it did not tell its time.
    """

    status: int
    code: str
    message: str = ""
    region: str = ""
    retry_after: float | None = None
    skew: float | None = None

    @property
    def is_bare(self) -> bool:
        """Whether there was no error document: a HEAD's answer, or no S3 store's."""
        return not self.code or self.code.isdigit()


def read_refusal(answer: Answer, *, now: float) -> Refusal:
    """What an error answer says; a body that is no S3 error document says nothing.

    `now`: seconds since the epoch on this machine's clock.
    """
    try:
        # expat builds nothing from external entities, and since 2.4.1 stops entity bombs.
        root = ET.fromstring(answer.body[:_MAX_ERROR_BODY])  # noqa: S314
    except ET.ParseError:
        return refusal_of(answer.status, {"Code": answer.code}, answer.headers, now=now)  # a web page
    fields = {child.tag.rpartition("}")[2]: child.text or "" for child in root}
    fields["Code"] = fields.get("Code") or answer.code
    return refusal_of(answer.status, fields, answer.headers, now=now)


def refusal_of(
    status: int, document: Mapping[str, str], headers: Mapping[str, str], *, now: float
) -> Refusal:
    """The refusal in the fields of an error document and the headers (lower-case) of its answer."""
    endpoint = _IN_REGION.search(document.get("Endpoint", ""))
    region = (
        document.get("Region") or headers.get("x-amz-bucket-region") or (endpoint[1] if endpoint else "")
    )
    skew = skew_of(document, headers.get("date"), now=now)
    rest = seconds_of(headers.get("retry-after"))
    return Refusal(status, document.get("Code", ""), document.get("Message", ""), region, rest, skew)


def seconds_of(retry_after: str | None) -> float | None:
    """What a Retry-After header asks for; None if it has a date: that is some other clock's."""
    text = (retry_after or "").strip()
    return float(text) if text.isascii() and text.isdigit() else None
