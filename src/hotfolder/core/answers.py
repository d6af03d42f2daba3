"""What an S3 store's answers mean: whose trouble it is, what to do, and whether asking again helps.

One for every client library: adapters bring the words (a status, an error code, a broken connection),
`s3_codes` knows them, and this module returns the verdict.
"""

from dataclasses import dataclass

from hotfolder.core.errors import DestinationError, DestinationTrouble, HotfolderError, ObjectRefused
from hotfolder.core.permissions import missing_permission
from hotfolder.core.refusals import Fault, Refusal
from hotfolder.core.s3_codes import (
    BROKEN,
    ELSEWHERE,
    FAULT_HINTS,
    FAULT_PATIENCE,
    HINTS,
    NO_POLICY,
    NO_S3,
    OBJECT_ERRORS,
    TROUBLE_HINTS,
    TROUBLES,
    Patience,
)
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


def judge_refusal(subject: Subject, refusal: Refusal) -> Verdict:
    """The verdict on an answer that is not a success."""
    code = refusal.code or str(refusal.status)
    text = f"{subject}: {_sentence(refusal, code)}{_clock(refusal, code)}"
    if refusal.region and code in ELSEWHERE:
        return _elsewhere(refusal, text)
    for name in (code, str(refusal.status)):
        if name in OBJECT_ERRORS and subject.key:
            kind, patience = OBJECT_ERRORS[name]
            return Verdict(kind(text, hint=HINTS.get(code, "")), patience)
        if name in TROUBLES:
            trouble, patience = TROUBLES[name]
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
        broken = DestinationError(trouble, text, hint=BROKEN, may_be_one_keys=True)
        return Verdict(broken, Patience.FULL, ask_bucket=True)
    if not subject.key:  # whatever it is, it is no object's fault
        if refusal.is_bare:
            return Verdict(DestinationError(DestinationTrouble.UNREACHABLE, text, hint=NO_S3))
        trouble = DestinationTrouble.DENIED
        hint = HINTS.get(code) or TROUBLE_HINTS[trouble]
        return Verdict(DestinationError(trouble, text, hint=hint))
    refused = ObjectRefused(text, hint=HINTS.get(code, ""))
    # Without an error document it is not S3 that answers, or a HEAD's answer: the bucket tells.
    return Verdict(refused, ask_bucket=refusal.is_bare)


def judge_fault(subject: Subject, fault: Fault, detail: str = "") -> Verdict:
    """The verdict on a request that got no answer."""
    text = f"{subject}: {fault}" + (f" ({_one_line(detail)})" if detail else "")
    if fault is Fault.NO_CREDENTIALS:
        hint = "give the store's access key and secret key, as `auth` in [destination] says"
        return Verdict(DestinationError(DestinationTrouble.DENIED, text, hint=hint))
    if fault is Fault.EXPIRED_LOGIN:
        hint = TROUBLE_HINTS[DestinationTrouble.EXPIRED]
        return Verdict(DestinationError(DestinationTrouble.EXPIRED, text, hint=hint))
    hint = FAULT_HINTS.get(fault, TROUBLE_HINTS[DestinationTrouble.UNREACHABLE])
    # A cut may hit one large body again and again while the line is fine; the others mean that
    # nothing gets through, and the sooner the destination holds, the fewer requests hang.
    patience = FAULT_PATIENCE.get(fault, Patience.BRIEF)
    trouble, is_cut = DestinationTrouble.UNREACHABLE, fault is Fault.CUT
    error = DestinationError(trouble, text, hint=hint, may_be_one_keys=is_cut)
    return Verdict(error, patience, may_be_this_one=fault in FAULT_PATIENCE)


def judge_foreign(subject: Subject) -> Verdict:
    """The verdict on a success that `foreign.is_foreign`: nothing was asked of the store at all."""
    text = f"{subject}: a success that no S3 store gave, like a page of a proxy or a portal"
    trouble = DestinationTrouble.UNREACHABLE
    return Verdict(DestinationError(trouble, text, hint=NO_S3), Patience.BRIEF)


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
    if code in NO_POLICY:
        return missing_permission(subject.operation, subject.bucket, refusal.message)
    return HINTS.get(code) or TROUBLE_HINTS[trouble]


def _is_bare(subject: Subject, code: str) -> bool:
    """Whether this is a HEAD's answer: it has no body, so its code is only the status again."""
    return subject.operation.startswith("Head") and code.isdigit()
