"""Answers that are a success and none of an S3 store: a page of whatever stands before it."""

from collections.abc import Collection, Mapping

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
