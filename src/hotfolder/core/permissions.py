"""Which permission a refused request wants, in the words of an IAM policy. Pure."""

import re

_OBJECT = {
    "PutObject": "s3:PutObject",
    "CreateMultipartUpload": "s3:PutObject",
    "UploadPart": "s3:PutObject",
    "CompleteMultipartUpload": "s3:PutObject",
    "AbortMultipartUpload": "s3:AbortMultipartUpload",
    "ListParts": "s3:ListMultipartUploadParts",
    "GetObject": "s3:GetObject",
    "HeadObject": "s3:GetObject",
    "DeleteObject": "s3:DeleteObject",
}
_BUCKET = {
    "ListObjectsV2": "s3:ListBucket",
    "ListMultipartUploads": "s3:ListBucketMultipartUploads",
}
# AWS itself names what is missing, for KMS too.
_NAMED = re.compile(r"not authorized to perform: ([\w-]+:\w+)(?: on resource: \"?([^\s\"]+))?")


def missing_permission(operation: str, bucket: str, message: str = "") -> str:
    """What to allow after an AccessDenied, as a sentence; `message` is the store's own."""
    named = _NAMED.search(message)
    if named is not None:
        action, resource = named[1], named[2] or "the resource it names"
        return f"let the policies allow {action} on {resource}"
    if operation in _BUCKET:
        return _sentence(_BUCKET[operation], f"arn:aws:s3:::{bucket}")
    sentence = _sentence(_OBJECT.get(operation, "s3:PutObject"), f"arn:aws:s3:::{bucket}/*")
    if operation in {"GetObject", "HeadObject"}:
        # Without it an absent object is denied and not "not found".
        return f"{sentence}, and s3:ListBucket on arn:aws:s3:::{bucket}"
    if operation in {"PutObject", "CreateMultipartUpload"}:
        return (
            f"{sentence} (with tags also s3:PutObjectTagging, with acl s3:PutObjectAcl; with sse = "
            '"aws:kms" kms:GenerateDataKey and kms:Decrypt on its key)'
        )
    return sentence


def _sentence(action: str, resource: str) -> str:
    return f"let the policy of these credentials, and the bucket's, allow {action} on {resource}"
