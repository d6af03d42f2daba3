"""How log events become lines: structlog and the standard library's loggers through one renderer."""

import contextlib
import errno
import json
import logging
import os
import re
import sys
import threading
import time
from collections.abc import Callable
from typing import Any, Literal, TextIO

import structlog
from structlog.typing import EventDict, WrappedLogger

from hotfolder import fastline
from hotfolder.core.entries import timestamp
from hotfolder.core.errors import ConfigError
from hotfolder.core.redaction import escape, looks_secret, masked_field, plain

LogFormat = Literal["auto", "console", "json"]

LEVELS = {
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warning": logging.WARNING,
    "error": logging.ERROR,
}


def configure_logs(
    *,
    level: str,
    format: LogFormat = "auto",  # noqa: A002 - the configuration's word
    stream: TextIO | None = None,
) -> None:
    """Send every log event as one line to `stream`, or to whatever `sys.stderr` is at that moment.

    `level`: debug, info, warning or error (else `ConfigError`). `auto` is console on a terminal, JSON
    elsewhere; console is coloured on a terminal only. Libraries (boto3, watchdog, asyncio, warnings)
    show from WARNING on, from INFO with `level` debug. To be called once, before the first event:
    loggers keep what they first saw.
    """
    if level not in LEVELS:
        raise ConfigError(f"unknown log level {level!r}", hint=f"use one of {', '.join(LEVELS)}")
    target = stream if stream is not None else sys.stderr
    terminal = target is not None and target.isatty()
    console = format == "console" or (format == "auto" and terminal)
    text = _coloured_line if terminal else _plain_line
    render = text if console else _json_line
    line, writer = _Renderer(render), _Writer(stream, render)
    structlog.configure(
        processors=[structlog.processors.format_exc_info, line],
        wrapper_class=structlog.make_filtering_bound_logger(LEVELS[level]),
        logger_factory=lambda *_: writer,  # one writer, so one lock, for all loggers
        cache_logger_on_first_use=True,
    )
    _adopt_libraries(LEVELS[level], line, writer)


class _Renderer:
    """The last processor: adds time and level, renders, and lets no secret and no odd character out."""

    def __init__(self, render: Callable[[EventDict], str]) -> None:
        self._render = render

    def __call__(self, _logger: WrappedLogger, level: str, fields: EventDict) -> str:
        event = {"timestamp": timestamp(time.time()), "level": level, "event": fields.pop("event", "")}
        event.update(fields)
        line = self._render(event)
        # The check of the whole line is cheap; only a line that may hold a secret is looked at in
        # detail and rendered again.
        if looks_secret(line):
            line = self._render({key: masked_field(key, value) for key, value in event.items()})
        return line


class _Writer:
    """structlog's wrapped logger: writes lines. A log that cannot be written never stops a delivery.

    Lines that the stream refused (closed pipe, full disk) are counted, and the count is told as soon
    as the stream takes lines again.
    """

    def __init__(self, stream: TextIO | None, render: Callable[[EventDict], str]) -> None:
        self._stream = stream
        self._render = render
        # Loggers live in every thread, and text streams may mix the lines of two. Reentrant, because
        # the garbage collector may run inside `write` and find something that logs in its `__del__`.
        self._lock = threading.RLock()
        self._lost = 0

    def write(self, line: str) -> None:
        with self._lock:
            # Looked up now: a live display replaces sys.stderr while it runs.
            stream = self._stream if self._stream is not None else sys.stderr
            try:
                if self._lost:
                    _put(stream, self._render(self._loss()))
                    self._lost = 0
                _put(stream, line)
            except (OSError, ValueError, RuntimeError):
                # ValueError: the stream is closed; RuntimeError: it is inside another write of ours.
                self._lost += 1

    debug = info = warning = error = critical = write

    def _loss(self) -> EventDict:
        now = timestamp(time.time())
        return {"timestamp": now, "level": "warning", "event": "log.lines_lost", "lines": self._lost}


class _LibraryHandler(logging.Handler):
    """Brings the records of `logging` into the same form."""

    def __init__(self, line: _Renderer, writer: _Writer) -> None:
        super().__init__()
        self._line = line
        self._writer = writer

    def emit(self, record: logging.LogRecord) -> None:
        try:
            fields: dict[str, Any] = {"event": record.getMessage(), "logger": record.name}
        except (TypeError, ValueError):  # the library's arguments do not fit its own format
            fields = {"event": str(record.msg), "logger": record.name}
        if record.exc_info:
            fields["exc_info"] = record.exc_info
        event = structlog.processors.format_exc_info(None, "", fields)
        self._writer.write(self._line(None, record.levelname.lower(), dict(event)))


def _adopt_libraries(level: int, line: _Renderer, writer: _Writer) -> None:
    root = logging.getLogger()
    for handler in root.handlers[:]:
        if isinstance(handler, _LibraryHandler):
            root.removeHandler(handler)
    root.addHandler(_LibraryHandler(line, writer))
    root.setLevel(logging.INFO if level == logging.DEBUG else max(level, logging.WARNING))
    # What a store or a line does wrong becomes a sentence of ours, once; urllib3 would add a traceback
    # to every answer that is cut short.
    logging.getLogger("urllib3").setLevel(logging.ERROR)
    # A warning printed bare would be a line that is no JSON.
    logging.captureWarnings(capture=True)


def _put(stream: TextIO | None, line: str) -> None:
    if stream is None:  # what sys.stderr is in a process that was started without one
        raise OSError(errno.EBADF, os.strerror(errno.EBADF))
    try:
        stream.write(line + "\n")
    except UnicodeEncodeError:
        # A stream that is not UTF-8. As JSON escapes, so that a JSON line stays JSON.
        stream.write("".join(c if c.isascii() else json.dumps(c)[1:-1] for c in line) + "\n")
    stream.flush()


# Made once: `json.dumps` with options builds an encoder for every call.
_encode = json.JSONEncoder(
    ensure_ascii=False, allow_nan=False, check_circular=True, separators=(",", ":"), default=plain
).encode


def _json_line(event: EventDict) -> str:
    with contextlib.suppress(TypeError):  # surrogates, and all that is told below
        line = fastline.text(event, plain)
        if "null" not in line:  # it may have been NaN
            return escape(line)
    try:
        return escape(_encode(event))
    except (TypeError, ValueError, RecursionError):
        # NaN, infinity, keys that are no text, circles: a log line never raises.
        return escape(_encode({key: _as_text(value) for key, value in event.items()}))


def _as_text(value: object) -> object:
    return value if value is None or isinstance(value, str | bool | int) else repr(value)


_RESET, _BRIGHT, _DIM, _KEY = "\x1b[0m", "\x1b[1m", "\x1b[2m", "\x1b[36m"
_COLOURS = {"debug": "\x1b[34m", "info": "\x1b[32m", "warning": "\x1b[33m"}
_RED = "\x1b[31m"


def _plain_line(event: EventDict) -> str:
    """Time, level, event, then key=value; the lines of a traceback follow, indented."""
    time_, level, name, fields, trace = _columns(event)
    pairs = "".join(f" {key}={value}" for key, value in fields)
    return f"{time_} {level:<8} {name}{pairs}{trace}"


def _coloured_line(event: EventDict) -> str:
    time_, level, name, fields, trace = _columns(event)
    pairs = "".join(f" {_KEY}{key}{_RESET}={value}" for key, value in fields)
    colour = _COLOURS.get(level, _RED)
    return f"{_DIM}{time_}{_RESET} {colour}{level:<8}{_RESET} {_BRIGHT}{name}{_RESET}{pairs}{trace}"


def _columns(event: EventDict) -> tuple[str, str, str, list[tuple[str, str]], str]:
    fields = [
        (escape(str(key)), _shown(value)) for key, value in event.items() if key not in _COLUMN_KEYS
    ]
    # Indented: no message, whatever it quotes, can look like a line of its own.
    trace = "".join("\n    " + escape(line) for line in event.get("exception", "").split("\n") if line)
    return event["timestamp"], event["level"], escape(str(event["event"])), fields, trace


_COLUMN_KEYS = frozenset({"timestamp", "level", "event", "exception"})
_NEEDS_QUOTES = re.compile(r"[\s=\"']|^$")


def _shown(value: object) -> str:
    """A field's value: bare where that is unambiguous, else as JSON or `repr` would quote it."""
    if isinstance(value, os.PathLike | bytes):
        value = plain(value)
    if not isinstance(value, str):
        return escape(repr(value))
    if _NEEDS_QUOTES.search(value):
        value = json.dumps(value, ensure_ascii=False)
    return escape(value)
