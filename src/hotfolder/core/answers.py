"""What an S3 store's answers mean: whose trouble it is, what to do, and whether asking again helps.

The one table for every client library: adapters bring the words (a status, an error code, a broken
connection), this module returns the verdict. S3's codes are those of the S3 API reference; the
`XMinio…` ones are MinIO's.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from enum import Enum, auto

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
from hotfolder.core.permissions import missing_permission
from hotfolder.core.refusals import Fault, Refusal
from hotfolder.core.skew import NOTICEABLE, REFUSED_AT, skew_words

_SOON = 5.0  # seconds; what asks for a longer rest is not asked again before
_MAX_MESSAGE = 300  # characters of the store's own sentence that are repeated


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
    one. Else an outage may just have ended: what would be the object's fault is asked once more.
    """

    error: HotfolderError
    patience: Patience = Patience.NONE
    ask_bucket: bool = False
    may_be_this_one: bool = False


#: What belongs to the configuration although the status is that of a bad request: every object asks
#: for the same, so that it must not cost each file its attempts.
_OPTIONS_REFUSED = (
    "AccessControlListNotSupported",
    "InvalidEncryptionAlgorithmError",
    "InvalidStorageClass",
    "InvalidTag",
)
_KEY_REFUSED = (
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
    **dict.fromkeys(_OPTIONS_REFUSED, "correct storage_class, tags, sse or acl in [destination]"),
    **dict.fromkeys(
        _KEY_REFUSED,
        "correct kms_key_id in [destination], or the key: it has to be in the bucket's region, enabled, "
        "and made to encrypt and decrypt",
    ),
}
_TROUBLE_HINTS = {
    DestinationTrouble.UNREACHABLE: "check the network, the endpoint_url and the store",
    DestinationTrouble.DENIED: "check the credentials, and what the store lets them do",
    DestinationTrouble.NO_BUCKET: "create the bucket, or correct `bucket` in [destination]",
    DestinationTrouble.EXPIRED: "renew the credentials (SSO: log in with `aws sso login`)",
    DestinationTrouble.THROTTLED: (
        "the store asks for fewer requests; if that lasts, lower `requests` in [transfer]"
    ),
}
_FAULT_HINTS = {
    Fault.TLS: (
        "check the store's certificate, this machine's clock, endpoint_url, and the CA: "
        "the system's, or your own as ca_bundle in [destination]"
    ),
    **dict.fromkeys(
        (Fault.TIMEOUT, Fault.STALLED),
        "the store, a proxy or the line holds requests up: look at them; on a thin line lower "
        "`requests` or `min_speed` in [transfer]",
    ),
    Fault.NO_TLS: "write http:// in place of https:// in endpoint_url of [destination]",
    Fault.NO_PLAIN: "write https:// in place of http:// in endpoint_url of [destination]",
}
_NO_POLICY = {"403", "AccessDenied", "AllAccessDisabled", "Forbidden", "UnauthorizedAccess"}
_BROKEN = "the store has a fault of its own: look into its log"
_NO_S3 = (
    "this is no answer of an S3 store: correct endpoint_url in [destination], also whether it begins "
    "with http:// or https://"
)
_ELSEWHERE = {
    "301",
    "307",
    "400",
    "AuthorizationHeaderMalformed",
    "IllegalLocationConstraintException",
    "PermanentRedirect",
    "TemporaryRedirect",
}
_STALLS = {Fault.TIMEOUT, Fault.STALLED}
_FAULT_PATIENCE = {Fault.CUT: Patience.FULL, **dict.fromkeys(_STALLS, Patience.TWICE)}
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
            *_KEY_REFUSED,
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
    text = f"{subject}: {_sentence(refusal, code)}{_clock(refusal, code)}"
    if refusal.region and code in _ELSEWHERE:
        return _elsewhere(refusal, text)
    for name in (code, str(refusal.status)):
        if name in _OBJECT_ERRORS and subject.key:
            kind, patience = _OBJECT_ERRORS[name]
            return Verdict(kind(text, hint=_HINTS.get(code, "")), patience)
        if name in _TROUBLES:
            trouble, patience = _TROUBLES[name]
            error = DestinationError(
                trouble,
                text,
                hint=_hint(trouble, code, subject, refusal),
                may_be_one_keys=name == "AccessDenied",
                retry_after=refusal.retry_after,
            )
            if refusal.retry_after is not None and refusal.retry_after > _SOON:
                patience = Patience.NONE  # all others would be told the same: the destination rests
            if code == "RequestTimeTooSkewed" and refusal.skew is None:
                patience = Patience.BRIEF  # another try may tell by how much
            return Verdict(error, patience, ask_bucket=_is_bare(subject, code))
    if refusal.status >= 500 or code == "InternalError":  # a late one comes inside a 200
        trouble = DestinationTrouble.UNREACHABLE
        broken = DestinationError(trouble, text, hint=_BROKEN, may_be_one_keys=True)
        return Verdict(broken, Patience.FULL, ask_bucket=True)
    if not subject.key:  # whatever it is, it is no object's fault
        if refusal.is_bare:
            return Verdict(DestinationError(DestinationTrouble.UNREACHABLE, text, hint=_NO_S3))
        trouble = DestinationTrouble.DENIED
        hint = _HINTS.get(code) or _TROUBLE_HINTS[trouble]
        return Verdict(DestinationError(trouble, text, hint=hint))
    refused = ObjectRefused(text, hint=_HINTS.get(code, ""))
    # Without an error document it is not S3 that answers, or a HEAD's answer: the bucket tells.
    return Verdict(refused, ask_bucket=refusal.is_bare)


def judge_fault(subject: Subject, fault: Fault, detail: str = "") -> Verdict:
    """The verdict on a request that got no answer."""
    text = f"{subject}: {fault}" + (f" ({_one_line(detail)})" if detail else "")
    if fault is Fault.NO_CREDENTIALS:
        hint = "give the store's access key and secret key, as `auth` in [destination] says"
        return Verdict(DestinationError(DestinationTrouble.DENIED, text, hint=hint))
    if fault is Fault.EXPIRED_LOGIN:
        hint = _TROUBLE_HINTS[DestinationTrouble.EXPIRED]
        return Verdict(DestinationError(DestinationTrouble.EXPIRED, text, hint=hint))
    hint = _FAULT_HINTS.get(fault, _TROUBLE_HINTS[DestinationTrouble.UNREACHABLE])
    # A cut may hit one large body again and again while the line is fine; the others mean that
    # nothing gets through, and the sooner the destination holds, the fewer requests hang.
    patience = _FAULT_PATIENCE.get(fault, Patience.BRIEF)
    trouble, is_cut = DestinationTrouble.UNREACHABLE, fault is Fault.CUT
    error = DestinationError(trouble, text, hint=hint, may_be_one_keys=is_cut)
    return Verdict(error, patience, may_be_this_one=fault in _FAULT_PATIENCE)


#: What S3's document always has of these, in botocore's words; a web page has none of it.
_DOCUMENTS = {
    "CompleteMultipartUpload": ("ETag", "Key", "Bucket", "Location"),
    "CreateMultipartUpload": ("UploadId",),
    "ListMultipartUploads": ("Bucket", "Uploads", "MaxUploads", "IsTruncated"),
    "ListObjectsV2": ("Name", "Contents", "KeyCount", "MaxKeys", "IsTruncated"),
    "ListParts": ("UploadId", "Parts", "MaxParts", "IsTruncated"),
}
_HEADED = ("HeadObject", "PutObject", "UploadPart")  # all is in the headers
_EMPTY = ("AbortMultipartUpload", "DeleteObject")
_COUNTED = {"content-length", "transfer-encoding"}


def is_foreign(operation: str, document: Collection[str], headers: Mapping[str, str]) -> bool:
    """Whether an answer that is a success is not an S3 store's: a page of whatever stands before it.

    `document`: names of what was read from its body; `headers`: by name in lower case.
    """
    if operation in _DOCUMENTS:
        return not any(name in document for name in _DOCUMENTS[operation])
    is_amazons = any(name.startswith("x-amz-") for name in headers)
    if operation in _EMPTY:  # and what is gone has no ETag; a page may have one
        return not is_amazons and headers.get("content-length", "0") != "0"
    if operation == "GetObject":  # what is not counted ends with its connection: half may be missing
        return "etag" not in headers or not _COUNTED & headers.keys()
    return operation in _HEADED and not is_amazons and "etag" not in headers


def judge_foreign(subject: Subject) -> Verdict:
    """The verdict on a success that `is_foreign`: nothing was asked of the store at all."""
    text = f"{subject}: a success that no S3 store gave, like a page of a proxy or a portal"
    trouble = DestinationTrouble.UNREACHABLE
    return Verdict(DestinationError(trouble, text, hint=_NO_S3), Patience.BRIEF)


def _sentence(refusal: Refusal, code: str) -> str:
    number = f"HTTP {refusal.status}"
    words = number if code == str(refusal.status) else f"{code} ({number})"
    said = _one_line(refusal.message).rstrip(".")  # a hint may follow in the same sentence
    return f"{words}: {said}" if said else words


def _one_line(text: str) -> str:
    return "".join(c if c.isprintable() else " " for c in text)[:_MAX_MESSAGE].strip()


def _clock(refusal: Refusal, code: str) -> str:
    """The clock's error where it is the reason, or may be."""
    skew = refusal.skew or 0.0
    least = NOTICEABLE if code == "RequestTimeTooSkewed" else REFUSED_AT
    suspect = refusal.status in {400, 401, 403} and abs(skew) >= least
    return f" ({skew_words(skew)})" if suspect else ""


def _elsewhere(refusal: Refusal, text: str) -> Verdict:
    region = _one_line(refusal.region)
    hint = (
        f'the bucket is in another region: set region = "{region}" in [destination], and endpoint_url, '
        "if it names a region, to match"
    )
    # HEAD's answers name the bucket's region even where it is the right one.
    error = DestinationError(DestinationTrouble.NO_BUCKET, text, hint=hint)
    return Verdict(error, ask_bucket=refusal.is_bare)


def _hint(trouble: DestinationTrouble, code: str, subject: Subject, refusal: Refusal) -> str:
    if code in _NO_POLICY:
        return missing_permission(subject.operation, subject.bucket, refusal.message)
    return _HINTS.get(code) or _TROUBLE_HINTS[trouble]


def _is_bare(subject: Subject, code: str) -> bool:
    """Whether this is a HEAD's answer: it has no body, so its code is only the status again."""
    return subject.operation.startswith("Head") and code.isdigit()
