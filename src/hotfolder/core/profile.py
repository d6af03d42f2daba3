"""What one store really does, as it was seen to do. Pure."""

from dataclasses import dataclass, fields

from hotfolder.core.records import Verification


@dataclass(frozen=True, slots=True)
class Profile:
    """None in a field: nobody has seen it yet, and the careful way is taken.

    `put` is an object of one request, `part` and `complete` are of a multipart upload. "Names": the
    answer has the SHA-256 of what was sent. "Refuses": bytes that do not fit what was announced, as a
    checksum or as the body's digest in the signature. "Counts": it took such bytes and named their own
    SHA-256, not the one announced.
    """

    keeps_bytes: bool | None = None
    """What is read back is what was sent."""
    put_names: bool | None = None
    head_names: bool | None = None
    put_refuses_checksum: bool | None = None
    put_refuses_signature: bool | None = None
    put_counts: bool | None = None
    put_etag_is_md5: bool | None = None
    part_names: bool | None = None
    part_refuses_checksum: bool | None = None
    part_refuses_signature: bool | None = None
    part_counts: bool | None = None
    part_etag_is_md5: bool | None = None
    complete_names: bool | None = None
    """The answer to the completion has the composite SHA-256."""
    complete_head_names: bool | None = None
    """So has a HEAD of the finished object."""
    complete_etag: bool | None = None
    """The answer to the completion has an ETag at all."""
    complete_etag_is_md5s: bool | None = None
    """The finished object's ETag is made of its parts' MD5s."""
    lists_parts: bool | None = None
    lists_checksums: bool | None = None
    lists_etags: bool | None = None
    condition_on_put: bool | None = None
    condition_on_complete: bool | None = None
    metadata_as_sent: bool | None = None
    """Names of metadata keep their small letters."""
    trailers: bool | None = None
    """A checksum behind the body is taken for what it is. hotfolder sends none."""
    skew_seconds: float | None = None
    """This machine's clock minus the store's."""

    @property
    def put_checksum_counts(self) -> bool | None:
        """Whether an equal SHA-256 of a single PUT shows that its bytes arrived."""
        return _counts(
            self.keeps_bytes, self.put_refuses_checksum, self.put_refuses_signature, self.put_counts
        )

    @property
    def part_checksum_counts(self) -> bool | None:
        """The same of the parts of a multipart upload, and so of the composite."""
        return _counts(
            self.keeps_bytes, self.part_refuses_checksum, self.part_refuses_signature, self.part_counts
        )

    @property
    def put_proof(self) -> Verification | None:
        """What `verify = "auto"` takes for a single PUT; None: not known yet, object by object."""
        named = _any(self.put_names, self.head_names)
        return self._proof(_both(self.put_checksum_counts, named), self.put_etag_is_md5)

    @property
    def upload_proof(self) -> Verification | None:
        """The same of a multipart upload."""
        named = _any(self.complete_names, self.complete_head_names)
        by_checksum = _both(self.part_checksum_counts, self.part_names)
        parts = _any(by_checksum, self.part_etag_is_md5)
        return self._proof(
            _both(self.part_checksum_counts, named), _both(parts, self.complete_etag_is_md5s)
        )

    def unknown(self) -> tuple[str, ...]:
        """What could not be seen, by the names above."""
        names = (each.name for each in fields(self) if each.name not in _ONLY_OF_THE_CARELESS)
        return tuple(name for name in names if getattr(self, name) is None)

    def _proof(self, by_checksum: bool | None, by_etag: bool | None) -> Verification | None:
        if self.keeps_bytes is False:
            return Verification.READBACK
        if by_checksum:
            return Verification.CHECKSUM
        if by_checksum is False and by_etag:
            return Verification.ETAG
        return Verification.READBACK if by_checksum is by_etag is False else None


UNKNOWN = Profile()

#: A store that refuses wrong bytes never shows what it would say of them.
_ONLY_OF_THE_CARELESS = {"put_counts", "part_counts"}


@dataclass(frozen=True, slots=True)
class Seen:
    """A profile and when it was seen, in seconds since the epoch."""

    profile: Profile
    at: float

    def is_due(self, now: float) -> bool:
        """Whether to look again, as stores and rights change; also where a clock was set back."""
        proofs = {self.profile.put_proof, self.profile.upload_proof}
        is_poor = Verification.READBACK in proofs or bool(self.profile.unknown())
        return not -_AGE_POOR < now - self.at < (_AGE_POOR if is_poor else _AGE)


_DAY = 86_400.0
_AGE, _AGE_POOR = 7 * _DAY, _DAY  # poor: it may have been a bad moment


def _counts(keeps_bytes: bool | None, *seen: bool | None) -> bool | None:
    return False if keeps_bytes is False else _any(*seen)


def _any(*seen: bool | None) -> bool | None:
    if True in seen:
        return True
    return None if None in seen else False


def _both(one: bool | None, other: bool | None) -> bool | None:
    if False in {one, other}:
        return False
    return None if None in {one, other} else True
