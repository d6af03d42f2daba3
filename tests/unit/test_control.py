"""The words of the control socket, as pure functions."""

import json

import pytest

from hotfolder.core.control import (
    PROTOCOL,
    Command,
    Request,
    answer_line,
    refusal_line,
    request_line,
    request_of,
    result_of,
)
from hotfolder.core.errors import ConfigError, HotfolderError, LocalError


@pytest.mark.parametrize(
    "request_",
    [
        Request(Command.PAUSE),
        Request(Command.RETRY, wanted="reels/\udcff\n.mp4"),
        Request(Command.RETRY, group="reels"),
        Request(Command.RETRY, everything=True),
    ],
)
def test_a_request_comes_back_as_it_was(request_: Request) -> None:
    line = request_line(request_)
    assert line.count(b"\n") == 1
    assert request_of(line) == request_


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        (b"\xff\n", "no JSON"),
        (b"[" * 60_000, "no JSON"),
        (b"[]\n", "no JSON object"),
        (b"{}\n", "version None"),
        (b'{"version":99,"command":"pause"}\n', "version 99"),
        (b'{"version":1,"command":"format"}\n', "no command"),
        (b'{"version":1,"command":["pause"]}\n', "no command"),
        (b'{"version":1}\n', "no command"),
        (b'{"version":1,"command":"retry","wanted":5}\n', "'wanted'"),
        (b'{"version":1,"command":"retry","everything":1}\n', "'everything'"),
        (b'{"version":1,"command":"retry","owner":"me"}\n', "'owner'"),
    ],
)
def test_what_is_no_request_is_said(line: bytes, complaint: str) -> None:
    with pytest.raises(HotfolderError, match=complaint):
        request_of(line)


def test_an_answer_comes_back_and_a_refusal_is_raised_again() -> None:
    assert result_of(answer_line({"folders": 2})) == {"folders": 2}
    with pytest.raises(ConfigError, match="no bucket") as faulty:
        result_of(refusal_line(ConfigError("no bucket", hint="name one")))
    assert faulty.value.hint == "name one"
    with pytest.raises(HotfolderError, match="too late") as late:
        result_of(refusal_line(LocalError("too late")))
    assert not isinstance(late.value, ConfigError)
    with pytest.raises(HotfolderError, match="refused"):
        result_of(b'{"ok":true}\n')
    assert json.loads(answer_line({}))["version"] == PROTOCOL
