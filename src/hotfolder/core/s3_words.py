"""S3's vocabulary: our values as the fields and headers of its requests, its replies as our values.

Field names are those of the S3 API reference (and of boto3), header names those of its REST form.
"""

import base64
from collections.abc import Mapping
from typing import Any

from hotfolder.core.errors import FileRejected
from hotfolder.core.records import ObjectDraft, ObjectInfo, PartReceipt, Receipt

MAX_KEY_BYTES = 1024  # S3's limit, in UTF-8
DEFAULT_CLASS = "STANDARD"


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
        if not (value.isascii() and value.isprintable() and value == value.strip()):
            raise FileRejected(f"metadata {name} of {draft.key!r} is not plain ASCII: {value!r}")
    return draft


def draft_fields(draft: ObjectDraft, storage_class: str) -> dict[str, Any]:
    """What PutObject and CreateMultipartUpload ask of the draft."""
    fields: dict[str, Any] = {
        "Key": draft.key,
        "Metadata": dict(draft.metadata),
        "ContentType": draft.content_type,
    }
    # Left out where it is the default: some compatible stores refuse the header.
    return fields if storage_class == DEFAULT_CLASS else fields | {"StorageClass": storage_class}


def put_headers(
    draft: ObjectDraft, storage_class: str, sha256: bytes, *, unless_exists: bool
) -> dict[str, str]:
    """The same as headers of one PUT, with its checksum and condition."""
    headers = {
        "Content-Type": draft.content_type,
        "x-amz-checksum-sha256": checksum(sha256),
        **{f"x-amz-meta-{name}": value for name, value in draft.metadata.items()},
    }
    if storage_class != DEFAULT_CLASS:
        headers["x-amz-storage-class"] = storage_class
    return headers | {"If-None-Match": "*"} if unless_exists else headers


def completed_part(part: PartReceipt) -> dict[str, Any]:
    """A part as CompleteMultipartUpload names it."""
    known = {"ChecksumSHA256": part.checksum_sha256} if part.checksum_sha256 else {}
    return {"PartNumber": part.number, "ETag": f'"{part.etag}"', **known}


def checksum(sha256: bytes) -> str:
    """A digest as S3 writes it: base64."""
    return base64.b64encode(sha256).decode("ascii")


def receipt(reply: Mapping[str, Any], requests: int) -> Receipt:
    """Of PutObject's or CompleteMultipartUpload's reply."""
    return Receipt(etag(reply), reply.get("ChecksumSHA256"), reply.get("VersionId"), requests)


def receipt_of_headers(headers: Mapping[str, str], requests: int) -> Receipt:
    """Of a PUT's answer; header names are lower-case."""
    return Receipt(
        headers.get("etag", "").strip('"'),
        headers.get("x-amz-checksum-sha256"),
        headers.get("x-amz-version-id"),
        requests,
    )


def object_info(key: str, reply: Mapping[str, Any]) -> ObjectInfo:
    """Of HeadObject's reply, or of an entry of ListObjectsV2."""
    return ObjectInfo(
        key,
        int(reply.get("ContentLength", reply.get("Size", 0))),
        etag(reply),
        reply.get("ChecksumSHA256"),
        # Some stores capitalise the names.
        {name.lower(): value for name, value in reply.get("Metadata", {}).items()},
        reply.get("VersionId"),
        reply.get("StorageClass", DEFAULT_CLASS),
    )


def etag(reply: Mapping[str, Any]) -> str:
    """The reply's ETag without quotes, empty where the store named none."""
    return str(reply.get("ETag", "")).strip('"')
