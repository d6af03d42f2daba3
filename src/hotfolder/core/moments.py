"""Moments as people write them on a command line. Pure: now is an argument."""

import re
from datetime import datetime, timedelta

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}
_AGO = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,9})?)\s*([smhdw])(?:\s+ago)?", re.IGNORECASE)
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")


def parse_moment(text: str, now: float, *, end_of_day: bool = False) -> float:
    """Seconds since the epoch of a date, a date and time, RFC 3339, or a time ago ("2h", "3d").

    Without a zone it is local time. A date alone is its begin, or with `end_of_day` the begin of the
    next: `--until 2026-11-01` has that day in it. Raises `ValueError` with a sentence.
    """
    written = text.strip()
    ago = _AGO.fullmatch(written)
    try:
        if ago is not None:
            return now - float(ago[1]) * _UNITS[ago[2].lower()]
        moment = datetime.fromisoformat(written)
        if end_of_day and _DATE.fullmatch(written):
            moment += timedelta(days=1)
        return moment.timestamp()
    except (ValueError, OverflowError, OSError) as error:
        raise ValueError(
            f"{text!r} is no moment; write a date (2026-11-01), a date and time (2026-11-01 14:30), "
            "RFC 3339 (2026-11-01T14:30:00Z), or how long ago (2h, 3d)"
        ) from error
