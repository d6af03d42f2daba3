"""What the doctor finds about a store: what was asked, what it answered, and what that means. Pure."""

import hashlib
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from hotfolder.core.checkup import Finding, State, as_span
from hotfolder.core.digest import b64
from hotfolder.core.errors import DestinationError, DestinationTrouble, HotfolderError, KeyTaken
from hotfolder.core.records import ObjectInfo, Receipt

#: The object that is stored, looked at and removed again, and what claims to be it and is not.
PROBE = b"hotfolder check: made to see what this store can do; may be deleted\n"
PROBE_SHA256 = hashlib.sha256(PROBE).digest()
PROBE_MD5 = hashlib.md5(PROBE, usedforsecurity=False).hexdigest()
FORGED = PROBE.replace(b"check", b"wrong")

_REFUSED_AT = 15 * 60  # seconds of skew at which S3 refuses signed requests
_NOTICEABLE = 60
_NO_ANSWER = {DestinationTrouble.UNREACHABLE, DestinationTrouble.THROTTLED}


@dataclass(frozen=True, slots=True)
class CredentialOrigin:
    """Whose keys sign the requests. `place` is the file they stand in, if any; `ending` is the access
    key's last four characters; `expires_at` in seconds since the epoch, None for keys that stay.
    """

    method: str
    place: str
    ending: str
    expires_at: float | None = None


@dataclass(frozen=True, slots=True)
class Answers:
    """What a store answered to each question; None where an earlier answer made asking useless.

    `stored`, `repeated` and `forged` are the answers to a PUT, to the same once more under the
    condition that the key is free, and to one whose checksum does not fit its bytes. `left` are probe
    objects that could not be removed.
    """

    listed: HotfolderError | None = None
    stored: Receipt | HotfolderError | None = None
    seen: ObjectInfo | HotfolderError | None = None
    repeated: Receipt | HotfolderError | None = None
    forged: Receipt | HotfolderError | None = None
    left: Mapping[str, HotfolderError] = field(default_factory=dict)


def credentials_finding(
    name: str, origin: CredentialOrigin, *, now: float, exposed: bool = False
) -> Finding:
    """Where the keys come from. `exposed`: every user of the machine may read their file."""
    from_where = origin.place or _METHODS.get(origin.method, origin.method)
    ending = f" (access key ending in {origin.ending})" if origin.ending else ""
    what = f"credentials from {from_where}{ending}"
    if origin.expires_at is not None and origin.expires_at <= now:
        ago = as_span(now - origin.expires_at)
        fix = "renew them (SSO: log in again)"
        return Finding(name, State.ERROR, f"{what} expired {ago} ago", fix)
    if exposed:
        return Finding(
            name,
            State.WARNING,
            f"{what}: every user of this machine may read the file",
            "keep it to the user that runs hotfolder",
            (f"chmod 600 {shlex.quote(origin.place)}",),
        )
    if origin.expires_at is None:
        return Finding(name, State.OK, what)
    left = origin.expires_at - now
    return Finding(
        name, State.OK, f"{what}, valid for {as_span(left)}", numbers={"expires_in_seconds": left}
    )


def clock_finding(name: str, skew: float) -> Finding:
    """`skew` is our clock minus the store's, which tells whole seconds."""
    numbers = {"skew_seconds": round(skew)}
    if abs(skew) <= _NOTICEABLE:
        return Finding(
            name, State.OK, "this machine's clock agrees with the store's to the minute", numbers=numbers
        )
    refused = abs(skew) >= _REFUSED_AT
    consequence = "refuse" if refused else "refuse requests from 15 minutes on"
    what = f"{skew_words(skew)}: stores {consequence}{' such requests' if refused else ''}"
    return Finding(
        name,
        State.ERROR if refused else State.WARNING,
        what,
        "set this machine's clock, and keep it right with NTP",
        ("sudo timedatectl set-ntp true",),
        numbers,
    )


def skew_words(skew: float) -> str:
    """To the minute where it is minutes: the store tells whole seconds, and answers take a moment."""
    side = "ahead of" if skew > 0 else "behind"
    off = abs(skew) if abs(skew) < 2 * _NOTICEABLE else 60 * round(abs(skew) / 60)
    return f"this machine's clock is {as_span(off)} {side} the store's"


def error_finding(name: str, error: HotfolderError, *, skew: float | None = None) -> Finding:
    """The adapter's own sentence, with the clock's error where that may be the reason."""
    also = f" ({skew_words(skew)})" if skew is not None and abs(skew) > _NOTICEABLE else ""
    return Finding(name, State.ERROR, f"{error}{also}", error.hint)


def store_findings(
    name: str, bucket: str, answers: Answers, *, skew: float | None = None
) -> Iterator[Finding]:
    """A line for every question that was asked; `name` is the destination's."""
    if answers.listed is not None:
        yield error_finding(f"{name}.bucket", answers.listed, skew=skew)
        return
    yield Finding(f"{name}.bucket", State.OK, f"the bucket {bucket!r} answers and can be listed")
    if isinstance(answers.stored, HotfolderError):
        yield error_finding(f"{name}.write", answers.stored, skew=skew)
    elif answers.stored is not None:
        yield _write_finding(f"{name}.write", answers.seen)
        yield _checksum_finding(f"{name}.checksum", answers.stored, answers.seen, answers.forged)
        yield _condition_finding(f"{name}.overwrite", answers.repeated)
    yield from _left_findings(f"{name}.delete", answers.left)


def _write_finding(name: str, seen: ObjectInfo | HotfolderError | None) -> Finding:
    if isinstance(seen, HotfolderError):
        return error_finding(name, seen)
    if seen is None:
        return Finding(
            name,
            State.ERROR,
            "an object was stored, and a moment later the store did not find it",
            "this store lags behind its own answers: ask its operator for read-after-write consistency",
        )
    if seen.size != len(PROBE):
        what = f"an object of {len(PROBE)} bytes was stored, and the store holds {seen.size}"
        fix = "something between changes the requests; look for a proxy, or use another store"
        return Finding(name, State.ERROR, what, fix)
    return Finding(name, State.OK, "objects can be stored and looked up")


def _checksum_finding(
    name: str,
    stored: Receipt,
    seen: ObjectInfo | HotfolderError | None,
    forged: Receipt | HotfolderError | None,
) -> Finding:
    """Which proof this store can give, and whether it compares what arrives with what was announced."""
    named = stored.checksum_sha256
    if named is None and isinstance(seen, ObjectInfo):
        named = seen.checksum_sha256
    if named is not None and named != b64(PROBE_SHA256):
        return Finding(
            name,
            State.ERROR,
            f"the store names SHA-256 {named} for bytes that have {b64(PROBE_SHA256)}",
            "it changes or miscounts what is stored: no file will be proven there",
        )
    proof = "it returns SHA-256 checksums"
    if named is None:
        is_md5 = stored.etag.lower() == PROBE_MD5
        proof = f"it returns no SHA-256, and its ETags are {'MD5s' if is_md5 else 'no MD5s'}"
    if isinstance(forged, Receipt | KeyTaken):  # taken: by its own first try, whose answer was lost
        fall_back = "the proof is what it returns" if named else "the proof falls back to the ETag"
        what = f"the store took bytes that did not fit their checksum; {proof}, so {fall_back}"
        fix = "a newer version of the store, or another one, would refuse them at once"
        return Finding(name, State.WARNING, what, fix)
    if forged is not None and _says_nothing(forged):
        return error_finding(name, forged)
    if named is not None:
        return Finding(name, State.OK, f"the store refuses bytes that do not fit; {proof}")
    fix = "a newer version of the store, or another one, would prove more"
    weak = stored.etag.lower() != PROBE_MD5
    tail = "only the size can be compared afterwards" if weak else "the proof falls back to the ETag"
    return Finding(
        name, State.WARNING, f"the store refuses bytes that do not fit, but {proof}: {tail}", fix
    )


def _condition_finding(name: str, repeated: Receipt | HotfolderError | None) -> Finding:
    if isinstance(repeated, KeyTaken):
        return Finding(
            name, State.OK, "the store refuses to overwrite when it is asked to (If-None-Match)"
        )
    if isinstance(repeated, HotfolderError):
        return error_finding(name, repeated)
    return Finding(
        name,
        State.WARNING,
        "this store overwrites silently (it ignores If-None-Match): hotfolder's keep-both cannot "
        "protect keys that others write at the same time",
        "turn on versioning in the bucket, or let nobody else write below the prefix",
    )


def _left_findings(name: str, left: Mapping[str, HotfolderError]) -> Iterator[Finding]:
    if left:
        key, error = next(iter(left.items()))
        yield Finding(
            name,
            State.WARNING,
            f"the probe object {key} could not be removed: {error}",
            "hotfolder never deletes while it delivers; remove it by hand, or allow s3:DeleteObject",
        )


def _says_nothing(error: HotfolderError) -> bool:
    """Whether the question got no answer at all: then nothing was refused either."""
    return isinstance(error, DestinationError) and error.trouble in _NO_ANSWER


_METHODS = {
    "env": "the environment (AWS_ACCESS_KEY_ID)",
    "explicit": "the configuration",
    "iam-role": "the role of this machine (instance metadata)",
    "container-role": "the role of this container",
    "sso": "the SSO login",
    "login": "the AWS login",
    "assume-role": "an assumed role",
    "assume-role-with-web-identity": "an assumed role (web identity)",
    "custom-process": "a credential process",
}
