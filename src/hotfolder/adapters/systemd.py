"""What systemd is told: ready, alive, stopping, and a line for `systemctl status`."""

import errno
import re
import time
import warnings

import sdnotify
import structlog

_LATER = frozenset({errno.EAGAIN, errno.ENOBUFS})
_STATUS_LENGTH = 500
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]+")

log = structlog.get_logger()


class Notifier:
    """Speaks to systemd's NOTIFY_SOCKET (the sdnotify package reads it); outside systemd does nothing.

    No method blocks or raises. A full or vanished socket costs a status or a watchdog beat, which come
    again; READY, RELOADING and STOPPING come only once, so they are kept and go along with the next.
    """

    def __init__(self) -> None:
        self._notifier = _connect()
        self._inside = self._notifier.socket is not None
        self._owed: list[str] = []
        self._complained = False

    def ready(self) -> None:
        """The daemon serves: units that wait for it may start."""
        self._owed.append("READY=1")
        self._send()

    def reloading(self) -> None:
        """The daemon takes over a new configuration; `ready` follows, whatever comes of it."""
        self._owed += ["RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}"]
        self._send()

    def status(self, text: str) -> None:
        """One line for people. Control characters become blanks: a newline would begin a new command."""
        plain = _CONTROL.sub(" ", text)[:_STATUS_LENGTH]
        self._send(f"STATUS={plain}")

    def watchdog(self) -> None:
        """The daemon is alive; to be sent more often than WatchdogSec, by the pipeline itself."""
        self._send("WATCHDOG=1")

    def stopping(self) -> None:
        """The daemon drains and will end by itself."""
        self._owed.append("STOPPING=1")
        self._send()

    def close(self) -> None:
        """Close the socket; every later call does nothing."""
        self._inside = False
        self._disconnect()

    def _send(self, *assignments: str) -> None:
        if not self._inside:
            return
        if self._notifier.socket is None:
            self._notifier = _connect()
        if self._notifier.socket is None:
            self._complain("NOTIFY_SOCKET does not answer")
            return
        message = "\n".join([*self._owed, *assignments]).encode(errors="backslashreplace")
        try:
            # sdnotify encodes as Latin-1, systemd reads UTF-8: this way its encoding gives our bytes.
            self._notifier.notify(message.decode("latin-1"))
        except OSError as error:
            if error.errno not in _LATER:
                self._disconnect()  # the next message connects anew
                self._complain(str(error))
            # Else systemd is behind: the socket is good, and waiting here would stop the pipeline.
            return
        self._owed.clear()
        self._complained = False

    def _complain(self, error: str) -> None:
        if not self._complained:
            self._complained = True
            log.warning("systemd.notify_failed", error=error)

    def _disconnect(self) -> None:
        if self._notifier.socket is not None:
            self._notifier.socket.close()
            self._notifier.socket = None


def _connect() -> sdnotify.SystemdNotifier:
    """A notifier whose `socket` is None outside systemd, and whose `notify` raises and never blocks."""
    with warnings.catch_warnings():
        # Where it cannot connect, sdnotify drops its new socket unclosed.
        warnings.simplefilter("ignore", ResourceWarning)
        notifier = sdnotify.SystemdNotifier()
    notifier.debug = True  # from here on errors come to us, not to a bare `except`
    if notifier.socket is not None:
        notifier.socket.setblocking(False)
    return notifier
