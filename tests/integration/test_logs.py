"""Log lines as a person, a terminal and a log collector meet them."""

import asyncio
import io
import json
import logging
import os
import pty
import re
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TextIO

import pytest
import structlog

from hotfolder.adapters.logs import LogFormat, configure_logs
from hotfolder.core.errors import ConfigError

ODD = "/srv/inbox/\x1b[31m\nforged \udcff\u202e\x7f\x85é\u202f🎬.mp4"


@pytest.fixture(autouse=True)
def own_configuration() -> Iterator[None]:
    """What logs look like belongs to the process: put it back as it was."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    logging.captureWarnings(capture=False)
    structlog.reset_defaults()


@pytest.fixture
def stream() -> io.StringIO:
    return io.StringIO()


def fail(error: Exception) -> None:
    raise error


def lines(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_json_begins_with_time_level_and_event(stream: io.StringIO) -> None:
    configure_logs(level="info", format="json", stream=stream)
    structlog.get_logger().bind(folder="media").info("delivery.completed", bytes=5, path=Path("/srv/é"))
    line = stream.getvalue()
    assert re.fullmatch(
        r'\{"timestamp":"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z","level":"info",'
        r'"event":"delivery.completed","folder":"media","bytes":5,"path":"/srv/é"\}\n',
        line,
    )


def test_console_without_a_terminal_has_no_colours(stream: io.StringIO) -> None:
    configure_logs(level="info", format="console", stream=stream)
    structlog.get_logger().warning("store.held", reason="no bucket", tries=3, key="a", empty="")
    assert re.fullmatch(
        r'\S+Z warning  store\.held reason="no bucket" tries=3 key=a empty=""\n', stream.getvalue()
    )


def on_terminal(write: Callable[[TextIO], None]) -> str:
    """What arrives on a real terminal."""
    master, slave = pty.openpty()
    try:
        with open(slave, "w", encoding="utf-8") as terminal:
            write(terminal)
            return os.read(master, 65536).decode()
    finally:
        os.close(master)


@pytest.mark.parametrize("form", ["auto", "console"])
def test_a_terminal_gets_colours(form: LogFormat) -> None:
    def write(terminal: TextIO) -> None:
        configure_logs(level="info", format=form, stream=terminal)
        structlog.get_logger().info("delivery.completed", path="/srv/a.mp4")

    assert on_terminal(write).count("\x1b[") > 3


def test_json_may_be_asked_for_on_a_terminal() -> None:
    def write(terminal: TextIO) -> None:
        configure_logs(level="info", format="json", stream=terminal)
        structlog.get_logger().info("delivery.completed")

    assert json.loads(on_terminal(write))["event"] == "delivery.completed"


def test_auto_is_json_elsewhere(stream: io.StringIO) -> None:
    configure_logs(level="info", stream=stream)
    structlog.get_logger().info("delivery.completed")
    assert lines(stream)[0]["event"] == "delivery.completed"


@pytest.mark.parametrize(
    ("level", "shown"), [("debug", "diwe"), ("info", "iwe"), ("warning", "we"), ("error", "e")]
)
def test_the_level_bounds_our_events(stream: io.StringIO, level: str, shown: str) -> None:
    configure_logs(level=level, format="json", stream=stream)
    log = structlog.get_logger()
    for name in ("debug", "info", "warning", "error"):
        getattr(log, name)(name)
    assert "".join(line["level"][0] for line in lines(stream)) == shown


@pytest.mark.parametrize(
    ("level", "shown"), [("debug", "iwe"), ("info", "we"), ("warning", "we"), ("error", "e")]
)
def test_libraries_are_quieter_than_we_are(stream: io.StringIO, level: str, shown: str) -> None:
    configure_logs(level=level, format="json", stream=stream)
    library = logging.getLogger("botocore.some.module")
    library.debug("d")
    library.info("%s", "i")
    library.warning("w")
    library.error("e")
    assert "".join(line["event"] for line in lines(stream)) == shown
    assert {line["logger"] for line in lines(stream)} == {"botocore.some.module"}


def test_an_unknown_level_is_told() -> None:
    with pytest.raises(ConfigError, match="loud") as caught:
        configure_logs(level="loud")
    assert "warning" in caught.value.hint


def test_configuring_again_doubles_nothing(stream: io.StringIO) -> None:
    for _ in range(3):
        configure_logs(level="info", format="json", stream=stream)
    logging.getLogger("x").warning("once")
    structlog.get_logger().warning("once")
    assert len(lines(stream)) == 2


def test_the_stream_is_the_stderr_of_the_moment(monkeypatch: pytest.MonkeyPatch) -> None:
    configure_logs(level="info", format="json")
    log = structlog.get_logger()
    for _ in range(2):
        display = io.StringIO()
        monkeypatch.setattr(sys, "stderr", display)
        log.info("here")
        logging.getLogger("x").warning("here")
        assert [line["event"] for line in lines(display)] == ["here", "here"]


def test_an_exception_is_one_line_of_json(stream: io.StringIO) -> None:
    configure_logs(level="info", format="json", stream=stream)
    try:
        fail(ValueError(ODD))
    except ValueError:
        structlog.get_logger().exception("delivery.failed")
        logging.getLogger("x").exception("failed")
    ours, theirs = lines(stream)
    for line in (ours, theirs):
        assert line["level"] == "error"
        assert "Traceback" in line["exception"]
        assert ODD.split("\n")[1] in line["exception"]


def test_on_the_console_a_traceback_stands_indented(stream: io.StringIO) -> None:
    configure_logs(level="info", format="console", stream=stream)
    structlog.get_logger().error("delivery.failed", exc_info=ValueError("no\n2025-01-01 forged line"))
    first, *trace = stream.getvalue().splitlines()
    assert first.endswith("delivery.failed")
    assert all(line.startswith("    ") for line in trace)


@pytest.mark.parametrize("form", ["json", "console"])
@pytest.mark.parametrize(
    "fields", [{"path": ODD}, {"path": Path(ODD)}, {"files": [ODD]}, {"sizes": {ODD: 1}}]
)
def test_no_name_breaks_a_line_or_reaches_the_terminal(
    form: LogFormat, fields: dict[str, Any], tmp_path: Path
) -> None:
    file = tmp_path / "log"
    with open(file, "w", encoding="utf-8") as stream:
        configure_logs(level="info", format=form, stream=stream)
        structlog.get_logger().info("delivery.completed", **fields)
        logging.getLogger("x").warning("odd %s", fields)
    text = file.read_bytes().decode()
    assert text.count("\n") == 2
    assert not set(text) & set("\x1b\x7f\x85\u202e")
    if form == "json":
        first = json.loads(text.splitlines()[0])
        assert ODD in (first.get("path"), *first.get("files", ()), *first.get("sizes", ()))


def test_an_event_name_of_odd_characters_is_escaped(stream: io.StringIO) -> None:
    configure_logs(level="info", format="console", stream=stream)
    structlog.get_logger().info(ODD)
    assert stream.getvalue().count("\n") == 1
    assert "\x1b" not in stream.getvalue()


@pytest.mark.parametrize("form", ["json", "console"])
@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
def test_a_stream_that_is_not_utf8_gets_every_line(form: LogFormat, encoding: str) -> None:
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding=encoding, errors="strict")
    configure_logs(level="info", format=form, stream=stream)
    structlog.get_logger().info("delivery.completed", path="/srv/é🎬\udcff")
    text = raw.getvalue().decode(encoding)
    if form == "json":
        assert json.loads(text)["path"] == "/srv/é🎬\udcff"
    assert text.count("\n") == 1


SECRET = "hunter2SECRETvalue"
SECRET_FIELDS: list[dict[str, Any]] = [
    {"aws_secret_access_key": SECRET},
    {"password": SECRET},
    {"DB_PASSWORD": SECRET},
    {"session_token": SECRET},
    {"Authorization": f"Bearer {SECRET}"},
    {"settings": {"nested": [{"client_secret": SECRET}]}},
    {"url": f"https://b.s3.amazonaws.com/k?AWSAccessKeyId={SECRET}&Expires=1"},
    {"url": f"https://b.s3.amazonaws.com/k?X-Amz-Signature={SECRET}&X-Amz-Date=2"},
    {"url": f"https://b.s3.amazonaws.com/k?x=1&Signature={SECRET}"},
    {"url": f"https://b.s3.amazonaws.com/k?X-Amz-Security-Token={SECRET}&x=1"},
    {"proxy": f"http://user:{SECRET}@proxy:3128/"},
    {"headers": {"Authorization": f"AWS4-HMAC-SHA256 Credential={SECRET}/x, Signature={SECRET}"}},
    {"request": f"PUT /\r\nauthorization: AWS4-HMAC-SHA256 Credential={SECRET}, Signature={SECRET}"},
    {"request": f"{{'Authorization': b'Basic {SECRET}'}}"},
    {"error": f"Settings(region='x', secret_access_key='{SECRET} with blanks')"},
    {"error": ValueError(f"password: {SECRET}")},
    {"error": json.dumps({"token": SECRET})},
    {"error": f"refused: aws_session_token = {SECRET}".encode()},
]


@pytest.mark.parametrize("form", ["json", "console"])
@pytest.mark.parametrize("fields", SECRET_FIELDS, ids=lambda fields: next(iter(fields)))
def test_secrets_are_masked(form: LogFormat, fields: dict[str, Any], stream: io.StringIO) -> None:
    configure_logs(level="info", format=form, stream=stream)
    structlog.get_logger().info("store.refused", key="kept", **fields)
    text = stream.getvalue()
    assert SECRET not in text
    assert "with blanks" not in text
    assert "***" in text
    assert "kept" in text
    assert form == "console" or lines(stream)


@pytest.mark.parametrize("form", ["json", "console"])
@pytest.mark.parametrize("fields", SECRET_FIELDS, ids=lambda fields: next(iter(fields)))
def test_secrets_are_masked_in_exceptions_and_in_the_logs_of_libraries(
    form: LogFormat, fields: dict[str, Any], stream: io.StringIO
) -> None:
    configure_logs(level="info", format=form, stream=stream)
    logging.getLogger("botocore").warning("sent %s", fields)
    try:
        fail(RuntimeError(str(fields)))
    except RuntimeError:
        structlog.get_logger().exception("store.refused")
    assert SECRET not in stream.getvalue()
    assert "***" in stream.getvalue()


def test_what_only_sounds_secret_stays_readable(stream: io.StringIO) -> None:
    configure_logs(level="info", format="json", stream=stream)
    fields: dict[str, Any] = {
        "path": "/srv/inbox/secret santa/token.mp4",
        "reason": "the security token in the request has expired",
        "url": "https://host/path",
        "mail": "a@b",
        "has_password": False,
        "token": None,
    }
    structlog.get_logger().info("store.held", **fields)
    (line,) = lines(stream)
    assert {key: line[key] for key in fields} == fields


@pytest.mark.parametrize("form", ["json", "console"])
def test_nothing_that_is_logged_raises(
    form: LogFormat, stream: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    # pytest's own handlers raise on a record that does not fit its format.
    monkeypatch.setattr(logging.getLogger(), "handlers", [])
    circle: list[Any] = []
    circle.append(circle)
    configure_logs(level="info", format=form, stream=stream)
    structlog.get_logger().info(
        "odd.values",
        rate=float("inf"),
        none=None,
        keys={(1, 2): 3},
        circle=circle,
        raw=b"\xff",
        this=object(),
    )
    logging.getLogger("x").warning("%d %d", "wrong")
    assert stream.getvalue().count("\n") == 2
    if form == "json":
        assert lines(stream)[0]["rate"] == "inf"


class Refusing(io.StringIO):
    """A stream whose disk is full for a while."""

    refuses = False

    def write(self, text: str) -> int:
        if self.refuses:
            raise OSError(28, "No space left on device")
        return super().write(text)


def test_a_log_that_cannot_be_written_stops_nothing_and_says_later_what_was_lost() -> None:
    stream = Refusing()
    configure_logs(level="info", format="json", stream=stream)
    log = structlog.get_logger()
    stream.refuses = True
    for _ in range(3):
        log.info("lost")
    stream.refuses = False
    log.info("back")
    log.info("again")
    assert [line["event"] for line in lines(stream)] == ["log.lines_lost", "back", "again"]
    assert lines(stream)[0]["lines"] == 3


@pytest.mark.parametrize("gone", ["closed", "none"])
def test_without_a_stream_nothing_is_raised(gone: str, monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.StringIO()
    stream.close()
    configure_logs(level="info", format="json")
    monkeypatch.setattr(sys, "stderr", stream if gone == "closed" else None)
    structlog.get_logger().info("unheard")


def test_threads_never_mix_their_lines(tmp_path: Path) -> None:
    file = tmp_path / "log"
    with open(file, "w", encoding="utf-8") as stream:
        configure_logs(level="info", format="json", stream=stream)

        def talk(name: str) -> None:
            for number in range(500):
                structlog.get_logger().info(
                    "line", name=name, number=number, filler="x" * (number % 300)
                )

        threads = [threading.Thread(target=talk, args=(name,)) for name in "abcd"]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    heard = [json.loads(line) for line in file.read_text().splitlines()]
    for name in "abcd":
        assert [line["number"] for line in heard if line["name"] == name] == list(range(500))


def test_warnings_and_asyncio_speak_the_same_form(stream: io.StringIO) -> None:
    configure_logs(level="info", format="json", stream=stream)
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        logging.captureWarnings(capture=True)  # inside, as catch_warnings puts its own printer in place
        warnings.warn("old way", DeprecationWarning, stacklevel=1)

    async def unheard() -> None:
        asyncio.get_running_loop().call_exception_handler({"message": "lost"})

    asyncio.run(unheard())
    assert [line["logger"] for line in lines(stream)] == ["py.warnings", "asyncio"]
