"""What the doctor finds about a store: what was asked, what it answered, and what that means. Pure."""

import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from hotfolder.core.checkup import Finding, State, as_span
from hotfolder.core.digest import b64
from hotfolder.core.errors import HotfolderError
from hotfolder.core.profile import Profile
from hotfolder.core.records import ObjectInfo, Receipt, Verification
from hotfolder.core.skew import NOTICEABLE, REFUSED_AT, skew_words
from hotfolder.core.store_survey import PROBE, PROBE_SHA256, Answers, profile_of


@dataclass(frozen=True, slots=True)
class CredentialOrigin:
    """Whose keys sign the requests. `place` is the file they stand in, if any; `ending` is the access
    key's last four characters; `expires_at` in seconds since the epoch, None for keys that stay.
    """

    method: str
    place: str
    ending: str
    expires_at: float | None = None


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
    if abs(skew) <= NOTICEABLE:
        return Finding(
            name, State.OK, "this machine's clock agrees with the store's to the minute", numbers=numbers
        )
    refused = abs(skew) >= REFUSED_AT
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


def error_finding(name: str, error: HotfolderError, *, skew: float | None = None) -> Finding:
    """The adapter's own sentence, with the clock's error where that may be the reason."""
    said = str(error)
    if skew is not None and abs(skew) > NOTICEABLE and skew_words(skew) not in said:
        said += f" ({skew_words(skew)})"
    return Finding(name, State.ERROR, said, error.hint)


def store_findings(
    name: str, bucket: str, answers: Answers, *, skew: float | None = None
) -> Iterator[Finding]:
    """A line for every question that was asked; `name` is the destination's."""
    if answers.listed is not None:
        yield error_finding(f"{name}.bucket", answers.listed, skew=skew)
        return
    yield Finding(f"{name}.bucket", State.OK, f"the bucket {bucket!r} answers and can be listed")
    profile = profile_of(answers, skew=skew)
    if isinstance(answers.stored, HotfolderError):
        yield error_finding(f"{name}.write", answers.stored, skew=skew)
    elif answers.stored is not None:
        yield _write_finding(f"{name}.write", answers, profile)
        yield _checksum_finding(f"{name}.checksum", answers.stored, answers, profile)
        yield _condition_finding(f"{name}.overwrite", answers, profile)
        yield _parts_finding(f"{name}.parts", answers, profile)
        yield _metadata_finding(f"{name}.metadata", answers, profile)
        yield _proof_finding(f"{name}.proof", answers, profile)
    yield from _left_findings(f"{name}.delete", answers.left)


def _write_finding(name: str, answers: Answers, profile: Profile) -> Finding:
    seen = answers.seen
    if isinstance(seen, HotfolderError):
        return error_finding(name, seen)
    if seen is None:
        return Finding(
            name,
            State.ERROR,
            "an object was stored, and a moment later the store did not find it",
            "this store lags behind its own answers: ask its operator for read-after-write consistency",
        )
    fix = "something between changes the requests; look for a proxy, or use another store"
    if seen.size != len(PROBE):
        what = f"an object of {len(PROBE)} bytes was stored, and the store holds {seen.size}"
        return Finding(name, State.ERROR, what, fix)
    if profile.keeps_bytes is False:
        what = "an object was stored, and what was read back is something else"
        return Finding(name, State.ERROR, what, fix)
    if profile.keeps_bytes is None:
        what = "objects can be stored and looked up; whether they can be read back is not known"
        fix = "allow s3:GetObject: `download` needs it, and so does a proof by reading back"
        return Finding(name, State.WARNING, what, fix)
    return Finding(name, State.OK, "objects can be stored, looked up and read back")


def _checksum_finding(name: str, stored: Receipt, answers: Answers, profile: Profile) -> Finding:
    """What this store says of its bytes, and whether it compares them with what was announced."""
    named = stored.checksum_sha256
    if named is None and isinstance(answers.seen, ObjectInfo):
        named = answers.seen.checksum_sha256
    if named is not None and named != b64(PROBE_SHA256):
        return Finding(
            name,
            State.ERROR,
            f"the store names SHA-256 {named} for bytes that have {b64(PROBE_SHA256)}",
            "it changes or miscounts what is stored: no file will be proven there",
        )
    says = "it returns SHA-256 checksums"
    if named is None:
        says = f"it returns no SHA-256, and its ETags are {_MD5S[profile.put_etag_is_md5]}"
    refuses = refuses_wrong_bytes(profile)
    if refuses is None:
        silent = answers.forged if isinstance(answers.forged, HotfolderError) else answers.cut_short
        if silent is not None:
            return error_finding(name, silent)
        what = f"whether the store refuses bytes that do not fit is not known; {says}"
        return Finding(name, State.WARNING, what, "look at the lines below, and check again")
    if refuses and named is not None:
        return Finding(name, State.OK, f"the store refuses bytes that do not fit; {says}")
    if refuses:
        fix = "a newer version of the store, or another one, would prove more"
        return Finding(
            name,
            State.WARNING,
            f"the store refuses bytes that do not fit, but {says}",
            fix,
        )
    repeats = named is not None and not profile.put_counts
    doubt = ", and repeats whatever was announced" if repeats else ""
    what = f"the store took bytes that did not fit their checksum{doubt}; {says}"
    fix = "a newer version of the store, or another one, would refuse them at once"
    return Finding(name, State.WARNING, what, fix)


def refuses_wrong_bytes(profile: Profile) -> bool | None:
    """Whether a PUT that was altered on its way is refused, on whatever ground."""
    return _any_ground(profile.put_refuses_checksum, profile.put_refuses_signature)


def _condition_finding(name: str, answers: Answers, profile: Profile) -> Finding:
    on_put, on_complete = profile.condition_on_put, profile.condition_on_complete
    if False in {on_put, on_complete}:
        silently = "silently" if on_put is False else "silently with multipart uploads"
        return Finding(
            name,
            State.WARNING,
            f"this store overwrites {silently} (it ignores If-None-Match): hotfolder's keep-both "
            "cannot protect keys that others write at the same time",
            "turn on versioning in the bucket, or let nobody else write below the prefix",
        )
    refusal = answers.repeated if on_put is None else answers.completed_over
    if on_put is None and isinstance(refusal, HotfolderError):
        return error_finding(name, refusal)
    if None in {on_put, on_complete}:
        what = "whether the store refuses to overwrite (If-None-Match) could not be seen"
        return Finding(name, State.WARNING, what, "look at the other lines, and check again")
    return Finding(name, State.OK, "the store refuses to overwrite when it is asked to (If-None-Match)")


def _parts_finding(name: str, answers: Answers, profile: Profile) -> Finding:
    """What large files meet: they are sent in parts."""
    for answer in (answers.part, answers.completed):
        if isinstance(answer, HotfolderError):
            return error_finding(name, answer)
    if answers.completed is None:
        what = "multipart uploads were not tried, as the store stopped answering"
        return Finding(name, State.WARNING, what, "check again")
    refused = _any_ground(profile.part_refuses_checksum, profile.part_refuses_signature)
    whole = "the whole" if profile.complete_names or profile.complete_head_names else ""
    named = " and ".join(filter(None, ("parts" if profile.part_names else "", whole)))
    words = [
        f"wrong bytes are {_REFUSED[refused]}",
        f"SHA-256 returned for {named}" if named else "no SHA-256 returned",
        f"ETags of parts are {_MD5S[profile.part_etag_is_md5]}",
        f"that of the whole {_MADE_OF[profile.complete_etag_is_md5s]}",
        _LISTS[profile.lists_parts] + (" with checksums" if profile.lists_checksums else ""),
    ]
    if profile.complete_etag is False:
        words.append("the completion answers without an ETag (HEAD has it)")
    return Finding(name, State.OK, f"multipart uploads: {'; '.join(words)}")


def _metadata_finding(name: str, answers: Answers, profile: Profile) -> Finding:
    case = {
        True: "names of metadata stay as they are sent",
        False: "names of metadata come back in other letters (nothing depends on it)",
        None: "names of metadata could not be seen",
    }[profile.metadata_as_sent]
    framed = profile.trailers is False and isinstance(answers.trailing, Receipt)
    trailers = {
        True: "checksums behind the body are understood",
        False: "checksums behind the body are refused",
        None: "checksums behind the body could not be tried",
    }[profile.trailers]
    if framed:
        trailers = "a checksum behind the body is stored as if it were content: keep clients away that "
        trailers += "send one (newer AWS SDKs do, unless told when_required)"
    return Finding(name, State.OK, f"{case}; {trailers} (hotfolder sends none)")


def _proof_finding(name: str, answers: Answers, profile: Profile) -> Finding:
    """What all of this comes to: how `verify = "auto"` will prove files there."""
    small, large = profile.put_proof, profile.upload_proof
    what = f'verify = "auto" proves files {_PROOFS[small]}'
    if large is not small:
        what += f", and large ones {_PROOFS[large]}"
    if Verification.READBACK in {small, large}:
        fix = "another store, or a newer version, would spare the traffic of reading everything back"
        return Finding(name, State.WARNING, what, fix)
    if None in {small, large}:
        reason = answers.cut_short.sentence if answers.cut_short else "see the lines above"
        return Finding(name, State.WARNING, what, f"check again; {reason}")
    return Finding(name, State.OK, what)


def _left_findings(name: str, left: Mapping[str, HotfolderError]) -> Iterator[Finding]:
    if left:
        key, error = next(iter(left.items()))
        yield Finding(
            name,
            State.WARNING,
            f"the probe object {key} could not be removed: {error}",
            "hotfolder never deletes while it delivers; remove it by hand, or allow s3:DeleteObject",
        )


def _any_ground(*grounds: bool | None) -> bool | None:
    return True if True in grounds else None if None in grounds else False


_MD5S = {True: "MD5s", False: "no MD5s", None: "not known"}
_MADE_OF = {True: "is made of them", False: "is something else", None: "is not known"}
_REFUSED = {True: "refused", False: "taken", None: "perhaps refused"}
_LISTS = {True: "ListParts lists them", False: "ListParts does not list them", None: "no ListParts"}
_PROOFS = {
    Verification.CHECKSUM: "by the store's SHA-256",
    Verification.ETAG: "by the ETag",
    Verification.READBACK: "by reading them back",
    None: "by the ETag, else by reading them back, as not all could be seen",
}
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
