"""One inotify instance, through watchdog's bindings of it.

watchdog's own observer is not used: it hides which directories it failed to watch, says nothing of a
lost queue or a dead watch, ends with a handler's exception, and holds every event back for half a
second behind a file that is moved out.
"""

import ctypes
import errno
import os
import select
import struct
from collections.abc import Mapping
from typing import NamedTuple

from watchdog.observers import inotify_c
from watchdog.observers.inotify_c import InotifyConstants as In

_HEAD = struct.Struct("iIII")  # wd, mask, cookie, length of the name: inotify(7)
_BUFFER = 256 * 1024  # bytes read at a time, some thousands of events

#: What is asked of every directory. Not IN_MOVED_FROM, of which each delivered file would make one:
#: a directory that leaves says so itself (IN_MOVE_SELF).
DIRECTORY = int(
    In.IN_CREATE
    | In.IN_CLOSE_WRITE
    | In.IN_MOVED_TO
    | In.IN_MOVE_SELF
    | In.IN_ONLYDIR
    | In.IN_EXCL_UNLINK
)
ROOT = DIRECTORY | int(In.IN_DELETE_SELF)
OPENED = int(In.IN_OPEN)


class Event(NamedTuple):
    """One event: the number of the watch, what happened, and to which name in the directory."""

    number: int
    mask: int
    name: bytes

    def has(self, flags: int) -> bool:
        """Whether it is one of these."""
        return self.mask & flags != 0


class Inotify:
    """Not for two threads at once, but for `wake`."""

    def __init__(self) -> None:
        """Raises OSError: EMFILE where this user has no instance left."""
        self._descriptor = inotify_c.inotify_init()
        if self._descriptor == -1:
            raise _error({errno.EMFILE: "this user has no inotify instance left"})
        os.set_inheritable(self._descriptor, False)
        os.set_blocking(self._descriptor, False)
        self._waker = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._poll = select.poll()
        self._poll.register(self._descriptor, select.POLLIN)
        self._poll.register(self._waker, select.POLLIN)

    def watch(self, directory: int, mask: int) -> int:
        """Watch the directory that is open as `directory`; returns the number of the watch.

        The same number for the same directory, wherever it is by now. Raises OSError: ENOSPC where
        this user has no watch left.
        """
        # By descriptor: no race leads elsewhere, and no path is too long.
        number = inotify_c.inotify_add_watch(self._descriptor, b"/proc/self/fd/%d" % directory, mask)
        if number == -1:
            raise _error({errno.ENOSPC: "this user has no inotify watch left"})
        return int(number)

    def unwatch(self, number: int) -> None:
        """End a watch; one that is gone is no error."""
        inotify_c.inotify_rm_watch(self._descriptor, number)  # type: ignore[arg-type]  # a NewType

    def wait(self, seconds: float | None) -> None:
        """Until there are events, or `wake` is called."""
        for descriptor, _ in self._poll.poll(None if seconds is None else seconds * 1000):
            if descriptor == self._waker:
                os.eventfd_read(self._waker)

    def wake(self) -> None:
        """End a `wait`; from any thread, but not after `close`."""
        os.eventfd_write(self._waker, 1)

    def read(self) -> list[Event]:
        """The events that are there, up to some thousands."""
        try:
            data = os.read(self._descriptor, _BUFFER)
        except BlockingIOError:
            return []
        events, at = [], 0
        while at < len(data):
            number, mask, _, length = _HEAD.unpack_from(data, at)
            at += _HEAD.size
            events.append(Event(number, mask, data[at : at + length].rstrip(b"\0")))
            at += length
        return events

    def close(self) -> None:
        os.close(self._descriptor)
        os.close(self._waker)


def _error(words: Mapping[int, str]) -> OSError:
    """What errno says; `words` for those that it tells in words for something else."""
    code = ctypes.get_errno()
    return OSError(code, words.get(code) or os.strerror(code))
