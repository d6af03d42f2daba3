"""What an S3 store's answers mean: whose trouble it is, what to do, and whether asking again helps.

The one table for every client library: adapters bring the words (a status, an error code, a broken
connection), this module returns the verdict. S3's codes are those of the S3 API reference; the
`XMinio…` ones are MinIO's.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum, StrEnum, auto
from xml.etree import ElementTree as ET

from hotfolder.core.errors import (
    DestinationError,
    DestinationTrouble,
    FileRejected,
    HotfolderError,
    KeyTaken,
    ObjectRefused,
    UploadLost,
    VerificationFailed,
)

_MAX_ERROR_BODY = 64 * 1024  # bytes; S3's error documents have about 500
_SOON = 5.0  # seconds; what asks for a longer rest is not asked again before
_MAX_MESSAGE = 300  # characters of the store's own sentence that are repeated


class Fault(StrEnum):
    """Why there is no answer at all."""

    NO_CONNECTION = "no connection"
    CUT = "connection cut"
    TIMEOUT = "no answer in time"
    STALLED = "stalled"
    TLS = "TLS failed"
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
    """

    status: int
    code: str
    message: str = ""
    region: str = ""
    retry_after: float | None = None


@dataclass(frozen=True, slots=True)
class Subject:
    """What was asked of which store: the beginning of every error's sentence."""

    operation: str
    bucket: str
    key: str = ""
    endpoint: str = ""

    def __str__(self) -> str:
        place = f"s3://{self.bucket}/{self.key}" if self.key else f"bucket {self.bucket!r}"
        return f"{self.operation} for {place}"


class Patience(Enum):
    """How long the same request is worth repeating."""

    NONE = auto()  # it would be refused again
    TWICE = auto()  # each try may take minutes
    BRIEF = auto()  # a few tries within seconds; then the destination holds and probes
    FULL = auto()  # as often as configured


@dataclass(frozen=True, slots=True)
class Verdict:
    """The error to raise, whether to repeat before, and whether the bucket should be asked first.

    `may_be_this_one`: the request got no answer, which a fault of the line to it alone could also cause.

    `ask_bucket`: the answer alone cannot tell this object's fault from the whole store's (any 500,
    a HEAD without an error document). If a request to the bucket itself fails, that error is the true
    one; else `error` is.
    """

    error: HotfolderError
    patience: Patience = Patience.NONE
    ask_bucket: bool = False
    may_be_this_one: bool = False


_POLICY = (
    "check the credentials, and that their policy allows s3:PutObject, s3:GetObject, "
    "s3:AbortMultipartUpload and s3:ListMultipartUploadParts on the objects, "
    "and s3:ListBucket on the bucket"
)
#: What belongs to the configuration although the status is that of a bad request: every object asks
#: for the same, so that it must not cost each file its attempts.
_OPTIONS_REFUSED = (
    "AccessControlListNotSupported",
    "InvalidEncryptionAlgorithmError",
    "InvalidStorageClass",
    "InvalidTag",
    "KMS.DisabledException",
    "KMS.InvalidKeyUsageException",
    "KMS.KMSInvalidStateException",
    "KMS.NotFoundException",
)
_HINTS = {
    "InvalidAccessKeyId": "the store does not know this access key: check the credentials",
    "SignatureDoesNotMatch": "the secret key does not fit the access key, or a proxy changes requests",
    "RequestTimeTooSkewed": "this machine's clock is wrong: set it, and keep it right with NTP",
    "InvalidObjectState": "it lies in a cold storage class: it can be read once it was restored",
    "QuotaExceeded": "the store is full: make room or raise the quota",
    "XMinioStorageFull": "the store is full: make room or raise the quota",
    "NotImplemented": (
        "the store lacks a feature this request needs; leave out what it does not know of tags, sse, "
        "acl and storage_class in [destination]"
    ),
    **dict.fromkeys(
        _OPTIONS_REFUSED, "correct storage_class, tags, sse, kms_key_id or acl in [destination]"
    ),
}
_TROUBLE_HINTS = {
    DestinationTrouble.UNREACHABLE: (
        "check the network, the endpoint_url and the store; the daemon goes on by itself"
    ),
    DestinationTrouble.DENIED: _POLICY,
    DestinationTrouble.NO_BUCKET: "create the bucket, or correct `bucket` in [destination]",
    DestinationTrouble.EXPIRED: "renew the credentials (SSO: log in); the daemon goes on by itself",
    DestinationTrouble.THROTTLED: "the store asks for fewer requests; the daemon goes on by itself",
}

_STALLS = {Fault.TIMEOUT, Fault.STALLED}
_FAULT_PATIENCE = {Fault.CUT: Patience.FULL, **dict.fromkeys(_STALLS, Patience.TWICE)}
_HELD_UP = (
    "the store, a proxy or the line holds requests up: look at them; on a thin line lower `requests` or "
    "`min_speed` in [transfer]; the daemon goes on by itself"
)
_BROKEN = "the store has a fault of its own: look into its log; the daemon goes on by itself"
_TROUBLES: dict[str, tuple[DestinationTrouble, Patience]] = {
    **dict.fromkeys(
        (
            "403",
            "401",
            "AccessDenied",
            "AllAccessDisabled",
            "AccountProblem",
            "AuthorizationHeaderMalformed",
            "Forbidden",
            "InvalidAccessKeyId",
            "InvalidPayer",
            "InvalidSecurity",
            "InvalidToken",
            "NotSignedUp",
            "QuotaExceeded",
            "RequestTimeTooSkewed",
            "SignatureDoesNotMatch",
            "Unauthorized",
            "UnauthorizedAccess",
            "NotImplemented",
            *_OPTIONS_REFUSED,
        ),
        (DestinationTrouble.DENIED, Patience.NONE),
    ),
    "XMinioStorageFull": (DestinationTrouble.DENIED, Patience.BRIEF),
    **dict.fromkeys(
        ("ExpiredToken", "ExpiredTokenException", "RequestExpired", "TokenRefreshRequired"),
        (DestinationTrouble.EXPIRED, Patience.NONE),
    ),
    **dict.fromkeys(
        (
            "301",
            "IllegalLocationConstraintException",
            "InvalidBucketName",
            "InvalidBucketState",
            "NoSuchBucket",
            "PermanentRedirect",
        ),
        (DestinationTrouble.NO_BUCKET, Patience.NONE),
    ),
    **dict.fromkeys(
        (
            "429",
            "BandwidthLimitExceeded",
            "RequestLimitExceeded",
            "SlowDown",
            "SlowDownRead",
            "SlowDownWrite",
            "Throttling",
            "ThrottlingException",
            "TooManyRequests",
        ),
        (DestinationTrouble.THROTTLED, Patience.FULL),
    ),
    **dict.fromkeys(
        ("307", "408", "502", "503", "504", "RequestTimeout", "ServiceUnavailable", "TemporaryRedirect"),
        (DestinationTrouble.UNREACHABLE, Patience.FULL),
    ),
}
_OBJECT_ERRORS: dict[str, tuple[type[HotfolderError], Patience]] = {
    **dict.fromkeys(("412", "PreconditionFailed"), (KeyTaken, Patience.NONE)),
    "ConditionalRequestConflict": (KeyTaken, Patience.BRIEF),
    "NoSuchUpload": (UploadLost, Patience.NONE),
    **dict.fromkeys(
        (
            "EntityTooLarge",
            "InvalidObjectName",
            "InvalidURI",
            "KeyTooLong",
            "KeyTooLongError",
            "MetadataTooLarge",
            "XMinioInvalidObjectName",
        ),
        (FileRejected, Patience.NONE),
    ),
    **dict.fromkeys(
        (
            "BadDigest",
            "IncompleteBody",
            "InvalidDigest",
            "XAmzContentChecksumMismatch",
            "XAmzContentSHA256Mismatch",
        ),
        (VerificationFailed, Patience.BRIEF),
    ),
    **dict.fromkeys(("InvalidPart", "InvalidPartOrder"), (VerificationFailed, Patience.NONE)),
    "OperationAborted": (ObjectRefused, Patience.FULL),
    "InvalidObjectState": (ObjectRefused, Patience.NONE),
}


def judge_refusal(subject: Subject, refusal: Refusal) -> Verdict:
    """The verdict on an answer that is not a success."""
    code = refusal.code or str(refusal.status)
    text = f"{subject}: {_sentence(refusal, code)}"
    for name in (code, str(refusal.status)):
        if name in _OBJECT_ERRORS:
            kind, patience = _OBJECT_ERRORS[name]
            return Verdict(kind(text, hint=_HINTS.get(code, "")), patience)
        if name in _TROUBLES:
            trouble, patience = _TROUBLES[name]
            error = DestinationError(
                trouble,
                text,
                hint=_hint(trouble, code, refusal.region),
                may_be_one_keys=name == "AccessDenied",
                retry_after=refusal.retry_after,
            )
            if refusal.retry_after is not None and refusal.retry_after > _SOON:
                patience = Patience.NONE  # all others would be told the same: the destination rests
            return Verdict(error, patience, ask_bucket=_is_bare(subject, code))
    if refusal.status >= 500 or code == "InternalError":  # a late one comes inside a 200
        trouble = DestinationTrouble.UNREACHABLE
        broken = DestinationError(trouble, text, hint=_BROKEN, may_be_one_keys=True)
        return Verdict(broken, Patience.FULL, ask_bucket=True)
    refused = ObjectRefused(text, hint=_HINTS.get(code, ""))
    return Verdict(refused, ask_bucket=_is_bare(subject, code))


def judge_fault(subject: Subject, fault: Fault, detail: str = "") -> Verdict:
    """The verdict on a request that got no answer."""
    text = f"{subject}: {fault}" + (f" ({_one_line(detail)})" if detail else "")
    if fault is Fault.NO_CREDENTIALS:
        hint = "give the store's access key and secret key, as `auth` in [destination] says"
        return Verdict(DestinationError(DestinationTrouble.DENIED, text, hint=hint))
    if fault is Fault.EXPIRED_LOGIN:
        hint = _TROUBLE_HINTS[DestinationTrouble.EXPIRED]
        return Verdict(DestinationError(DestinationTrouble.EXPIRED, text, hint=hint))
    hint = _TROUBLE_HINTS[DestinationTrouble.UNREACHABLE]
    if fault is Fault.TLS:
        hint = (
            "check the store's certificate, this machine's clock, endpoint_url, and the CA: "
            "the system's, or your own as ca_bundle in [destination]"
        )
    if fault in _STALLS:
        hint = _HELD_UP
    # A cut may hit one large body again and again while the line is fine; the others mean that
    # nothing gets through, and the sooner the destination holds, the fewer requests hang.
    patience = _FAULT_PATIENCE.get(fault, Patience.BRIEF)
    trouble, is_cut = DestinationTrouble.UNREACHABLE, fault is Fault.CUT
    error = DestinationError(trouble, text, hint=hint, may_be_one_keys=is_cut)
    return Verdict(error, patience, may_be_this_one=fault in _FAULT_PATIENCE)


def read_refusal(answer: Answer) -> Refusal:
    """Code, message and region of an error answer; a body that is no S3 error document says nothing."""
    region = answer.headers.get("x-amz-bucket-region", "")
    rest = seconds_of(answer.headers.get("retry-after"))
    try:
        # expat builds nothing from external entities, and since 2.4.1 stops entity bombs.
        root = ET.fromstring(answer.body[:_MAX_ERROR_BODY])  # noqa: S314
    except ET.ParseError:
        # A proxy's HTML page, or nothing at all.
        return Refusal(answer.status, answer.code, region=region, retry_after=rest)
    fields = {child.tag.rpartition("}")[2]: child.text or "" for child in root}
    code = fields.get("Code") or answer.code
    message, region = fields.get("Message", ""), fields.get("Region") or region
    return Refusal(answer.status, code, message, region, rest)


def seconds_of(retry_after: str | None) -> float | None:
    """What a Retry-After header asks for; None if it has a date: that is some other clock's."""
    text = (retry_after or "").strip()
    return float(text) if text.isascii() and text.isdigit() else None


def _sentence(refusal: Refusal, code: str) -> str:
    number = f"HTTP {refusal.status}"
    words = number if code == str(refusal.status) else f"{code} ({number})"
    return f"{words}: {_one_line(refusal.message)}" if refusal.message else words


def _one_line(text: str) -> str:
    return "".join(c if c.isprintable() else " " for c in text)[:_MAX_MESSAGE].strip()


def _hint(trouble: DestinationTrouble, code: str, region: str) -> str:
    if region and code in {
        "301",
        "400",
        "AuthorizationHeaderMalformed",
        "IllegalLocationConstraintException",
        "PermanentRedirect",
    }:
        return f'the bucket is in another region: set region = "{_one_line(region)}" in [destination]'
    return _HINTS.get(code) or _TROUBLE_HINTS[trouble]


def _is_bare(subject: Subject, code: str) -> bool:
    """Whether this is a HEAD's answer: it has no body, so its code is only the status again."""
    return subject.operation.startswith("Head") and code.isdigit()
