"""On PYTHONPATH: a process whose wall clock is wrong by what the file $SHIFTED_CLOCK says, a double."""

import datetime as dt
import mmap
import os
import struct
import time

with open(os.environ["SHIFTED_CLOCK"], "rb") as file:
    _offset = mmap.mmap(file.fileno(), 8, access=mmap.ACCESS_READ)

_time, _time_ns = time.time, time.time_ns


def _wrong_by() -> float:
    seconds: float = struct.unpack_from("d", _offset)[0]
    return seconds


def _shifted_time() -> float:
    return _time() + _wrong_by()


def _shifted_time_ns() -> int:
    return _time_ns() + int(_wrong_by() * 1e9)


class _ShiftedDatetime(dt.datetime):
    @classmethod
    def now(cls, tz: dt.tzinfo | None = None) -> "_ShiftedDatetime":
        return cls.fromtimestamp(_shifted_time(), tz)

    @classmethod
    def utcnow(cls) -> "_ShiftedDatetime":
        return cls.now(dt.UTC).replace(tzinfo=None)


if os.environ.get("SHIFTED_SIGNATURES"):
    dt.datetime = _ShiftedDatetime  # type: ignore[misc]
time.time, time.time_ns = _shifted_time, _shifted_time_ns
