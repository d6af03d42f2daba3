"""What a probe asked a store, what it answered, and the profile that follows. Pure."""

import hashlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from hotfolder.core.digest import b64, composite_etag, composite_sha256
from hotfolder.core.errors import (
    DestinationError,
    DestinationTrouble,
    FileRejected,
    HotfolderError,
    KeyTaken,
    ObjectRefused,
    VerificationFailed,
)
from hotfolder.core.profile import Profile
from hotfolder.core.records import ObjectInfo, PartReceipt, Receipt

#: To be raised when other questions are asked, or the answers are read otherwise: profiles age by it.
VERSION = 1

#: What is stored, looked at and removed again, and what claims to be it and is not.
PROBE = b"hotfolder check: made to see what this store can do; may be deleted\n"
PROBE_SHA256 = hashlib.sha256(PROBE).digest()
PROBE_MD5 = hashlib.md5(PROBE, usedforsecurity=False).hexdigest()
FORGED = PROBE.replace(b"check", b"wrong")
FORGED_SHA256 = hashlib.sha256(FORGED).digest()
FORGED_MD5 = hashlib.md5(FORGED, usedforsecurity=False).hexdigest()
PROBE_METADATA = {"hotfolder-probe": "1"}

_COMPOSITE = composite_sha256([PROBE_SHA256])
_COMPOSITE_ETAG = composite_etag([bytes.fromhex(PROBE_MD5)])
_REFUSALS = ObjectRefused | FileRejected
_SILENT = {
    DestinationTrouble.UNREACHABLE,
    DestinationTrouble.THROTTLED,
    DestinationTrouble.EXPIRED,
    DestinationTrouble.NO_BUCKET,
}


@dataclass(frozen=True, slots=True)
class Answers:
    """What a store answered to each question; None where it was not asked, as an earlier answer made it
    useless or nothing came back any more (`cut_short`).

    An object of one request: `stored` is the answer to its PUT, `seen` to a HEAD, `read` its bytes,
    `names` those of its metadata as they came. `forged` is the answer to other bytes under its checksum,
    `forged_seen` the HEAD of what was taken; `missigned` that to bytes that are signed as others;
    `repeated` that to a PUT which asks that the key be free.

    A multipart upload: `part` is the answer to its one part, `part_forged` and `part_missigned` are as
    above, `parts` is what is listed; `completed_over` is the answer to a completion which asks that the
    key be free, `completed` to the one that made the object; `assembled` is its HEAD.

    `trailing` is the answer to a PUT whose checksum comes behind the body, `trailing_read` what is kept
    of it. `left` says what could not be removed.
    """

    listed: HotfolderError | None = None
    stored: Receipt | HotfolderError | None = None
    seen: ObjectInfo | HotfolderError | None = None
    read: bytes | HotfolderError | None = None
    names: Collection[str] | HotfolderError | None = None
    forged: Receipt | HotfolderError | None = None
    forged_seen: ObjectInfo | HotfolderError | None = None
    missigned: Receipt | HotfolderError | None = None
    repeated: Receipt | HotfolderError | None = None
    part: PartReceipt | HotfolderError | None = None
    part_forged: PartReceipt | HotfolderError | None = None
    part_missigned: PartReceipt | HotfolderError | None = None
    parts: Sequence[PartReceipt] | HotfolderError | None = None
    completed_over: Receipt | HotfolderError | None = None
    completed: Receipt | HotfolderError | None = None
    assembled: ObjectInfo | HotfolderError | None = None
    assembled_read: bytes | HotfolderError | None = None
    trailing: Receipt | HotfolderError | None = None
    trailing_read: bytes | HotfolderError | None = None
    cut_short: HotfolderError | None = None
    left: Mapping[str, HotfolderError] = field(default_factory=dict)


#: Whatever speaks of bytes.
Said = Receipt | PartReceipt | ObjectInfo


def profile_of(answers: Answers, *, skew: float | None = None) -> Profile:
    """What the answers show; whatever was lost or denied shows nothing."""
    stored, part, completed = answers.stored, answers.part, answers.completed
    seen, assembled = answers.seen, answers.assembled
    puts_work = isinstance(answers.repeated, Receipt | KeyTaken)
    parts_work = isinstance(part, PartReceipt)
    listing = _listing(answers.parts, part)
    etag = part.etag if isinstance(part, PartReceipt) else ""
    return Profile(
        keeps_bytes=_keeps(answers.read, answers.assembled_read),
        put_names=_names(stored, b64(PROBE_SHA256)),
        head_names=_names(seen, b64(PROBE_SHA256)),
        put_refuses_checksum=_refused(answers.forged, others_work=puts_work),
        put_refuses_signature=_refused(answers.missigned, others_work=puts_work),
        put_counts=_counts(answers.forged, answers.forged_seen),
        put_etag_is_md5=_etags_are_md5s(seen, answers.forged, answers.forged_seen),
        part_names=_names(part, b64(PROBE_SHA256)),
        part_refuses_checksum=_refused(answers.part_forged, others_work=parts_work),
        part_refuses_signature=_refused(answers.part_missigned, others_work=parts_work),
        part_counts=_counts(answers.part_forged),
        part_etag_is_md5=_etags_are_md5s(part, answers.part_forged),
        complete_names=_names(completed, _COMPOSITE),
        complete_head_names=_names(assembled, _COMPOSITE),
        complete_etag=bool(completed.etag) if isinstance(completed, Receipt) else None,
        complete_etag_is_md5s=(
            _is_etag(assembled, _COMPOSITE_ETAG) if isinstance(assembled, ObjectInfo) else None
        ),
        lists_parts=None if listing is None else bool(listing),
        lists_checksums=_of_all(listing, [bool(one.checksum_sha256) for one in listing or ()]),
        lists_etags=_of_all(listing, [bool(one.etag) and one.etag == etag for one in listing or ()]),
        condition_on_put=_honoured(answers.repeated),
        condition_on_complete=_honoured(answers.completed_over),
        metadata_as_sent=_as_sent(answers.names),
        trailers=_takes_trailers(answers),
        skew_seconds=None if skew is None else round(skew, 1),
    )


def is_silence(answer: object) -> bool:
    """Whether there was no answer, or none to this question: then nothing was refused either."""
    return isinstance(answer, DestinationError) and answer.trouble in _SILENT


def _keeps(*read: bytes | HotfolderError | None) -> bool | None:
    same = [content == PROBE for content in read if isinstance(content, bytes)]
    return all(same) if same else None


def _names(said: Said | HotfolderError | None, checksum: str) -> bool | None:
    return None if said is None or isinstance(said, HotfolderError) else said.checksum_sha256 == checksum


def _is_etag(said: Said, etag: str) -> bool:
    return said.etag_is_digest and said.etag.lower() == etag


def _refused(answer: Receipt | PartReceipt | HotfolderError | None, *, others_work: bool) -> bool | None:
    """`others_work`: honest ones of the kind got through afterwards, so a refusal was about this one."""
    if isinstance(answer, Receipt | PartReceipt):
        return False
    if isinstance(answer, VerificationFailed):
        return True
    is_denied = isinstance(answer, DestinationError) and answer.trouble is DestinationTrouble.DENIED
    return True if others_work and (is_denied or isinstance(answer, _REFUSALS)) else None


def _counts(*taken: Said | HotfolderError | None) -> bool | None:
    """Whether what was said of forged bytes is about them; None where none were taken, or none said."""
    said = [one for one in taken if isinstance(one, Said)]
    named = [one.checksum_sha256 for one in said if one.checksum_sha256 is not None]
    return all(checksum == b64(FORGED_SHA256) for checksum in named) if named else None


def _etags_are_md5s(
    honest: Said | HotfolderError | None,
    *forged: Said | HotfolderError | None,
) -> bool | None:
    if not isinstance(honest, Said):
        return None
    said = [one for one in forged if isinstance(one, Said)]
    return _is_etag(honest, PROBE_MD5) and all(_is_etag(one, FORGED_MD5) for one in said)


def _listing(
    parts: Sequence[PartReceipt] | HotfolderError | None, sent: PartReceipt | HotfolderError | None
) -> list[PartReceipt] | None:
    """What was listed of the part that was sent; None where either was not answered."""
    if not isinstance(sent, PartReceipt) or parts is None or isinstance(parts, HotfolderError):
        return None
    return [one for one in parts if one.number == sent.number]


def _of_all(listing: Sequence[PartReceipt] | None, has: Sequence[bool]) -> bool | None:
    return None if listing is None else bool(has) and all(has)


def _honoured(answer: Receipt | HotfolderError | None) -> bool | None:
    """The key was taken when it was asked for, so that a refusal can mean only that."""
    if isinstance(answer, Receipt):
        return False
    return True if isinstance(answer, KeyTaken) else None


def _as_sent(names: Collection[str] | HotfolderError | None) -> bool | None:
    if names is None or isinstance(names, HotfolderError):
        return None
    return set(PROBE_METADATA) <= set(names)


def _takes_trailers(answers: Answers) -> bool | None:
    if isinstance(answers.trailing, Receipt):
        kept = answers.trailing_read
        return kept == PROBE if isinstance(kept, bytes) else None
    return False if isinstance(answers.trailing, _REFUSALS | VerificationFailed) else None
