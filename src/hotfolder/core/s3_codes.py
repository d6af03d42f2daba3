"""What the words of S3 stores mean: codes of refusals, and requests without an answer. Tables alone.

S3's codes are those of the S3 API reference; the `XMinio…` ones are MinIO's.
"""

from enum import Enum, auto

from hotfolder.core.errors import (
    DestinationTrouble,
    FileRejected,
    HotfolderError,
    KeyTaken,
    ObjectRefused,
    UploadLost,
    VerificationFailed,
)
from hotfolder.core.refusals import Fault


class Patience(Enum):
    """How long the same request is worth repeating."""

    NONE = auto()  # it would be refused again
    TWICE = auto()  # each try may take minutes
    BRIEF = auto()  # a few tries within seconds; then the destination holds and probes
    FULL = auto()  # as often as configured


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
HINTS = {
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
TROUBLE_HINTS = {
    DestinationTrouble.UNREACHABLE: "check the network, the endpoint_url and the store",
    DestinationTrouble.DENIED: "check the credentials, and what the store lets them do",
    DestinationTrouble.NO_BUCKET: "create the bucket, or correct `bucket` in [destination]",
    DestinationTrouble.EXPIRED: "renew the credentials (SSO: log in with `aws sso login`)",
    DestinationTrouble.THROTTLED: (
        "the store asks for fewer requests; if that lasts, lower `requests` in [transfer]"
    ),
}
FAULT_HINTS = {
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
NO_POLICY = {"403", "AccessDenied", "AllAccessDisabled", "Forbidden", "UnauthorizedAccess"}
BROKEN = "the store has a fault of its own: look into its log"
NO_S3 = (
    "this is no answer of an S3 store: correct endpoint_url in [destination], also whether it begins "
    "with http:// or https://"
)
ELSEWHERE = {
    "301",
    "307",
    "400",
    "AuthorizationHeaderMalformed",
    "IllegalLocationConstraintException",
    "PermanentRedirect",
    "TemporaryRedirect",
}
_STALLS = {Fault.TIMEOUT, Fault.STALLED}
FAULT_PATIENCE = {Fault.CUT: Patience.FULL, **dict.fromkeys(_STALLS, Patience.TWICE)}
TROUBLES: dict[str, tuple[DestinationTrouble, Patience]] = {
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
OBJECT_ERRORS: dict[str, tuple[type[HotfolderError], Patience]] = {
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
