"""`transfer.bandwidth`: one limit, or a timetable of limits, as people write it."""

import json
import re
from collections.abc import Iterator
from typing import Annotated, Any

from pydantic import (
    BeforeValidator,
    ByteSize,
    ConfigDict,
    Field,
    PlainSerializer,
    TypeAdapter,
    ValidationError,
    model_validator,
)
from pydantic_settings import NoDecode

from hotfolder.config import values
from hotfolder.config.types import Table
from hotfolder.core.bandwidth import DAY, DAYS, Window

_LEAST = 8 * 1000  # bytes a second: with less, a store gives up a request before it has come
_MOMENT = re.compile(r"(\d{1,2}):(\d{2})")
_DAILY = "daily"
_SIZE: TypeAdapter[ByteSize] = TypeAdapter(ByteSize)


def limit(value: object) -> object:
    """Bytes a second; None for no limit, 0 for nothing at all."""
    if value is None or value == "":
        return None
    try:
        size = _SIZE.validate_python(values.speed(str(value) if isinstance(value, bool) else value))
    except ValidationError as error:
        raise ValueError(
            f'{value!r} is no limit; write "5MB/s", "0" for nothing at all, or "" for no limit'
        ) from error
    if 0 < size < _LEAST:
        raise ValueError(f'{value!r} is too little for any upload; write "8KB/s" or more, or "0"')
    return int(size)


def limit_text(rate: int | None) -> str:
    """As people write it, exactly."""
    if not rate:
        return "" if rate is None else "0"
    for unit, factor in (("GB", 10**9), ("MB", 10**6), ("KB", 10**3)):
        if rate % factor == 0:
            return f"{rate // factor}{unit}/s"
    return f"{rate}B/s"


def weekdays(value: object) -> object:
    """The numbers of days, Monday is 0; of "mon-fri", "sat,sun", "fri-mon" or "daily"."""
    if isinstance(value, frozenset):
        return value
    words = value if isinstance(value, list | tuple) else str(value).split(",")
    return frozenset(day for word in words for day in _days_of(str(word).strip().lower()))


def _days_of(word: str) -> Iterator[int]:
    if word == _DAILY:
        yield from range(7)
        return
    first, dash, last = (part.strip() for part in word.partition("-"))
    for name in (first, last) if dash else (first,):
        if name not in DAYS:
            raise ValueError(
                f'{name!r} is no day; write days as "mon-fri", "sat,sun" or "daily", '
                f"of {', '.join(DAYS)}"
            )
    begin = DAYS.index(first)
    yield from ((begin + n) % 7 for n in range((DAYS.index(last) - begin) % 7 + 1 if dash else 1))


def weekdays_text(numbers: frozenset[int]) -> str:
    return _DAILY if len(numbers) == 7 else ",".join(DAYS[day] for day in sorted(numbers))


def minute(value: object) -> object:
    """The minute of the day of "08:00"; the day's end is "24:00"."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    found = _MOMENT.fullmatch(str(value).strip())
    if found is None or int(found[2]) >= 60 or int(found[1]) * 60 + int(found[2]) > DAY:
        raise ValueError(f'{value!r} is no time of day; write "08:00", from "00:00" to "24:00"')
    return int(found[1]) * 60 + int(found[2])


def minute_text(minutes: int) -> str:
    return f"{minutes // 60:02}:{minutes % 60:02}"


_Minute = Annotated[int, BeforeValidator(minute), PlainSerializer(minute_text)]


class BandwidthWindow(Table):
    """One window of the timetable."""

    model_config = ConfigDict(extra="forbid", frozen=True, serialize_by_alias=True)

    days: Annotated[frozenset[int], BeforeValidator(weekdays), PlainSerializer(weekdays_text)] = (
        frozenset(range(7))
    )
    """The days on which it begins."""

    begin: Annotated[_Minute, Field(alias="from")] = 0
    """Its begin, in this machine's local time."""

    end: Annotated[_Minute, Field(alias="to")] = DAY
    """Its end; at or before its begin: on the next day."""

    limit: Annotated[int | None, BeforeValidator(limit), PlainSerializer(limit_text)]
    """Bytes a second."""

    @model_validator(mode="after")
    def _lasts(self) -> "BandwidthWindow":
        if self.begin == self.end or self.begin == DAY:
            raise ValueError(
                f"a window from {minute_text(self.begin)} to {minute_text(self.end)} has no length; "
                "for a whole day leave out both"
            )
        return self

    def window(self) -> Window:
        return Window(self.days, self.begin, self.end, self.limit)


def _windows(value: Any) -> Any:
    """A text is one limit for all the time, or (in the environment) the JSON of a timetable."""
    if isinstance(value, str) and value.lstrip().startswith("["):
        try:
            return json.loads(value)
        except json.JSONDecodeError as error:
            raise ValueError(f"{value!r} is no timetable: {error}") from error
    if isinstance(value, list | tuple):
        return value
    if isinstance(value, dict):
        # A TypeError would be pydantic's to explain.
        raise ValueError('a timetable is a list of windows: write [{ from = "08:00", … }]')  # noqa: TRY004
    rate = limit(value)
    return [] if rate is None else [{"limit": rate}]


def _as_written(windows: tuple[BandwidthWindow, ...]) -> Any:
    if not windows:
        return ""
    if len(windows) == 1 and windows[0] == BandwidthWindow(limit=windows[0].limit):
        return limit_text(windows[0].limit)
    return [window.model_dump(mode="json") for window in windows]


#: One limit is one window that is always open. NoDecode: in the environment it need not be JSON.
Bandwidth = Annotated[
    tuple[BandwidthWindow, ...],
    NoDecode,
    BeforeValidator(_windows, json_schema_input_type=str | list[BandwidthWindow]),
    PlainSerializer(_as_written),
]
