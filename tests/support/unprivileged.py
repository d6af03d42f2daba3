"""Permissions that hold even where the tests run as root."""

import ctypes
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import ParamSpec, TypeVar

from hotfolder.threads import Threads

P = ParamSpec("P")
T = TypeVar("T")

_VERSION_3 = 0x20080522  # linux/capability.h
_OVERRIDES = 1 << 1 | 1 << 2  # CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH
_libc = ctypes.CDLL(None, use_errno=True)


class _Header(ctypes.Structure):
    _fields_ = (("version", ctypes.c_uint32), ("pid", ctypes.c_int))


class _Data(ctypes.Structure):
    _fields_ = (
        ("effective", ctypes.c_uint32),
        ("permitted", ctypes.c_uint32),
        ("inheritable", ctypes.c_uint32),
    )


@contextmanager
def permissions_hold() -> Iterator[None]:
    """In this thread the mode of files and folders binds root as it binds any other user."""
    header, data = _Header(_VERSION_3, 0), (_Data * 2)()
    _call(_libc.capget, header, data)
    effective = data[0].effective
    data[0].effective = effective & ~_OVERRIDES
    _call(_libc.capset, header, data)
    try:
        yield
    finally:
        data[0].effective = effective
        _call(_libc.capset, header, data)


def _call(function: "ctypes._NamedFuncPointer", header: _Header, data: "ctypes.Array[_Data]") -> None:
    if function(ctypes.byref(header), data) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


class Bound(Threads):
    """Runs work right here, where the modes of files bind root as well."""

    def __init__(self) -> None:
        super().__init__("test-bound", 1)

    async def run(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        with permissions_hold():
            return work(*args, **kwargs)
