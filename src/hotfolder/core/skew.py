"""How far this machine's clock is from a store's, and the words for it. Pure."""

from collections.abc import Mapping
from datetime import UTC, datetime

from hotfolder.core.checkup import as_span

REFUSED_AT = 15 * 60  # seconds of skew at which S3 refuses signed requests
NOTICEABLE = 60


def skew_words(skew: float) -> str:
    """`skew` is ours minus the store's, in seconds.

    To the minute where it is minutes: the store tells whole seconds, and answers take a moment.
    """
    side = "ahead of" if skew > 0 else "behind"
    off = abs(skew) if abs(skew) < 2 * NOTICEABLE else 60 * round(abs(skew) / 60)
    return f"this machine's clock is {as_span(off)} {side} the store's"


def skew_of(document: Mapping[str, str], date: str | None, *, now: float) -> float | None:
    """Our clock minus the store's, in seconds; None where it cannot be told.

    `document` are the fields of an error document, which may repeat both times; `date` is the
    answer's header, compared with `now` (seconds since the epoch).
    """
    ours, theirs = _moment(document.get("RequestTime")), _moment(document.get("ServerTime"))
    if theirs is None:
        theirs = _moment(date)
    if theirs is None:
        return None
    return (now if ours is None else ours) - theirs


def _moment(told: str | None) -> float | None:
    """Seconds since the epoch of a time as S3 writes it: ISO 8601, its basic form, or HTTP's."""
    if not told:
        return None
    from email.utils import (
        parsedate_to_datetime,  # which takes 30 ms, when a process packs or a command runs
    )

    for parse in (datetime.fromisoformat, parsedate_to_datetime):
        try:
            moment = parse(told)
        except ValueError:
            continue  # not in this form
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    return None
