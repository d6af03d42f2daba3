"""What some stores were seen to do."""

from hotfolder.core.profile import Profile

AS_S3 = Profile(
    keeps_bytes=True,
    put_names=True,
    head_names=True,
    put_refuses_checksum=True,
    put_refuses_signature=True,
    put_etag_is_md5=True,
    part_names=True,
    part_refuses_checksum=True,
    part_refuses_signature=True,
    part_etag_is_md5=True,
    complete_names=True,
    complete_head_names=True,
    complete_etag=True,
    complete_etag_is_md5s=True,
    lists_parts=True,
    lists_checksums=True,
    lists_etags=True,
    condition_on_put=True,
    condition_on_complete=True,
    metadata_as_sent=True,
    trailers=True,
    skew_seconds=0.0,
)
