"""S3's vocabulary: our values as the fields and headers of its requests, its replies as our values.

Field names are those of the S3 API reference (and of boto3), header names those of its REST form.
"""

import base64
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, urlsplit

from hotfolder.core.errors import FileRejected
from hotfolder.core.records import ObjectDraft, ObjectInfo, PartReceipt, Receipt

MAX_KEY_BYTES = 1024  # S3's limit, in UTF-8
DEFAULT_CLASS = "STANDARD"
KMS = "aws:kms"
#: What lies there is read only after it was restored, hours later.
COLD_CLASSES = frozenset({"GLACIER", "DEEP_ARCHIVE"})


@dataclass(frozen=True, slots=True)
class ObjectOptions:
    """What a destination asks of every object beside its bytes; empty: the store's own default.

    `sse` is "AES256" or "aws:kms", `kms_key_id` goes with the latter; `acl` is a canned ACL.
    """

    storage_class: str = DEFAULT_CLASS
    tags: Mapping[str, str] = field(default_factory=dict)
    acl: str = ""
    sse: str = ""
    kms_key_id: str = ""
    _usual: Mapping[str, str] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_usual", self._worded(ObjectDraft("")))

    def asked(self, draft: ObjectDraft) -> Mapping[str, str]:
        """Header name -> value for this draft, whose own storage class and tags go first.

        What is the default is left out: some compatible stores refuse the header.
        """
        is_usual = draft.storage_class is None and draft.tags is None
        return self._usual if is_usual else self._worded(draft)

    def _worded(self, draft: ObjectDraft) -> dict[str, str]:
        storage_class = self.storage_class if draft.storage_class is None else draft.storage_class
        tags = self.tags if draft.tags is None else draft.tags
        asked = {
            "x-amz-storage-class": "" if storage_class == DEFAULT_CLASS else storage_class,
            "x-amz-tagging": tagging(tags),
            "x-amz-acl": self.acl,
            "x-amz-server-side-encryption": self.sse,
            "x-amz-server-side-encryption-aws-kms-key-id": self.kms_key_id,
        }
        return {name: value for name, value in asked.items() if value}


#: The fields that boto3 has for these headers.
_FIELDS = {
    "x-amz-storage-class": "StorageClass",
    "x-amz-tagging": "Tagging",
    "x-amz-acl": "ACL",
    "x-amz-server-side-encryption": "ServerSideEncryption",
    "x-amz-server-side-encryption-aws-kms-key-id": "SSEKMSKeyId",
}


def is_cold(storage_class: str) -> bool:
    """Whether an object of this class can be written and not be read."""
    return storage_class in COLD_CLASSES


def readable_class(storage_class: str) -> str | None:
    """In what a probe is stored that has to be read: None for the destination's own class."""
    return DEFAULT_CLASS if is_cold(storage_class) else None


def is_loopback(url: str) -> bool:
    """Whether an address leads to this very machine."""
    host = urlsplit(url).hostname or ""
    return host in {"localhost", "::1"} or host.startswith("127.")


def checked_key(key: str) -> str:
    """The key, if S3 can take it. Raises FileRejected."""
    try:
        size = len(key.encode())
    except UnicodeEncodeError as error:
        raise FileRejected(f"the key {key!r} is not UTF-8", hint="rename the file") from error
    if not 0 < size <= MAX_KEY_BYTES:
        # An empty key would address the bucket itself.
        what = f"the key {key!r} has {size} bytes, and S3 takes 1 to {MAX_KEY_BYTES}"
        raise FileRejected(what, hint="shorten the file's name or path")
    return key


def checked_draft(draft: ObjectDraft) -> ObjectDraft:
    """The draft, if its key and metadata can be sent. Raises FileRejected."""
    checked_key(draft.key)
    for name, value in draft.metadata.items():
        # Anything else is re-encoded or trimmed on the way, and then the signature does not fit.
        if not (value.isascii() and value.isprintable()) or value != value.strip():
            raise FileRejected(f"metadata {name} of {draft.key!r} is not plain ASCII: {value!r}")
    return draft


def draft_fields(draft: ObjectDraft, options: ObjectOptions) -> dict[str, Any]:
    """What PutObject and CreateMultipartUpload ask of the draft."""
    return {
        "Key": draft.key,
        "Metadata": dict(draft.metadata),
        "ContentType": draft.content_type,
        **{_FIELDS[name]: value for name, value in options.asked(draft).items()},
    }


def put_headers(
    draft: ObjectDraft, options: ObjectOptions, sha256: bytes, *, unless_exists: bool
) -> dict[str, str]:
    """The same as headers of one PUT, with its checksum and condition; names in lower case."""
    headers = {"content-type": draft.content_type, "x-amz-checksum-sha256": checksum(sha256)}
    if unless_exists:
        headers["if-none-match"] = "*"
    for name, value in draft.metadata.items():
        headers[f"x-amz-meta-{name.lower()}"] = value
    headers.update(options.asked(draft))
    return headers


def completed_part(part: PartReceipt) -> dict[str, Any]:
    """A part as CompleteMultipartUpload names it."""
    known = {"ChecksumSHA256": part.checksum_sha256} if part.checksum_sha256 else {}
    return {"PartNumber": part.number, "ETag": f'"{part.etag}"', **known}


def checksum(sha256: bytes) -> str:
    """A digest as S3 writes it: base64."""
    return base64.b64encode(sha256).decode("ascii")


def tagging(tags: Mapping[str, str]) -> str:
    """Tags as the header carries them: a query string."""
    return "&".join(f"{quote(name, safe='')}={quote(value, safe='')}" for name, value in tags.items())


def etag_is_digest(sse: str, asked: str) -> bool:
    """Whether an ETag is of the bytes that were sent: not where the store encrypted with a KMS key.

    `sse` is what the store says, as a bucket may encrypt by default; `asked` what we asked for, as not
    every store says it.
    """
    return not (sse.startswith(KMS) or asked.startswith(KMS))


def receipt(reply: Mapping[str, Any], requests: int, sse: str) -> Receipt:
    """Of PutObject's or CompleteMultipartUpload's reply; `sse` is what was asked for."""
    return Receipt(
        etag(reply),
        reply.get("ChecksumSHA256"),
        reply.get("VersionId"),
        requests,
        etag_is_digest(reply.get("ServerSideEncryption", ""), sse),
    )


def part_receipt(
    number: int, size: int, reply: Mapping[str, Any], sse: str, requests: int = 1
) -> PartReceipt:
    """Of UploadPart's reply, or of an entry of ListParts; `sse` is what was asked for."""
    return PartReceipt(
        number,
        size,
        etag(reply),
        reply.get("ChecksumSHA256"),
        requests,
        etag_is_digest(reply.get("ServerSideEncryption", ""), sse),
    )


def part_headers(sha256: bytes) -> dict[str, str]:
    """What a part is sent with; names in lower case."""
    return {"x-amz-checksum-sha256": checksum(sha256)}


def part_query(upload_id: str, number: int) -> str:
    """Which part of which upload it is: the query of its address, its fields sorted by name."""
    return f"partNumber={number}&uploadId={quote(upload_id, safe='-_.~')}"


def part_receipt_of_headers(
    number: int, size: int, headers: Mapping[str, str], requests: int, sse: str
) -> PartReceipt:
    """Of a part's answer, as `receipt_of_headers`."""
    said = receipt_of_headers(headers, requests, sse)
    return PartReceipt(
        number, size, said.etag, said.checksum_sha256, requests, etag_is_digest=said.etag_is_digest
    )


def receipt_of_headers(headers: Mapping[str, str], requests: int, sse: str) -> Receipt:
    """Of a PUT's answer; header names are lower-case; `sse` is what was asked for."""
    return Receipt(
        headers.get("etag", "").strip('"'),
        headers.get("x-amz-checksum-sha256"),
        headers.get("x-amz-version-id"),
        requests,
        etag_is_digest(headers.get("x-amz-server-side-encryption", ""), sse),
    )


def object_info(key: str, reply: Mapping[str, Any], sse: str = "") -> ObjectInfo:
    """Of HeadObject's reply, or of an entry of ListObjectsV2; `sse` is what our objects ask for."""
    return ObjectInfo(
        key,
        int(reply.get("ContentLength", reply.get("Size", 0))),
        etag(reply),
        reply.get("ChecksumSHA256"),
        # Some stores capitalise the names.
        {name.lower(): value for name, value in reply.get("Metadata", {}).items()},
        reply.get("VersionId"),
        reply.get("StorageClass", DEFAULT_CLASS),
        etag_is_digest(reply.get("ServerSideEncryption", ""), sse),
    )


def etag(reply: Mapping[str, Any]) -> str:
    """The reply's ETag without quotes, empty where the store named none."""
    return str(reply.get("ETag", "")).strip('"')
